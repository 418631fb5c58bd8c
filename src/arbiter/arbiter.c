#include "arbiter/arbiter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arbiter/confine.h"
#include "arbiter/embedded.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "tpm/credential.h"
#include "tpm/identity.h"
#include "tpm/key.h"
#include "tpm/nv.h"
#include "tpm/pcr.h"
#include "tpm/quote.h"
#include "tpm/seal.h"
#include "tpmwire/qualify.h"
#include "wire/ptpm.h"

struct arbiter {
        struct wire_link *link;
        struct embedded *embedded; /* NULL with a TPM that is not ours */
        struct tpm *tpm;
        struct tpm_key *ek; /* stays loaded: parent of AK and CEK, and the salt of sessions */
        struct tpm_key *ak; /* stays loaded */
        uint32_t id;        /* of the request that is served */
};

static struct bytes bytes_of(const struct tpm_blob *blob)
{
        return (struct bytes){blob->data, blob->len};
}

static int blob_of(struct bytes bytes, struct tpm_blob *ret_blob, struct err *err)
{
        if (bytes.len > sizeof(ret_blob->data))
                return err_set(err, ERR_LIMIT, "TPM structure of %zu bytes", bytes.len);
        ret_blob->len = bytes.len;
        if (bytes.len > 0)
                memcpy(ret_blob->data, bytes.data, bytes.len);
        return 0;
}

static int answer(struct arbiter *arbiter, uint16_t code, const void *message, struct err *err)
{
        return wire_link_send(arbiter->link, code, arbiter->id, 0, message, NULL, err);
}

static int answer_done(struct arbiter *arbiter, struct err *err)
{
        struct ptpm_done done = {0};

        return answer(arbiter, ptpm_done_code, &done, err);
}

static int need_tpm(const struct arbiter *arbiter, struct err *err)
{
        if (arbiter->tpm == NULL)
                return err_set(err, ERR_CONFLICT, "the TPM is not open");
        return 0;
}

static int need_ak(const struct arbiter *arbiter, struct err *err)
{
        if (arbiter->ak == NULL)
                return err_set(err, ERR_CONFLICT, "the AK is not loaded");
        return 0;
}

/* Opening ---------------------------------------------------------------------------------- */

/* A program behind a device (a guest's TPM, a proxy of the kernel's) is one all the same. */
static const char *kind_of(const char *tcti, const struct tpm_identity *identity)
{
        if (strcmp(tcti, "embedded") == 0)
                return "embedded";
        if (strncmp(tcti, "swtpm", 5) == 0 || strncmp(tcti, "mssim", 5) == 0 ||
            identity->is_software)
                return "swtpm";
        return "hardware";
}

static int open_embedded(struct arbiter *arbiter, const struct ptpm_open *open, struct err *err)
{
        struct tpm_fd_options options;
        char state[4097];
        char engine[4097];
        const struct embedded_request request = {
            .state = wire_text_copy(open->state, state, sizeof(state)),
            .engine = wire_text_copy(open->engine, engine, sizeof(engine)),
            .uid = open->uid,
            .fresh = open->fresh != 0,
        };

        if (embedded_open(&request, &arbiter->embedded, err) != 0)
                return err_wrap(err, "software pTPM");
        embedded_options(arbiter->embedded, &options);
        return tpm_open_fd(&options, &arbiter->tpm, err);
}

/* The TPM is open, drivers are loaded: from here on it saves its state and opens nothing else. */
static int lock_up(const struct arbiter *arbiter, const char *tcti, char *ret_degraded, size_t size,
                   struct err *err)
{
        const char *embedded =
            arbiter->embedded == NULL ? "" : embedded_degraded(arbiter->embedded);
        const struct confine_request request = {
            .dir = arbiter->embedded == NULL ? -1 : embedded_dir(arbiter->embedded),
            .engine = arbiter->embedded == NULL ? 0 : embedded_pid(arbiter->embedded),
            .connects = arbiter->embedded == NULL && strncmp(tcti, "device", 6) != 0,
        };
        char words[64];

