#include "tpmwire/public.h"

#include "tpmwire/signature.h"

static int ends_early(const struct reader *r, const char *what, struct err *err)
{
        return err_set(err, ERR_MALFORMED, "public area: %s is cut or too long at byte %zu", what,
                       reader_offset(r));
}

/* TPMT_SYM_DEF_OBJECT, 11.1.7: AES and its kin carry key size and mode. */
static int parse_symmetric(struct reader *r, struct tpm_public *public, struct err *err)
{
        if (reader_get_be16(r, &public->sym_alg) != 0)
                return ends_early(r, "symmetric", err);
        if (public->sym_alg == TPM_ALG_NULL)
                return 0;
        if (public->sym_alg == TPM_ALG_XOR)
                return err_set(err, ERR_UNSUPPORTED, "public area: symmetric algorithm XOR");
        if (reader_get_be16(r, &public->sym_bits) != 0 ||
            reader_get_be16(r, &public->sym_mode) != 0)
                return ends_early(r, "symmetric", err);
        return 0;
}

/* TPMT_RSA_SCHEME and TPMT_ECC_SCHEME, 11.2.4.2 and 11.2.5.6. */
static int parse_scheme(struct reader *r, struct tpm_public *public, struct err *err)
{
        static const struct {
                uint16_t alg;
                bool has_hash;
        } scheme_table[] = {
            {TPM_ALG_NULL, false},  {TPM_ALG_RSAES, false}, {TPM_ALG_RSASSA, true},
            {TPM_ALG_RSAPSS, true}, {TPM_ALG_OAEP, true},   {TPM_ALG_ECDSA, true},
            {TPM_ALG_ECDH, true},   {TPM_ALG_SM2, true},    {TPM_ALG_ECSCHNORR, true},
        };

        if (reader_get_be16(r, &public->scheme) != 0)
                return ends_early(r, "scheme", err);
        for (size_t i = 0; i < ARRAY_SIZE(scheme_table); i++) {
                if (scheme_table[i].alg != public->scheme)
                        continue;
                if (scheme_table[i].has_hash && reader_get_be16(r, &public->scheme_hash) != 0)
                        return ends_early(r, "scheme", err);
                return 0;
        }
        return err_set(err, ERR_UNSUPPORTED, "public area: scheme %s (0x%04x)",
                       tpm_alg_name(public->scheme), public->scheme);
}

static int parse_rsa(struct reader *r, struct tpm_public *public, struct err *err)
{
        if (reader_get_be16(r, &public->rsa_bits) != 0 ||
            reader_get_be32(r, &public->rsa_exponent) != 0)
                return ends_early(r, "parameters", err);
        if (reader_get_tpm2b(r, TPM_RSA_MAX, &public->rsa_n) != 0)
                return ends_early(r, "unique", err);
        return 0;
}

/* TPMT_KDF_SCHEME, 11.2.3.3: every KDF has a hash. */
static int parse_kdf(struct reader *r, struct tpm_public *public, struct err *err)
{
        if (reader_get_be16(r, &public->ecc_kdf) != 0)
                return ends_early(r, "kdf", err);
        if (public->ecc_kdf == TPM_ALG_NULL)
                return 0;
        if (public->ecc_kdf != TPM_ALG_MGF1 && public->ecc_kdf != TPM_ALG_KDF1_SP800_56A &&
            public->ecc_kdf != TPM_ALG_KDF2 && public->ecc_kdf != TPM_ALG_KDF1_SP800_108)
                return err_set(err, ERR_UNSUPPORTED, "public area: KDF 0x%04x", public->ecc_kdf);
        return reader_get_be16(r, &public->ecc_kdf_hash) != 0 ? ends_early(r, "kdf", err) : 0;
}

