/* An adapter of one loop that knows another one. */
#include <uv.h>
