#include "verify/verify.h"

#include <stdio.h>
#include <string.h>

#include "verify/verify-private.h"

const char *verify_tier_name(enum verify_tier tier)
{
        switch (tier) {
        case VERIFY_AFFIRMING:
                return "affirming";
        case VERIFY_WARNING:
                return "warning";
        case VERIFY_CONTRAINDICATED:
                return "contraindicated";
        case VERIFY_NONE:
                break;
        }
        return "none";
}

const char *verify_part_name(enum verify_part part)
{
        static const char *const names[VERIFY_PARTS] = {
            [VERIFY_FIRMWARE] = "firmware", [VERIFY_BOOT_LOADER] = "GRUB",
            [VERIFY_KERNEL] = "kernel",     [VERIFY_COMMAND_LINE] = "command line",
            [VERIFY_INITRD] = "initrd",     [VERIFY_PROGRAMS] = "programs",
        };

        return names[part];
}

bool verify_find(const struct verify_run *run, const char *dir, const char *name,
                 struct bytes *ret_data)
{
        char path[EVIDENCE_PATH_MAX + 1];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        return evidence_get(run->request->evidence, path, ret_data);
}

bool verify_get(const struct verify_run *run, struct verify_machine *machine, const char *dir,
                const char *name, struct bytes *ret_data)
{
        if (verify_find(run, dir, name, ret_data))
                return true;
        reasons_add(&machine->reasons, "bind.missing", REASON_FAIL, "%s/%s is missing", dir, name);
        return false;
}

static void machine_init(struct verify_machine *machine, const char *name)
{
        machine->tier = VERIFY_CONTRAINDICATED;
        (void)snprintf(machine->name, sizeof(machine->name), "%s", name);
}

void verify_result_free(struct verify_result *result)
{
        if (result == NULL)
                return;
        free(result->machines);
        free(result);
}

/* Who is judged: the host, the VMs that were asked for, and those that came unasked. */
static int make_machines(const struct verify_request *request, struct verify_result *result,
                         struct err *err)
{
        result->n_vms = result->challenge.n_vms;
        result->machines = calloc(result->n_vms + 1, sizeof(*result->machines));
        if (result->machines == NULL)
                return err_set(err, ERR_NO_MEMORY, "verdict");
        result->host = &result->machines[0];
        machine_init(result->host, result->challenge.host);
        for (size_t i = 0; i < result->n_vms; i++) {
                result->vms[i] = &result->machines[i + 1];
                machine_init(result->vms[i], result->challenge.vms[i]);
        }
        if (evidence_vms(request->evidence, NULL, 0) > result->n_vms)
                reasons_add(&result->host->reasons, "bind.challenge", REASON_WARNING,
                            "there is evidence of VMs that nobody asked about; it was not read");
        return 0;
}

static void check_challenge(const struct verify_request *request, struct verify_result *result,
                            int rc, const struct err *why)
{
        struct reasons *reasons = &result->host->reasons;

        if (rc != 0)
                reasons_add(reasons, "bind.challenge", REASON_FAIL, "challenge.json: %s",
                            why->text);
        else if (result->challenge.time > request->now + VERIFY_CLOCK_SKEW)
                reasons_add(reasons, "bind.time", REASON_FAIL,
                            "the challenge is of a time that has not come yet");
        else if (result->expires < request->now)
                reasons_add(reasons, "bind.time", REASON_NOTE,
                            "the evidence is %lld seconds old: this says how it was then",
                            (long long)(request->now - result->challenge.time));
        if (rc == 0 && request->nonce != NULL &&
            memcmp(request->nonce, result->challenge.nonce, CHALLENGE_NONCE_SIZE) != 0)
                reasons_add(reasons, "bind.nonce", REASON_FAIL,
                            "the evidence answers another challenge");
}

static int result_fill(const struct verify_request *request, struct verify_result *result,
                       struct err *err)
{
        unsigned age = request->policy == NULL ? POLICY_AGE_DEFAULT : request->policy->max_age;
        struct err why = {0};
        struct bytes text;
        int read, rc;

