#include <tenure/client.h> /* far up */
