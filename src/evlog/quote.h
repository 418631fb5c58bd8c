/*
 * Checks of one quote (TPM 2.0 Part 3, 18.4; Part 2, 10.12.12). Pure: everything comes in the
 * request, and what is wrong goes into the list of reasons, all of it.
 */
#ifndef EVLOG_QUOTE_H
#define EVLOG_QUOTE_H

#include "crypto/pkey.h"
#include "evlog/reason.h"
#include "tpmwire/attest.h"
#include "tpmwire/name.h"
#include "tpmwire/public.h"

#define QUOTE_ATTEST_MAX    2048 /* bytes of a TPMS_ATTEST that is looked at */
#define QUOTE_SIGNATURE_MAX 1024 /* bytes of a TPMT_SIGNATURE */

/* PCR values of one bank. */
struct pcr_values {
        const struct hash_alg *alg;
        uint32_t mask; /* bit n: values[n] is given */
        uint8_t values[TPM_PCR_COUNT][HASH_SIZE_MAX];
};

/* ---- the key: decoded once, used for every check (K-TOCTOU) ------------------------------- */

struct quote_key;

/*
 * Takes a TPM2B_PUBLIC, TPMT_PUBLIC or PEM. What is wrong with the key goes to reasons
 * (key.malformed, key.attributes, key.algorithm): an attestation key is restricted, signs, does
 * not decrypt, is fixed to its TPM and parent, was made there, and has a scheme. Of PEM nobody
 * can tell: a warning. NULL where there is no usable key; reasons then say why.
 */
struct quote_key *quote_key_new(struct bytes key, struct reasons *reasons);
void quote_key_free(struct quote_key *key);
DEFINE_CLEANUP(struct quote_key *, quote_key_free)
#define AUTO_QUOTE_KEY CLEANUP(quote_key_free_p)

/* The decoded key; the public area and the name, or NULL when the key came as PEM. */
const struct pkey *quote_key_pkey(const struct quote_key *key);
const struct tpm_public *quote_key_public(const struct quote_key *key);
const struct tpm_name *quote_key_name(const struct quote_key *key);

/* ---- the quote ---------------------------------------------------------------------------- */

struct quote_request {
        struct bytes attest;
        struct bytes signature;
        const struct quote_key *key; /* NULL: the signature cannot be right */
        struct bytes nonce;          /* the whole expected qualifying data; empty never matches */
        const struct hash_alg *bank; /* of required */
        uint32_t required;           /* PCRs of bank that must be selected; 0: any, but some */
        /* The values of all that is selected. None: the digest is for the caller to explain. */
        const struct pcr_values *values;
        size_t n_values;
        const struct tpm_clock *previous;   /* of the last quote that was accepted, or NULL */
        const struct tpm_name *parent_name; /* qualified name of the key's parent, or NULL */
        bool require_safe_clock;
};

struct quote_result {
        bool is_quote;                     /* attest holds a parsed quote */
        bool is_signed;                    /* the signature verifies */
        struct attest attest;              /* views into the request's bytes */
        const struct hash_alg *digest_alg; /* of pcrDigest; NULL if unknown */
};

/* Runs every check. The result is always written. */
void quote_check(const struct quote_request *request, struct reasons *reasons,
                 struct quote_result *ret_result);

/*
 * Whether these values are what the quote digested: H(values in the order of the selection).
 * false also where a value is missing or a hash is unknown; reasons (quote.digest or
 * quote.selection) say what.
 */
bool quote_explains(const struct quote_result *result, const struct pcr_values *values,
                    size_t n_values, struct reasons *reasons);

/*
 * The digest that a TPM computes for this selection. ERR_NOT_FOUND if a value is missing.
 */
int quote_pcr_digest(const struct pcr_select *select, const struct hash_alg *alg,
                     const struct pcr_values *values, size_t n_values, uint8_t *ret_digest,
                     struct err *err) MUST_CHECK;

/* The qualified name of a primary key of the endorsement hierarchy, such as an EK. */
int quote_endorsement_name(const struct tpm_public *public, struct tpm_name *ret_name,
                           struct err *err) MUST_CHECK;

#endif
