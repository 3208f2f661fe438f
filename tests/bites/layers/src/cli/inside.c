#include "engine/engine.h" /* not public */
