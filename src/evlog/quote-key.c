/* The key of quote.h: attributes and algorithms of an attestation key. */
#include <string.h>

#include "evlog/quote.h"
#include "tpmwire/pubkey.h"

struct quote_key {
        struct pkey *pkey;
        bool has_public;
        struct tpm_public public; /* views into bytes */
        struct tpm_name name;
        uint8_t bytes[TPM_PUBLIC_MAX];
};

static const struct {
        uint32_t bit;
        bool wanted;
        const char *text;
} attribute_table[] = {
    {TPMA_OBJECT_RESTRICTED, true,
     "is not restricted: it signs forged TPM structures for whoever may use it"},
    {TPMA_OBJECT_SIGN, true, "is no signing key"},
    {TPMA_OBJECT_DECRYPT, false, "signs and decrypts"},
    {TPMA_OBJECT_FIXED_TPM, true, "is not fixed to its TPM (fixedTPM)"},
    {TPMA_OBJECT_FIXED_PARENT, true, "is not fixed to its parent (fixedParent)"},
    {TPMA_OBJECT_SENSITIVE_DATA_ORIGIN, true,
     "was not made by its TPM but imported (sensitiveDataOrigin)"},
};

static void check_attributes(const struct tpm_public *public, struct reasons *reasons)
{
        for (size_t i = 0; i < ARRAY_SIZE(attribute_table); i++)
                if (((public->attributes & attribute_table[i].bit) != 0) !=
                    attribute_table[i].wanted)
                        reasons_add(reasons, "key.attributes", REASON_FAIL, "the key %s",
                                    attribute_table[i].text);
}

static bool is_allowed_hash(uint16_t hash)
{
        return hash == HASH_TPM_SHA256 || hash == HASH_TPM_SHA384 || hash == HASH_TPM_SHA512;
}

static void check_scheme(const struct tpm_public *public, struct reasons *reasons)
{
        bool fits = public->type == TPM_ALG_ECC
                        ? public->scheme == TPM_ALG_ECDSA
                        : public->scheme == TPM_ALG_RSASSA || public->scheme == TPM_ALG_RSAPSS;

        if (!fits)
                reasons_add(reasons, "key.algorithm", REASON_FAIL,
                            "the key's scheme is %s, not one that is accepted for a %s key",
                            tpm_alg_name(public->scheme), tpm_alg_name(public->type));
        else if (!is_allowed_hash(public->scheme_hash))
                reasons_add(reasons, "key.algorithm", REASON_FAIL,
                            "the key signs with hash 0x%04x, not SHA-256, SHA-384 or SHA-512",
                            public->scheme_hash);
        if (!is_allowed_hash(public->name_alg))
                reasons_add(reasons, "key.algorithm", REASON_FAIL,
                            "the key's name is made with hash 0x%04x", public->name_alg);
}

static int read_public(struct quote_key *key, struct bytes bytes, struct reasons *reasons,
                       struct err *err)
{
        int rc;

        if (bytes.len > sizeof(key->bytes))
                return err_set(err, ERR_MALFORMED, "public area of %zu bytes", bytes.len);
        memcpy(key->bytes, bytes.data, bytes.len);
        rc = tpm_public_parse((struct bytes){key->bytes, bytes.len}, &key->public, err);
        if (rc != 0)
                return rc;
        key->has_public = true;
        check_attributes(&key->public, reasons);
        check_scheme(&key->public, reasons);
        rc = tpm_name_of_public(&key->public, &key->name, err);
        return rc != 0 ? rc : pubkey_from_tpm(&key->public, &key->pkey, err);
}

static int read_pem(struct quote_key *key, struct bytes bytes, struct reasons *reasons,
                    struct err *err)
{
        reasons_add(reasons, "key.attributes", REASON_WARNING,
                    "the key came as PEM, so its attributes could not be checked");
        return pkey_from_public_pem(bytes, &key->pkey, err);
}

struct quote_key *quote_key_new(struct bytes bytes, struct reasons *reasons)
{
        static const char pem_start[] = "-----BEGIN";
        struct quote_key AUTO_QUOTE_KEY *key = calloc(1, sizeof(*key));
        struct err err = {0};
        int rc;

        if (key == NULL) {
                (void)err_set(&err, ERR_NO_MEMORY, "out of memory");
                reasons_add_broken(reasons, "the key", &err);
                return NULL;
        }
        if (bytes.len == 0)
                rc = err_set(&err, ERR_MALFORMED, "it is empty");
        else if (bytes.len >= strlen(pem_start) &&
                 memcmp(bytes.data, pem_start, strlen(pem_start)) == 0)
                rc = read_pem(key, bytes, reasons, &err);
        else
                rc = read_public(key, bytes, reasons, &err);
        if (rc == ERR_NO_MEMORY || rc == ERR_FAILED)
                reasons_add_broken(reasons, "the key", &err);
        else if (rc != 0)
                reasons_add(reasons, "key.malformed", REASON_FAIL, "the key is refused: %s",
                            err.text);
        return rc != 0 ? NULL : TAKE(key);
}

void quote_key_free(struct quote_key *key)
{
        if (key == NULL)
                return;
        pkey_free(key->pkey);
        free(key);
}

const struct pkey *quote_key_pkey(const struct quote_key *key)
{
        return key->pkey;
}

const struct tpm_public *quote_key_public(const struct quote_key *key)
{
        return key->has_public ? &key->public : NULL;
}

const struct tpm_name *quote_key_name(const struct quote_key *key)
{
        return key->has_public ? &key->name : NULL;
}
