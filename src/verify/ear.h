/*
 * The verdict as an EAT Attestation Result (draft-ietf-rats-ear), a JWT signed with ES256. One
 * submod a machine, with its status, its trustworthiness vector in the numbers of AR4SI
 * (draft-ietf-rats-ar4si, 2.3.4) and our reasons in private claims.
 */
#ifndef VERIFY_EAR_H
#define VERIFY_EAR_H

#include <jansson.h>

#include "verify/verify.h"

/*
 * The profile that the libraries of the Veraison project read, with the names of claims of the
 * drafts up to -02 ("ear.status"); later drafts write them otherwise, under profiles of their own.
 */
#define EAR_PROFILE "tag:github.com,2023:veraison/ear"

/* Private claims of ours in every submod. */
#define EAR_REASONS "ear.catena.reasons" /* [{"id","severity","text"}] */
#define EAR_PARTS                                                                                  \
        "ear.catena.parts" /* {"kernel":"affirming", ...}; also contraindicated, not-measured,     \
                              not-checked */

/* The claims; json_decref() them. */
int ear_claims(const struct verify_result *result, json_t **ret_claims, struct err *err) MUST_CHECK;

/* The claims, signed; free() the token. */
int ear_sign(const struct verify_result *result, const struct pkey *key, char **ret_token,
             struct err *err) MUST_CHECK;

/*
 * Checks a token: signature, profile, times, nonce, every submod's status. nonce may be NULL.
 * ERR_NOT_TRUSTED when it is not (or no longer) to be used, ERR_MALFORMED when it is no EAR. The
 * status of what was appraised is still for the caller to look at: ear_status().
 */
int ear_verify(struct bytes token, const struct pkey *key, int64_t now, const uint8_t *nonce,
               json_t **ret_claims, struct err *err) MUST_CHECK;

/* The worst status of all submods of checked claims. */
enum verify_tier ear_status(const json_t *claims);

#endif