        if (confine_arbiter(&request, words, sizeof(words), err) != 0)
                return err->code;
        (void)snprintf(ret_degraded, size, "%s%s%s%s", embedded,
                       embedded[0] != '\0' && words[0] != '\0' ? "; " : "",
                       words[0] != '\0' ? "arbiter: no " : "", words);
        return 0;
}

static int serve_open(struct arbiter *arbiter, const void *message, struct err *err)
{
        const struct ptpm_open *open = message;
        struct ptpm_opened opened = {0};
        struct tpm_identity identity;
        char degraded[1024];
        char tcti[257];
        int rc;

        if (arbiter->tpm != NULL)
                return err_set(err, ERR_CONFLICT, "the TPM is open already");
        wire_text_copy(open->tcti, tcti, sizeof(tcti));
        if (strcmp(tcti, "embedded") == 0)
                rc = open_embedded(arbiter, open, err);
        else
                rc = tpm_open(tcti, &arbiter->tpm, err);
        if (rc != 0)
                return rc;
        if (tpm_startup(arbiter->tpm, err) != 0 ||
            tpm_identify(arbiter->tpm, &identity, err) != 0 ||
            tpm_key_create_ek(arbiter->tpm, TPM_EK_ECC_P256, &arbiter->ek, err) != 0 ||
            lock_up(arbiter, tcti, degraded, sizeof(degraded), err) != 0)
                return err->code;
        /* Our own engine is at the other end of a socket pair: nobody listens there. */
        if (arbiter->embedded == NULL)
                tpm_protect(arbiter->tpm, arbiter->ek);
        opened.kind = wire_text(kind_of(tcti, &identity));
        opened.manufacturer = wire_text(identity.manufacturer);
        opened.vendor = wire_text(identity.vendor);
        opened.firmware = wire_text(identity.firmware);
        opened.degraded = wire_text_fit(degraded, 256);
        opened.ek_pub = bytes_of(tpm_key_public(arbiter->ek));
        return answer(arbiter, ptpm_opened_code, &opened, err);
}

/* Keys ------------------------------------------------------------------------------------- */

static int certify_cek(struct tpm_key *ek, const struct tpm_key *ak, const struct secret *auth,
                       const struct tpm_key_blobs *blobs, struct tpm_quote *ret_certificate,
                       struct err *err)
{
        struct tpm_key AUTO_TPM_KEY *cek = NULL;
        uint8_t qualifying[QUALIFY_SIZE];

        if (tpm_key_load(ek, blobs, auth, &cek, err) != 0 ||
            qualify_enrol(bytes_of(tpm_key_name(ak)), bytes_of(tpm_key_name(cek)), qualifying,
                          err) != 0)
                return err->code;
        return tpm_key_certify(cek, ak, qualifying, sizeof(qualifying), &ret_certificate->attest,
                               &ret_certificate->signature, err);
}

static int serve_make_keys(struct arbiter *arbiter, const void *message, struct err *err)
{
        const struct ptpm_make_keys *make = message;
        struct secret AUTO_SECRET *auth = NULL;
        struct tpm_key *ek = arbiter->ek;
        struct tpm_key AUTO_TPM_KEY *ak = NULL;
        struct tpm_key_blobs ak_blobs;
        struct tpm_key_blobs cek_blobs;
        struct tpm_quote certificate;
        struct ptpm_keys keys = {0};

        if (need_tpm(arbiter, err) != 0 ||
            secret_new_copy(make->auth, sizeof(make->auth), &auth, err) != 0 ||
            tpm_key_create_signing(ek, auth, &ak_blobs, err) != 0 ||
            tpm_key_create_signing(ek, auth, &cek_blobs, err) != 0 ||
            tpm_key_load(ek, &ak_blobs, auth, &ak, err) != 0 ||
            certify_cek(ek, ak, auth, &cek_blobs, &certificate, err) != 0)
                return err->code;
        keys.ak_pub = bytes_of(&ak_blobs.public);
        keys.ak_priv = bytes_of(&ak_blobs.private);
        keys.cek_pub = bytes_of(&cek_blobs.public);
        keys.cek_priv = bytes_of(&cek_blobs.private);
        keys.cek_attest = bytes_of(&certificate.attest);
        keys.cek_signature = bytes_of(&certificate.signature);
        return answer(arbiter, ptpm_keys_code, &keys, err);
}