static int parse_ecc(struct reader *r, struct tpm_public *public, struct err *err)
{
        int rc;

        if (reader_get_be16(r, &public->ecc_curve) != 0)
                return ends_early(r, "parameters", err);
        rc = parse_kdf(r, public, err);
        if (rc != 0)
                return rc;
        if (reader_get_tpm2b(r, TPM_ECC_MAX, &public->ecc_x) != 0 ||
            reader_get_tpm2b(r, TPM_ECC_MAX, &public->ecc_y) != 0)
                return ends_early(r, "unique", err);
        return 0;
}

static int parse_common(struct reader *r, struct tpm_public *public, struct err *err)
{
        int rc;

        if (reader_get_be16(r, &public->type) != 0)
                return ends_early(r, "type", err);
        if (public->type != TPM_ALG_RSA && public->type != TPM_ALG_ECC)
                return err_set(err, ERR_UNSUPPORTED, "public area: type %s (0x%04x) is no key",
                               tpm_alg_name(public->type), public->type);
        if (reader_get_be16(r, &public->name_alg) != 0)
                return ends_early(r, "nameAlg", err);
        if (reader_get_be32(r, &public->attributes) != 0)
                return ends_early(r, "objectAttributes", err);
        if ((public->attributes & TPMA_OBJECT_RESERVED) != 0)
                return err_set(err, ERR_MALFORMED, "public area: reserved attributes 0x%08x",
                               public->attributes & TPMA_OBJECT_RESERVED);
        if (reader_get_tpm2b(r, TPM_DIGEST_MAX, &public->auth_policy) != 0)
                return ends_early(r, "authPolicy", err);
        rc = parse_symmetric(r, public, err);
        return rc != 0 ? rc : parse_scheme(r, public, err);
}

/* Steps over the size of a TPM2B_PUBLIC. A TPMT_PUBLIC begins with its type, 1 or 0x23. */
static void skip_size(struct reader *r)
{
        struct reader peek = *r;
        uint16_t size;

        if (reader_get_be16(&peek, &size) == 0 && size == reader_left(&peek))
                *r = peek;
}

int tpm_public_parse(struct bytes bytes, struct tpm_public *ret_public, struct err *err)
{
        struct reader r = reader_from_bytes(bytes);
        struct tpm_public public = {0};
        int rc;

        if (bytes.len > TPM_PUBLIC_MAX)
                return err_set(err, ERR_MALFORMED, "public area of %zu bytes", bytes.len);
        skip_size(&r);
        public.tpmt = (struct bytes){r.data + r.pos, reader_left(&r)};
        rc = parse_common(&r, &public, err);
        if (rc == 0)
                rc = public.type == TPM_ALG_RSA ? parse_rsa(&r, &public, err)
                                                : parse_ecc(&r, &public, err);
        if (rc != 0)
                return rc;
        if (reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "public area: %zu bytes too many at byte %zu",
                               reader_left(&r), reader_offset(&r));
        *ret_public = public;
        return 0;
}

static void put_scheme(struct writer *w, uint16_t alg, uint16_t hash)
{
        writer_put_be16(w, alg);
        if (alg != TPM_ALG_NULL && alg != TPM_ALG_RSAES)
                writer_put_be16(w, hash);
}

void tpm_public_put(struct writer *w, const struct tpm_public *public)
{
        writer_put_be16(w, public->type);
        writer_put_be16(w, public->name_alg);
        writer_put_be32(w, public->attributes);
        writer_put_tpm2b(w, public->auth_policy);
        writer_put_be16(w, public->sym_alg);
        if (public->sym_alg != TPM_ALG_NULL) {
                writer_put_be16(w, public->sym_bits);
                writer_put_be16(w, public->sym_mode);
        }
        put_scheme(w, public->scheme, public->scheme_hash);
        if (public->type == TPM_ALG_RSA) {
                writer_put_be16(w, public->rsa_bits);
                writer_put_be32(w, public->rsa_exponent);
                writer_put_tpm2b(w, public->rsa_n);
                return;
        }
        writer_put_be16(w, public->ecc_curve);
        put_scheme(w, public->ecc_kdf, public->ecc_kdf_hash);
        writer_put_tpm2b(w, public->ecc_x);
        writer_put_tpm2b(w, public->ecc_y);
}
