#include "verify/test-judge.h"

#include "base/hex.h"
#include "evlog/learn.h"
#include "lib/test.h"

/* A fresh copy of a set of evidence. */
struct evidence *judge_copy(const struct evidence *from)
{
        struct evidence *to = NULL;
        struct err err = {0};

        assert_ok(evidence_new(&to, &err), &err);
        for (size_t i = 0; i < evidence_count(from); i++)
                assert_ok(evidence_put(to, evidence_path(from, i), evidence_data(from, i), &err),
                          &err);
        return to;
}

void judge_take(struct evidence *to, const char *path, const struct evidence *from,
                const char *from_path)
{
        struct bytes data;
        struct err err = {0};

        assert_true(evidence_get(from, from_path, &data));
        assert_ok(evidence_replace(to, path, data, &err), &err);
}

void judge_print(const struct verify_machine *machine)
{
        for (size_t i = 0; i < machine->reasons.count; i++)
                (void)fprintf(stderr, "  %s: %s: %s\n", machine->name, machine->reasons.items[i].id,
                              machine->reasons.items[i].text);
}

void judge_refused(const struct verify_result *result, const struct verify_machine *machine,
                   const char *row, const char *id)
{
        if (result->tier == VERIFY_CONTRAINDICATED && machine->tier == VERIFY_CONTRAINDICATED &&
            reasons_find(&machine->reasons, id) != NULL)
                return;
        judge_print(machine);
        fail_msg("%s: %s, %s not found", row, verify_tier_name(result->tier), id);
}

static const char *const boot_files[6] = {
    "binary_bios_measurements",
    "binary_runtime_measurements",
    "pcrs.sha256.txt",
    "ak.pub",
    "quote.attest",
    "quote.sig",
};

void judge_boot_read(struct judge_boot *boot, const char *name)
{
        char path[128];

        for (size_t i = 0; i < ARRAY_SIZE(boot_files); i++) {
                (void)snprintf(path, sizeof(path), "boots/%s/%s", name, boot_files[i]);
                boot->files[i] = test_fixture(path, &boot->lens[i]);
        }
}

void judge_boot_done(struct judge_boot *boot)
{
        for (size_t i = 0; i < ARRAY_SIZE(boot_files); i++)
                free(boot->files[i]);
}

struct bytes judge_boot_file(const struct judge_boot *boot, size_t i)
{
        return (struct bytes){boot->files[i], boot->lens[i]};
}

/* Lines such as " 7 65ca...", one a PCR. */
void judge_boot_pcrs(const struct judge_boot *boot, uint8_t pcrs[24][32])
{
        const char *line = (const char *)boot->files[2];
        unsigned seen = 0;

        for (; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
                unsigned n;
                char hex[65];
                size_t len;

                line += *line == '\n';
                if (sscanf(line, " %u %64[0-9a-f]", &n, hex) != 2 || n >= 24)
                        continue;
                assert_int_equal(hex_decode(hex, 64, pcrs[n], 32, &len), 0);
                seen++;
        }
        assert_true(seen >= 11);
}

void judge_boot_into(const struct judge_boot *boot, struct builder *b)
{
        for (size_t i = 0; i < b->n_vms; i++) {
                b->vms[i].tcg_log = judge_boot_file(boot, 0);
                b->vms[i].ima_log = judge_boot_file(boot, 1);
                judge_boot_pcrs(boot, b->vms[i].pcrs);
        }
}

struct policy *judge_learn_boot(const struct judge_boot *boot)
{
        struct appraise_evidence evidence = {.key = judge_boot_file(boot, 3),
                                             .attest = judge_boot_file(boot, 4),
                                             .signature = judge_boot_file(boot, 5),
                                             .tcg_log = judge_boot_file(boot, 0),
                                             .ima_log = judge_boot_file(boot, 1)};
        struct verdict AUTO_FREE *verdict = calloc(1, sizeof(*verdict));
        struct policy *policy = NULL;
        uint8_t *hex;
        uint8_t nonce[64];
        size_t len, n;
        struct err err = {0};

        hex = test_fixture("boots/good/nonce.hex", &len);
        while (len > 0 && hex[len - 1] == '\n')
                len--;
        assert_int_equal(hex_decode((const char *)hex, len, nonce, sizeof(nonce), &n), 0);
        free(hex);
        evidence.nonce = (struct bytes){nonce, n};
        assert_ok(learn_policy(&evidence, "good", "q35", hash_by_tpm_id(HASH_TPM_SHA256), &policy,
                               verdict, &err),
                  &err);
        return policy;
}

void judge_add_host(struct policy *policy)
{
        static const char *const host[] = {"catena-tcb", "catena-vtpm", "qemu", "ovmf"};
        struct policy_digest digest = {.alg = hash_by_tpm_id(HASH_TPM_SHA256)};
        struct err err = {0};

        for (size_t i = 0; i < ARRAY_SIZE(host); i++) {
                memset(digest.data, (int)(0xc0 + i), 32);
                assert_ok(policy_add_host(policy, host[i], &digest, &err), &err);
        }
}

struct policy *judge_learn(const struct judge_boot *boot)
{
        struct policy *policy = judge_learn_boot(boot);

        judge_add_host(policy);
        return policy;
}

struct verify_result *judge_by(const struct evidence *evidence, const struct builder *b,
                               const struct policy *policy)
{
        struct verify_request request = {
            .evidence = evidence, .policy = policy, .roots = &b->roots, .now = BUILDER_NOW + 5};
        struct verify_result *result = NULL;
        struct err err = {0};

        assert_ok(verify_evidence(&request, &result, &err), &err);
        return result;
}

struct verify_result *judge_plain(const struct evidence *evidence, const struct builder *b)
{
        struct policy AUTO_POLICY *policy = NULL;
        struct err err = {0};

        assert_ok(policy_new("host", hash_by_tpm_id(HASH_TPM_SHA256), &policy, &err), &err);
        judge_add_host(policy);
        return judge_by(evidence, b, policy);
}