static int serve_load_keys(struct arbiter *arbiter, const void *message, struct err *err)
{
        const struct ptpm_load_keys *load = message;
        struct secret AUTO_SECRET *auth = NULL;
        struct tpm_key AUTO_TPM_KEY *cek = NULL;
        struct tpm_key_blobs ak_blobs;
        struct tpm_key_blobs cek_blobs;

        /* First: a TPM without a resource manager has three slots. */
        tpm_key_free(TAKE(arbiter->ak));
        if (need_tpm(arbiter, err) != 0 ||
            secret_new_copy(load->auth, sizeof(load->auth), &auth, err) != 0 ||
            blob_of(load->ak_pub, &ak_blobs.public, err) != 0 ||
            blob_of(load->ak_priv, &ak_blobs.private, err) != 0 ||
            blob_of(load->cek_pub, &cek_blobs.public, err) != 0 ||
            blob_of(load->cek_priv, &cek_blobs.private, err) != 0 ||
            tpm_key_load(arbiter->ek, &cek_blobs, auth, &cek, err) != 0 ||
            tpm_key_load(arbiter->ek, &ak_blobs, auth, &arbiter->ak, err) != 0)
                return err->code;
        return answer_done(arbiter, err);
}

static int choose_ek(uint8_t kind, enum tpm_ek_kind *ret_kind, struct err *err)
{
        if (kind != PTPM_EK_ECC && kind != PTPM_EK_RSA)
                return err_set(err, ERR_UNSUPPORTED, "EK of kind %u", kind);
        *ret_kind = kind == PTPM_EK_RSA ? TPM_EK_RSA_2048 : TPM_EK_ECC_P256;
        return 0;
}

/* The certificate first: without one nobody asks for the key, and RSA takes seconds to make. */
static int serve_ek(struct arbiter *arbiter, const void *message, struct err *err)
{
        const struct ptpm_ek *request = message;
        struct tpm_key AUTO_TPM_KEY *ek = NULL;
        struct tpm_nv AUTO_FREE *nv = calloc(1, sizeof(*nv));
        enum tpm_ek_kind kind;
        struct ptpm_ek_is found = {0};
        int rc;

        if (nv == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (need_tpm(arbiter, err) != 0 || choose_ek(request->ek_kind, &kind, err) != 0)
                return err->code;
        rc = tpm_nv_read(arbiter->tpm, tpm_nv_ek_certificate(kind), nv, err);
        if (rc == ERR_NOT_FOUND)
                return answer(arbiter, ptpm_ek_is_code, &found, err);
        if (rc != 0 ||
            (kind != TPM_EK_ECC_P256 && tpm_key_create_ek(arbiter->tpm, kind, &ek, err) != 0))
                return err_wrap(err, "certificate of the EK");
        found.public = bytes_of(tpm_key_public(ek == NULL ? arbiter->ek : ek));
        found.certificate = (struct bytes){nv->data, nv->len};
        return answer(arbiter, ptpm_ek_is_code, &found, err);
}

static int serve_activate(struct arbiter *arbiter, const void *message, struct err *err)
{
        const struct ptpm_activate *activate = message;
        struct tpm_key AUTO_TPM_KEY *ek = NULL;
        struct secret AUTO_SECRET *credential = NULL;
        struct ptpm_activated activated = {0};
        enum tpm_ek_kind kind;

        if (need_ak(arbiter, err) != 0 || choose_ek(activate->ek_kind, &kind, err) != 0 ||
            (kind != TPM_EK_ECC_P256 && tpm_key_create_ek(arbiter->tpm, kind, &ek, err) != 0) ||
            tpm_credential_activate(ek == NULL ? arbiter->ek : ek, arbiter->ak,
                                    activate->credential_blob, activate->encrypted_secret,
                                    &credential, err) != 0)
                return err->code;
        activated.credential = (struct bytes){credential->data, credential->len};
        return answer(arbiter, ptpm_activated_code, &activated, err);
}

/* Sealing ---------------------------------------------------------------------------------- */

static struct tpm_seal_policy seal_policy(uint32_t mask)
{
        return (struct tpm_seal_policy){.pcrs = {.alg = TPM_ALG_ID_SHA256, .mask = mask}};
}

static int serve_seal(struct arbiter *arbiter, const void *message, struct err *err)
{
        const struct ptpm_seal *seal = message;
        struct tpm_seal_policy policy = seal_policy(seal->pcr_mask);
        struct tpm_key AUTO_TPM_KEY *storage = NULL;
        struct secret AUTO_SECRET *secret = NULL;
        struct tpm_key_blobs blobs;
        struct ptpm_sealed sealed = {0};
        uint8_t memory[2048];
        struct writer w;

        if (need_tpm(arbiter, err) != 0 ||
            secret_new_copy(seal->secret.data, seal->secret.len, &secret, err) != 0 ||
            tpm_key_create_storage(arbiter->tpm, &storage, err) != 0 ||
            tpm_seal(storage, &policy, secret, &blobs, err) != 0)
                return err->code;
        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_tpm2b(&w, bytes_of(&blobs.public));
        writer_put_tpm2b(&w, bytes_of(&blobs.private));
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "sealed object too large");
        sealed.sealed = writer_bytes(&w);
        return answer(arbiter, ptpm_sealed_code, &sealed, err);
}

