/*
 * The appraisal of one machine: a pure function from its evidence and a policy to a verdict. The
 * quote is checked (quote.h), the logs must explain what it digested, and every event and entry
 * that the quote covers is compared with the policy. What the quote does not cover never counts.
 */
#ifndef EVLOG_APPRAISE_H
#define EVLOG_APPRAISE_H

#include "evlog/policy.h"
#include "evlog/quote.h"

/* The parts of a machine, in the order in which people read them. */
enum appraise_part {
        APPRAISE_FIRMWARE,
        APPRAISE_BOOT_LOADER,
        APPRAISE_KERNEL,
        APPRAISE_COMMAND_LINE,
        APPRAISE_INITRD,
        APPRAISE_PROGRAMS,
        APPRAISE_PART_COUNT,
};

enum appraise_state {
        APPRAISE_NOT_CHECKED,  /* the evidence did not hold, or the policy says nothing of it */
        APPRAISE_NOT_MEASURED, /* no quoted event tells of it */
        APPRAISE_VERIFIED,     /* measured, and as the policy wants it */
        APPRAISE_CHANGED,      /* measured, and otherwise */
};

/* Tiers of AR4SI (draft-ietf-rats-ar4si, 2.3.2), with its numbers. */
enum verdict_tier {
        VERDICT_AFFIRMING = 2,
        VERDICT_WARNING = 32,
        VERDICT_CONTRAINDICATED = 96,
};

/* Absent blobs have len 0. Views must outlive the call only. */
struct appraise_evidence {
        struct bytes key;                  /* TPM2B_PUBLIC, TPMT_PUBLIC or PEM of the AK */
        const struct quote_key *quote_key; /* instead of key: decoded before (K-TOCTOU) */
        struct bytes attest;               /* TPMS_ATTEST */
        struct bytes signature;            /* TPMT_SIGNATURE */
        struct bytes nonce;                /* the qualifying data that the quote must carry */
        struct bytes ek;                   /* public area of the EK, if known: checks the signer */
        struct bytes tcg_log;              /* binary_bios_measurements; one of CCEL refuses */
        struct bytes ima_log;              /* binary or ascii_runtime_measurements */
        const struct pcr_values *values;   /* PCR values, where somebody read them */
        size_t n_values;
        /* PCRs that another log explains, such as that of the host's software; must be quoted, and
         * the logs here must not extend them. NULL: none. */
        const struct pcr_values *known;
        const struct tpm_clock *previous; /* of the last accepted quote of this TPM, or NULL */
};

struct verdict {
        enum verdict_tier tier;
        enum appraise_state parts[APPRAISE_PART_COUNT];
        size_t programs;        /* measured files that the policy knows */
        struct reasons reasons; /* everything found, refusing or not */
        struct tpm_clock clock; /* keep it: `previous` of the next appraisal. Zero if unsigned. */
};

/*
 * Appraises against a policy. No policy, or an empty one, accepts nothing. The verdict is always
 * written; an error inside a check is a reason that refuses.
 */
void appraise(const struct appraise_evidence *evidence, const struct policy *policy,
              struct verdict *ret_verdict);

/*
 * The part that needs no policy: quote, key, and that the logs explain what was quoted. All parts
 * stay APPRAISE_NOT_CHECKED. Not a reason to trust the machine.
 */
void appraise_quote(const struct appraise_evidence *evidence, struct verdict *ret_verdict);

/* "firmware", "GRUB", "kernel", "command line", "initrd", "programs" */
const char *appraise_part_name(enum appraise_part part);

/* "not checked", "not measured", "verified", "changed" */
const char *appraise_state_name(enum appraise_state state);

/* "affirming", "warning", "contraindicated" */
const char *verdict_tier_name(enum verdict_tier tier);

#endif
