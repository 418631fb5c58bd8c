#include "tpm/pcr.h"

#include <string.h>

#include "tpm/selection.h"
#include "tpm/session.h"

#define READ_TRIES 4

int selection_to_tss(const struct tpm_pcr_selection *selection, TPML_PCR_SELECTION *ret_out,
                     struct err *err)
{
        if (selection->mask == 0 || selection->mask >= TPM_PCR(TPM_PCR_COUNT))
                return err_set(err, ERR_USAGE, "illegal PCR selection 0x%x", selection->mask);
        *ret_out = (TPML_PCR_SELECTION){
            .count = 1,
            .pcrSelections[0] = {.hash = selection->alg,
                                 .sizeofSelect = 3,
                                 .pcrSelect = {(uint8_t)selection->mask,
                                               (uint8_t)(selection->mask >> 8),
                                               (uint8_t)(selection->mask >> 16)}}};
        return 0;
}

static uint32_t mask_of(const TPMS_PCR_SELECTION *selection)
{
        uint32_t mask = 0;

        for (unsigned i = 0; i < selection->sizeofSelect && i < 3; i++)
                mask |= (uint32_t)selection->pcrSelect[i] << (8 * i);
        return mask;
}

int tpm_pcr_banks(struct tpm *tpm, uint16_t ret_algs[TPM_PCR_BANKS_MAX], size_t *ret_n,
                  struct err *err)
{
        TPMS_CAPABILITY_DATA AUTO_ESYS *data = NULL;
        const TPML_PCR_SELECTION *banks;
        TPMI_YES_NO more;
        size_t n = 0;
        TSS2_RC rc = Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        TPM2_CAP_PCRS, 0, 1, &more, &data);

        if (tpm_result(tpm, rc, err, "list the PCR banks") != 0)
                return err->code;
        banks = &data->data.assignedPCR;
        for (UINT32 i = 0; i < banks->count && i < TPM2_NUM_PCR_BANKS; i++) {
                if (mask_of(&banks->pcrSelections[i]) == 0)
                        continue;
                if (n == TPM_PCR_BANKS_MAX)
                        return err_set(err, ERR_LIMIT, "more than %zu PCR banks", n);
                ret_algs[n++] = banks->pcrSelections[i].hash;
        }
        *ret_n = n;
        return 0;
}

static const struct tpm_digest *digest_of(uint16_t alg, const struct tpm_digest *digests, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (digests[i].alg == alg)
                        return &digests[i];
        return NULL;
}

/* One digest for each bank, in tss2's form. */
static int fill_digests(const uint16_t *algs, size_t n_algs, const struct tpm_digest *digests,
                        size_t n, TPML_DIGEST_VALUES *out, struct err *err)
{
        for (size_t i = 0; i < n_algs; i++) {
                const struct tpm_digest *digest = digest_of(algs[i], digests, n);

                if (digest == NULL || digest->len > sizeof(TPMU_HA))
                        return err_set(err, ERR_USAGE, "no digest for the PCR bank 0x%04x",
                                       algs[i]);
                out->digests[i].hashAlg = algs[i];
                memcpy(&out->digests[i].digest, digest->data, digest->len);
        }
        out->count = (UINT32)n_algs;
        return 0;
}

int tpm_pcr_extend(struct tpm *tpm, unsigned pcr, const struct tpm_digest *digests, size_t n,
                   struct err *err)
{
        uint16_t algs[TPM_PCR_BANKS_MAX] = {0};
        TPML_DIGEST_VALUES values = {0};
        size_t n_algs = 0;
        TSS2_RC rc;

        if (pcr >= TPM_PCR_COUNT)
                return err_set(err, ERR_USAGE, "there is no PCR %u", pcr);
        if (tpm_pcr_banks(tpm, algs, &n_algs, err) != 0 ||
            fill_digests(algs, n_algs, digests, n, &values, err) != 0)
                return err_wrap(err, "extend PCR %u", pcr);
        rc = Esys_PCR_Extend(tpm->esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                             ESYS_TR_NONE, &values);
        return tpm_result(tpm, rc, err, "extend a PCR");
}

