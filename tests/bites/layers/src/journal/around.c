#include "../engine/engine.h" /* around the rule */
