/* doctor - what the parts of `tenure doctor` share: cmd_doctor.c, doctor_nodes.c. */
#ifndef TENURE_CLI_DOCTOR_H
#define TENURE_CLI_DOCTOR_H

#include <tenure/tenure.h>

#include "cli/arguments.h"
#include "cli/out.h"

enum doctor_verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

struct doctor {
    const struct arguments *arguments;
    struct tenure_client client;
    bool has_failed;
};

/* One line of the findings. */
__attribute__((format(printf, 4, 5))) void doctor_say(
    struct doctor *doctor, enum doctor_verdict verdict, const char *check, const char *format, ...);

/* What the store promises, and what to change to make it promise more. */
void doctor_check_safety(struct doctor *doctor, enum tenure_safety safety);
/* Each of the servers that the store consists of, and whether enough of them vote. */
void doctor_check_nodes(struct doctor *doctor);

#endif
