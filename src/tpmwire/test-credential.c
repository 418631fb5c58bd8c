#include "crypto/cfb.h"
#include "crypto/hmac.h"
#include "crypto/pkey.h"
#include "lib/test.h"
#include "tpmwire/credential.h"
#include "tpmwire/kdf.h"

static const uint8_t secret_bytes[] = "a credential of 32 bytes, exactly";
#define SECRET_LEN 32

struct ek {
        struct pkey *key;
        struct pkey_point point;
        struct tpm_public public;
};

/* TCG EK credential profile, template L-2 and its P-384 kin. */
static void ek_init(struct ek *ek, enum pkey_curve curve)
{
        struct err err = {0};
        bool is_p256 = curve == PKEY_P256;

        *ek = (struct ek){0};
        assert_ok(pkey_generate_ec(curve, &ek->key, &err), &err);
        assert_ok(pkey_get_point(ek->key, &ek->point, &err), &err);
        ek->public = (struct tpm_public){
            .type = TPM_ALG_ECC,
            .name_alg = is_p256 ? HASH_TPM_SHA256 : HASH_TPM_SHA384,
            .attributes = TPMA_OBJECT_FIXED_TPM | TPMA_OBJECT_FIXED_PARENT |
                          TPMA_OBJECT_SENSITIVE_DATA_ORIGIN | TPMA_OBJECT_ADMIN_WITH_POLICY |
                          TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
            .sym_alg = TPM_ALG_AES,
            .sym_bits = is_p256 ? 128 : 256,
            .sym_mode = TPM_ALG_CFB,
            .scheme = TPM_ALG_NULL,
            .ecc_curve = is_p256 ? TPM_ECC_NIST_P256 : TPM_ECC_NIST_P384,
            .ecc_kdf = TPM_ALG_NULL,
            .ecc_x = {ek->point.x, ek->point.size},
            .ecc_y = {ek->point.y, ek->point.size},
        };
}

static struct tpm_name some_name(void)
{
        struct tpm_name name = {.data = {0x00, 0x0b, 0x42}, .len = 34};

        return name;
}

/* What TPM2_ActivateCredential does, with the EK's private key (Part 1, 24.6). */
static bool activate(const struct ek *ek, const struct tpm_name *name,
                     const struct credential *credential)
{
        const struct hash_alg *alg = hash_by_tpm_id(ek->public.name_alg);
        struct reader r = reader_from(credential->secret, credential->secret_len);
        struct bytes x = {0}, y = {0}, mac = {0}, cipher = {0};
        struct bytes own_x = {ek->point.x, ek->point.size};
        struct err err = {0};
        struct pkey AUTO_PKEY *ephemeral = NULL;
        struct secret AUTO_SECRET *z = NULL;
        struct secret AUTO_SECRET *seed = NULL;
        struct secret AUTO_SECRET *key = NULL;
        struct secret AUTO_SECRET *mac_key = NULL;
        uint8_t want_mac[HASH_SIZE_MAX];
        uint8_t plain[2 + SECRET_LEN] = {0, SECRET_LEN};
        uint8_t want_cipher[2 + SECRET_LEN];
        struct bytes parts[2];
        uint16_t size;

        assert_int_equal(reader_get_be16(&r, &size), 0);
        assert_int_equal(size, reader_left(&r));
        assert_int_equal(reader_get_tpm2b(&r, 66, &x), 0);
        assert_int_equal(reader_get_tpm2b(&r, 66, &y), 0);
        assert_int_equal(reader_finish(&r), 0);
        assert_ok(pkey_new_ec(pkey_curve(ek->key), x, y, &ephemeral, &err), &err);
        assert_ok(pkey_ecdh(ek->key, ephemeral, &z, &err), &err);
        assert_ok(tpm_kdfe(alg, z, "IDENTITY", x, own_x, alg->size, &seed, &err), &err);
        assert_ok(tpm_kdfa(alg, seed, "INTEGRITY", (struct bytes){0}, (struct bytes){0}, alg->size,
                           &mac_key, &err),
                  &err);
        r = reader_from(credential->blob, credential->blob_len);
        assert_int_equal(reader_get_be16(&r, &size), 0);
        assert_int_equal(size, reader_left(&r));
        assert_int_equal(reader_get_tpm2b(&r, 64, &mac), 0);
        assert_int_equal(reader_get_bytes(&r, reader_left(&r), &cipher), 0);
        parts[0] = cipher;
        parts[1] = tpm_name_bytes(name);
        assert_ok(hmac_parts(alg, mac_key, parts, 2, want_mac, &err), &err);
        if (!bytes_equal((struct bytes){want_mac, alg->size}, mac))
                return false;
        assert_ok(tpm_kdfa(alg, seed, "STORAGE", tpm_name_bytes(name), (struct bytes){0},
                           ek->public.sym_bits / 8U, &key, &err),
                  &err);
        memcpy(plain + 2, secret_bytes, SECRET_LEN);
        assert_ok(cfb_encrypt(key, (struct bytes){plain, sizeof(plain)}, want_cipher, &err), &err);
        return bytes_equal((struct bytes){want_cipher, sizeof(want_cipher)}, cipher);
}

