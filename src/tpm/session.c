#include "tpm/session.h"

static const TPMT_SYM_DEF session_cipher = {
    .algorithm = TPM2_ALG_AES,
    .keyBits.aes = 128,
    .mode.aes = TPM2_ALG_CFB,
};

void session_end(struct session *session)
{
        loaded_flush(&session->loaded);
        session->use = ESYS_TR_PASSWORD;
}

static int start(struct tpm *tpm, TPM2_SE type, TPMA_SESSION hide, struct session *ret_session,
                 struct err *err)
{
        struct session AUTO_SESSION session = SESSION_NONE;
        TPMA_SESSION attributes = TPMA_SESSION_CONTINUESESSION;
        TSS2_RC rc;

        /* Without a salt the session's key would be known to who listens: no use to encrypt. */
        if (tpm->salt != ESYS_TR_NONE)
                attributes |= hide;
        rc = Esys_StartAuthSession(tpm->esys, tpm->salt, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                   ESYS_TR_NONE, NULL, type, &session_cipher, TPM2_ALG_SHA256,
                                   &session.loaded.handle);
        if (rc != TSS2_RC_SUCCESS)
                session.loaded.handle = ESYS_TR_NONE;
        if (tpm_result(tpm, rc, err, "start a session") != 0)
                return err->code;
        session.loaded.tpm = tpm;
        session.use = session.loaded.handle;
        rc = Esys_TRSess_SetAttributes(tpm->esys, session.use, attributes, 0xFF);
        if (tpm_result(tpm, rc, err, "start a session") != 0)
                return err->code;
        *ret_session = session;
        session.loaded.handle = ESYS_TR_NONE;
        return 0;
}

int session_start_policy(struct tpm *tpm, TPM2_SE type, TPMA_SESSION hide,
                         struct session *ret_session, struct err *err)
{
        return start(tpm, type, hide, ret_session, err);
}

int session_start_auth(struct tpm *tpm, bool has_auth, TPMA_SESSION hide,
                       struct session *ret_session, struct err *err)
{
        /* A password would cross the bus in clear; an HMAC proves it without showing it. */
        if (has_auth || tpm->salt != ESYS_TR_NONE)
                return start(tpm, TPM2_SE_HMAC, hide, ret_session, err);
        *ret_session = (struct session)SESSION_NONE;
        return 0;
}

int session_start_key(const struct tpm_key *key, TPMA_SESSION hide, struct session *ret_session,
                      struct err *err)
{
        struct session AUTO_SESSION session = SESSION_NONE;
        TPM2B_TIMEOUT AUTO_ESYS *timeout = NULL;
        TPMT_TK_AUTH AUTO_ESYS *ticket = NULL;
        TSS2_RC rc;

        if (!key->is_policy)
                return session_start_auth(key->tpm, key->has_auth, hide, ret_session, err);
        if (session_start_policy(key->tpm, TPM2_SE_POLICY, hide, &session, err) != 0)
                return err->code;
        rc =
            Esys_PolicySecret(key->tpm->esys, ESYS_TR_RH_ENDORSEMENT, session.use, ESYS_TR_PASSWORD,
                              ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL, NULL, 0, &timeout, &ticket);
        if (tpm_result(key->tpm, rc, err, "satisfy the EK's policy") != 0)
                return err->code;
        *ret_session = session;
        session.loaded.handle = ESYS_TR_NONE;
        return 0;
}
