/*
 * Appraisal and learning over the real boots: what was learned from one accepts it and refuses
 * the others by the name of what changed. Needs the fixtures; without them only the rows about
 * empty evidence run.
 */
#include "evlog/ima.h"
#include "evlog/learn.h"

#include "lib/test.h"

enum blob { ATTEST, SIGNATURE, AK, EK, TCG_LOG, IMA_LOG, BLOB_COUNT };

struct boot {
        uint8_t *memory[BLOB_COUNT];
        size_t len[BLOB_COUNT];
};

static const uint8_t nonce[] = "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
                               "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";

static void boot_load(struct boot *boot, const char *name)
{
        static const char *const files[BLOB_COUNT] = {"quote.attest",
                                                      "quote.sig",
                                                      "ak.pub",
                                                      "ek.pub",
                                                      "binary_bios_measurements",
                                                      "binary_runtime_measurements"};

        for (size_t i = 0; i < BLOB_COUNT; i++) {
                char path[128];

                (void)snprintf(path, sizeof(path), "boots/%s/%s", name, files[i]);
                boot->memory[i] = test_fixture(path, &boot->len[i]);
        }
}

static void boot_done(struct boot *boot)
{
        for (size_t i = 0; i < BLOB_COUNT; i++)
                free(boot->memory[i]);
}

static struct bytes blob(const struct boot *boot, enum blob which)
{
        return (struct bytes){boot->memory[which], boot->len[which]};
}

static struct appraise_evidence evidence_of(const struct boot *boot)
{
        return (struct appraise_evidence){
            .key = blob(boot, AK),
            .attest = blob(boot, ATTEST),
            .signature = blob(boot, SIGNATURE),
            .nonce = {nonce, 32},
            .ek = blob(boot, EK),
            .tcg_log = blob(boot, TCG_LOG),
            .ima_log = blob(boot, IMA_LOG),
        };
}

static void need_fixtures(void)
{
        if (test_fixtures() != NULL)
                return;
        print_message("skipped: no fixtures\n");
        skip();
}

static struct policy *learn(const char *name)
{
        struct err err = {0};
        struct boot boot;
        struct verdict verdict;
        struct policy *policy = NULL;
        struct appraise_evidence evidence;

        boot_load(&boot, name);
        evidence = evidence_of(&boot);
        assert_ok(learn_policy(&evidence, "guest", "firmware", hash_by_name("sha256"), &policy,
                               &verdict, &err),
                  &err);
        boot_done(&boot);
        return policy;
}

static void print_reasons(const char *name, const struct verdict *verdict)
{
        for (size_t i = 0; i < verdict->reasons.count; i++)
                print_message("%s: %s %s: %s\n", name,
                              reason_severity_name(verdict->reasons.items[i].severity),
                              verdict->reasons.items[i].id, verdict->reasons.items[i].text);
}

static bool says(const struct verdict *verdict, const char *id, const char *words)
{
        for (size_t i = 0; i < verdict->reasons.count; i++)
                if (strcmp(verdict->reasons.items[i].id, id) == 0 &&
                    strstr(verdict->reasons.items[i].text, words) != NULL)
                        return true;
        return false;
}

static void learns_and_accepts(void **state)
{
        static const struct {
                const char *name;
                enum appraise_state loader;
                size_t programs;
        } rows[] = {{"good", APPRAISE_VERIFIED, 7}, {"ovmf-direct", APPRAISE_NOT_MEASURED, 7}};

        (void)state;
        need_fixtures();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct policy AUTO_POLICY *policy = learn(rows[i].name);
                struct boot boot;
                struct verdict verdict;
                struct appraise_evidence evidence;

                boot_load(&boot, rows[i].name);
                evidence = evidence_of(&boot);
                appraise(&evidence, policy, &verdict);
                if (verdict.tier == VERDICT_CONTRAINDICATED)
                        print_reasons(rows[i].name, &verdict);
                assert_int_not_equal(verdict.tier, VERDICT_CONTRAINDICATED);
                for (int part = 0; part < APPRAISE_PART_COUNT; part++)
                        assert_int_equal(verdict.parts[part], part == APPRAISE_BOOT_LOADER
                                                                  ? rows[i].loader
                                                                  : APPRAISE_VERIFIED);
                assert_int_equal(verdict.programs, rows[i].programs);
                assert_int_equal(verdict.clock.reset_count, 2);
                boot_done(&boot);
        }
}

