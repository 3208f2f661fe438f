#include <tenure/client.h>

#include "client/client.h"

/* Under the registry's mutex until somebody uses it; from then on nobody writes it. */
static struct memory of_program;
static const struct memory *chosen = &memory_heap;
static bool is_used;

const struct memory *tni_allocator_use(void)
{
    tni_registry_lock();
    is_used = true;
    const struct memory *memory = chosen;
    tni_registry_unlock();
    return memory;
}

enum tenure_err tenure_set_allocator(tenure_resize_fn resize, void *user)
{
    tni_registry_lock();
    bool is_early = !is_used;
    if (is_early) {
        of_program = (struct memory){ .resize = resize, .context = user };
        chosen = resize == NULL ? &memory_heap : &of_program;
    }
    tni_registry_unlock();
    return is_early ? TENURE_OK : TENURE_INVALID;
}
