#include "tpm/template.h"

/* PolicySecret(TPM_RH_ENDORSEMENT), "PolicyA" for SHA-256 (EK Credential Profile, B.6.2). */
#define EK_POLICY                                                                                  \
        {                                                                                          \
                .size = 32, .buffer = {                                                            \
                        0x83,                                                                      \
                        0x71,                                                                      \
                        0x97,                                                                      \
                        0x67,                                                                      \
                        0x44,                                                                      \
                        0x84,                                                                      \
                        0xB3,                                                                      \
                        0xF8,                                                                      \
                        0x1A,                                                                      \
                        0x90,                                                                      \
                        0xCC,                                                                      \
                        0x8D,                                                                      \
                        0x46,                                                                      \
                        0xA5,                                                                      \
                        0xD7,                                                                      \
                        0x24,                                                                      \
                        0xFD,                                                                      \
                        0x52,                                                                      \
                        0xD7,                                                                      \
                        0x6E,                                                                      \
                        0x06,                                                                      \
                        0x52,                                                                      \
                        0x0B,                                                                      \
                        0x64,                                                                      \
                        0xF2,                                                                      \
                        0xA1,                                                                      \
                        0xDA,                                                                      \
                        0x1B,                                                                      \
                        0x33,                                                                      \
                        0x14,                                                                      \
                        0x69,                                                                      \
                        0xAA                                                                       \
                }                                                                                  \
        }

#define AES_128_CFB                                                                                \
        {                                                                                          \
                .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB            \
        }

#define OWN_KEY (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN)

const TPM2B_PUBLIC template_ek_ecc_p256 = {
    .publicArea = {
        .type = TPM2_ALG_ECC,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes =
            OWN_KEY | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
        .authPolicy = EK_POLICY,
        .parameters.eccDetail = {.symmetric = AES_128_CFB,
                                 .scheme.scheme = TPM2_ALG_NULL,
                                 .curveID = TPM2_ECC_NIST_P256,
                                 .kdf.scheme = TPM2_ALG_NULL},
        .unique.ecc = {.x.size = 32, .y.size = 32},
    }};

const TPM2B_PUBLIC template_ek_rsa_2048 = {
    .publicArea = {
        .type = TPM2_ALG_RSA,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes =
            OWN_KEY | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
        .authPolicy = EK_POLICY,
        .parameters.rsaDetail = {.symmetric = AES_128_CFB,
                                 .scheme.scheme = TPM2_ALG_NULL,
                                 .keyBits = 2048,
                                 .exponent = 0},
        .unique.rsa.size = 256,
    }};

const TPM2B_PUBLIC template_storage = {
    .publicArea = {
        .type = TPM2_ALG_ECC,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = OWN_KEY | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
                            TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
        .parameters.eccDetail = {.symmetric = AES_128_CFB,
                                 .scheme.scheme = TPM2_ALG_NULL,
                                 .curveID = TPM2_ECC_NIST_P256,
                                 .kdf.scheme = TPM2_ALG_NULL},
        .unique.ecc = {.x.size = 32, .y.size = 32},
    }};

const TPM2B_PUBLIC template_signing = {
    .publicArea = {
        .type = TPM2_ALG_ECC,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = OWN_KEY | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
                            TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
        .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                 .scheme = {.scheme = TPM2_ALG_ECDSA,
                                            .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                                 .curveID = TPM2_ECC_NIST_P256,
                                 .kdf.scheme = TPM2_ALG_NULL},
    }};

/* No userWithAuth: nothing but the policy opens it. The data comes from outside. */
const TPM2B_PUBLIC template_sealed = {
    .publicArea = {
        .type = TPM2_ALG_KEYEDHASH,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA |
                            TPMA_OBJECT_ADMINWITHPOLICY,
        .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
    }};
