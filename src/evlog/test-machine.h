/*
 * A machine for tests: an attestation key and everything that its TPM would quote, as structures
 * that a test spoils before or after they are signed.
 */
#ifndef EVLOG_TEST_MACHINE_H
#define EVLOG_TEST_MACHINE_H

#include "crypto/test-sign.h"
#include "evlog/quote.h"
#include "tpmwire/signature.h"

#define TEST_NONCE_SIZE 32

struct test_machine {
        struct pkey *key;
        struct tpm_public public;
        struct pkey_point point;
        struct test_rsa rsa;
        struct tpm_name signer;
        struct attest attest;
        struct pcr_values values[2];
        size_t n_values;
        uint8_t nonce[TEST_NONCE_SIZE]; /* that the challenger wants */
        uint8_t extra[128];             /* that the quote holds */
        uint8_t digest[HASH_SIZE_MAX];
        struct tpm_signature signature;
        uint8_t sig_memory[PKEY_RSA_SIZE_MAX];
        /* The bytes, made by test_machine_sign(). */
        uint8_t attest_bytes[QUOTE_ATTEST_MAX + 16];
        size_t attest_len;
        uint8_t signature_bytes[QUOTE_SIGNATURE_MAX + 16];
        size_t signature_len;
        uint8_t public_bytes[TPM_PUBLIC_MAX + 16];
        size_t public_len;
        /* What the challenger asks for. */
        uint32_t required;
        struct tpm_clock previous;
        bool has_previous;
        struct tpm_name parent;
        bool has_parent;
        bool require_safe_clock;
};

/* A good machine with a fresh P-256 key that quotes SHA-256 PCRs 0 to 10. */
void test_machine_init(struct test_machine *m);

/* The same with an RSA-2048 key and RSASSA. */
void test_machine_init_rsa(struct test_machine *m);
void test_machine_done(struct test_machine *m);

/* Recomputes the PCR digest and the signer from the structures. */
void test_machine_measure(struct test_machine *m);

/* Serialises and signs; signs whatever the structures say, as an unrestricted key would. */
void test_machine_sign(struct test_machine *m);

/* Signs the attest bytes as they stand. */
void test_machine_sign_bytes(struct test_machine *m);

/* Runs quote_key_new() and quote_check() over the bytes. */
void test_machine_check(const struct test_machine *m, struct reasons *reasons);

#endif
