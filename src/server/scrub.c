#include "server/scrub.h"

#include "server/embedded.h"
#include "server/log.h"
#include "server/server.h"

/* Why two snapshots: the journal keeps what the older of its two needs, and a start refuses a
 * journal in which anything that is kept is damaged. */
static void answer_damage(struct server *server, const struct tenure_error *damage)
{
    server->metrics.scrub_damage_count++;
    log_write(
        LOG_ERROR,
        "%s; check the disk.  The state in memory is sound: a new snapshot is written now, another "
        "one when something has changed, and then the damaged file is needed no more; do not stop "
        "the server before it says so",
        damage->text);
    snapshot_force(server);
}

void scrub_consider(struct server *server)
{
    struct housekeeper *housekeeper = server->embedded->housekeeper;
    struct metrics *metrics = &server->metrics;
    struct tenure_error damage;
    if (housekeeper_take_damage(housekeeper, &damage)) answer_damage(server, &damage);
    uint64_t count = housekeeper_scrub_count(housekeeper);
    if (count != metrics->scrub_count) {
        metrics->scrub_last_s = server->wall.us / 1000000;
        log_write(LOG_DEBUG, "the files of the journal were read again");
    }
    metrics->scrub_count = count;
    metrics->scrub_bytes = journal_status(server->embedded->journal).scrubbed_bytes;
}
