/*
 * TPML_PCR_SELECTION: which PCRs of which banks, in the order in which a quote digests them
 * (TPM 2.0 Part 2, 10.6.2 and 10.9.7).
 */
#ifndef TPMWIRE_PCR_SELECT_H
#define TPMWIRE_PCR_SELECT_H

#include <stdint.h>

#include "base/reader.h"
#include "base/writer.h"
#include "tpmwire/tpm-const.h"

#define PCR_SELECT_BANKS_MAX 16 /* entries of a list; TPMs have at most a handful of banks */
#define PCR_MASK_ALL         UINT32_C(0x00ffffff)

struct pcr_select_bank {
        uint16_t hash; /* TPM_ALG_ID as it was written, known or not */
        uint32_t mask; /* bit n = PCR n, within PCR_MASK_ALL */
};

struct pcr_select {
        uint32_t count; /* at most PCR_SELECT_BANKS_MAX */
        struct pcr_select_bank banks[PCR_SELECT_BANKS_MAX];
};

/*
 * Reads one list. A TPM of 24 PCRs always writes sizeofSelect 3; every other size is refused, as
 * is a bank that is named twice. Errors: ERR_MALFORMED, with the offset in err.
 */
int pcr_select_parse(struct reader *r, struct pcr_select *ret_select, struct err *err) MUST_CHECK;

/* Appends the list to w. */
void pcr_select_put(struct writer *w, const struct pcr_select *select);

/* The PCRs that are selected in this bank; 0 if it is not in the list. */
uint32_t pcr_select_mask(const struct pcr_select *select, uint16_t hash);

#endif
