/*
 * The guest image, for real: built twice to the same bytes, booted, and measured exactly as
 * predicted. Skipped by name where QEMU, swtpm or apt's kernel are missing.
 */
#include "lib/test.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/hex.h"
#include "base/macro.h"
#include "evlog/learn.h"
#include "evlog/replay.h"
#include "evlog/tcglog.h"
#include "image/image.h"
#include "image/predict.h"
#include "system/guest.h"
#include "tpmwire/attest.h"

#define FILE_MAX    (256U << 20)
#define FIRST_PCRS  10 /* PCRs 0 to 9: in the TCG log */
#define QUOTED_PCRS 11 /* and PCR 10, IMA's */

static const char *in_dir(const char *name)
{
        static char path[8][PATH_MAX];
        static unsigned next;
        char *out = path[next++ % 8];

        (void)snprintf(out, PATH_MAX, "%s/%s", test_dir(), name);
        return out;
}

static struct bytes load(const char *path)
{
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;

        assert_ok(fs_read_file(path, FILE_MAX, &data, &len, &err), &err);
        return (struct bytes){data, len};
}

static void build(const char *out)
{
        char agent[PATH_MAX];
        const struct image_request request = {.out = out, .agent = agent};
        struct err err = {0};

        (void)snprintf(agent, sizeof(agent), "%s/catena-agent", getenv("CATENA_BUILD"));
        assert_ok(image_build(&request, &err), &err);
}

/* Other directory, other time, other environment: the same bytes. */
static void test_reproducible(void **state)
{
        struct bytes one;
        struct bytes two;

        (void)state;
        build(in_dir("guest.img"));
        assert_int_equal(setenv("TZ", "Asia/Tokyo", 1), 0);
        assert_int_equal(setenv("SOURCE_DATE_EPOCH", "1", 1), 0);
        assert_int_equal(setenv("LC_ALL", "tr_TR.UTF-8", 1), 0);
        build(in_dir("again.img"));
        one = load(in_dir("guest.img"));
        two = load(in_dir("again.img"));
        assert_true(bytes_equal(one, two));
        free((void *)(uintptr_t)one.data);
        free((void *)(uintptr_t)two.data);
        one = load(in_dir("guest.img" IMAGE_MANIFEST_SUFFIX));
        two = load(in_dir("again.img" IMAGE_MANIFEST_SUFFIX));
        assert_true(bytes_equal(one, two));
        free((void *)(uintptr_t)one.data);
        free((void *)(uintptr_t)two.data);
}

/* PCRs 0 to 9 as the log of this boot replays. */
static void replay_log(const char *dir, uint8_t ret_pcrs[FIRST_PCRS][PREDICT_DIGEST])
{
        const struct hash_alg *alg = hash_by_tpm_id(HASH_TPM_SHA256);
        AUTO_TCGLOG struct tcglog *log = NULL;
        struct replay_bank bank;
        char path[PATH_MAX];
        struct err err = {0};
        struct bytes data;

        (void)snprintf(path, sizeof(path), "%s/binary_bios_measurements", dir);
        data = load(path);
        assert_ok(tcglog_parse(data, &log, &err), &err);
        assert_ok(replay_run_bank(log, alg, &bank, &err), &err);
        for (uint32_t i = 0; i < FIRST_PCRS; i++) {
                const uint8_t *value = replay_bank_pcr(&bank, i);

                assert_non_null(value);
                memcpy(ret_pcrs[i], value, PREDICT_DIGEST);
        }
        free((void *)(uintptr_t)data.data);
}

/* The digest that the TPM signed. */
static void quoted_digest(const char *dir, uint8_t ret_digest[PREDICT_DIGEST])
{
        struct attest attest;
        char path[PATH_MAX];
        struct err err = {0};
        struct bytes data;

        (void)snprintf(path, sizeof(path), "%s/quote.attest", dir);
        data = load(path);
        assert_ok(attest_parse(data, &attest, &err), &err);
        assert_int_equal(attest.quote.digest.len, PREDICT_DIGEST);
        memcpy(ret_digest, attest.quote.digest.data, PREDICT_DIGEST);
        free((void *)(uintptr_t)data.data);
}

static void assert_predicted(const struct prediction *prediction,
                             uint8_t pcrs[FIRST_PCRS][PREDICT_DIGEST], unsigned pcr)
{
        uint8_t value[PREDICT_DIGEST];
        char predicted[2 * PREDICT_DIGEST + 1];
        char measured[2 * PREDICT_DIGEST + 1];
        struct err err = {0};

        assert_ok(predict_pcr(prediction, pcr, value, &err), &err);
        (void)hex_encode(value, PREDICT_DIGEST, predicted);
        (void)hex_encode(pcrs[pcr], PREDICT_DIGEST, measured);
        if (strcmp(predicted, measured) != 0)
                fail_msg("PCR %u: predicted %s, measured %s", pcr, predicted, measured);
}

