/*
 * The host's own boot and software: logs of its firmware, its kernel and its TCB, which together
 * have to explain one quote.
 */
#include "evlog/event-type.h"
#include "evlog/logbuild.h"
#include "evlog/replay.h"
#include "lib/test.h"
#include "verify/test-judge.h"

#define ABOUT(ptpm, version, by)                                                                   \
        "{\"ptpm\":\"" ptpm "\",\"tcb_version\":\"" version "\",\"measured_by\":\"" by "\"}"
#define HARDWARE   "catena-ptpm hardware tcb IFX SLB9670 7.85.4555.0"
#define SUPERVISOR "catena-supervisor"
#define STARTED    "catena-ptpm hardware starter IFX SLB9670 7.85.4555.0"

/* ---- a small firmware log ------------------------------------------------------------------- */

#define PCR_NONE 24

/* Separators and one event, in this PCR; the PCRs of the host follow the log. */
static void give_log(struct builder *b, struct writer *w, uint32_t pcr)
{
        static const char *const banks[] = {"sha256", NULL};
        static const uint8_t zeros[4];
        const struct bytes separator = {zeros, sizeof(zeros)};
        const struct bytes data = {(const uint8_t *)"host", 4};
        struct logbuild build;
        struct err err = {0};

        assert_ok(logbuild_begin(&build, w, TCGLOG_AGILE, banks, &err), &err);
        if (pcr != PCR_NONE)
                assert_ok(logbuild_add(&build, pcr, EV_EVENT_TAG, data, data, &err), &err);
        for (uint32_t i = 0; i < 8; i++)
                assert_ok(logbuild_add(&build, i, EV_SEPARATOR, separator, separator, &err), &err);
        assert_int_equal(writer_check(w), 0);
        b->host_tcg_log = writer_bytes(w);
}

/* What a TPM holds after the log, PCR 13 excepted. */
static void extend_pcrs(struct builder *b)
{
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct replay_bank bank;
        struct err err = {0};

        assert_ok(tcglog_parse(b->host_tcg_log, &log, &err), &err);
        assert_ok(replay_run_bank(log, hash_by_name("sha256"), &bank, &err), &err);
        for (uint32_t i = 0; i < 24; i++)
                if (i != 13 && replay_bank_pcr(&bank, i) != NULL)
                        memcpy(b->pcrs[i], replay_bank_pcr(&bank, i), 32);
}

static void unlogged(struct builder *b)
{
        extend_pcrs(b);
        b->host_tcg_log.len = 0;
}

static void logged(struct builder *b)
{
        extend_pcrs(b);
}

static void not_measured(struct builder *b)
{
        (void)b; /* a log is shown, and PCR 0 to 10 are zero */
}

static void cut(struct builder *b)
{
        extend_pcrs(b);
        b->host_tcg_log.len /= 2;
}

/* The first record's PCR index, which nothing measures. */
static void of_registers(struct builder *b)
{
        extend_pcrs(b);
        ((uint8_t *)(uintptr_t)b->host_tcg_log.data)[0] = 1;
}

static void one_event_less(struct builder *b)
{
        extend_pcrs(b);
        b->host_tcg_log.len -= 4 + 4 + 4 + 2 + 32 + 4 + 4;
}

static void nothing(struct builder *b)
{
        b->host_tcg_log.len = 0;
}

static void hardware(struct builder *b)
{
        nothing(b);
        builder_make_host_log(b, HARDWARE);
        b->about = ABOUT("hardware", "0.1.0", "tcb");
}

static const struct {
        const char *name;
        void (*change)(struct builder *b);
        uint32_t pcr;   /* of an event beside the separators */
        const char *id; /* that refuses; NULL: not refused */
} logs[] = {
    {"explained", logged, PCR_NONE, NULL},
    {"Q-SEL-PARTIAL a PCR of the log that is not quoted, above those of the boot", logged, 14,
     NULL},
    {"L-DROP PCRs without a log", unlogged, PCR_NONE, "log.replay"},
    {"L-EMPTY a log of what the TPM never saw", not_measured, PCR_NONE, "log.replay"},
    {"L-TRUNC", cut, PCR_NONE, "log.malformed"},
    {"L-SPECID a log of registers", of_registers, PCR_NONE, "log.malformed"},
    {"L-DROP the last event", one_event_less, PCR_NONE, "log.replay"},
    {"the firmware measures into the PCR of the host's software", logged, 13, "log.replay"},
    {"L-EMPTY hardware and no log", hardware, PCR_NONE, "log.missing"},
};

