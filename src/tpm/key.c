#include "tpm/key.h"

#include <string.h>

#include "tpm/marshal.h"
#include "tpm/session.h"
#include "tpm/template.h"

#define AUTH_MAX       32 /* the digest size of the keys' name algorithm */
#define QUALIFYING_MAX 64

static const TPML_PCR_SELECTION no_pcrs = {.count = 0};
static const TPM2B_DATA no_data = {.size = 0};

static int take_name(const struct loaded *loaded, struct tpm_blob *ret_name, struct err *err)
{
        TPM2B_NAME AUTO_ESYS *name = NULL;
        TSS2_RC rc = Esys_TR_GetName(loaded->tpm->esys, loaded->handle, &name);

        if (tpm_result(loaded->tpm, rc, err, "take the key's name") != 0)
                return err->code;
        return marshal_bytes(name->name, name->size, ret_name, err);
}

/* Takes over the loaded object. NULL after an error, and then it is still the caller's. */
static struct tpm_key *wrap_loaded(struct loaded *loaded, const TPM2B_PUBLIC *public,
                                   struct err *err)
{
        struct tpm_key AUTO_FREE *key = calloc(1, sizeof(*key));

        if (key == NULL) {
                (void)err_set(err, ERR_NO_MEMORY, "no memory for a key");
                return NULL;
        }
        if (marshal_public(public, &key->public, err) != 0 ||
            take_name(loaded, &key->name, err) != 0)
                return NULL;
        key->tpm = loaded->tpm;
        key->handle = loaded->handle;
        loaded->handle = ESYS_TR_NONE;
        return TAKE(key);
}

static int create_primary(struct tpm *tpm, ESYS_TR hierarchy, const TPM2B_PUBLIC *template,
                          struct tpm_key **ret_key, struct err *err)
{
        static const TPM2B_SENSITIVE_CREATE empty = {.size = 0};
        struct loaded AUTO_LOADED loaded = {.tpm = tpm, .handle = ESYS_TR_NONE};
        struct session AUTO_SESSION session = SESSION_NONE;
        TPM2B_PUBLIC AUTO_ESYS *public = NULL;
        TPM2B_CREATION_DATA AUTO_ESYS *data = NULL;
        TPM2B_DIGEST AUTO_ESYS *hash = NULL;
        TPMT_TK_CREATION AUTO_ESYS *ticket = NULL;
        struct tpm_key *key;
        ESYS_TR handle;
        TSS2_RC rc;

        if (session_start_auth(tpm, false, SESSION_HIDE_BOTH, &session, err) != 0)
                return err->code;
        rc = Esys_CreatePrimary(tpm->esys, hierarchy, session.use, ESYS_TR_NONE, ESYS_TR_NONE,
                                &empty, template, &no_data, &no_pcrs, &handle, &public, &data,
                                &hash, &ticket);
        if (tpm_result(tpm, rc, err, "create a primary key") != 0)
                return err->code;
        loaded.handle = handle;
        key = wrap_loaded(&loaded, public, err);
        if (key == NULL)
                return err->code;
        *ret_key = key;
        return 0;
}

int tpm_key_create_ek(struct tpm *tpm, enum tpm_ek_kind kind, struct tpm_key **ret_ek,
                      struct err *err)
{
        const TPM2B_PUBLIC *template =
            kind == TPM_EK_RSA_2048 ? &template_ek_rsa_2048 : &template_ek_ecc_p256;

        if (create_primary(tpm, ESYS_TR_RH_ENDORSEMENT, template, ret_ek, err) != 0)
                return err_wrap(err, "endorsement key");
        (*ret_ek)->is_policy = true;
        return 0;
}

int tpm_key_create_storage(struct tpm *tpm, struct tpm_key **ret_key, struct err *err)
{
        if (create_primary(tpm, ESYS_TR_RH_OWNER, &template_storage, ret_key, err) != 0)
                return err_wrap(err, "storage primary");
        return 0;
}

static int fill_auth(const struct secret *auth, TPM2B_AUTH *out, struct err *err)
{
        *out = (TPM2B_AUTH){0};
        if (auth == NULL)
                return 0;
        if (auth->len > AUTH_MAX)
                return err_set(err, ERR_LIMIT, "an authorisation value has at most %d bytes",
                               AUTH_MAX);
        memcpy(out->buffer, auth->data, auth->len);
        out->size = (UINT16)auth->len;
        return 0;
}

int tpm_key_create_signing(const struct tpm_key *parent, const struct secret *auth,
                           struct tpm_key_blobs *ret_blobs, struct err *err)
{
        struct tpm *tpm = parent->tpm;
        struct session AUTO_SESSION session = SESSION_NONE;
        TPM2B_SENSITIVE_CREATE sensitive = {0};
        TPM2B_PRIVATE AUTO_ESYS *private = NULL;
        TPM2B_PUBLIC AUTO_ESYS *public = NULL;
        TPM2B_CREATION_DATA AUTO_ESYS *data = NULL;
        TPM2B_DIGEST AUTO_ESYS *hash = NULL;
        TPMT_TK_CREATION AUTO_ESYS *ticket = NULL;
        TSS2_RC rc;

