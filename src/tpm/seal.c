#include "tpm/seal.h"

#include <string.h>

#include "tpm/marshal.h"
#include "tpm/selection.h"
#include "tpm/session.h"
#include "tpm/template.h"

/* Runs the policy in a session, over the PCRs as they are now. */
static int run_policy(struct tpm *tpm, const struct tpm_seal_policy *policy,
                      const struct session *session, struct err *err)
{
        static const TPM2B_DIGEST present = {.size = 0};
        TPML_PCR_SELECTION pcrs;
        TSS2_RC rc;

        if (selection_to_tss(&policy->pcrs, &pcrs, err) != 0)
                return err->code;
        rc = Esys_PolicyPCR(tpm->esys, session->use, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                            &present, &pcrs);
        return tpm_result(tpm, rc, err, "run the PCR policy");
}

static int policy_digest(struct tpm *tpm, const struct tpm_seal_policy *policy,
                         TPM2B_DIGEST *ret_digest, struct err *err)
{
        struct session AUTO_SESSION trial = SESSION_NONE;
        TPM2B_DIGEST AUTO_ESYS *digest = NULL;
        TSS2_RC rc;

        if (session_start_policy(tpm, TPM2_SE_TRIAL, 0, &trial, err) != 0 ||
            run_policy(tpm, policy, &trial, err) != 0)
                return err->code;
        rc = Esys_PolicyGetDigest(tpm->esys, trial.use, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                  &digest);
        if (tpm_result(tpm, rc, err, "take the policy's digest") != 0)
                return err->code;
        *ret_digest = *digest;
        return 0;
}

static int create_sealed(const struct tpm_key *storage, const TPM2B_PUBLIC *template,
                         const struct secret *secret, struct tpm_key_blobs *ret_sealed,
                         struct err *err)
{
        static const TPML_PCR_SELECTION no_pcrs = {.count = 0};
        static const TPM2B_DATA no_data = {.size = 0};
        struct tpm *tpm = storage->tpm;
        struct session AUTO_SESSION session = SESSION_NONE;
        TPM2B_SENSITIVE_CREATE sensitive = {0};
        TPM2B_PRIVATE AUTO_ESYS *private = NULL;
        TPM2B_PUBLIC AUTO_ESYS *public = NULL;
        TPM2B_CREATION_DATA AUTO_ESYS *data = NULL;
        TPM2B_DIGEST AUTO_ESYS *hash = NULL;
        TPMT_TK_CREATION AUTO_ESYS *ticket = NULL;
        TSS2_RC rc;

        if (session_start_key(storage, SESSION_HIDE_BOTH, &session, err) != 0)
                return err->code;
        memcpy(sensitive.sensitive.data.buffer, secret->data, secret->len);
        sensitive.sensitive.data.size = (UINT16)secret->len;
        rc = Esys_Create(tpm->esys, storage->handle, session.use, ESYS_TR_NONE, ESYS_TR_NONE,
                         &sensitive, template, &no_data, &no_pcrs, &private, &public, &data, &hash,
                         &ticket);
        explicit_bzero(&sensitive, sizeof(sensitive));
        if (tpm_result(tpm, rc, err, "create the sealed object") != 0 ||
            marshal_public(public, &ret_sealed->public, err) != 0 ||
            marshal_private(private, &ret_sealed->private, err) != 0)
                return err->code;
        return 0;
}

int tpm_seal(const struct tpm_key *storage, const struct tpm_seal_policy *policy,
             const struct secret *secret, struct tpm_key_blobs *ret_sealed, struct err *err)
{
        TPM2B_PUBLIC template = template_sealed;

        if (secret->len == 0 || secret->len > TPM_SEAL_MAX)
                return err_set(err, ERR_LIMIT, "seal: 1 to %d bytes", TPM_SEAL_MAX);
        if (policy_digest(storage->tpm, policy, &template.publicArea.authPolicy, err) != 0 ||
            create_sealed(storage, &template, secret, ret_sealed, err) != 0)
                return err_wrap(err, "seal");
        return 0;
}

static int load_sealed(const struct tpm_key *storage, const struct tpm_key_blobs *sealed,
                       struct loaded *ret_loaded, struct err *err)
{
        struct tpm *tpm = storage->tpm;
        struct session AUTO_SESSION session = SESSION_NONE;
        TPM2B_PUBLIC public;
        TPM2B_PRIVATE private;
        ESYS_TR handle;
        TSS2_RC rc;

        if (unmarshal_public(&sealed->public, &public, err) != 0 ||
            unmarshal_private(&sealed->private, &private, err) != 0 ||
            session_start_key(storage, SESSION_HIDE_BOTH, &session, err) != 0)
                return err->code;
        rc = Esys_Load(tpm->esys, storage->handle, session.use, ESYS_TR_NONE, ESYS_TR_NONE,
                       &private, &public, &handle);
        if (tpm_result(tpm, rc, err, "load the sealed object") != 0)
                return err->code;
        ret_loaded->handle = handle;
        return 0;
}

int tpm_unseal(const struct tpm_key *storage, const struct tpm_seal_policy *policy,
               const struct tpm_key_blobs *sealed, struct secret **ret_secret, struct err *err)
{
        struct tpm *tpm = storage->tpm;
        struct loaded AUTO_LOADED loaded = {.tpm = tpm, .handle = ESYS_TR_NONE};
        struct session AUTO_SESSION session = SESSION_NONE;
        TPM2B_SENSITIVE_DATA AUTO_ESYS *data = NULL;
        TSS2_RC rc;
        int code;

        if (load_sealed(storage, sealed, &loaded, err) != 0 ||
            session_start_policy(tpm, TPM2_SE_POLICY, SESSION_HIDE_RESPONSE, &session, err) != 0 ||
            run_policy(tpm, policy, &session, err) != 0)
                return err_wrap(err, "unseal");
        rc = Esys_Unseal(tpm->esys, loaded.handle, session.use, ESYS_TR_NONE, ESYS_TR_NONE, &data);
        if (tpm_result(tpm, rc, err, "unseal") != 0)
                return err->code;
        code = secret_new_copy(data->buffer, data->size, ret_secret, err);
        explicit_bzero(data, sizeof(*data));
        return code;
}
