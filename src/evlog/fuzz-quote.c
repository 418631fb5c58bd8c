#include "evlog/appraise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One be16-sized part after the other; the last takes what is left. */
static struct bytes take(struct reader *r, bool last)
{
        struct bytes part = {0};

        if (last)
                (void)!reader_get_bytes(r, reader_left(r), &part);
        else
                (void)!reader_get_tpm2b(r, UINT16_MAX, &part);
        return part;
}

/*
 * Key, nonce, EK, attest, signature, IMA log, event log: whatever they are, the verdict is
 * written, and without a policy nothing is ever accepted.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct verdict verdict;
        struct reader r = reader_from(data, size);
        struct appraise_evidence evidence = {0};

        evidence.key = take(&r, false);
        evidence.nonce = take(&r, false);
        evidence.ek = take(&r, false);
        evidence.attest = take(&r, false);
        evidence.signature = take(&r, false);
        evidence.ima_log = take(&r, false);
        evidence.tcg_log = take(&r, true);
        appraise_quote(&evidence, &verdict);
        appraise(&evidence, NULL, &verdict);
        if (verdict.tier != VERDICT_CONTRAINDICATED)
                abort();
        return 0;
}
