#include "tpm/credential.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm/session.h"

/* Both structures are checked whole: a size field that lies is no credential. */
static int take_blobs(struct bytes blob, struct bytes encrypted, TPM2B_ID_OBJECT *ret_id,
                      TPM2B_ENCRYPTED_SECRET *ret_secret, struct err *err)
{
        TPM2B_ID_OBJECT id = {0};
        TPM2B_ENCRYPTED_SECRET secret = {0};
        size_t id_used = 0;
        size_t secret_used = 0;

        if (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(blob.data, blob.len, &id_used, &id) !=
                TSS2_RC_SUCCESS ||
            id_used != blob.len)
                return err_set(err, ERR_MALFORMED, "not a credential blob");
        if (Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(encrypted.data, encrypted.len, &secret_used,
                                                     &secret) != TSS2_RC_SUCCESS ||
            secret_used != encrypted.len)
                return err_set(err, ERR_MALFORMED, "not an encrypted secret");
        *ret_id = id;
        *ret_secret = secret;
        return 0;
}

/*
 * Every refusal of the TPM itself means: made for another EK (the secret does not decrypt, or the
 * point is not on the curve) or for another key (the integrity over the name fails).
 */
static int refuse(struct tpm *tpm, TSS2_RC rc, struct err *err)
{
        if (tpm_result(tpm, rc, err, "activate a credential") == ERR_TPM)
                (void)err_set(err, ERR_NOT_TRUSTED,
                              "activate a credential: it was not made for this EK and key");
        return err->code;
}

int tpm_credential_activate(const struct tpm_key *ek, const struct tpm_key *key, struct bytes blob,
                            struct bytes encrypted_secret, struct secret **ret_credential,
                            struct err *err)
{
        struct tpm *tpm = ek->tpm;
        struct session AUTO_SESSION key_session = SESSION_NONE;
        struct session AUTO_SESSION ek_session = SESSION_NONE;
        TPM2B_ID_OBJECT id;
        TPM2B_ENCRYPTED_SECRET encrypted;
        TPM2B_DIGEST AUTO_ESYS *credential = NULL;
        TSS2_RC rc;
        int code;

        if (take_blobs(blob, encrypted_secret, &id, &encrypted, err) != 0 ||
            session_start_key(key, 0, &key_session, err) != 0 ||
            session_start_key(ek, SESSION_HIDE_RESPONSE, &ek_session, err) != 0)
                return err_wrap(err, "activate a credential");
        rc = Esys_ActivateCredential(tpm->esys, key->handle, ek->handle, key_session.use,
                                     ek_session.use, ESYS_TR_NONE, &id, &encrypted, &credential);
        if (rc != TSS2_RC_SUCCESS)
                return refuse(tpm, rc, err);
        if (credential->size == 0)
                return err_set(err, ERR_MALFORMED, "activate a credential: it is empty");
        code = secret_new_copy(credential->buffer, credential->size, ret_credential, err);
        explicit_bzero(credential, sizeof(*credential));
        return code;
}
