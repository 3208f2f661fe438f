/* assert - checks that stay on in production.
 *
 * ASSERT states what the program itself guarantees; when it fails, the program is wrong and stops
 * at once.  Bytes from a socket or a disk are never asserted. */
#ifndef TENURE_BASE_ASSERT_H
#define TENURE_BASE_ASSERT_H

/* Print where and what, and abort. */
__attribute__((noreturn, cold)) void
assert_fail(const char *file, int line, const char *function, const char *what);

#define ASSERT(condition)                                                                          \
    ((condition) ? (void)0 : assert_fail(__FILE__, __LINE__, __func__, #condition))

#define UNREACHABLE(why) assert_fail(__FILE__, __LINE__, __func__, why)

#define MUST_USE __attribute__((warn_unused_result))

/* For something large on the hot path that is written before it is read, as far as it is used: all
 * other variables are cleared by the compiler (-ftrivial-auto-var-init). */
#define UNINITIALIZED __attribute__((uninitialized))

#endif