static void refuses_by_name(void **state)
{
        static const struct {
                const char *policy, *boot, *id, *words;
                enum appraise_part part;
                enum appraise_state want;
        } rows[] = {
            {"good", "kernel", "policy.kernel", "kernel /vmlinuz changed", APPRAISE_KERNEL,
             APPRAISE_CHANGED},
            {"good", "cmdline", "policy.command-line", "command line changed: \"",
             APPRAISE_COMMAND_LINE, APPRAISE_CHANGED},
            {"good", "cmdline", "policy.command-line",
             "vtp.backdoor=1\" instead of \"/vmlinuz console=ttyS0", APPRAISE_KERNEL,
             APPRAISE_VERIFIED},
            {"good", "ovmf-direct", "policy.firmware", "firmware changed", APPRAISE_FIRMWARE,
             APPRAISE_CHANGED},
            {"good", "seabios-direct", "policy.kernel", "kernel was not measured", APPRAISE_KERNEL,
             APPRAISE_NOT_MEASURED},
            {"ovmf-direct", "good", "policy.kernel", "kernel changed", APPRAISE_KERNEL,
             APPRAISE_CHANGED},
            {"ovmf-direct", "seabios-direct", "policy.command-line",
             "command line was not measured", APPRAISE_COMMAND_LINE, APPRAISE_NOT_MEASURED},
        };

        (void)state;
        need_fixtures();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct policy AUTO_POLICY *policy = learn(rows[i].policy);
                struct boot boot;
                struct verdict verdict;
                struct appraise_evidence evidence;

                boot_load(&boot, rows[i].boot);
                evidence = evidence_of(&boot);
                appraise(&evidence, policy, &verdict);
                if (!says(&verdict, rows[i].id, rows[i].words) ||
                    verdict.parts[rows[i].part] != rows[i].want)
                        print_reasons(rows[i].boot, &verdict);
                assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
                assert_true(says(&verdict, rows[i].id, rows[i].words));
                assert_int_equal(verdict.parts[rows[i].part], rows[i].want);
                boot_done(&boot);
        }
}

static void kernel_alone_is_named(void **state)
{
        struct policy *policy;
        struct boot boot;
        struct verdict verdict;
        struct appraise_evidence evidence;

        (void)state;
        need_fixtures();
        policy = learn("good");
        boot_load(&boot, "kernel");
        evidence = evidence_of(&boot);
        appraise(&evidence, policy, &verdict);
        for (int part = 0; part < APPRAISE_PART_COUNT; part++)
                assert_int_equal(verdict.parts[part],
                                 part == APPRAISE_KERNEL ? APPRAISE_CHANGED : APPRAISE_VERIFIED);
        policy_free(policy);
        boot_done(&boot);
}

static void learns_nothing_unmeasured(void **state)
{
        struct err err = {0};
        struct boot boot;
        struct verdict verdict;
        struct policy *poisoned = (struct policy *)1;
        struct appraise_evidence evidence;

        (void)state;
        need_fixtures();
        boot_load(&boot, "seabios-direct");
        evidence = evidence_of(&boot);
        assert_int_equal(learn_policy(&evidence, "guest", "firmware", hash_by_name("sha256"),
                                      &poisoned, &verdict, &err),
                         ERR_NOT_TRUSTED);
        assert_ptr_equal(poisoned, (struct policy *)1);
        boot_done(&boot);
}

/* V-EMPTY */
static void empty_policy_accepts_nothing(void **state)
{
        struct err err = {0};
        struct policy AUTO_POLICY *empty = NULL;
        struct boot boot;
        struct verdict verdict;
        struct appraise_evidence evidence;

        (void)state;
        need_fixtures();
        boot_load(&boot, "good");
        evidence = evidence_of(&boot);
        appraise(&evidence, NULL, &verdict);
        assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
        assert_non_null(reasons_find(&verdict.reasons, "policy.empty"));
        assert_ok(policy_new("empty", hash_by_name("sha256"), &empty, &err), &err);
        appraise(&evidence, empty, &verdict);
        assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
        assert_non_null(reasons_find(&verdict.reasons, "policy.empty"));
        boot_done(&boot);
}

