/*
 * TPMS_ATTEST, what a TPM signs about itself (TPM 2.0 Part 2, 10.12.12). Quote and certify are
 * read in full, the other types as far as their type and the common header; their body is a view.
 */
#ifndef TPMWIRE_ATTEST_H
#define TPMWIRE_ATTEST_H

#include <stdbool.h>

#include "tpmwire/pcr-select.h"

/* TPMS_CLOCK_INFO, 10.11.1 */
struct tpm_clock {
        uint64_t clock; /* ms; obfuscated unless the key is in the endorsement hierarchy */
        uint32_t reset_count;
        uint32_t restart_count;
        bool safe; /* no higher clock can have been reported before */
};

/* Views point into the parsed bytes. */
struct attest {
        uint32_t magic; /* as written: the caller compares it with TPM_GENERATED */
        uint16_t type;  /* TPM_ST_ATTEST_..., one of those that attest_type_name() knows */
        struct bytes qualified_signer;
        struct bytes extra_data;
        struct tpm_clock clock;
        uint64_t firmware_version;
        union {
                struct {
                        struct pcr_select select;
                        struct bytes digest;
                } quote;
                struct {
                        struct bytes name;
                        struct bytes qualified_name;
                } certify;
                struct bytes body; /* every other type, not looked into */
        };
};

/* "quote", "certify", "creation", ...; NULL for what is no attestation. */
const char *attest_type_name(uint16_t type);

/*
 * Reads exactly one TPMS_ATTEST; bytes left over are an error. A wrong magic is not: it is a
 * finding of its own and the caller's to make. Errors: ERR_MALFORMED with the offset in err.
 */
int attest_parse(struct bytes bytes, struct attest *ret_attest, struct err *err) MUST_CHECK;

/* The reverse, for tests and for whoever computes what a TPM should have signed. */
void attest_put(struct writer *w, const struct attest *attest);

#endif