static bool says(const struct verify_machine *machine, const char *id)
{
        for (size_t i = 0; i < machine->reasons.count; i++)
                if (strcmp(machine->reasons.items[i].id, id) == 0)
                        return true;
        return false;
}

static void small_logs(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
                struct evidence AUTO_EVIDENCE *evidence = NULL;
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                struct writer AUTO_WRITER w = {0};
                char host[32];
                struct builder b;

                (void)snprintf(host, sizeof(host), "boot-%zu", i);
                builder_init(&b, test_dir(), host);
                writer_init(&w, 65536);
                give_log(&b, &w, logs[i].pcr);
                logs[i].change(&b);
                evidence = builder_build(&b);
                result = judge_plain(evidence, &b);
                if (logs[i].id != NULL)
                        judge_refused(result, result->host, logs[i].name, logs[i].id);
                else if (result->host->tier != VERIFY_WARNING)
                        judge_print(result->host);
                if (logs[i].id == NULL) {
                        assert_int_equal(result->host->tier, VERIFY_WARNING);
                        /* Measured, but not compared: never a tick. */
                        assert_true(says(result->host, "host.not-compared"));
                        for (unsigned k = 0; k < VERIFY_PROGRAMS; k++)
                                assert_int_equal(result->host->parts[k], VERIFY_NOT_CHECKED);
                }
                builder_done(&b);
        }
}

/* ---- which TPM it is, by word and by measurement ----------------------------------------------
 */

static const struct {
        const char *name;
        const char *event; /* in the log; NULL: none */
        const char *more;  /* a second one */
        const char *about;
        const char *id;
} kinds[] = {
    {"both say embedded", BUILDER_PTPM, NULL, ABOUT("embedded", "0.1.0", "tcb"), NULL},
    {"another firmware after a reset that was none", BUILDER_PTPM,
     "catena-ptpm embedded tcb IBM SW_TPM 2.0.0.0", ABOUT("embedded", "0.1.0", "tcb"), NULL},
    {"measured as software, called hardware", BUILDER_PTPM, NULL, ABOUT("hardware", "0.1.0", "tcb"),
     "bind.about"},
    {"measured as hardware, called software", HARDWARE, NULL, ABOUT("swtpm", "0.1.0", "tcb"),
     "bind.about"},
    {"not measured", NULL, NULL, ABOUT("embedded", "0.1.0", "tcb"), "bind.about"},
    {"another who measured", BUILDER_PTPM, NULL, ABOUT("embedded", "0.1.0", "starter"),
     "bind.about"},
    {"another TCB", BUILDER_PTPM, NULL, ABOUT("embedded", "0.1.1", "tcb"), "bind.about"},
    {"two kinds", BUILDER_PTPM, HARDWARE, ABOUT("hardware", "0.1.0", "tcb"), "log.malformed"},
    {"malformed", "catena-ptpm embedded", NULL, ABOUT("embedded", "0.1.0", "tcb"), "log.malformed"},
    {"a kind that nobody knows", "catena-ptpm quantum tcb - - 1.0.0.0", NULL,
     ABOUT("quantum", "0.1.0", "tcb"), "policy.ptpm"},
};

static void the_kind_is_measured(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                struct evidence AUTO_EVIDENCE *evidence = NULL;
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                char host[32];
                struct builder b;

                (void)snprintf(host, sizeof(host), "kind-%zu", i);
                builder_init(&b, test_dir(), host);
                builder_make_host_log(&b, kinds[i].event);
                if (kinds[i].more != NULL)
                        builder_add_host_event(&b, kinds[i].more);
                b.about = kinds[i].about;
                evidence = builder_build(&b);
                result = judge_plain(evidence, &b);
                if (kinds[i].id != NULL)
                        judge_refused(result, result->host, kinds[i].name, kinds[i].id);
                else if (result->host->tier != VERIFY_WARNING)
                        judge_print(result->host);
                if (kinds[i].id == NULL)
                        assert_int_equal(result->host->tier, VERIFY_WARNING);
                builder_done(&b);
        }
}

