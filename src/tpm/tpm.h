/*
 * A connection to a TPM 2.0 through tpm2-tss' ESYS: the same code drives the guest's vTPM for the
 * agent and the host's pTPM for the TCB. This directory alone includes tss2 headers; what others
 * see are opaque structures and marshalled bytes as TPM 2.0 Part 2 defines them.
 *
 * A software pTPM has no resource manager and 3 object slots: whatever a function loads it has
 * flushed again when it returns, also on errors. Only a struct tpm_key stays loaded until freed.
 * One thread; calls block until the TPM has answered.
 */
#ifndef TPM_TPM_H
#define TPM_TPM_H

#include <stdint.h>

#include "base/err.h"

#define TPM_BLOB_MAX        2400  /* bytes of the largest structure handed out (TPM2B_ATTEST) */
#define TPM_FD_TIMEOUT_MSEC 60000 /* default for one command: RSA key generation may take long */

/* One marshalled structure; public data or ciphertext, never a secret. */
struct tpm_blob {
        size_t len;
        uint8_t data[TPM_BLOB_MAX];
};

struct tpm;
struct tpm_key;

/* A connected stream socket that carries raw TPM commands, e.g. swtpm's or our engine's data. */
struct tpm_fd_options {
        int fd;           /* stays the caller's, who closes it after tpm_close() */
        int timeout_msec; /* for one whole command, 0 = TPM_FD_TIMEOUT_MSEC */
        int side_fd;      /* -1, or watched for input while an answer is awaited */
        /*
         * Called when side_fd is readable (the engine asks to persist before it answers). An
         * error it returns fails the command and closes the channel for good.
         */
        int (*side)(void *arg, struct err *err);
        void *arg;
};

/*
 * Opens the TPM that a TCTI string names: "device:/dev/tpmrm0", "swtpm:host=H,port=P", "tabrmd".
 * ERR_UNREACHABLE if it cannot be reached.
 */
int tpm_open(const char *tcti, struct tpm **ret_tpm, struct err *err) MUST_CHECK;

/* Opens the TPM behind a socket (tcti-fd.h). Sends nothing. */
int tpm_open_fd(const struct tpm_fd_options *options, struct tpm **ret_tpm,
                struct err *err) MUST_CHECK;

/* Every struct tpm_key of this TPM must have been freed before. NULL is allowed. */
void tpm_close(struct tpm *tpm);
DEFINE_CLEANUP(struct tpm *, tpm_close)
#define AUTO_TPM CLEANUP(tpm_close_p)

/* TPM2_Startup(CLEAR); a TPM that was started already is fine. Behind a kernel not needed. */
int tpm_startup(struct tpm *tpm, struct err *err) MUST_CHECK;

/* TPM2_Shutdown(CLEAR): an orderly end, no dictionary-attack count is charged at the next start. */
int tpm_shutdown(struct tpm *tpm, struct err *err) MUST_CHECK;

/*
 * From now on authorisation sessions are salted with this EK (TPM 2.0 Part 1, 19.6) and the first
 * parameters travel encrypted, so that a wire tap on a hardware TPM's bus sees no secret. Before
 * the first secret somebody compares the EK's name with the one that was enrolled; otherwise a tap
 * in the middle may offer its own. The EK must stay loaded; freeing it ends the protection.
 */
void tpm_protect(struct tpm *tpm, const struct tpm_key *ek);

/* Transient objects and sessions that are loaded now (without a resource manager's help). */
int tpm_count_loaded(struct tpm *tpm, unsigned *ret_n, struct err *err) MUST_CHECK;

#endif
