#include "tpmwire/signature.h"

static const struct {
        uint16_t alg;
        const char *name;
} alg_table[] = {
    {TPM_ALG_RSA, "RSA"},       {TPM_ALG_ECC, "ECC"},
    {TPM_ALG_HMAC, "HMAC"},     {TPM_ALG_NULL, "NULL"},
    {TPM_ALG_RSASSA, "RSASSA"}, {TPM_ALG_RSAES, "RSAES"},
    {TPM_ALG_RSAPSS, "RSAPSS"}, {TPM_ALG_OAEP, "OAEP"},
    {TPM_ALG_ECDSA, "ECDSA"},   {TPM_ALG_ECDH, "ECDH"},
    {TPM_ALG_ECDAA, "ECDAA"},   {TPM_ALG_SM2, "SM2"},
    {TPM_ALG_XOR, "XOR"},       {TPM_ALG_ECSCHNORR, "ECSCHNORR"},
    {TPM_ALG_AES, "AES"},       {TPM_ALG_KEYEDHASH, "KEYEDHASH"},
    {TPM_ALG_CFB, "CFB"},       {TPM_ALG_SYMCIPHER, "SYMCIPHER"},
};

const char *tpm_alg_name(uint16_t alg)
{
        for (size_t i = 0; i < ARRAY_SIZE(alg_table); i++)
                if (alg_table[i].alg == alg)
                        return alg_table[i].name;
        return "unknown";
}

static int ends_early(const struct reader *r, struct err *err)
{
        return err_set(err, ERR_MALFORMED, "signature is cut or too long at byte %zu",
                       reader_offset(r));
}

static int parse_body(struct reader *r, struct tpm_signature *sig, struct err *err)
{
        if (sig->alg == TPM_ALG_ECDSA) {
                if (reader_get_tpm2b(r, TPM_ECC_MAX, &sig->r) != 0 ||
                    reader_get_tpm2b(r, TPM_ECC_MAX, &sig->s) != 0)
                        return ends_early(r, err);
                return 0;
        }
        if (reader_get_tpm2b(r, TPM_RSA_MAX, &sig->rsa) != 0)
                return ends_early(r, err);
        return 0;
}

int tpm_signature_parse(struct bytes bytes, struct tpm_signature *ret_signature, struct err *err)
{
        struct reader r = reader_from_bytes(bytes);
        struct tpm_signature sig = {0};
        int rc;

        if (reader_get_be16(&r, &sig.alg) != 0)
                return ends_early(&r, err);
        if (sig.alg != TPM_ALG_ECDSA && sig.alg != TPM_ALG_RSASSA && sig.alg != TPM_ALG_RSAPSS)
                return err_set(err, ERR_UNSUPPORTED, "signature algorithm %s (0x%04x)",
                               tpm_alg_name(sig.alg), sig.alg);
        if (reader_get_be16(&r, &sig.hash) != 0)
                return ends_early(&r, err);
        rc = parse_body(&r, &sig, err);
        if (rc != 0)
                return rc;
        if (reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "signature: %zu bytes too many at byte %zu",
                               reader_left(&r), reader_offset(&r));
        *ret_signature = sig;
        return 0;
}

void tpm_signature_put(struct writer *w, const struct tpm_signature *signature)
{
        writer_put_be16(w, signature->alg);
        writer_put_be16(w, signature->hash);
        if (signature->alg == TPM_ALG_ECDSA) {
                writer_put_tpm2b(w, signature->r);
                writer_put_tpm2b(w, signature->s);
        } else {
                writer_put_tpm2b(w, signature->rsa);
        }
}
