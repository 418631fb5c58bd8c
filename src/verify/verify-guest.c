/* The guest's own evidence: quote, logs and policy, by evlog/appraise.h. */
#include "verify/verify-private.h"

void verify_guest_appraise(struct verify_run *run, struct verify_machine *vm, const char *dir,
                           const uint8_t qualifying[QUALIFY_SIZE])
{
        struct quote_request request = {.bank = hash_by_tpm_id(HASH_TPM_SHA256),
                                        .required = POLICY_REQUIRED_MASK,
                                        .nonce = {qualifying, QUALIFY_SIZE}};
        struct quote_key AUTO_QUOTE_KEY *key = NULL;
        struct quote_result quote;
        struct bytes public;

        if (!verify_get(run, vm, dir, "ak.pub", &public) ||
            !verify_get(run, vm, dir, "quote.attest", &request.attest) ||
            !verify_get(run, vm, dir, "quote.sig", &request.signature))
                return;
        key = quote_key_new(public, &vm->reasons);
        request.key = key;
        quote_check(&request, &vm->reasons, &quote);
        reasons_add(&vm->reasons, "log.missing", REASON_FAIL, "not appraised");
}