/*
 * Boots the image; what the TPM signed is what was predicted: PCR 4, 8, 9 one by one, then all of
 * 0 to 10 with PCR 10 from the predicted files in the predicted order.
 */
static void check_boot(const char *image, const char *dir, const struct prediction *prediction)
{
        uint8_t pcrs[QUOTED_PCRS][PREDICT_DIGEST];
        uint8_t expected[HASH_SIZE_MAX];
        uint8_t quoted[PREDICT_DIGEST];
        struct err err = {0};

        assert_ok(guest_boot(image, dir, &err), &err);
        replay_log(dir, pcrs);
        assert_predicted(prediction, pcrs, 4);
        assert_predicted(prediction, pcrs, 8);
        assert_predicted(prediction, pcrs, 9);
        assert_ok(predict_ima_pcr(prediction, (const uint8_t(*)[PREDICT_DIGEST])pcrs,
                                  pcrs[PREDICT_PCR_IMA], &err),
                  &err);
        assert_ok(hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), pcrs, sizeof(pcrs), expected, &err),
                  &err);
        quoted_digest(dir, quoted);
        assert_memory_equal(expected, quoted, PREDICT_DIGEST);
}

/* Evidence as guest_boot() saved it; release with saved_done(). */
struct saved {
        struct appraise_evidence evidence;
        uint8_t nonce[PREDICT_DIGEST];
};

static void saved_load(const char *dir, struct saved *saved)
{
        static const struct {
                const char *name;
                size_t offset;
        } files[] = {
            {"ak.pub", offsetof(struct appraise_evidence, key)},
            {"ek.pub", offsetof(struct appraise_evidence, ek)},
            {"quote.attest", offsetof(struct appraise_evidence, attest)},
            {"quote.sig", offsetof(struct appraise_evidence, signature)},
            {"binary_bios_measurements", offsetof(struct appraise_evidence, tcg_log)},
            {"binary_runtime_measurements", offsetof(struct appraise_evidence, ima_log)},
        };
        char path[PATH_MAX];
        struct bytes nonce;
        size_t len = 0;

        memset(saved, 0, sizeof(*saved));
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                struct bytes data;

                (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
                data = load(path);
                memcpy((uint8_t *)&saved->evidence + files[i].offset, &data, sizeof(data));
        }
        (void)snprintf(path, sizeof(path), "%s/nonce.hex", dir);
        nonce = load(path);
        assert_int_equal(hex_decode((const char *)nonce.data, 2 * (size_t)PREDICT_DIGEST,
                                    saved->nonce, PREDICT_DIGEST, &len),
                         0);
        saved->evidence.nonce = (struct bytes){saved->nonce, len};
        free((void *)(uintptr_t)nonce.data);
}

static void saved_done(struct saved *saved)
{
        const struct bytes all[] = {saved->evidence.key,     saved->evidence.ek,
                                    saved->evidence.attest,  saved->evidence.signature,
                                    saved->evidence.tcg_log, saved->evidence.ima_log};

        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                free((void *)(uintptr_t)all[i].data);
}

/* Learning from the boot and predicting it give the same policy, byte for byte. */
static void check_learned(const char *dir, const struct prediction *prediction)
{
        AUTO_POLICY struct policy *learned = NULL;
        AUTO_POLICY struct policy *predicted = NULL;
        AUTO_FREE char *learned_text = NULL;
        AUTO_FREE char *predicted_text = NULL;
        static struct verdict verdict;
        struct saved saved;
        struct err err = {0};
        size_t len;

        saved_load(dir, &saved);
        assert_ok(learn_policy(&saved.evidence, "guest", "ovmf-q35-512M",
                               hash_by_tpm_id(HASH_TPM_SHA256), &learned, &verdict, &err),
                  &err);
        assert_ok(predict_policy(prediction, "guest", learned, &predicted, &err), &err);
        assert_ok(policy_to_json(learned, &learned_text, &len, &err), &err);
        assert_ok(policy_to_json(predicted, &predicted_text, &len, &err), &err);
        assert_string_equal(predicted_text, learned_text);
        appraise(&saved.evidence, predicted, &verdict);
        for (int part = 0; part < APPRAISE_PART_COUNT; part++)
                assert_int_equal(verdict.parts[part], APPRAISE_VERIFIED);
        assert_int_equal(verdict.programs, prediction->n_ima);
        assert_ok(fs_write_file(in_dir("policy.json"), predicted_text, strlen(predicted_text), 0600,
                                &err),
                  &err);
        saved_done(&saved);
}

static void skip_without_machines(void)
{
        if (guest_can_boot())
                return;
        print_message("# skipped: no QEMU, OVMF or swtpm\n");
        skip();
}

static void test_boots_as_predicted(void **state)
{
        AUTO_FREE struct prediction *prediction = NULL;
        struct err err = {0};

        (void)state;
        skip_without_machines();
        assert_ok(predict_image(in_dir("guest.img"), &prediction, &err), &err);
        check_boot(in_dir("guest.img"), in_dir("boot"), prediction);
        check_learned(in_dir("boot"), prediction);
}

