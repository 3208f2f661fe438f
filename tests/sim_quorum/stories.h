/* stories - what chance brings about too seldom: short cases for single machines.  Returns how many
 * went wrong, and says which; the number of all is written to `out_count`. */
#ifndef TESTS_SIM_QUORUM_STORIES_H
#define TESTS_SIM_QUORUM_STORIES_H

#include <stdint.h>

uint32_t stories_run(uint32_t *out_count);

#endif
