/*
 * Inside this library only: authorisation sessions. Salted and parameter-encrypting when the TPM
 * is protected (tpm_protect()), plain passwords where there is nothing to hide.
 */
#ifndef TPM_SESSION_H
#define TPM_SESSION_H

#include "tpm/esys.h"

/* Which first parameters the command has as sized buffers, so that they can be encrypted. */
#define SESSION_HIDE_COMMAND  TPMA_SESSION_DECRYPT
#define SESSION_HIDE_RESPONSE TPMA_SESSION_ENCRYPT
#define SESSION_HIDE_BOTH     (TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT)

/* What a command takes as session; flushed at the end of the scope if it is a real one. */
struct session {
        struct loaded loaded; /* handle ESYS_TR_NONE when a password serves */
        ESYS_TR use;          /* to be passed to ESYS */
};
void session_end(struct session *session);
#define AUTO_SESSION CLEANUP(session_end)

#define SESSION_NONE                                                                               \
        {                                                                                          \
                .loaded.handle = ESYS_TR_NONE, .use = ESYS_TR_PASSWORD                             \
        }

/* A policy or trial session. hide is ignored on an unprotected TPM. */
int session_start_policy(struct tpm *tpm, TPM2_SE type, TPMA_SESSION hide,
                         struct session *ret_session, struct err *err) MUST_CHECK;

/* A session that authorises with an empty or set value: password where nothing needs hiding. */
int session_start_auth(struct tpm *tpm, bool has_auth, TPMA_SESSION hide,
                       struct session *ret_session, struct err *err) MUST_CHECK;

/*
 * What authorises the use of key: for an EK its policy, PolicySecret(TPM_RH_ENDORSEMENT) (EK
 * Credential Profile, B.6.2), otherwise session_start_auth().
 */
int session_start_key(const struct tpm_key *key, TPMA_SESSION hide, struct session *ret_session,
                      struct err *err) MUST_CHECK;

#endif
