#ifndef C_ONLY_H
#define C_ONLY_H
int c_only(int class);
#endif
