/*
 * What this host's software is: digests of the programs that make up the platform, extended into
 * the pTPM's PCR 13 and kept as a TCG log. With a software pTPM the TCB measures itself, which
 * proves little; reports say who measured.
 */
#ifndef TCB_MEASURE_H
#define TCB_MEASURE_H

#include "base/writer.h"
#include "tcb/config.h"
#include "tcb/ptpm.h"

#define MEASURE_BY "tcb" /* who measures: the TCB itself, and what started it */

struct measurements {
        uint8_t tcb[32];
        uint8_t engine[32];
        uint8_t qemu[32];
        uint8_t ovmf[32];
        struct writer log; /* TCG crypto-agile; see evlog/hostlog.h */
};

/*
 * Measures which TPM it is and every component, and extends. A pTPM that was not reset since the
 * last start goes on with the log kept in the state directory; a log that does not explain PCR 13
 * is ERR_NOT_TRUSTED. supervisor is the program of what started us and keeps our descriptors, as
 * that handed it over (-1: nothing did); what is no file that could be one is ERR_MALFORMED.
 */
int measure_host(const struct tcb_config *config, struct ptpm *ptpm, int supervisor,
                 struct measurements *ret_measurements, struct err *err) MUST_CHECK;

/*
 * Opens a file for use, and only if it is what was measured: hashed over the descriptor that is
 * then used, so that what lies at the path later does not matter. ERR_NOT_TRUSTED otherwise.
 */
int measure_open(const char *path, const uint8_t measured[32], int *ret_fd,
                 struct err *err) MUST_CHECK;

void measurements_done(struct measurements *measurements);

#endif
