/* libuv gives descriptors back by a bare syscall(SYS_close, ...), which ThreadSanitizer does not
 * see: it takes the number that another thread gets then for one that both have.  Linked before the
 * C library in builds with that sanitizer, this makes a close() of it, which it does see.  Weak: it
 * comes along with each part that uses libuv. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((weak, visibility("default"))) long syscall(long number, ...)
{
    long words[6];
    va_list arguments;
    va_start(arguments, number);
    for (unsigned index = 0; index < 6; index++)
        words[index] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_close) return close((int)words[0]);
    long (*real)(long, ...) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