int tpm_pcr_event(struct tpm *tpm, unsigned pcr, const void *data, size_t len, struct err *err)
{
        TPML_DIGEST_VALUES AUTO_ESYS *digests = NULL;
        TPM2B_EVENT event = {.size = (UINT16)len};
        TSS2_RC rc;

        if (pcr >= TPM_PCR_COUNT)
                return err_set(err, ERR_USAGE, "there is no PCR %u", pcr);
        if (len > TPM_EVENT_MAX || len > sizeof(event.buffer))
                return err_set(err, ERR_LIMIT, "an event has at most %d bytes", TPM_EVENT_MAX);
        if (len > 0)
                memcpy(event.buffer, data, len);
        rc = Esys_PCR_Event(tpm->esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                            ESYS_TR_NONE, &event, &digests);
        return tpm_result(tpm, rc, err, "extend a PCR with an event");
}

/* Puts what one TPM2_PCR_Read gave into values; returns the PCRs that came. */
static uint32_t take_values(const TPML_PCR_SELECTION *got, const TPML_DIGEST *digests,
                            struct tpm_pcr_values *values)
{
        uint32_t mask = got->count == 0 ? 0 : mask_of(&got->pcrSelections[0]);
        uint32_t taken = 0;
        UINT32 next = 0;

        for (unsigned i = 0; i < TPM_PCR_COUNT && next < digests->count; i++) {
                struct tpm_digest *value = &values->values[i];

                if ((mask & TPM_PCR(i)) == 0)
                        continue;
                value->alg = values->alg;
                value->len = digests->digests[next].size;
                memcpy(value->data, digests->digests[next].buffer, value->len);
                taken |= TPM_PCR(i);
                next++;
        }
        return taken;
}

/* One pass over the selection; *ret_same tells whether the update counter stood still. */
static int read_once(struct tpm *tpm, const struct tpm_pcr_selection *selection,
                     struct tpm_pcr_values *values, bool *ret_same, struct err *err)
{
        struct tpm_pcr_selection left = *selection;
        UINT32 first = 0;
        bool same = true;

        while (left.mask != 0) {
                TPML_PCR_SELECTION AUTO_ESYS *got = NULL;
                TPML_DIGEST AUTO_ESYS *digests = NULL;
                TPML_PCR_SELECTION want;
                UINT32 counter;
                uint32_t taken;
                TSS2_RC rc;

                if (selection_to_tss(&left, &want, err) != 0)
                        return err->code;
                rc = Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &want,
                                   &counter, &got, &digests);
                if (tpm_result(tpm, rc, err, "read PCRs") != 0)
                        return err->code;
                if (left.mask == selection->mask)
                        first = counter;
                same = same && counter == first;
                taken = take_values(got, digests, values) & left.mask;
                if (taken == 0)
                        return err_set(err, ERR_NOT_FOUND, "the PCR bank 0x%04x is off",
                                       selection->alg);
                left.mask &= ~taken;
        }
        *ret_same = same;
        return 0;
}

int tpm_pcr_read(struct tpm *tpm, const struct tpm_pcr_selection *selection,
                 struct tpm_pcr_values *ret_values, struct err *err)
{
        struct tpm_pcr_values values = {.alg = selection->alg, .mask = selection->mask};

        if (selection->mask == 0 || selection->mask >= TPM_PCR(TPM_PCR_COUNT))
                return err_set(err, ERR_USAGE, "illegal PCR selection 0x%x", selection->mask);
        for (unsigned i = 0; i < READ_TRIES; i++) {
                bool same = false;

                if (read_once(tpm, selection, &values, &same, err) != 0)
                        return err->code;
                if (same) {
                        *ret_values = values;
                        return 0;
                }
        }
        return err_set(err, ERR_CONFLICT, "read PCRs: they do not stop changing");
}