/*
 * The changed kernel boots, and the predicted policy names it and nothing else. The demo shows it
 * in each make check, so this is only in make soak.
 */
static void test_changed_kernel_is_named(void **state)
{
        AUTO_POLICY struct policy *policy = NULL;
        static struct verdict verdict;
        struct saved saved;
        struct bytes text;
        struct err err = {0};

        (void)state;
        skip_without_machines();
        assert_ok(image_tamper(in_dir("guest.img"), in_dir("bad.img"), IMAGE_TAMPER_KERNEL, &err),
                  &err);
        assert_ok(guest_boot(in_dir("bad.img"), in_dir("bad"), &err), &err);
        text = load(in_dir("policy.json"));
        assert_ok(policy_from_json(text, &policy, &err), &err);
        saved_load(in_dir("bad"), &saved);
        appraise(&saved.evidence, policy, &verdict);
        assert_int_equal(verdict.tier, VERDICT_CONTRAINDICATED);
        for (int part = 0; part < APPRAISE_PART_COUNT; part++)
                assert_int_equal(verdict.parts[part],
                                 part == APPRAISE_KERNEL ? APPRAISE_CHANGED : APPRAISE_VERIFIED);
        saved_done(&saved);
        free((void *)(uintptr_t)text.data);
}

/* A manifest that belongs to another image predicts nothing. */
static void test_manifest_of_another_image(void **state)
{
        AUTO_FREE struct prediction *prediction = NULL;
        struct bytes manifest;
        struct err err = {0};

        (void)state;
        assert_ok(image_tamper(in_dir("guest.img"), in_dir("bad.img"), IMAGE_TAMPER_INITRD, &err),
                  &err);
        assert_int_equal(predict_image(in_dir("bad.img"), &prediction, &err), ERR_NOT_FOUND);
        manifest = load(in_dir("guest.img" IMAGE_MANIFEST_SUFFIX));
        assert_ok(fs_write_file(in_dir("bad.img" IMAGE_MANIFEST_SUFFIX), manifest.data,
                                manifest.len, 0600, &err),
                  &err);
        assert_int_equal(predict_image(in_dir("bad.img"), &prediction, &err), ERR_CONFLICT);
        assert_null(prediction);
        free((void *)(uintptr_t)manifest.data);
}

/* Each change shows in its own PCR and in no other that is computed. */
static void test_tampered(void **state)
{
        static const struct {
                enum image_tamper tamper;
                unsigned changed; /* bit n: PCR n */
        } rows[] = {
            {IMAGE_TAMPER_GRUB, 1U << 4},
            {IMAGE_TAMPER_KERNEL, 1U << 9},
            {IMAGE_TAMPER_CMDLINE, 1U << 8 | 1U << 9},
        };
        static const unsigned pcrs[] = {4, 8, 9};
        AUTO_FREE struct prediction *good = NULL;
        struct bytes manifest = load(in_dir("guest.img" IMAGE_MANIFEST_SUFFIX));
        struct err err = {0};

        (void)state;
        assert_ok(predict_image(in_dir("guest.img"), &good, &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE struct prediction *bad = NULL;

                assert_ok(
                    image_tamper(in_dir("guest.img"), in_dir("bad.img"), rows[i].tamper, &err),
                    &err);
                assert_ok(fs_write_file(in_dir("bad.img" IMAGE_MANIFEST_SUFFIX), manifest.data,
                                        manifest.len, 0600, &err),
                          &err);
                assert_ok(predict_image(in_dir("bad.img"), &bad, &err), &err);
                for (size_t k = 0; k < ARRAY_SIZE(pcrs); k++) {
                        uint8_t a[PREDICT_DIGEST];
                        uint8_t b[PREDICT_DIGEST];
                        bool differs;
                        bool expected;

                        assert_ok(predict_pcr(good, pcrs[k], a, &err), &err);
                        assert_ok(predict_pcr(bad, pcrs[k], b, &err), &err);
                        differs = memcmp(a, b, sizeof(a)) != 0;
                        expected = (rows[i].changed & (1U << pcrs[k])) != 0;
                        if (differs != expected)
                                fail_msg("%s: PCR %u differs: %d",
                                         image_tamper_name(rows[i].tamper), pcrs[k], differs);
                }
        }
        free((void *)(uintptr_t)manifest.data);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest long_tests[] = {
            cmocka_unit_test(test_reproducible),
            cmocka_unit_test(test_boots_as_predicted),
            cmocka_unit_test(test_changed_kernel_is_named),
        };
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_reproducible),
            cmocka_unit_test(test_manifest_of_another_image),
            cmocka_unit_test(test_tampered),
            cmocka_unit_test(test_boots_as_predicted),
        };

        if (argc > 1 && strcmp(argv[1], "long") == 0)
                return cmocka_run_group_tests(long_tests, NULL, NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
