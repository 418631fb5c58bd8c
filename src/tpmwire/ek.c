#include "tpmwire/ek.h"

#include <string.h>

#include "base/macro.h"
#include "crypto/hash.h"

/* PolicySecret(TPM_RH_ENDORSEMENT): PolicyA of the profile, B.6.2. */
static const uint8_t policy_a[32] = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

/* PolicyOR(PolicyA, PolicyC): PolicyB of the profile for SHA-384, B.6.5. */
static const uint8_t policy_b_sha384[48] = {
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
    0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
    0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12};

static const uint8_t zeros[256];

/* fixedTPM fixedParent sensitiveDataOrigin adminWithPolicy restricted decrypt; H: userWithAuth. */
#define ATTRIBUTES_L 0x000300b2
#define ATTRIBUTES_H 0x000300f2

static const struct tpm_ek eks[TPM_EK_COUNT] = {
    [TPM_EK_P256] = {"p256",
                     0x8101000a,
                     0x01c0000a,
                     {.type = TPM_ALG_ECC,
                      .name_alg = HASH_TPM_SHA256,
                      .attributes = ATTRIBUTES_L,
                      .auth_policy = {policy_a, sizeof(policy_a)},
                      .sym_alg = TPM_ALG_AES,
                      .sym_bits = 128,
                      .sym_mode = TPM_ALG_CFB,
                      .scheme = TPM_ALG_NULL,
                      .ecc_curve = TPM_ECC_NIST_P256,
                      .ecc_kdf = TPM_ALG_NULL,
                      .ecc_x = {zeros, 32},
                      .ecc_y = {zeros, 32}}},
    [TPM_EK_RSA2048] = {"rsa2048",
                        0x81010001,
                        0x01c00002,
                        {.type = TPM_ALG_RSA,
                         .name_alg = HASH_TPM_SHA256,
                         .attributes = ATTRIBUTES_L,
                         .auth_policy = {policy_a, sizeof(policy_a)},
                         .sym_alg = TPM_ALG_AES,
                         .sym_bits = 128,
                         .sym_mode = TPM_ALG_CFB,
                         .scheme = TPM_ALG_NULL,
                         .rsa_bits = 2048,
                         .rsa_n = {zeros, 256}}},
    [TPM_EK_P384] = {"p384",
                     0x81010016,
                     0x01c00016,
                     {.type = TPM_ALG_ECC,
                      .name_alg = HASH_TPM_SHA384,
                      .attributes = ATTRIBUTES_H,
                      .auth_policy = {policy_b_sha384, sizeof(policy_b_sha384)},
                      .sym_alg = TPM_ALG_AES,
                      .sym_bits = 256,
                      .sym_mode = TPM_ALG_CFB,
                      .scheme = TPM_ALG_NULL,
                      .ecc_curve = TPM_ECC_NIST_P384,
                      .ecc_kdf = TPM_ALG_NULL,
                      .ecc_x = {zeros, 0},
                      .ecc_y = {zeros, 0}}},
};

const struct tpm_ek *tpm_ek(enum tpm_ek_kind kind)
{
        return &eks[kind];
}

int tpm_ek_kind_of(const struct tpm_public *public, enum tpm_ek_kind *ret_kind)
{
        for (size_t i = 0; i < ARRAY_SIZE(eks); i++) {
                const struct tpm_public *template = &eks[i].template;

                if (public->type == template->type && public->rsa_bits == template->rsa_bits &&
                    public->ecc_curve == template->ecc_curve) {
                        *ret_kind = (enum tpm_ek_kind)i;
                        return 0;
                }
        }
        return ERR_NOT_FOUND;
}

static int find_name(const char *text, size_t len, size_t *ret_kind)
{
        for (size_t i = 0; i < ARRAY_SIZE(eks); i++) {
                if (strlen(eks[i].name) == len && memcmp(eks[i].name, text, len) == 0) {
                        *ret_kind = i;
                        return 0;
                }
        }
        return ERR_NOT_FOUND;
}

int tpm_ek_parse_names(const char *text, uint8_t *ret_mask, struct err *err)
{
        unsigned mask = 0;

        for (;;) {
                size_t len = strcspn(text, ",");
                size_t kind = 0;

                if (find_name(text, len, &kind) != 0)
                        return err_set(err, ERR_USAGE,
                                       "no endorsement key %.*s: p256, rsa2048, "
                                       "p384",
                                       (int)(len < TPM_EK_NAMES_MAX ? len : TPM_EK_NAMES_MAX),
                                       text);
                if ((mask & (1U << kind)) != 0)
                        return err_set(err, ERR_USAGE, "endorsement key %s named twice",
                                       eks[kind].name);
                mask |= 1U << kind;
                if (text[len] == '\0')
                        break;
                text += len + 1;
        }
        *ret_mask = (uint8_t)mask;
        return 0;
}
