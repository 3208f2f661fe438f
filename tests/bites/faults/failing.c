/* Tests that fail in every way a test can; the runner must notice each. */
#include <signal.h>
#include <unistd.h>

#include "base/assert.h"
#include "lib/test.h"

TEST(wrong_value)
{
    CHECK_EQ_INT(1 + 1, 3);
}

TEST(failed_assert)
{
    volatile bool is_true = false;
    ASSERT(is_true);
}

TEST(killed)
{
    (void)raise(SIGKILL);
}

TEST_WITHIN(1, hanging)
{
    for (;;)
        (void)pause();
}

TEST(early_exit)
{
    _exit(3);
}
