/* The guest's own evidence: quote, logs and policy, by evlog/appraise.h. */
#include "verify/verify-private.h"

static const enum verify_part part_of[APPRAISE_PART_COUNT] = {
    [APPRAISE_FIRMWARE] = VERIFY_FIRMWARE, [APPRAISE_BOOT_LOADER] = VERIFY_BOOT_LOADER,
    [APPRAISE_KERNEL] = VERIFY_KERNEL,     [APPRAISE_COMMAND_LINE] = VERIFY_COMMAND_LINE,
    [APPRAISE_INITRD] = VERIFY_INITRD,     [APPRAISE_PROGRAMS] = VERIFY_PROGRAMS,
};

static const enum verify_mark mark_of[] = {
    [APPRAISE_NOT_CHECKED] = VERIFY_NOT_CHECKED,
    [APPRAISE_NOT_MEASURED] = VERIFY_NOT_MEASURED,
    [APPRAISE_VERIFIED] = VERIFY_OK,
    [APPRAISE_CHANGED] = VERIFY_BAD,
};

void verify_take_verdict(struct verify_machine *machine, const struct verdict *verdict)
{
        for (unsigned i = 0; i < APPRAISE_PART_COUNT; i++)
                machine->parts[part_of[i]] = mark_of[verdict->parts[i]];
        machine->programs = verdict->programs;
        for (size_t i = 0; i < verdict->reasons.count; i++)
                reasons_add(&machine->reasons, verdict->reasons.items[i].id,
                            verdict->reasons.items[i].severity, "%s",
                            verdict->reasons.items[i].text);
        machine->reasons.dropped += verdict->reasons.dropped;
        if (verdict->tier == VERDICT_CONTRAINDICATED && !reasons_failed(&machine->reasons))
                reasons_add(&machine->reasons, "check.failed", REASON_FAIL,
                            "the appraisal refuses without saying why");
}

void verify_guest_appraise(struct verify_run *run, struct verify_machine *vm, const char *dir,
                           const uint8_t qualifying[QUALIFY_SIZE])
{
        struct appraise_evidence evidence = {.nonce = {qualifying, QUALIFY_SIZE}};
        struct verdict AUTO_FREE *verdict = calloc(1, sizeof(*verdict));
        struct err err = {0};

        if (verdict == NULL) {
                (void)err_set(&err, ERR_NO_MEMORY, "out of memory");
                reasons_add_broken(&vm->reasons, "the guest's evidence", &err);
                return;
        }
        if (!verify_get(run, vm, dir, "ak.pub", &evidence.key) ||
            !verify_get(run, vm, dir, "ek.pub", &evidence.ek) ||
            !verify_get(run, vm, dir, "quote.attest", &evidence.attest) ||
            !verify_get(run, vm, dir, "quote.sig", &evidence.signature))
                return;
        /* A log that is missing is the appraisal's to name. */
        (void)verify_find(run, dir, "binary_bios_measurements", &evidence.tcg_log);
        (void)verify_find(run, dir, "binary_runtime_measurements", &evidence.ima_log);
        appraise(&evidence, run->request->policy, verdict);
        verify_take_verdict(vm, verdict);
}
