/*
 * JSON Web Tokens in the one form we use: compact, ES256 (RFC 7515, 7.1; RFC 7518, 3.4). The
 * verifier decides the algorithm, the token only confirms it; whatever else a header could ask
 * for (none, HMAC, keys to fetch, critical extensions) is refused.
 */
#ifndef VERIFY_JWT_H
#define VERIFY_JWT_H

#include <jansson.h>

#include "crypto/pkey.h"

#define JWT_SIZE_MAX (1U << 20) /* characters of a token */

static inline void jwt_json_decref(json_t *json)
{
        json_decref(json);
}
DEFINE_CLEANUP(json_t *, jwt_json_decref)
#define AUTO_JSON CLEANUP(jwt_json_decref_p)

/* Signs the claims (keys sorted, no white space) with a private P-256 key. free() the token. */
int jwt_sign(const json_t *claims, const struct pkey *key, char **ret_token,
             struct err *err) MUST_CHECK;

/*
 * The claims of a token that this key signed; json_decref() them. ERR_MALFORMED for anything that
 * is not exactly such a token (also doubled keys in header or claims), ERR_NOT_TRUSTED for
 * another algorithm or a signature that does not verify.
 */
int jwt_verify(struct bytes token, const struct pkey *key, json_t **ret_claims,
               struct err *err) MUST_CHECK;

#endif
