/*
 * Real logs: every public one replays to its known PCRs, every boot to the PCRs that were read
 * when it was recorded.
 */
#include <jansson.h>

#include "base/fs.h"
#include "base/hex.h"
#include "evlog/event-text.h"
#include "evlog/findings.h"
#include "evlog/replay.h"
#include "evlog/text.h"
#include "lib/test.h"

static struct tcglog *parse(const uint8_t *data, size_t len)
{
        struct tcglog *log = NULL;
        struct err err = {0};

        assert_ok(tcglog_parse((struct bytes){data, len}, &log, &err), &err);
        return log;
}

/* Every PCR that is expected, and no other. */
static void check_bank(const struct replay *replay, const char *name, json_t *expected)
{
        const struct hash_alg *alg = hash_by_name(name);

        assert_non_null(alg);
        for (uint32_t pcr = 0; pcr < TCGLOG_PCR_COUNT; pcr++) {
                const uint8_t *value = replay_pcr(replay, alg, pcr);
                char text[2 * HASH_SIZE_MAX + 1];
                char key[8];
                json_t *want;

                (void)snprintf(key, sizeof(key), "%u", pcr);
                want = json_object_get(expected, key);
                if (want == NULL) {
                        assert_null(value);
                        continue;
                }
                assert_non_null(value);
                assert_string_equal(hex_encode(value, alg->size, text), json_string_value(want));
        }
}

static void check_log(const char *name, json_t *banks)
{
        char path[128];
        uint8_t AUTO_FREE *data = NULL;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct replay AUTO_FREE *replay = calloc(1, sizeof(*replay));
        struct err err = {0};
        const char *bank;
        json_t *expected;
        size_t len;

        (void)snprintf(path, sizeof(path), "eventlogs/%s", name);
        data = test_fixture(path, &len);
        log = parse(data, len);
        assert_ok(replay_run(log, replay, &err), &err);
        assert_int_equal(replay->count, json_object_size(banks));
        json_object_foreach(banks, bank, expected)
        {
                check_bank(replay, bank, expected);
        }
}

static void public_logs_replay_to_their_pcrs(void **state)
{
        json_t *root;
        json_t *banks;
        const char *name;

        (void)state;
        if (test_fixtures() == NULL)
                skip();
        root = json_load_file(test_fixture_path("eventlogs/EXPECTED.json"), 0, NULL);
        assert_non_null(root);
        assert_true(json_object_size(json_object_get(root, "logs")) > 0);
        json_object_foreach(json_object_get(root, "logs"), name, banks)
        {
                check_log(name, banks);
        }
        json_decref(root);
}

static const char *const boots[] = {"good", "kernel", "cmdline", "ovmf-direct", "seabios-direct"};

static void boots_replay_to_the_pcrs_read_then(void **state)
{
        static const uint8_t zeros[HASH_SIZE_MAX] = {0}; /* a PCR that nothing extends */
        const struct hash_alg *sha256 = hash_by_tpm_id(HASH_TPM_SHA256);

        (void)state;
        if (test_fixtures() == NULL)
                skip();
        for (size_t i = 0; i < ARRAY_SIZE(boots); i++) {
                char path[128];
                uint8_t AUTO_FREE *data = NULL;
                uint8_t AUTO_FREE *pcrs = NULL;
                struct tcglog AUTO_TCGLOG *log = NULL;
                struct replay_bank bank;
                struct err err = {0};
                char *line;
                size_t len;

                (void)snprintf(path, sizeof(path), "boots/%s/binary_bios_measurements", boots[i]);
                data = test_fixture(path, &len);
                log = parse(data, len);
                assert_ok(replay_run_bank(log, sha256, &bank, &err), &err);
                (void)snprintf(path, sizeof(path), "boots/%s/pcrs.sha256.txt", boots[i]);
                pcrs = test_fixture(path, &len);
                line = (char *)pcrs;
                for (uint32_t pcr = 0; pcr <= 9; pcr++) {
                        const uint8_t *value = replay_bank_pcr(&bank, pcr);
                        char text[2 * HASH_SIZE_MAX + 1];
                        char want[2 * HASH_SIZE_MAX + 1];
                        unsigned index;

                        assert_int_equal(sscanf(line, "%u %128s", &index, want), 2);
                        assert_int_equal(index, pcr);
                        hex_encode(value != NULL ? value : zeros, 32, text);
                        assert_string_equal(text, want);
                        line = strchr(line, '\n') + 1;
                }
        }
}

/* Set CATENA_TEST_SHOW to see the words of every event of every log. */
static void every_event_has_words(void **state)
{
        static const char *const names[] = {"eventlogs/ccel-tdx.bin",
                                            "eventlogs/debian-10.bin",
                                            "eventlogs/glinux-alex.bin",
                                            "eventlogs/ideapad1.bin",
                                            "eventlogs/rhel8-uefi.bin",
                                            "eventlogs/ubuntu-1804-amd-sev.bin",
                                            "boots/good/binary_bios_measurements",
                                            "boots/ovmf-direct/binary_bios_measurements",
                                            "boots/seabios-direct/binary_bios_measurements"};

        (void)state;
        if (test_fixtures() == NULL)
                skip();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                uint8_t AUTO_FREE *data = NULL;
                struct tcglog AUTO_TCGLOG *log = NULL;
                struct err err = {0};
                struct findings findings;
                size_t len;

                data = test_fixture(names[i], &len);
                log = parse(data, len);
                for (size_t n = 0; n < log->event_count; n++) {
                        enum event_verdict verdict;
                        char text[TEXT_SIZE];

                        assert_ok(event_verify(log, &log->events[n], &verdict, &err), &err);
                        assert_int_not_equal(verdict, EVENT_MISMATCH);
                        event_text(&log->events[n], verdict, text, sizeof(text));
                        assert_true(strlen(text) > 0);
                        if (getenv("CATENA_TEST_SHOW") != NULL)
                                print_message("# %s %zu %s\n", names[i], n, text);
                }
                assert_ok(findings_collect(log, &findings, &err), &err);
                for (size_t n = 0; n < findings.count; n++)
                        if (getenv("CATENA_TEST_SHOW") != NULL)
                                print_message("# %s finding %s %s %d %s\n", names[i],
                                              findings.list[n].id,
                                              finding_severity_name(findings.list[n].severity),
                                              (int)findings.list[n].event, findings.list[n].text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(public_logs_replay_to_their_pcrs),
            cmocka_unit_test(boots_replay_to_the_pcrs_read_then),
            cmocka_unit_test(every_event_has_words),
        };
        return cmocka_run_group_tests_name("evlog-logs", tests, NULL, NULL);
}
