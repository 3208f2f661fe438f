/* export - what is visible from outside the library. */
#ifndef TENURE_EXPORT_H
#define TENURE_EXPORT_H

#define TENURE_API __attribute__((visibility("default")))
/* The result must be looked at: an error that nobody sees is a lock that nobody has. */
#define TENURE_MUST_USE __attribute__((warn_unused_result))

#endif
