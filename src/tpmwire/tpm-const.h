/*
 * Constants of the TPM 2.0 Library Specification, Part 2, that the parsers here need. Only those
 * in use; the spelling is the specification's.
 */
#ifndef TPMWIRE_TPM_CONST_H
#define TPMWIRE_TPM_CONST_H

#define TPM_GENERATED UINT32_C(0xff544347) /* TPM_GENERATED_VALUE, 6.2 */

/* TPM_ALG_ID, 6.3. The hashes are in crypto/hash.h. */
#define TPM_ALG_RSA            0x0001
#define TPM_ALG_HMAC           0x0005
#define TPM_ALG_AES            0x0006
#define TPM_ALG_MGF1           0x0007
#define TPM_ALG_KEYEDHASH      0x0008
#define TPM_ALG_XOR            0x000a
#define TPM_ALG_NULL           0x0010
#define TPM_ALG_RSASSA         0x0014
#define TPM_ALG_RSAES          0x0015
#define TPM_ALG_RSAPSS         0x0016
#define TPM_ALG_OAEP           0x0017
#define TPM_ALG_ECDSA          0x0018
#define TPM_ALG_ECDH           0x0019
#define TPM_ALG_ECDAA          0x001a
#define TPM_ALG_SM2            0x001b
#define TPM_ALG_ECSCHNORR      0x001c
#define TPM_ALG_KDF1_SP800_56A 0x0020
#define TPM_ALG_KDF2           0x0021
#define TPM_ALG_KDF1_SP800_108 0x0022
#define TPM_ALG_ECC            0x0023
#define TPM_ALG_SYMCIPHER      0x0025
#define TPM_ALG_CFB            0x0043

/* TPM_ST, 6.9. */
#define TPM_ST_ATTEST_NV            0x8014
#define TPM_ST_ATTEST_COMMAND_AUDIT 0x8015
#define TPM_ST_ATTEST_SESSION_AUDIT 0x8016
#define TPM_ST_ATTEST_CERTIFY       0x8017
#define TPM_ST_ATTEST_QUOTE         0x8018
#define TPM_ST_ATTEST_TIME          0x8019
#define TPM_ST_ATTEST_CREATION      0x801a
#define TPM_ST_ATTEST_NV_DIGEST     0x801c

/* TPM_ECC_CURVE, Algorithm Registry, 4.2. */
#define TPM_ECC_NIST_P256 0x0003
#define TPM_ECC_NIST_P384 0x0004
#define TPM_ECC_NIST_P521 0x0005

/* TPMA_OBJECT, 8.3. */
#define TPMA_OBJECT_FIXED_TPM             (UINT32_C(1) << 1)
#define TPMA_OBJECT_ST_CLEAR              (UINT32_C(1) << 2)
#define TPMA_OBJECT_FIXED_PARENT          (UINT32_C(1) << 4)
#define TPMA_OBJECT_SENSITIVE_DATA_ORIGIN (UINT32_C(1) << 5)
#define TPMA_OBJECT_USER_WITH_AUTH        (UINT32_C(1) << 6)
#define TPMA_OBJECT_ADMIN_WITH_POLICY     (UINT32_C(1) << 7)
#define TPMA_OBJECT_NO_DA                 (UINT32_C(1) << 10)
#define TPMA_OBJECT_ENCRYPTED_DUPLICATION (UINT32_C(1) << 11)
#define TPMA_OBJECT_RESTRICTED            (UINT32_C(1) << 16)
#define TPMA_OBJECT_DECRYPT               (UINT32_C(1) << 17)
#define TPMA_OBJECT_SIGN                  (UINT32_C(1) << 18)
#define TPMA_OBJECT_RESERVED              UINT32_C(0xfff0f309)

/* TPM_RH, 7.4. */
#define TPM_RH_OWNER       UINT32_C(0x40000001)
#define TPM_RH_NULL        UINT32_C(0x40000007)
#define TPM_RH_ENDORSEMENT UINT32_C(0x4000000b)
#define TPM_RH_PLATFORM    UINT32_C(0x4000000c)

#define TPM_DIGEST_MAX 64 /* bytes of the largest digest, TPM2B_DIGEST */
#define TPM_NAME_MAX   (2 + TPM_DIGEST_MAX)
#define TPM_DATA_MAX   (2 + TPM_DIGEST_MAX) /* TPM2B_DATA: sizeof(TPMT_HA) */
#define TPM_RSA_MAX    512                  /* bytes of a modulus, RSA-4096 */
#define TPM_ECC_MAX    66                   /* bytes of a coordinate, P-521 */
#define TPM_PCR_COUNT  24                   /* PC Client Platform TPM Profile, 4.6 */
#define TPM_PCR_SELECT 3                    /* PCR_SELECT_MIN and _MAX for 24 PCRs */

#endif
