/* No include betrays it. */
long time(long *);
void *malloc(unsigned long);
extern const int env_posix;

long stray(void);

long stray(void)
{
    return time((void *)0) + env_posix + (malloc(1) != (void *)0);
}
