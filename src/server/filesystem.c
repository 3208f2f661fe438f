#include "server/filesystem.h"

#include <stddef.h>
#include <sys/vfs.h>

enum filesystem_verdict filesystem_judge(uint64_t magic, bool is_network_allowed)
{
    static const uint32_t magics[] = {
        0x00006969, /* NFS */
        0xff534d42, /* CIFS */
        0xfe534d42, /* SMB2 */
        0x0000517b, /* SMB */
        0x5346414f, /* AFS */
        0x73757245, /* Coda */
        0x00c36400, /* Ceph */
    };
    for (size_t index = 0; index < sizeof(magics) / sizeof(magics[0]); index++) {
        if ((uint32_t)magic != magics[index]) continue;
        return is_network_allowed ? FILESYSTEM_FORCED : FILESYSTEM_REFUSED;
    }
    return FILESYSTEM_FINE;
}

enum filesystem_verdict filesystem_judge_path(const char *path, bool is_network_allowed)
{
    struct statfs status;
    if (statfs(path, &status) != 0) return FILESYSTEM_FINE;
    return filesystem_judge((uint64_t)status.f_type, is_network_allowed);
}
