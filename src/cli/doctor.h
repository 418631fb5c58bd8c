/*
 * What can be wrong with a host, looked at from the outside: one row a check.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/cli.h"

#define DOCTOR_CHECKS_MAX 16

struct doctor_finding {
        const char *check;
        bool ok;
        char result[200];
        char advice[200]; /* what to do when it is not ok */
};

/* Runs every check; returns how many there are. */
size_t doctor_examine(struct cli *cli, struct doctor_finding ret_findings[DOCTOR_CHECKS_MAX]);

#endif
