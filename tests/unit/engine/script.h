/* script - a random life of an engine, the same for the same seed.
 *
 * Few names, few owners and short times, so that everything happens: waits, mismatches, repeats,
 * breaks, transfers, expiries, lock-delays. */
#ifndef TENURE_TESTS_UNIT_ENGINE_SCRIPT_H
#define TENURE_TESTS_UNIT_ENGINE_SCRIPT_H

#include "lib/random.h"
#include "unit/engine/harness.h"

/* Let one thing happen. */
void script_step(struct harness *harness, struct test_random *random);
void script_run(struct harness *harness, struct test_random *random, unsigned count);

#endif