/* ---- a TCB that started again on a TPM that was not reset ----------------------------------- */

static const struct {
        const char *name;
        const char *component;
        uint8_t fill;
        bool in_policy; /* beside what the builder measures */
        const char *id;
        size_t programs;
} repeated[] = {
    {"the same again", "qemu", 0xc2, false, NULL, 4},
    {"another QEMU that the policy knows", "qemu", 0xd2, true, NULL, 4},
    {"another QEMU that it does not know", "qemu", 0xd2, false, "policy.host", 0},
    {"a component that it does not know", "helper", 0xd3, false, "policy.host", 0},
    {"a supervisor that the policy knows", SUPERVISOR, 0xd4, true, NULL, 5},
    {"a supervisor that it does not know", SUPERVISOR, 0xd4, false, "policy.host", 0},
};

static struct policy *host_policy(bool add, const char *component, uint8_t fill)
{
        struct policy_digest digest = {.alg = hash_by_tpm_id(HASH_TPM_SHA256)};
        struct policy *policy = NULL;
        struct err err = {0};

        assert_ok(policy_new("host", digest.alg, &policy, &err), &err);
        judge_add_host(policy);
        memset(digest.data, fill, 32);
        if (add)
                assert_ok(policy_add_host(policy, component, &digest, &err), &err);
        return policy;
}

static void measured_again(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(repeated); i++) {
                struct evidence AUTO_EVIDENCE *evidence = NULL;
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                struct policy AUTO_POLICY *policy =
                    host_policy(repeated[i].in_policy, repeated[i].component, repeated[i].fill);
                char host[32];
                struct builder b;

                (void)snprintf(host, sizeof(host), "again-%zu", i);
                builder_init(&b, test_dir(), host);
                builder_add_component(&b, repeated[i].component, repeated[i].fill);
                evidence = builder_build(&b);
                result = judge_by(evidence, &b, policy);
                if (repeated[i].id != NULL) {
                        judge_refused(result, result->host, repeated[i].name, repeated[i].id);
                } else {
                        assert_int_equal(result->host->parts[VERIFY_PROGRAMS], VERIFY_OK);
                        assert_int_equal(result->host->programs, repeated[i].programs);
                        assert_int_equal(result->host->tier, VERIFY_WARNING);
                }
                assert_int_equal(result->supervised,
                                 strcmp(repeated[i].component, SUPERVISOR) == 0);
                builder_done(&b);
        }
}

/* A policy that was learned from a host with a supervisor is not content without one. */
static void a_supervisor_that_is_missing(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
        struct policy AUTO_POLICY *policy = host_policy(true, SUPERVISOR, 0xd4);
        struct builder b;

        (void)state;
        builder_init(&b, test_dir(), "alone");
        evidence = builder_build(&b);
        result = judge_by(evidence, &b, policy);
        judge_refused(result, result->host, "no supervisor", "policy.host");
        assert_false(result->supervised);
        builder_done(&b);
}

/* ---- real boots as the host's ---------------------------------------------------------------- */

/* The host booted this one; its VMs booted the good one. */
static struct verify_result *judge_host_boot(struct builder *b, const struct judge_boot *boot,
                                             const struct policy *policy)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        uint8_t pcrs[24][32] = {{0}};

        b->host_tcg_log = judge_boot_file(boot, 0);
        b->host_ima_log = judge_boot_file(boot, 1);
        judge_boot_pcrs(boot, pcrs);
        memcpy(b->pcrs, pcrs, 11 * sizeof(pcrs[0])); /* PCR 13 stays that of its software */
        evidence = builder_build(b);
        return judge_by(evidence, b, policy);
}

static void good_host_boots(struct builder *b, const struct judge_boot *good,
                            const struct policy *policy)
{
        struct verify_result AUTO_VERIFY_RESULT *result = judge_host_boot(b, good, policy);

        if (result->tier != VERIFY_WARNING)
                judge_print(result->host);
        assert_int_equal(result->tier, VERIFY_WARNING);
        for (unsigned i = 0; i < VERIFY_PARTS; i++)
                if (i != VERIFY_INITRD)
                        assert_int_equal(result->host->parts[i], VERIFY_OK);
        assert_false(says(result->host, "host.not-compared"));
}