        read = evidence_get(request->evidence, "challenge.json", &text)
                   ? challenge_from_json(text, &result->challenge, &why)
                   : err_set(&why, ERR_NOT_FOUND, "missing");
        if (read == ERR_NO_MEMORY)
                return err_set(err, ERR_NO_MEMORY, "verdict");
        result->now = request->now;
        result->expires = result->challenge.time + age;
        (void)snprintf(result->ptpm, sizeof(result->ptpm), "unknown");
        if (request->policy != NULL)
                (void)snprintf(result->policy, sizeof(result->policy), "%s", request->policy->name);
        rc = make_machines(request, result, err);
        if (rc == 0)
                check_challenge(request, result, read, &why);
        return rc;
}

static enum verify_tier tier_of(const struct verify_machine *machine)
{
        if (reasons_failed(&machine->reasons) || machine->identity != VERIFY_OK)
                return VERIFY_CONTRAINDICATED;
        return machine->reasons.worst == REASON_WARNING ? VERIFY_WARNING : VERIFY_AFFIRMING;
}

static void set_tiers(struct verify_result *result)
{
        result->host->tier = tier_of(result->host);
        result->tier = result->host->tier;
        for (size_t i = 0; i < result->n_vms; i++) {
                struct verify_machine *vm = result->vms[i];

                if (result->host->tier == VERIFY_CONTRAINDICATED)
                        reasons_add(&vm->reasons, "bind.host", REASON_FAIL,
                                    "its host is not trusted");
                vm->tier = tier_of(vm);
                if (vm->tier < result->host->tier)
                        vm->tier = result->host->tier;
                if (result->tier < vm->tier)
                        result->tier = vm->tier;
        }
}

static void say_twice(struct verify_machine *machine, const char *other, const char *what)
{
        reasons_add(&machine->reasons, "bind.twice", REASON_FAIL,
                    "its %s is alive a second time, as %s", what, other);
}

static void compare_two(struct verify_machine *a, struct verify_machine *b)
{
        if (!a->has_leaf || !b->has_leaf)
                return;
        if (memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0) {
                say_twice(a, b->name, "UUID");
                say_twice(b, a->name, "UUID");
        }
        if (strcmp(a->id, b->id) == 0) {
                say_twice(a, b->name, "vTPM");
                say_twice(b, a->name, "vTPM");
        }
}

static void check_twice(struct verify_result *result)
{
        for (size_t i = 0; i < result->n_vms; i++)
                for (size_t k = 0; k < i; k++)
                        compare_two(result->vms[i], result->vms[k]);
}

void verify_cross_check(struct verify_result *const *results, size_t n)
{
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < i; k++)
                        for (size_t a = 0; a < results[i]->n_vms; a++)
                                for (size_t b = 0; b < results[k]->n_vms; b++)
                                        compare_two(results[i]->vms[a], results[k]->vms[b]);
        for (size_t i = 0; i < n; i++)
                set_tiers(results[i]);
}

bool verify_is_current(const struct verify_result *result, int64_t now)
{
        return now >= result->challenge.time - VERIFY_CLOCK_SKEW && now <= result->expires;
}

int verify_evidence(const struct verify_request *request, struct verify_result **ret_result,
                    struct err *err)
{
        struct verify_result AUTO_VERIFY_RESULT *result = calloc(1, sizeof(*result));
        struct verify_leaf AUTO_FREE *leaves = NULL;
        struct verify_run run = {.request = request};
        int rc;

        if (result == NULL)
                return err_set(err, ERR_NO_MEMORY, "verdict");
        rc = result_fill(request, result, err);
        if (rc != 0)
                return rc;
        leaves = calloc(result->n_vms + 1, sizeof(*leaves));
        if (leaves == NULL)
                return err_set(err, ERR_NO_MEMORY, "verdict");
        run.result = result;
        run.leaves = leaves;
        run.n_leaves = result->n_vms + 1;
        verify_host_keys(&run);
        verify_read_leaves(&run);
        verify_host_judge(&run);
        for (size_t i = 0; i < result->n_vms; i++)
                verify_vm_judge(&run, i);
        check_twice(result);
        set_tiers(result);
        quote_key_free(run.ak);
        *ret_result = TAKE(result);
        return 0;
}
