#ifndef NEEDY_H
#define NEEDY_H
uint64_t needy(void);
#endif