        if (session_start_key(parent, SESSION_HIDE_BOTH, &session, err) != 0 ||
            fill_auth(auth, &sensitive.sensitive.userAuth, err) != 0)
                return err_wrap(err, "create a signing key");
        rc = Esys_Create(tpm->esys, parent->handle, session.use, ESYS_TR_NONE, ESYS_TR_NONE,
                         &sensitive, &template_signing, &no_data, &no_pcrs, &private, &public,
                         &data, &hash, &ticket);
        explicit_bzero(&sensitive, sizeof(sensitive));
        if (tpm_result(tpm, rc, err, "create a signing key") != 0 ||
            marshal_public(public, &ret_blobs->public, err) != 0 ||
            marshal_private(private, &ret_blobs->private, err) != 0)
                return err->code;
        return 0;
}

static int set_auth(struct tpm_key *key, const struct secret *auth, struct err *err)
{
        TPM2B_AUTH value;
        TSS2_RC rc;

        if (fill_auth(auth, &value, err) != 0)
                return err->code;
        rc = Esys_TR_SetAuth(key->tpm->esys, key->handle, &value);
        explicit_bzero(&value, sizeof(value));
        key->has_auth = auth != NULL && auth->len > 0;
        return tpm_result(key->tpm, rc, err, "set the key's authorisation value");
}

int tpm_key_load(const struct tpm_key *parent, const struct tpm_key_blobs *blobs,
                 const struct secret *auth, struct tpm_key **ret_key, struct err *err)
{
        struct tpm *tpm = parent->tpm;
        struct loaded AUTO_LOADED loaded = {.tpm = tpm, .handle = ESYS_TR_NONE};
        struct session AUTO_SESSION session = SESSION_NONE;
        struct tpm_key AUTO_TPM_KEY *key = NULL;
        TPM2B_PUBLIC public;
        TPM2B_PRIVATE private;
        ESYS_TR handle;
        TSS2_RC rc;

        if (unmarshal_public(&blobs->public, &public, err) != 0 ||
            unmarshal_private(&blobs->private, &private, err) != 0 ||
            session_start_key(parent, SESSION_HIDE_BOTH, &session, err) != 0)
                return err_wrap(err, "load a key");
        rc = Esys_Load(tpm->esys, parent->handle, session.use, ESYS_TR_NONE, ESYS_TR_NONE, &private,
                       &public, &handle);
        if (tpm_result(tpm, rc, err, "load a key") != 0)
                return err->code;
        loaded.handle = handle;
        key = wrap_loaded(&loaded, &public, err);
        if (key == NULL || set_auth(key, auth, err) != 0)
                return err->code;
        *ret_key = TAKE(key);
        return 0;
}

void tpm_key_free(struct tpm_key *key)
{
        struct loaded loaded;

        if (key == NULL)
                return;
        if (key->tpm->salt == key->handle)
                key->tpm->salt = ESYS_TR_NONE;
        loaded = (struct loaded){.tpm = key->tpm, .handle = key->handle};
        loaded_flush(&loaded);
        free(key);
}

const struct tpm_blob *tpm_key_public(const struct tpm_key *key)
{
        return &key->public;
}

const struct tpm_blob *tpm_key_name(const struct tpm_key *key)
{
        return &key->name;
}

int tpm_key_certify(const struct tpm_key *key, const struct tpm_key *signer, const void *qualifying,
                    size_t qualifying_len, struct tpm_blob *ret_attest,
                    struct tpm_blob *ret_signature, struct err *err)
{
        static const TPMT_SIG_SCHEME of_the_key = {.scheme = TPM2_ALG_NULL};
        struct tpm *tpm = key->tpm;
        struct session AUTO_SESSION key_session = SESSION_NONE;
        struct session AUTO_SESSION signer_session = SESSION_NONE;
        TPM2B_DATA data = {.size = (UINT16)qualifying_len};
        TPM2B_ATTEST AUTO_ESYS *attest = NULL;
        TPMT_SIGNATURE AUTO_ESYS *signature = NULL;
        TSS2_RC rc;

        if (qualifying_len > QUALIFYING_MAX)
                return err_set(err, ERR_LIMIT, "certify a key: too much qualifying data");
        if (qualifying_len > 0)
                memcpy(data.buffer, qualifying, qualifying_len);
        if (session_start_key(key, 0, &key_session, err) != 0 ||
            session_start_key(signer, 0, &signer_session, err) != 0)
                return err_wrap(err, "certify a key");
        rc =
            Esys_Certify(tpm->esys, key->handle, signer->handle, key_session.use,
                         signer_session.use, ESYS_TR_NONE, &data, &of_the_key, &attest, &signature);
        if (tpm_result(tpm, rc, err, "certify a key") != 0 ||
            marshal_bytes(attest->attestationData, attest->size, ret_attest, err) != 0 ||
            marshal_signature(signature, ret_signature, err) != 0)
                return err->code;
        return 0;
}
