#include "tpmwire/pubkey.h"

#define RSA_DEFAULT_EXPONENT 65537 /* what an exponent of 0 means, Part 2, 12.2.3.5 */

static const struct {
        uint16_t tpm_id;
        enum pkey_curve curve;
} curve_table[] = {
    {TPM_ECC_NIST_P256, PKEY_P256},
    {TPM_ECC_NIST_P384, PKEY_P384},
    {TPM_ECC_NIST_P521, PKEY_P521},
};

static int from_rsa(const struct tpm_public *public, struct pkey **ret_key, struct err *err)
{
        uint32_t exponent = public->rsa_exponent == 0 ? RSA_DEFAULT_EXPONENT : public->rsa_exponent;

        if (public->rsa_n.len * 8 != public->rsa_bits)
                return err_set(err, ERR_MALFORMED, "RSA modulus of %zu bytes in a %u-bit key",
                               public->rsa_n.len, public->rsa_bits);
        return pkey_new_rsa(public->rsa_n, exponent, ret_key, err);
}

int pubkey_from_tpm(const struct tpm_public *public, struct pkey **ret_key, struct err *err)
{
        if (public->type == TPM_ALG_RSA)
                return from_rsa(public, ret_key, err);
        for (size_t i = 0; i < ARRAY_SIZE(curve_table); i++)
                if (curve_table[i].tpm_id == public->ecc_curve)
                        return pkey_new_ec(curve_table[i].curve, public->ecc_x, public->ecc_y,
                                           ret_key, err);
        return err_set(err, ERR_UNSUPPORTED, "elliptic curve 0x%04x", public->ecc_curve);
}

int pubkey_verify(const struct pkey *key, const struct tpm_signature *signature,
                  struct bytes message, struct err *err)
{
        const struct hash_alg *hash = hash_by_tpm_id(signature->hash);
        bool is_ec = pkey_type(key) == PKEY_EC;

        if (hash == NULL || signature->hash == HASH_TPM_SHA1)
                return err_set(err, ERR_UNSUPPORTED, "signature hash %s (0x%04x)",
                               hash == NULL ? "unknown" : hash->name, signature->hash);
        if (is_ec != (signature->alg == TPM_ALG_ECDSA))
                return err_set(err, ERR_UNSUPPORTED, "a signature of type %s by an %s key",
                               tpm_alg_name(signature->alg), is_ec ? "ECC" : "RSA");
        if (is_ec)
                return pkey_verify_ecdsa(key, hash, message, signature->r, signature->s, err);
        return pkey_verify_rsa(key,
                               signature->alg == TPM_ALG_RSAPSS ? PKEY_RSA_PSS : PKEY_RSA_PKCS1,
                               hash, message, signature->rsa, err);
}
