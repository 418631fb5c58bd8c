/*
 * The manufacture profile: which libtpms, algorithms and templates turn a base seed into keys. The
 * same seed gives the same keys only under the same profile, so each vTPM's is recorded, and the
 * TCB tries the one that it knows against recorded names at its start (known-answer.h).
 */
#ifndef TCB_PROFILE_H
#define TCB_PROFILE_H

#include "base/secret.h"
#include "store/block.h"
#include "tpmwire/ek.h"

#define PROFILE_BASE_SEED_SIZE 32

/* The one that seeds are made for. */
struct profile {
        const char *text;
        const char *names[TPM_EK_COUNT]; /* in hex, of the keys from the known answer's seed */
};

extern const struct profile profile_known;

/* The words that are recorded for a TPM that says this of itself. */
void profile_describe(const char *libtpms, const uint8_t algorithms[4],
                      char ret_text[BLOCK_PROFILE_MAX + 1]);

/*
 * What libtpms draws while it manufactures (ENGINE_SEED_SIZE bytes): HMAC_DRBG over the base seed
 * (PROFILE_BASE_SEED_SIZE bytes) with the UUID as nonce and the known profile as personalization
 * string.
 */
int profile_seed(const struct secret *base, const uint8_t uuid[BLOCK_UUID_LEN],
                 struct secret **ret_seed, struct err *err) MUST_CHECK;

#endif
