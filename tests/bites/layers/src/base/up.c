#include "engine/engine.h" /* up */