/* A policy that lacks one section does not accept either. */
static void partial_policy_accepts_nothing(void **state)
{
        static const char *const want[] = {"policy.firmware", "policy.boot-loader",
                                           "policy.command-line", "policy.kernel"};

        (void)state;
        need_fixtures();
        for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
                struct policy AUTO_POLICY *policy = learn("good");
                struct boot boot;
                struct verdict verdict;
                struct appraise_evidence evidence;
                struct policy whole = *policy;

                boot_load(&boot, "good");
                evidence = evidence_of(&boot);
                if (i == 0)
                        policy->firmware_count = 0;
                else if (i == 1)
                        policy->grub_commands.count = 0;
                else if (i == 2)
                        policy->command_lines.count = 0;
                else
                        policy->files.count = 0;
                appraise(&evidence, policy, &verdict);
                assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
                if (i != 3 && reasons_find(&verdict.reasons, want[i]) == NULL) {
                        print_reasons(want[i], &verdict);
                        fail_msg("%s", want[i]);
                }
                *policy = whole;
                boot_done(&boot);
        }
}

static void drop(struct appraise_evidence *evidence, enum blob which)
{
        if (which == TCG_LOG)
                evidence->tcg_log.len = 0;
        else if (which == IMA_LOG)
                evidence->ima_log.len = 0;
        else if (which == AK)
                evidence->key.len = 0;
        else if (which == ATTEST)
                evidence->attest.len = 0;
        else if (which == SIGNATURE)
                evidence->signature.len = 0;
}

/* V-EXC and its neighbours: what is missing or broken is a failure, never a pass. */
static void missing_evidence_refuses(void **state)
{
        static const struct {
                enum blob which;
                const char *want;
        } rows[] = {
            {TCG_LOG, "log.missing"},    {IMA_LOG, "log.replay"},        {AK, "quote.signature"},
            {ATTEST, "quote.malformed"}, {SIGNATURE, "quote.signature"},
        };
        struct policy AUTO_POLICY *policy = NULL;

        (void)state;
        need_fixtures();
        policy = learn("good");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct boot boot;
                struct verdict verdict;
                struct appraise_evidence evidence;

                boot_load(&boot, "good");
                evidence = evidence_of(&boot);
                drop(&evidence, rows[i].which);
                appraise(&evidence, policy, &verdict);
                assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
                if (reasons_find(&verdict.reasons, rows[i].want) == NULL) {
                        print_reasons("missing", &verdict);
                        fail_msg("row %zu: no %s", i, rows[i].want);
                }
                for (int part = 0; part < APPRAISE_PART_COUNT; part++)
                        assert_int_not_equal(verdict.parts[part], APPRAISE_VERIFIED);
                boot_done(&boot);
        }
}

/* Every blob cut everywhere, and every 7th byte flipped: never accepted. */
static void spoiled_evidence_refuses(void **state)
{
        struct policy AUTO_POLICY *policy = NULL;
        struct boot boot;
        struct verdict verdict;

        (void)state;
        need_fixtures();
        policy = learn("good");
        boot_load(&boot, "good");
        for (size_t which = 0; which < BLOB_COUNT; which++) {
                for (size_t i = 0; i < boot.len[which]; i += which == TCG_LOG ? 61 : 7) {
                        struct appraise_evidence evidence = evidence_of(&boot);

                        boot.memory[which][i] ^= 0x20;
                        appraise(&evidence, policy, &verdict);
                        boot.memory[which][i] ^= 0x20;
                        /* Words of events that nothing is hashed from may change unseen. */
                        if (verdict.tier != VERDICT_CONTRAINDICATED && which != TCG_LOG &&
                            which != IMA_LOG)
                                fail_msg("blob %zu byte %zu", which, i);
                }
        }
        boot_done(&boot);
}

/* I-TAIL: late entries are shown as such and never counted. */
static void late_entries_are_not_verified(void **state)
{
        struct policy AUTO_POLICY *policy = NULL;
        struct boot boot;
        struct verdict verdict;
        struct appraise_evidence evidence;
        uint8_t *longer;
        size_t first;

        (void)state;
        need_fixtures();
        policy = learn("good");
        boot_load(&boot, "good");
        /* The boot_aggregate once more: pcr, digest, name length, "ima-sig", length, data. */
        first = 4 + 20 + 4 + 7;
        first += 4 + (size_t)(boot.memory[IMA_LOG][first] | boot.memory[IMA_LOG][first + 1] << 8);
        longer = malloc(boot.len[IMA_LOG] + first);
        assert_non_null(longer);
        memcpy(longer, boot.memory[IMA_LOG], boot.len[IMA_LOG]);
        memcpy(longer + boot.len[IMA_LOG], boot.memory[IMA_LOG], first);
        evidence = evidence_of(&boot);
        evidence.ima_log = (struct bytes){longer, boot.len[IMA_LOG] + first};
        appraise(&evidence, policy, &verdict);
        assert_int_equal(verdict.tier, VERDICT_WARNING);
        assert_true(says(&verdict, "ima.tail", "1 entries"));
        assert_int_equal(verdict.programs, 7);
        /* I-OFFSET, and entries dropped at the front */
        evidence.ima_log = (struct bytes){boot.memory[IMA_LOG] + first, boot.len[IMA_LOG] - first};
        appraise(&evidence, policy, &verdict);
        assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
        assert_non_null(reasons_find(&verdict.reasons, "ima.replay"));
        free(longer);
        boot_done(&boot);
}

