#include "engine/engine.h" /* a sibling */