static int serve_unseal(struct arbiter *arbiter, const void *message, struct err *err)
{
        const struct ptpm_unseal *unseal = message;
        struct tpm_seal_policy policy = seal_policy(unseal->pcr_mask);
        struct reader r = reader_from_bytes(unseal->sealed);
        struct tpm_key AUTO_TPM_KEY *storage = NULL;
        struct secret AUTO_SECRET *secret = NULL;
        struct ptpm_unsealed unsealed = {0};
        struct tpm_key_blobs blobs;
        struct bytes public;
        struct bytes private;

        if (reader_get_tpm2b(&r, TPM_BLOB_MAX, &public) != 0 ||
            reader_get_tpm2b(&r, TPM_BLOB_MAX, &private) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "sealed object: at offset %zu",
                               reader_offset(&r));
        if (need_tpm(arbiter, err) != 0 || blob_of(public, &blobs.public, err) != 0 ||
            blob_of(private, &blobs.private, err) != 0 ||
            tpm_key_create_storage(arbiter->tpm, &storage, err) != 0 ||
            tpm_unseal(storage, &policy, &blobs, &secret, err) != 0)
                return err->code;
        unsealed.secret = (struct bytes){secret->data, secret->len};
        return answer(arbiter, ptpm_unsealed_code, &unsealed, err);
}

/* PCRs and quotes -------------------------------------------------------------------------- */

static int serve_extend(struct arbiter *arbiter, const void *message, struct err *err)
{
        static const uint16_t algs[] = {HASH_TPM_SHA1, HASH_TPM_SHA256, HASH_TPM_SHA384,
                                        HASH_TPM_SHA512};
        const struct ptpm_extend *extend = message;
        struct tpm_digest digests[ARRAY_SIZE(algs)];

        if (need_tpm(arbiter, err) != 0)
                return err->code;
        for (size_t i = 0; i < ARRAY_SIZE(algs); i++) {
                const struct hash_alg *alg = hash_by_tpm_id(algs[i]);

                digests[i] = (struct tpm_digest){.alg = algs[i], .len = (uint16_t)alg->size};
                if (hash_digest(alg, extend->event.data, extend->event.len, digests[i].data, err) !=
                    0)
                        return err->code;
        }
        if (tpm_pcr_extend(arbiter->tpm, extend->pcr, digests, ARRAY_SIZE(digests), err) != 0)
                return err->code;
        return answer_done(arbiter, err);
}

static int serve_read_pcrs(struct arbiter *arbiter, const void *message, struct err *err)
{
        struct tpm_pcr_selection selection = {.alg = TPM_ALG_ID_SHA256,
                                              .mask = TPM_PCR(TPM_PCR_COUNT) - 1};
        struct tpm_pcr_values values;
        struct ptpm_pcrs pcrs = {0};

        (void)message;
        if (need_tpm(arbiter, err) != 0 ||
            tpm_pcr_read(arbiter->tpm, &selection, &values, err) != 0)
                return err->code;
        for (size_t i = 0; i < PTPM_PCR_COUNT; i++)
                memcpy(pcrs.values + 32 * i, values.values[i].data, 32);
        return answer(arbiter, ptpm_pcrs_code, &pcrs, err);
}

