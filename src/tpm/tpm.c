#include "tpm/tpm.h"

#include <stdlib.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include "tpm/esys.h"
#include "tpm/tcti-fd.h"

/* TPM 2.0 Part 2, 7.4; tss2's own macros shift into the sign bit. */
#define FIRST_SESSION   UINT32_C(0x02000000)
#define FIRST_TRANSIENT UINT32_C(0x80000000)

/* Return codes that get words and a code of their own; all others are ERR_TPM as decoded. */
static const struct {
        TSS2_RC rc;
        int code;
        const char *text;
        const char *hint;
} known_results[] = {
    {TPM2_RC_POLICY_FAIL, ERR_NOT_TRUSTED, "the PCRs are not those of the policy",
     "something that is measured has changed since"},
    {TPM2_RC_PCR_CHANGED, ERR_CONFLICT, "the PCRs changed meanwhile", ""},
    {TPM2_RC_AUTH_FAIL, ERR_NOT_PERMITTED, "wrong authorisation value", ""},
    {TPM2_RC_BAD_AUTH, ERR_NOT_PERMITTED, "wrong authorisation value", ""},
    {TPM2_RC_LOCKOUT, ERR_NOT_PERMITTED, "the TPM is in dictionary-attack lockout",
     "wait for the recovery time or reset the lockout with the owner's tools"},
    {TPM2_RC_INTEGRITY, ERR_NOT_TRUSTED, "the data was not made for this TPM and key", ""},
    {TPM2_RC_INITIALIZE, ERR_TPM, "the TPM is not started", ""},
};

/* The error number without the parameter, handle or session it is about (Part 2, 6.6.2). */
static TSS2_RC plain_rc(TSS2_RC rc)
{
        if ((rc & TPM2_RC_FMT1) != 0)
                return rc & (TPM2_RC_FMT1 | 0x3FU);
        return rc;
}

int tpm_result(struct tpm *tpm, TSS2_RC rc, struct err *err, const char *what)
{
        TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
        const struct err *cause = tpm->is_fd ? tcti_fd_error(tpm->tcti) : NULL;

        if (rc == TSS2_RC_SUCCESS)
                return 0;
        /* Our channel knows more than a code; once it broke, ESYS only says "bad sequence". */
        if (cause != NULL && cause->code != 0) {
                *err = *cause;
                return err_wrap(err, "%s", what);
        }
        if (layer == TSS2_TCTI_RC_LAYER)
                return err_set(err, ERR_IO, "%s: %s", what, Tss2_RC_Decode(rc));
        /* A kernel's or tabrmd's resource manager passes the TPM's codes on in its own layer. */
        if (layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER) {
                for (size_t i = 0; i < ARRAY_SIZE(known_results); i++) {
                        if (plain_rc(rc & ~TSS2_RC_LAYER_MASK) != known_results[i].rc)
                                continue;
                        (void)err_set(err, known_results[i].code, "%s: %s", what,
                                      known_results[i].text);
                        if (known_results[i].hint[0] != '\0')
                                (void)err_hint(err, "%s", known_results[i].hint);
                        return known_results[i].code;
                }
        }
        return err_set(err, ERR_TPM, "%s: %s", what, Tss2_RC_Decode(rc));
}

void loaded_flush(struct loaded *loaded)
{
        if (loaded->handle == ESYS_TR_NONE)
                return;
        /* A failure leaves a slot taken in a TPM that no longer answers: nothing more to do. */
        if (Esys_FlushContext(loaded->tpm->esys, loaded->handle) != TSS2_RC_SUCCESS)
                (void)Esys_TR_Close(loaded->tpm->esys, &loaded->handle);
        loaded->handle = ESYS_TR_NONE;
}

static void close_tcti(struct tpm *tpm)
{
        if (tpm->tcti == NULL)
                return;
        if (tpm->is_fd)
                tcti_fd_free(tpm->tcti);
        if (!tpm->is_fd)
                Tss2_TctiLdr_Finalize(&tpm->tcti);
}

void tpm_close(struct tpm *tpm)
{
        if (tpm == NULL)
                return;
        if (tpm->esys != NULL)
                Esys_Finalize(&tpm->esys);
        close_tcti(tpm);
        free(tpm);
}

static struct tpm *new_tpm(struct err *err)
{
        struct tpm *tpm = calloc(1, sizeof(*tpm));

        if (tpm == NULL) {
                (void)err_set(err, ERR_NO_MEMORY, "no memory for a TPM");
                return NULL;
        }
        tpm->salt = ESYS_TR_NONE;
        /* tpm2-tss writes every refusal to stderr; libraries are silent here unless asked. */
        (void)setenv("TSS2_LOG", "all+none", 0);
        return tpm;
}

int tpm_open(const char *tcti, struct tpm **ret_tpm, struct err *err)
{
        struct tpm AUTO_TPM *tpm = new_tpm(err);
        TSS2_RC rc;

        if (tpm == NULL)
                return err->code;
        rc = Tss2_TctiLdr_Initialize(tcti, &tpm->tcti);
        if (rc != TSS2_RC_SUCCESS)
                return err_set(err, ERR_UNREACHABLE, "cannot open the TPM \"%s\": %s", tcti,
                               Tss2_RC_Decode(rc));
        if (tpm_result(tpm, Esys_Initialize(&tpm->esys, tpm->tcti, NULL), err, "start ESYS") != 0)
                return err->code;
        *ret_tpm = TAKE(tpm);
        return 0;
}

int tpm_open_fd(const struct tpm_fd_options *options, struct tpm **ret_tpm, struct err *err)
{
        struct tpm AUTO_TPM *tpm = new_tpm(err);

        if (tpm == NULL)
                return err->code;
        tpm->is_fd = true;
        if (tcti_fd_new(options, &tpm->tcti, err) != 0)
                return err->code;
        if (tpm_result(tpm, Esys_Initialize(&tpm->esys, tpm->tcti, NULL), err, "start ESYS") != 0)
                return err->code;
        *ret_tpm = TAKE(tpm);
        return 0;
}

int tpm_startup(struct tpm *tpm, struct err *err)
{
        TSS2_RC rc = Esys_Startup(tpm->esys, TPM2_SU_CLEAR);

        if (rc == TPM2_RC_INITIALIZE) /* Part 3, 9.3: it had its Startup */
                return 0;
        return tpm_result(tpm, rc, err, "start the TPM");
}

int tpm_shutdown(struct tpm *tpm, struct err *err)
{
        return tpm_result(
            tpm, Esys_Shutdown(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_SU_CLEAR),
            err, "shut the TPM down");
}

void tpm_protect(struct tpm *tpm, const struct tpm_key *ek)
{
        tpm->salt = ek->handle;
}

static int count_range(struct tpm *tpm, UINT32 first, unsigned *n, struct err *err)
{
        TPMS_CAPABILITY_DATA AUTO_ESYS *data = NULL;
        TPMI_YES_NO more;
        TSS2_RC rc =
            Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                               TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, &more, &data);

        if (tpm_result(tpm, rc, err, "list the TPM's handles") != 0)
                return err->code;
        *n += data->data.handles.count;
        return 0;
}

int tpm_count_loaded(struct tpm *tpm, unsigned *ret_n, struct err *err)
{
        unsigned n = 0;

        if (count_range(tpm, FIRST_TRANSIENT, &n, err) != 0 ||
            count_range(tpm, FIRST_SESSION, &n, err) != 0)
                return err->code;
        *ret_n = n;
        return 0;
}