static void other_host_boots(struct builder *b, const struct policy *policy)
{
        static const struct {
                const char *boot, *id;
                enum verify_part part;
        } rows[] = {
            {"kernel", "policy.kernel", VERIFY_KERNEL},
            {"cmdline", "policy.command-line", VERIFY_COMMAND_LINE},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                struct judge_boot boot;

                judge_boot_read(&boot, rows[i].boot);
                result = judge_host_boot(b, &boot, policy);
                judge_refused(result, result->host, rows[i].boot, rows[i].id);
                judge_refused(result, result->vms[0], "a VM on it", "bind.host");
                assert_int_equal(result->host->parts[rows[i].part], VERIFY_BAD);
                judge_boot_done(&boot);
        }
}

/*
 * What it takes to be affirmed: hardware, measured so and by a starter, with a boot that the policy
 * knows, and a CA that saw the EK's certificate. Each alone is not enough.
 */
static void affirmed_hosts(struct builder *b, const struct judge_boot *good,
                           const struct policy *policy)
{
        static const struct {
                const char *name, *event, *about;
                bool residency;
                enum verify_tier tier;
        } hosts[] = {
            {"all", STARTED, ABOUT("hardware", "0.1.0", "starter"), true, VERIFY_AFFIRMING},
            {"EK not certified", STARTED, ABOUT("hardware", "0.1.0", "starter"), false,
             VERIFY_WARNING},
            {"a TCB that measured itself", HARDWARE, ABOUT("hardware", "0.1.0", "tcb"), true,
             VERIFY_WARNING},
            {"a software TPM with a certificate", "catena-ptpm swtpm starter IBM SW_TPM 1.0.0.0",
             ABOUT("swtpm", "0.1.0", "starter"), true, VERIFY_WARNING},
        };

        for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;

                builder_make_host_log(b, hosts[i].event);
                b->about = hosts[i].about;
                b->residency = hosts[i].residency;
                result = judge_host_boot(b, good, policy);
                if (result->tier != hosts[i].tier) {
                        judge_print(result->host);
                        fail_msg("%s: %s", hosts[i].name, verify_tier_name(result->tier));
                }
                assert_int_equal(result->host->tier, hosts[i].tier);
                assert_int_equal(result->ek_certified, hosts[i].residency);
        }
        b->residency = false;
        b->about = ABOUT("embedded", "0.1.0", "tcb");
        builder_make_host_log(b, BUILDER_PTPM);
}

/* A policy that knows how hosts boot takes no host that does not say it. */
static void silent_host(struct builder *b, const struct policy *policy)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;

        b->host_tcg_log.len = 0;
        b->host_ima_log.len = 0;
        memset(b->pcrs, 0, 11 * sizeof(b->pcrs[0]));
        evidence = builder_build(b);
        result = judge_by(evidence, b, policy);
        judge_refused(result, result->host, "no log", "log.missing");
}

static void real_host_boots(void **state)
{
        struct policy AUTO_POLICY *policy = NULL, AUTO_POLICY *boot = NULL;
        struct judge_boot good;
        struct builder b;
        struct err err = {0};

        (void)state;
        if (test_fixtures() == NULL) {
                print_message("no fixtures: real boots of a host are skipped\n");
                skip();
        }
        builder_init(&b, test_dir(), "host-boots");
        judge_boot_read(&good, "good");
        judge_boot_into(&good, &b);
        policy = judge_learn(&good);
        boot = judge_learn_boot(&good);
        assert_ok(policy_set_host_boot(policy, boot, &err), &err);
        boot = NULL;
        good_host_boots(&b, &good, policy);
        affirmed_hosts(&b, &good, policy);
        other_host_boots(&b, policy);
        silent_host(&b, policy);
        judge_boot_done(&good);
        builder_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(small_logs),      cmocka_unit_test(the_kind_is_measured),
            cmocka_unit_test(measured_again),  cmocka_unit_test(a_supervisor_that_is_missing),
            cmocka_unit_test(real_host_boots),
        };

        return cmocka_run_group_tests_name("verify-host", tests, NULL, NULL);
}
