#include <fcntl.h>

int OpenIt(const char *path);

/* A name in the wrong case, a missing O_CLOEXEC, a missing brace. */
int OpenIt(const char *path)
{
    if (path == NULL)
        return
            -1;
    return open(path, O_RDONLY);
}

int depth(int n);

int depth(int n)
{
    return n == 0 ? 0 : 1 + depth(n - 1);
}