/*
 * The kernel's entry of a file that never ran, with digests as they should be and another PCR than
 * the quoted one: no check of the quote can tell of it, so nothing is learned from it.
 */
static void other_pcrs_teach_nothing(void **state)
{
        static const struct bytes evil = {(const uint8_t *)"/evil", 5};
        struct ima_log AUTO_IMA_LOG *log = NULL;
        struct policy AUTO_POLICY *policy = NULL;
        struct writer AUTO_WRITER list = {0};
        struct appraise_evidence evidence;
        struct verdict verdict;
        struct err err = {0};
        struct boot boot;
        uint8_t data[256], digest[HASH_SIZE_MAX];
        const struct ima_entry *last;
        struct bytes good = {0};

        (void)state;
        need_fixtures();
        boot_load(&boot, "good");
        good = blob(&boot, IMA_LOG);
        assert_ok(ima_log_parse(good, &log, &err), &err);
        last = &log->entries[log->count - 1];
        assert_true(last->data.len <= sizeof(data) && last->path.len > evil.len);
        memcpy(data, last->data.data, last->data.len);
        memcpy(data + (last->path.data - last->data.data), evil.data, evil.len);
        assert_ok(hash_digest(hash_by_name("sha1"), data, last->data.len, digest, &err), &err);
        writer_init(&list, 1U << 20);
        writer_put(&list, good.data, last->offset);
        writer_put_le32(&list, 11);
        writer_put(&list, digest, 20);
        writer_put_le32(&list, (uint32_t)last->template.len);
        writer_put_bytes(&list, last->template);
        writer_put_le32(&list, (uint32_t)last->data.len);
        writer_put(&list, data, last->data.len);
        writer_put(&list, good.data + last->offset, good.len - last->offset);
        evidence = evidence_of(&boot);
        evidence.ima_log = writer_bytes(&list);
        assert_ok(learn_policy(&evidence, "guest", "firmware", hash_by_name("sha256"), &policy,
                               &verdict, &err),
                  &err);
        assert_int_equal(verdict.programs, 7);
        for (size_t i = 0; i < policy->ima.count; i++)
                assert_null(strstr(policy->ima.entries[i].name, "/evil"));
        boot_done(&boot);
}

static void mixes_of_two_boots_refuse(void **state)
{
        struct policy AUTO_POLICY *policy = NULL;
        struct boot good, bad;
        struct verdict verdict;

        (void)state;
        need_fixtures();
        policy = learn("good");
        boot_load(&good, "good");
        boot_load(&bad, "kernel");
        for (unsigned mix = 1; mix < 1U << BLOB_COUNT; mix++) {
                struct boot boot = good;
                struct appraise_evidence evidence;

                for (unsigned i = 0; i < BLOB_COUNT; i++)
                        if ((mix >> i & 1) != 0) {
                                boot.memory[i] = bad.memory[i];
                                boot.len[i] = bad.len[i];
                        }
                evidence = evidence_of(&boot);
                appraise(&evidence, policy, &verdict);
                if (verdict.tier != VERDICT_CONTRAINDICATED)
                        fail_msg("mix %u", mix);
        }
        boot_done(&good);
        boot_done(&bad);
}

static void nothing_at_all_refuses(void **state)
{
        const struct appraise_evidence nothing = {0};
        struct verdict verdict;

        (void)state;
        appraise(&nothing, NULL, &verdict);
        assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
        appraise_quote(&nothing, &verdict);
        assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(nothing_at_all_refuses),
            cmocka_unit_test(learns_and_accepts),
            cmocka_unit_test(refuses_by_name),
            cmocka_unit_test(kernel_alone_is_named),
            cmocka_unit_test(learns_nothing_unmeasured),
            cmocka_unit_test(empty_policy_accepts_nothing),
            cmocka_unit_test(partial_policy_accepts_nothing),
            cmocka_unit_test(missing_evidence_refuses),
            cmocka_unit_test(spoiled_evidence_refuses),
            cmocka_unit_test(late_entries_are_not_verified),
            cmocka_unit_test(other_pcrs_teach_nothing),
            cmocka_unit_test(mixes_of_two_boots_refuse),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
