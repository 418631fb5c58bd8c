/*
 * A swtpm of the test's own, on one end of a socket pair, ended by its pid. For tests only.
 */
#ifndef TPM_TEST_SWTPM_H
#define TPM_TEST_SWTPM_H

#include <sys/types.h>

#include "base/reader.h"
#include "lib/test.h"
#include "tpm/tpm.h"

struct test_swtpm {
        pid_t pid;
        int fd; /* our end of the data channel */
        struct tpm *tpm;
};

/* Starts swtpm with a fresh state of this name and opens it. Skips the test if there is none. */
void test_swtpm_start(struct test_swtpm *t, const char *name);

/* Only the process and the channel; t->tpm is NULL. */
void test_swtpm_spawn(struct test_swtpm *t, const char *name);

/* Asserts that nothing is left loaded in the TPM, then ends it. */
void test_swtpm_stop(struct test_swtpm *t);

#define TEST_CREDENTIAL "thirty-two bytes of a credential"

/* TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET over TEST_CREDENTIAL. */
struct test_credential {
        uint8_t blob[512];
        uint8_t secret[512];
        size_t blob_len;
        size_t secret_len;
};

/* TPM2_MakeCredential by this TPM, for an EK and a key given as TPM2B_PUBLIC. Needs two slots. */
void test_swtpm_make_credential(struct test_swtpm *t, struct bytes ek_public,
                                struct bytes key_public, struct test_credential *ret);

#endif
