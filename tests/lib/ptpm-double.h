/*
 * A double of catena-arbiter with a TPM of words behind it: it seals by writing the secret down,
 * quotes nothing but the qualifying data, and keeps PCR 13 in STATE/pcr13, so that it outlives the
 * process as a TPM does. For tests of the TCB that need answers and no cryptography.
 *
 * The TCTI is a list of words: "refuse-N" answers the request with code N by an error, "wrong-N"
 * with another message, "short-N" with the answer's bytes cut to one.
 */
#ifndef TESTS_LIB_PTPM_DOUBLE_H
#define TESTS_LIB_PTPM_DOUBLE_H

#include "lib/double.h"
#include "wire/ptpm.h"

#define PTPM_DOUBLE_PCR13 "pcr13" /* file in the state directory; without it the PCR is zero */

/* main() of the double; returns the exit status. */
int ptpm_double(void);

#endif
