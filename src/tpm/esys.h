/*
 * Inside this library only: what a struct tpm holds, TPM return codes in words, and the clean-up
 * of what ESYS allocates and of what the TPM has loaded.
 */
#ifndef TPM_ESYS_H
#define TPM_ESYS_H

#include <stdbool.h>
#include <tss2/tss2_esys.h>

#include "base/reader.h"
#include "base/secret.h"
#include "tpm/tpm.h"

struct tpm {
        ESYS_CONTEXT *esys;
        TSS2_TCTI_CONTEXT *tcti;
        bool is_fd;   /* tcti is ours (tcti-fd.h) */
        ESYS_TR salt; /* key that salts sessions, ESYS_TR_NONE without */
};

struct tpm_key {
        struct tpm *tpm;
        ESYS_TR handle;
        bool has_auth;          /* a non-empty authorisation value was set */
        bool is_policy;         /* used by the EK's policy instead of an authorisation value */
        struct tpm_blob public; /* TPM2B_PUBLIC */
        struct tpm_blob name;   /* digest algorithm and digest, without a size */
};

/* Something loaded in the TPM; flushed at the end of the scope. */
struct loaded {
        struct tpm *tpm;
        ESYS_TR handle;
};
void loaded_flush(struct loaded *loaded);
#define AUTO_LOADED CLEANUP(loaded_flush)

/* 0, or the code and the words for a TPM or TSS return code: "do what: words". */
int tpm_result(struct tpm *tpm, TSS2_RC rc, struct err *err, const char *what) MUST_CHECK;

static inline void esys_free_p(void *p)
{
        Esys_Free(*(void **)p);
}
#define AUTO_ESYS CLEANUP(esys_free_p)

#endif