static int serve_quote(struct arbiter *arbiter, const void *message, struct err *err)
{
        const struct ptpm_quote *request = message;
        struct tpm_pcr_selection selection = {.alg = TPM_ALG_ID_SHA256, .mask = request->pcr_mask};
        struct tpm_quote quote;
        struct ptpm_quoted quoted = {0};

        if (need_ak(arbiter, err) != 0 ||
            tpm_quote(arbiter->ak, request->qualifying, &selection, &quote, err) != 0)
                return err->code;
        quoted.attest = bytes_of(&quote.attest);
        quoted.signature = bytes_of(&quote.signature);
        return answer(arbiter, ptpm_quoted_code, &quoted, err);
}

/* Dispatch --------------------------------------------------------------------------------- */

static const struct {
        uint16_t code;
        int (*serve)(struct arbiter *arbiter, const void *message, struct err *err);
} handlers[] = {
    {ptpm_open_code, serve_open},           {ptpm_make_keys_code, serve_make_keys},
    {ptpm_load_keys_code, serve_load_keys}, {ptpm_seal_code, serve_seal},
    {ptpm_unseal_code, serve_unseal},       {ptpm_extend_code, serve_extend},
    {ptpm_read_pcrs_code, serve_read_pcrs}, {ptpm_quote_code, serve_quote},
    {ptpm_activate_code, serve_activate},   {ptpm_ek_code, serve_ek},
};

static int serve(struct arbiter *arbiter, const struct wire_frame *frame, struct err *err)
{
        _Alignas(max_align_t) uint8_t message[1024];
        int rc = ERR_UNSUPPORTED;

        if (wire_frame_decode(frame, message, frame->message->size, err) != 0)
                return err->code;
        for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
                if (handlers[i].code == frame->message->code)
                        rc = handlers[i].serve(arbiter, message, err);
        explicit_bzero(message, sizeof(message));
        return rc;
}

static int answer_error(struct arbiter *arbiter, struct err *failure, struct err *err)
{
        struct ptpm_error message = {.code = (uint16_t)err_to_wire(failure->code)};

        message.text = wire_text_fit(failure->text, 400);
        return answer(arbiter, ptpm_error_code, &message, err);
}

/* Without its engine there is no TPM behind us any more, and what it had measured is gone. */
static int await_request(struct arbiter *arbiter, struct err *err)
{
        if (arbiter->embedded == NULL)
                return 0;
        return embedded_wait(arbiter->embedded, wire_link_fd(arbiter->link), err);
}

int arbiter_run(struct arbiter *arbiter, struct err *err)
{
        for (;;) {
                struct err failure = {0};
                struct wire_frame frame;
                int rc = await_request(arbiter, err);

                if (rc != 0)
                        return rc;
                rc = wire_link_receive(arbiter->link, &frame, err);
                if (rc == ERR_UNREACHABLE)
                        return 0;
                if (rc != 0)
                        return rc;
                arbiter->id = frame.id;
                if (serve(arbiter, &frame, &failure) != 0 &&
                    answer_error(arbiter, &failure, err) != 0)
                        return err->code;
        }
}

int arbiter_new(struct wire_link *link, struct arbiter **ret_arbiter, struct err *err)
{
        struct arbiter *arbiter = calloc(1, sizeof(*arbiter));

        if (arbiter == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        arbiter->link = link;
        *ret_arbiter = arbiter;
        return 0;
}

void arbiter_free(struct arbiter *arbiter)
{
        struct err err = {0};

        if (arbiter == NULL)
                return;
        tpm_key_free(arbiter->ak);
        tpm_key_free(arbiter->ek);
        /* An orderly end spares dictionary-attack counts; there is nobody left to tell if not. */
        if (arbiter->embedded != NULL && arbiter->tpm != NULL &&
            tpm_shutdown(arbiter->tpm, &err) != 0)
                (void)fprintf(stderr, "catena-arbiter: %s\n", err.text);
        tpm_close(arbiter->tpm);
        embedded_close(arbiter->embedded);
        free(arbiter);
}
