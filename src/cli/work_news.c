/* work_news - what the library's thread leaves for a slot. */
#include <sys/eventfd.h>

#include "cli/work_slot.h"

static void wake(const struct slot *slot)
{
    (void)eventfd_write(slot->wake_fd, 1);
}

void slot_on_risk(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    (void)hold;
    (void)remaining_ms;
    wake(user);
}

void slot_on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    (void)hold;
    (void)loss;
    wake(user);
}

void slot_on_cancel(struct tenure_hold hold, void *user)
{
    struct slot *slot = user;
    atomic_store(&slot->cancelled_id, hold.id);
    wake(slot);
}

bool slot_is_cancelled(const struct slot *slot)
{
    return slot->item.is_cancelling || atomic_load(&slot->cancelled_id) == slot->hold.id;
}

void slot_on_taken(
    enum tenure_err err,
    const struct tenure_hold *holds,
    uint32_t count,
    const struct tenure_error *error,
    void *user)
{
    struct slot *slot = user;
    slot->take_err = err;
    slot->take_error = *error;
    if (count > 0) slot->hold = holds[0];
    atomic_store(&slot->is_taken, true);
    wake(slot);
}

void slot_on_heard(enum tenure_err err, const struct tenure_error *error, void *user)
{
    struct slot *slot = user;
    slot->heard_err = err;
    slot->heard_error = *error;
    atomic_store(&slot->is_heard, true);
    wake(slot);
}
