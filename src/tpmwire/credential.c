#include "tpmwire/credential.h"

#include <string.h>

#include "crypto/cfb.h"
#include "crypto/hmac.h"
#include "tpmwire/kdf.h"
#include "tpmwire/pubkey.h"

#define SEED_LABEL "IDENTITY"

static const struct bytes none = {0};

static int check_ek(const struct tpm_public *ek, const struct secret *secret,
                    const struct hash_alg *alg, struct err *err)
{
        const uint32_t wanted = TPMA_OBJECT_FIXED_TPM | TPMA_OBJECT_FIXED_PARENT |
                                TPMA_OBJECT_SENSITIVE_DATA_ORIGIN | TPMA_OBJECT_RESTRICTED |
                                TPMA_OBJECT_DECRYPT;

        if (alg == NULL)
                return err_set(err, ERR_UNSUPPORTED, "EK: name algorithm 0x%04x", ek->name_alg);
        if ((ek->attributes & (wanted | TPMA_OBJECT_SIGN)) != wanted)
                return err_set(err, ERR_NOT_TRUSTED,
                               "EK: not a restricted decryption key fixed to its TPM");
        if (ek->sym_alg != TPM_ALG_AES || ek->sym_mode != TPM_ALG_CFB ||
            (ek->sym_bits != 128 && ek->sym_bits != 192 && ek->sym_bits != 256))
                return err_set(err, ERR_UNSUPPORTED, "EK: protection is not AES-CFB");
        if (secret->len > alg->size)
                return err_set(err, ERR_LIMIT, "credential of %zu bytes, more than %zu",
                               secret->len, alg->size);
        return 0;
}

/* A random seed, encrypted to an RSA EK (Annex B.10.4). */
static int make_seed_rsa(const struct pkey *key, const struct hash_alg *alg,
                         struct secret **ret_seed, struct writer *w, struct err *err)
{
        struct secret AUTO_SECRET *seed = NULL;
        const struct bytes label = {(const uint8_t *)SEED_LABEL, sizeof(SEED_LABEL)};
        uint8_t cipher[PKEY_RSA_SIZE_MAX];
        size_t len = 0;
        int rc = secret_new_random(alg->size, &seed, err);

        if (rc == 0)
                rc = pkey_encrypt_oaep(key, alg, label, (struct bytes){seed->data, seed->len},
                                       cipher, &len, err);
        if (rc != 0)
                return rc;
        writer_put_tpm2b(w, (struct bytes){cipher, len});
        *ret_seed = TAKE(seed);
        return 0;
}

/* One-pass ECDH with an ephemeral key (Annex C.6.4). */
static int make_seed_ecc(const struct pkey *key, const struct hash_alg *alg,
                         struct secret **ret_seed, struct writer *w, struct err *err)
{
        struct pkey AUTO_PKEY *ephemeral = NULL;
        struct secret AUTO_SECRET *z = NULL;
        struct pkey_point own = {0};
        struct pkey_point peer = {0};
        int rc = pkey_generate_ec(pkey_curve(key), &ephemeral, err);

        if (rc == 0)
                rc = pkey_ecdh(ephemeral, key, &z, err);
        if (rc == 0)
                rc = pkey_get_point(ephemeral, &own, err);
        if (rc == 0)
                rc = pkey_get_point(key, &peer, err);
        if (rc == 0)
                rc = tpm_kdfe(alg, z, SEED_LABEL, (struct bytes){own.x, own.size},
                              (struct bytes){peer.x, peer.size}, alg->size, ret_seed, err);
        if (rc != 0)
                return rc;
        writer_put_be16(w, (uint16_t)(4 + 2 * own.size)); /* TPMS_ECC_POINT */
        writer_put_tpm2b(w, (struct bytes){own.x, own.size});
        writer_put_tpm2b(w, (struct bytes){own.y, own.size});
        return 0;
}

/* Encrypts and authenticates the secret under the seed (Part 1, 24.4 and 24.5). */
static int protect(const struct tpm_public *ek, const struct tpm_name *object,
                   const struct secret *secret, const struct secret *seed, struct writer *w,
                   struct err *err)
{
        const struct hash_alg *alg = hash_by_tpm_id(ek->name_alg);
        struct secret AUTO_SECRET *plain = NULL;
        struct secret AUTO_SECRET *sym_key = NULL;
        struct secret AUTO_SECRET *mac_key = NULL;
        uint8_t cipher[2 + TPM_DIGEST_MAX];
        uint8_t mac[HASH_SIZE_MAX];
        struct bytes parts[] = {{cipher, 2 + secret->len}, tpm_name_bytes(object)};
        int rc = secret_new(2 + secret->len, &plain, err);

        if (rc != 0)
                return rc;
        plain->data[1] = (uint8_t)secret->len;
        memcpy(plain->data + 2, secret->data, secret->len);
        rc = tpm_kdfa(alg, seed, "STORAGE", tpm_name_bytes(object), none, ek->sym_bits / 8U,
                      &sym_key, err);
        if (rc == 0)
                rc = cfb_encrypt(sym_key, (struct bytes){plain->data, plain->len}, cipher, err);
        if (rc == 0)
                rc = tpm_kdfa(alg, seed, "INTEGRITY", none, none, alg->size, &mac_key, err);
        if (rc == 0)
                rc = hmac_parts(alg, mac_key, parts, ARRAY_SIZE(parts), mac, err);
        if (rc != 0)
                return rc;
        writer_put_be16(w, (uint16_t)(2 + alg->size + parts[0].len));
        writer_put_tpm2b(w, (struct bytes){mac, alg->size});
        writer_put_bytes(w, parts[0]);
        return 0;
}

int credential_make(const struct tpm_public *ek, const struct tpm_name *object,
                    const struct secret *secret, struct credential *ret_credential, struct err *err)
{
        const struct hash_alg *alg = hash_by_tpm_id(ek->name_alg);
        struct pkey AUTO_PKEY *key = NULL;
        struct secret AUTO_SECRET *seed = NULL;
        struct credential credential = {0};
        struct writer blob, encrypted;
        int rc = check_ek(ek, secret, alg, err);

        if (rc == 0)
                rc = pubkey_from_tpm(ek, &key, err);
        if (rc != 0)
                return rc;
        writer_init_fixed(&blob, credential.blob, sizeof(credential.blob));
        writer_init_fixed(&encrypted, credential.secret, sizeof(credential.secret));
        rc = pkey_type(key) == PKEY_RSA ? make_seed_rsa(key, alg, &seed, &encrypted, err)
                                        : make_seed_ecc(key, alg, &seed, &encrypted, err);
        if (rc == 0)
                rc = protect(ek, object, secret, seed, &blob, err);
        if (rc != 0)
                return rc;
        if (writer_check(&blob) != 0 || writer_check(&encrypted) != 0)
                return err_set(err, ERR_LIMIT, "credential is too large");
        credential.blob_len = blob.len;
        credential.secret_len = encrypted.len;
        *ret_credential = credential;
        return 0;
}
