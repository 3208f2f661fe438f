#include <time.h> /* a clock */