static void opens_for_its_ek_and_name_only(void **state)
{
        static const enum pkey_curve curves[] = {PKEY_P256, PKEY_P384};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
                struct err err = {0};
                struct tpm_name name = some_name();
                struct tpm_name other = some_name();
                struct secret AUTO_SECRET *secret = NULL;
                struct credential credential;
                struct ek ek, stranger;

                ek_init(&ek, curves[i]);
                ek_init(&stranger, curves[i]);
                other.data[33] ^= 1;
                assert_ok(secret_new_copy(secret_bytes, SECRET_LEN, &secret, &err), &err);
                assert_ok(credential_make(&ek.public, &name, secret, &credential, &err), &err);
                assert_true(activate(&ek, &name, &credential));
                assert_false(activate(&ek, &other, &credential));
                assert_false(activate(&stranger, &name, &credential)); /* E-ACT-REPLAY */
                pkey_free(ek.key);
                pkey_free(stranger.key);
        }
}

static void refuses_what_is_no_ek(void **state)
{
        static const struct {
                const char *name;
                uint32_t attributes; /* flipped */
                uint16_t sym_alg, sym_bits, sym_mode, curve, name_alg;
                size_t secret_len;
                int want;
        } rows[] = {
            {"good", 0, TPM_ALG_AES, 128, TPM_ALG_CFB, TPM_ECC_NIST_P256, HASH_TPM_SHA256, 32, 0},
            {"K-UNRESTRICTED", TPMA_OBJECT_RESTRICTED, TPM_ALG_AES, 128, TPM_ALG_CFB,
             TPM_ECC_NIST_P256, HASH_TPM_SHA256, 32, ERR_NOT_TRUSTED},
            {"K-DECRYPT", TPMA_OBJECT_SIGN, TPM_ALG_AES, 128, TPM_ALG_CFB, TPM_ECC_NIST_P256,
             HASH_TPM_SHA256, 32, ERR_NOT_TRUSTED},
            {"K-EXPORT", TPMA_OBJECT_FIXED_TPM, TPM_ALG_AES, 128, TPM_ALG_CFB, TPM_ECC_NIST_P256,
             HASH_TPM_SHA256, 32, ERR_NOT_TRUSTED},
            {"K-IMPORT", TPMA_OBJECT_SENSITIVE_DATA_ORIGIN, TPM_ALG_AES, 128, TPM_ALG_CFB,
             TPM_ECC_NIST_P256, HASH_TPM_SHA256, 32, ERR_NOT_TRUSTED},
            {"no protection", 0, TPM_ALG_NULL, 0, 0, TPM_ECC_NIST_P256, HASH_TPM_SHA256, 32,
             ERR_UNSUPPORTED},
            {"short key", 0, TPM_ALG_AES, 64, TPM_ALG_CFB, TPM_ECC_NIST_P256, HASH_TPM_SHA256, 32,
             ERR_UNSUPPORTED},
            {"other mode", 0, TPM_ALG_AES, 128, 0x0042, TPM_ECC_NIST_P256, HASH_TPM_SHA256, 32,
             ERR_UNSUPPORTED},
            {"K-SMALL", 0, TPM_ALG_AES, 128, TPM_ALG_CFB, 1, HASH_TPM_SHA256, 32, ERR_UNSUPPORTED},
            {"wrong curve", 0, TPM_ALG_AES, 128, TPM_ALG_CFB, TPM_ECC_NIST_P384, HASH_TPM_SHA256,
             32, ERR_MALFORMED},
            {"name algorithm", 0, TPM_ALG_AES, 128, TPM_ALG_CFB, TPM_ECC_NIST_P256, TPM_ALG_NULL,
             32, ERR_UNSUPPORTED},
            {"long secret", 0, TPM_ALG_AES, 128, TPM_ALG_CFB, TPM_ECC_NIST_P256, HASH_TPM_SHA256,
             33, ERR_LIMIT},
        };
        struct tpm_name name = some_name();
        struct ek ek;

        (void)state;
        ek_init(&ek, PKEY_P256);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                struct tpm_public public = ek.public;
                struct secret AUTO_SECRET *secret = NULL;
                struct credential credential;
                struct credential poisoned;
                int rc;

                memset(&credential, 0xa5, sizeof(credential));
                poisoned = credential;
                public.attributes ^= rows[i].attributes;
                public.sym_alg = rows[i].sym_alg;
                public.sym_bits = rows[i].sym_bits;
                public.sym_mode = rows[i].sym_mode;
                public.ecc_curve = rows[i].curve;
                public.name_alg = rows[i].name_alg;
                assert_ok(secret_new_copy(secret_bytes, rows[i].secret_len, &secret, &err), &err);
                rc = credential_make(&public, &name, secret, &credential, &err);
                if (rc != rows[i].want)
                        fail_msg("%s: %d %s", rows[i].name, rc, err.text);
                if (rc != 0)
                        assert_memory_equal(&credential, &poisoned, sizeof(poisoned));
        }
        pkey_free(ek.key);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(opens_for_its_ek_and_name_only),
            cmocka_unit_test(refuses_what_is_no_ek),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
