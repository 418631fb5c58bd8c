/*
 * Logs that must not win, all the way to the verdict: a real boot whose log is changed, with what
 * the TPM really holds, or with a quote over what the changed log says. A verdict counts here, not
 * what a parser says of a log.
 */
#include "evlog/event-type.h"
#include "evlog/ima.h"
#include "evlog/logbuild.h"
#include "evlog/replay.h"
#include "lib/test.h"
#include "verify/test-judge.h"

#define EVENTS_MAX 512

/* A boot whose events can be changed. */
struct bent {
        const struct judge_boot *boot;
        struct tcglog *log;
        struct tcglog_event events[EVENTS_MAX];
        size_t n;
        struct ima_log *ima_parsed;
        struct writer memory;  /* changed data and digests */
        struct writer tcg_log; /* the changed log */
        struct writer ima_log; /* the changed list */
        const char *one_bank;  /* only this one is in the log */
        enum tcglog_format format;
};

static void bent_init(struct bent *bent, const struct judge_boot *boot)
{
        struct err err = {0};

        memset(bent, 0, sizeof(*bent));
        bent->boot = boot;
        bent->format = TCGLOG_AGILE;
        assert_ok(tcglog_parse(judge_boot_file(boot, 0), &bent->log, &err), &err);
        assert_ok(ima_log_parse(judge_boot_file(boot, 1), &bent->ima_parsed, &err), &err);
        assert_true(bent->log->event_count < EVENTS_MAX - 64);
        for (size_t i = 0; i < bent->log->event_count; i++)
                if (bent->log->events[i].type != EV_NO_ACTION)
                        bent->events[bent->n++] = bent->log->events[i];
        /* Fixed, so that views into it stay. */
        writer_init_fixed(&bent->memory, malloc(1U << 20), 1U << 20);
        writer_init(&bent->tcg_log, 1U << 20);
        writer_init(&bent->ima_log, 1U << 20);
        writer_put_bytes(&bent->ima_log, judge_boot_file(boot, 1));
}

static void bent_done(struct bent *bent)
{
        tcglog_free(bent->log);
        ima_log_free(bent->ima_parsed);
        free(bent->memory.data);
        writer_done(&bent->tcg_log);
        writer_done(&bent->ima_log);
}

/* The first event of a PCR and type whose data holds these words. */
static struct tcglog_event *find(struct bent *bent, uint32_t pcr, uint32_t type, const char *words)
{
        for (size_t i = 0; i < bent->n; i++)
                if (bent->events[i].pcr == pcr && bent->events[i].type == type &&
                    (words == NULL || memmem(bent->events[i].data.data, bent->events[i].data.len,
                                             words, strlen(words)) != NULL))
                        return &bent->events[i];
        fail_msg("no such event: PCR %u, type %u, %s", pcr, type, words == NULL ? "" : words);
        return &bent->events[0]; /* not reached */
}

static void drop(struct bent *bent, struct tcglog_event *event)
{
        size_t at = (size_t)(event - bent->events);

        memmove(event, event + 1, (bent->n - at - 1) * sizeof(*event));
        bent->n--;
}

static const uint8_t *keep(struct bent *bent, const void *data, size_t len)
{
        const uint8_t *at = bent->memory.data + bent->memory.len;

        writer_put(&bent->memory, data, len);
        assert_int_equal(writer_check(&bent->memory), 0);
        return at;
}

static void set_digest(struct bent *bent, struct tcglog_event *event, const void *data, size_t len)
{
        for (size_t i = 0; i < bent->log->bank_count; i++) {
                uint8_t digest[HASH_SIZE_MAX];
                struct err err = {0};

                assert_ok(hash_digest(bent->log->banks[i].alg, data, len, digest, &err), &err);
                event->digests[i] = keep(bent, digest, bent->log->banks[i].size);
        }
}

static struct tcglog_event *add(struct bent *bent, uint32_t pcr, uint32_t type, const char *text)
{
        struct tcglog_event *event = &bent->events[bent->n++];

        *event = (struct tcglog_event){.pcr = pcr, .type = type};
        event->data = (struct bytes){keep(bent, text, strlen(text)), strlen(text)};
        set_digest(bent, event, text, strlen(text));
        return event;
}

static void write_event(struct bent *bent, struct logbuild *build, const struct tcglog_event *event)
{
        uint8_t digests[TCGLOG_BANKS_MAX * HASH_SIZE_MAX];
        size_t at = 0;

        for (size_t i = 0; i < bent->log->bank_count; i++) {
                if (bent->one_bank != NULL &&
                    strcmp(bent->one_bank, bent->log->banks[i].alg->name) != 0)
                        continue;
                assert_non_null(event->digests[i]);
                memcpy(digests + at, event->digests[i], bent->log->banks[i].size);
                at += bent->log->banks[i].size;
        }
        logbuild_add_digests(build, event->pcr, event->type, event->data, digests);
}

static void write_log(struct bent *bent)
{
        const char *banks[TCGLOG_BANKS_MAX + 1] = {bent->one_bank};
        struct logbuild build;
        struct err err = {0};

        for (size_t i = 0; bent->one_bank == NULL && i < bent->log->bank_count; i++)
                banks[i] = bent->log->banks[i].alg->name;
        assert_ok(logbuild_begin(&build, &bent->tcg_log, bent->format, banks, &err), &err);
        for (size_t i = 0; i < bent->n; i++)
                write_event(bent, &build, &bent->events[i]);
        assert_int_equal(writer_check(&bent->tcg_log), 0);
}

/* What a TPM holds after exactly these logs. */
static void requote(struct bent *bent, uint8_t pcrs[24][32])
{
        const struct hash_alg *sha256 = hash_by_name("sha256");
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct ima_log AUTO_IMA_LOG *ima = NULL;
        struct replay_bank bank = {.alg = NULL};
        struct err err = {0};

        assert_ok(tcglog_parse(writer_bytes(&bent->tcg_log), &log, &err), &err);
        if (bent->n > 0)
                assert_ok(replay_run_bank(log, sha256, &bank, &err), &err);
        for (uint32_t i = 0; i < 16; i++)
                memcpy(pcrs[i], bank.pcrs[i], 32);
        assert_ok(ima_log_parse(writer_bytes(&bent->ima_log), &ima, &err), &err);
        for (size_t i = 0; i < ima->count; i++) {
                uint8_t digest[32];

                assert_ok(ima_entry_digest(&ima->entries[i], sha256, digest, &err), &err);
                assert_ok(hash_extend(sha256, pcrs[10], digest, &err), &err);
        }
}

/* ---- changes of the event log ---------------------------------------------------------------- */

static struct tcglog_event *kernel_file(struct bent *bent)
{
        return find(bent, 9, EV_IPL, "vmlinuz");
}

static struct tcglog_event *command_line(struct bent *bent)
{
        return find(bent, 8, EV_IPL, "kernel_cmdline");
}

static struct tcglog_event *grub(struct bent *bent)
{
        return find(bent, 4, EV_EFI_BOOT_SERVICES_APPLICATION, NULL);
}

static void unchanged(struct bent *bent)
{
        (void)bent;
}

static void kernel_no_action(struct bent *bent)
{
        kernel_file(bent)->type = EV_NO_ACTION;
}

static void grub_as_action(struct bent *bent)
{
        grub(bent)->type = EV_EFI_ACTION;
}

static void grub_as_separator(struct bent *bent)
{
        grub(bent)->type = EV_SEPARATOR;
}

static void other_words(struct bent *bent)
{
        static const char words[] = "kernel_cmdline: /vmlinuz rdinit=/bin/sh";

        command_line(bent)->data = (struct bytes){(const uint8_t *)words, sizeof(words) - 1};
}

static void other_command_line(struct bent *bent)
{
        other_words(bent);
        set_digest(bent, command_line(bent), "/vmlinuz rdinit=/bin/sh", 23);
}

static void swap_paths(struct bent *bent)
{
        struct tcglog_event *kernel = kernel_file(bent);
        struct tcglog_event *config = find(bent, 9, EV_IPL, "grub.cfg");
        struct bytes path = kernel->data;

        kernel->data = config->data;
        config->data = path;
}

static void drop_separator(struct bent *bent)
{
        drop(bent, find(bent, 4, EV_SEPARATOR, NULL));
}

static void double_separator(struct bent *bent)
{
        struct tcglog_event twice = *find(bent, 4, EV_SEPARATOR, NULL);

        bent->events[bent->n++] = twice;
}

static void drop_exit(struct bent *bent)
{
        drop(bent, find(bent, 5, EV_EFI_ACTION, "Exit Boot Services Invocation"));
}

static void debug_mode(struct bent *bent)
{
        (void)add(bent, 7, EV_EFI_ACTION, "UEFI Debug Mode");
}

static void late_variable(struct bent *bent)
{
        struct tcglog_event late = *find(bent, 7, EV_EFI_VARIABLE_DRIVER_CONFIG, NULL);

        bent->events[bent->n++] = late;
}

static void drop_variable(struct bent *bent)
{
        drop(bent, find(bent, 7, EV_EFI_VARIABLE_DRIVER_CONFIG, NULL));
}

static void cut_variable(struct bent *bent)
{
        struct tcglog_event *event = find(bent, 7, EV_EFI_VARIABLE_DRIVER_CONFIG, NULL);

        event->data.len /= 2;
        set_digest(bent, event, event->data.data, event->data.len);
}

static void reorder(struct bent *bent)
{
        struct tcglog_event *first = find(bent, 8, EV_IPL, "grub_cmd");
        struct tcglog_event *second = command_line(bent);
        struct tcglog_event swapped = *first;

        *first = *second;
        *second = swapped;
}

static void twice_command(struct bent *bent)
{
        struct tcglog_event twice = *find(bent, 8, EV_IPL, "grub_cmd");

        bent->events[bent->n++] = twice;
}

static void drop_kernel(struct bent *bent)
{
        drop(bent, kernel_file(bent));
}

static void drop_command_line(struct bent *bent)
{
        drop(bent, command_line(bent));
}

static void drop_grub(struct bent *bent)
{
        drop(bent, grub(bent));
}

static void drop_all(struct bent *bent)
{
        bent->n = 0;
}

static void sha1_only(struct bent *bent)
{
        bent->one_bank = "sha1";
}

/*
 * One byte of the first record, which nothing measures, and the log is one of a confidential VM's
 * registers: separators are then expected elsewhere, and Secure Boot's variables as well.
 */
static void as_registers(struct bent *bent)
{
        bent->format = TCGLOG_CCEL;
}

static void drop_separator_as_registers(struct bent *bent)
{
        drop_separator(bent);
        as_registers(bent);
}

static void double_separator_as_registers(struct bent *bent)
{
        double_separator(bent);
        as_registers(bent);
}

static void no_pcr(struct bent *bent)
{
        kernel_file(bent)->pcr = TCGLOG_PCR_NONE;
}

static void pcr_99(struct bent *bent)
{
        kernel_file(bent)->pcr = 99;
}

static void more_pcr(struct bent *bent)
{
        (void)add(bent, 14, EV_IPL, "MokList");
}

/* ---- changes of the IMA list ------------------------------------------------------------------
 */

static size_t ima_end(const struct bent *bent, size_t entry)
{
        if (entry + 1 < bent->ima_parsed->count)
                return bent->ima_parsed->entries[entry + 1].offset;
        return judge_boot_file(bent->boot, 1).len;
}

/* Only the entries from first on, before end. */
static void ima_slice(struct bent *bent, size_t first, size_t end)
{
        const uint8_t *list = judge_boot_file(bent->boot, 1).data;
        size_t at = bent->ima_parsed->entries[first].offset;

        bent->ima_log.len = 0;
        writer_put(&bent->ima_log, list + at, ima_end(bent, end - 1) - at);
}

static void ima_shorter(struct bent *bent)
{
        ima_slice(bent, 0, bent->ima_parsed->count - 1);
}

static void ima_offset(struct bent *bent)
{
        ima_slice(bent, 1, bent->ima_parsed->count);
}

static void ima_none(struct bent *bent)
{
        bent->ima_log.len = 0;
}

static void ima_aggregate_only(struct bent *bent)
{
        ima_slice(bent, 0, 1);
}

static void ima_longer(struct bent *bent)
{
        const uint8_t *list = judge_boot_file(bent->boot, 1).data;
        size_t last = bent->ima_parsed->count - 1;
        size_t at = bent->ima_parsed->entries[last].offset;

        writer_put(&bent->ima_log, list + at, ima_end(bent, last) - at);
}

/* One byte of the last entry's path, or of the digest of the first. */
static void flip(struct bent *bent, const uint8_t *at)
{
        bent->ima_log.data[at - judge_boot_file(bent->boot, 1).data] ^= 0x01;
}

static void ima_path(struct bent *bent)
{
        const struct ima_entry *last = &bent->ima_parsed->entries[bent->ima_parsed->count - 1];

        flip(bent, last->path.data + last->path.len - 1);
}

static void ima_aggregate(struct bent *bent)
{
        flip(bent, bent->ima_parsed->entries[0].hash.data);
}

static void ima_violation(struct bent *bent)
{
        const struct ima_entry *last = &bent->ima_parsed->entries[bent->ima_parsed->count - 1];
        size_t at = (size_t)(last->digest.data - judge_boot_file(bent->boot, 1).data);

        memset(bent->ima_log.data + at, 0, last->digest.len);
}

/*
 * A program ran that the policy does not know. Root then extends PCR 10 with the entries of a good
 * boot, and shows what was extended before as events of the firmware's log.
 */
static void ima_as_events(struct bent *bent)
{
        for (size_t i = 0; i < bent->ima_parsed->count; i++) {
                const struct ima_entry *entry = &bent->ima_parsed->entries[i];

                set_digest(bent, add(bent, 10, EV_IPL, "/boot/extra"), entry->data.data,
                           entry->data.len);
        }
        (void)add(bent, 10, EV_IPL, "/evil");
}

enum pcrs { AS_BOOTED, AS_LOGGED, AS_RESET };

static const struct {
        const char *name;
        void (*bend)(struct bent *bent);
        enum pcrs pcrs;
        const char *id; /* NULL: not refused */
} rows[] = {
    {"as it was", unchanged, AS_BOOTED, NULL},
    {"as it was, quoted again", unchanged, AS_LOGGED, NULL},
    {"L-TYPE-SPOOF kernel as EV_NO_ACTION", kernel_no_action, AS_BOOTED, "log.replay"},
    {"L-TYPE-SPOOF kernel as EV_NO_ACTION, quoted", kernel_no_action, AS_LOGGED, "policy.kernel"},
    {"L-TYPE-SPOOF GRUB as an action", grub_as_action, AS_BOOTED, "policy.event"},
    {"L-TYPE-SPOOF GRUB as a separator", grub_as_separator, AS_BOOTED, "policy.event"},
    {"L-DATA words changed, digest kept", other_words, AS_BOOTED, "policy.event"},
    {"L-DATA words and digest changed", other_command_line, AS_BOOTED, "log.replay"},
    {"L-DATA words and digest changed, quoted", other_command_line, AS_LOGGED,
     "policy.command-line"},
    {"L-PATH names of two files swapped", swap_paths, AS_BOOTED, "policy.kernel"},
    {"L-SEP missing", drop_separator, AS_LOGGED, "log.separator"},
    {"L-SEP doubled", double_separator, AS_LOGGED, "log.separator"},
    {"L-SEP a variable after it", late_variable, AS_LOGGED, "policy.firmware"},
    {"L-EBS dropped", drop_exit, AS_BOOTED, "log.replay"},
    {"L-EBS dropped, quoted", drop_exit, AS_LOGGED, "policy.firmware"},
    {"L-NO-AUTH a Secure Boot variable less", drop_variable, AS_LOGGED, "policy.firmware"},
    {"L-DEBUG", debug_mode, AS_LOGGED, "log.debug"},
    {"L-UEFIVAR cut, quoted", cut_variable, AS_LOGGED, "policy.firmware"},
    {"L-REORDER", reorder, AS_BOOTED, "log.replay"},
    {"L-REORDER quoted", reorder, AS_LOGGED, "policy.boot-loader"},
    {"L-DUP", twice_command, AS_BOOTED, "log.replay"},
    {"L-DUP quoted", twice_command, AS_LOGGED, "policy.boot-loader"},
    {"L-DROP kernel", drop_kernel, AS_BOOTED, "log.replay"},
    {"L-DROP kernel, quoted", drop_kernel, AS_LOGGED, "policy.kernel"},
    {"L-DROP command line, quoted", drop_command_line, AS_LOGGED, "policy.command-line"},
    {"L-DROP GRUB, quoted", drop_grub, AS_LOGGED, "ima.boot-aggregate"},
    {"L-EMPTY", drop_all, AS_BOOTED, "log.replay"},
    {"L-EMPTY and zero PCRs", drop_all, AS_LOGGED, "log.empty"},
    {"L-BANK-UNEXT only SHA-1 is logged", sha1_only, AS_BOOTED, "log.replay"},
    {"L-SPECID a log of registers", as_registers, AS_BOOTED, "log.malformed"},
    {"L-SEP missing, as a log of registers", drop_separator_as_registers, AS_LOGGED,
     "log.malformed"},
    {"L-SEP doubled, as a log of registers", double_separator_as_registers, AS_LOGGED,
     "log.malformed"},
    {"L-NOACTION PCR index 0xffffffff", no_pcr, AS_BOOTED, "log.malformed"},
    {"L-LEGACY PCR index 99", pcr_99, AS_BOOTED, "log.malformed"},
    {"L-DUP an event that never was", more_pcr, AS_BOOTED, "log.replay"},
    {"Q-RESET the TPM began anew, the logs did not", unchanged, AS_RESET, "log.replay"},
    {"a PCR that the policy does not know", more_pcr, AS_LOGGED, "policy.pcr"},
    {"I-TAIL shorter", ima_shorter, AS_BOOTED, "ima.replay"},
    {"I-TAIL longer", ima_longer, AS_BOOTED, NULL},
    {"I-OFFSET", ima_offset, AS_BOOTED, "ima.replay"},
    {"I-OFFSET quoted", ima_offset, AS_LOGGED, "ima.boot-aggregate"},
    {"I-TAIL no list", ima_none, AS_BOOTED, "log.replay"},
    {"I-TAIL nothing measured", ima_aggregate_only, AS_LOGGED, "ima.missing"},
    {"I-TEMPLATE another path", ima_path, AS_BOOTED, "ima.replay"},
    {"I-TEMPLATE another path, quoted", ima_path, AS_LOGGED, "policy.program"},
    {"I-VIOLATION", ima_violation, AS_BOOTED, "ima.replay"},
    {"I-VIOLATION quoted", ima_violation, AS_LOGGED, "ima.violation"},
    {"I-BOOTAGG", ima_aggregate, AS_LOGGED, "ima.boot-aggregate"},
    {"I-OFFSET entries shown as events of PCR 10", ima_as_events, AS_LOGGED, "policy.event"},
};

static void run_row(size_t i, struct builder *b, const struct judge_boot *boot,
                    const struct policy *policy)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
        struct bent *bent = calloc(1, sizeof(*bent));

        assert_non_null(bent);
        bent_init(bent, boot);
        rows[i].bend(bent);
        write_log(bent);
        judge_boot_into(boot, b);
        if (rows[i].pcrs == AS_LOGGED)
                requote(bent, b->vms[0].pcrs);
        else if (rows[i].pcrs == AS_RESET)
                memset(b->vms[0].pcrs, 0, sizeof(b->vms[0].pcrs));
        b->vms[0].tcg_log = writer_bytes(&bent->tcg_log);
        b->vms[0].ima_log = writer_bytes(&bent->ima_log);
        evidence = builder_build(b);
        result = judge_by(evidence, b, policy);
        if (rows[i].id != NULL) {
                judge_refused(result, result->vms[0], rows[i].name, rows[i].id);
        } else if (result->vms[0]->tier != VERIFY_WARNING) {
                judge_print(result->vms[0]);
                fail_msg("%s: refused", rows[i].name);
        }
        bent_done(bent);
        free(bent);
}

static void logs_that_must_not_win(void **state)
{
        struct policy AUTO_POLICY *policy = NULL;
        struct judge_boot boot;
        struct builder b;

        (void)state;
        if (test_fixtures() == NULL) {
                print_message("no fixtures: changed logs of real boots are skipped\n");
                skip();
        }
        builder_init(&b, test_dir(), "host-attacked");
        judge_boot_read(&boot, "good");
        policy = judge_learn(&boot);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                run_row(i, &b, &boot, policy);
        judge_boot_done(&boot);
        builder_done(&b);
}

/* L-TRUNC: a log cut anywhere is refused; so is an IMA list. */
static void cut_anywhere(void **state)
{
        struct policy AUTO_POLICY *policy = NULL;
        struct judge_boot boot;
        struct builder b;

        (void)state;
        if (test_fixtures() == NULL) {
                print_message("no fixtures: cut logs of real boots are skipped\n");
                skip();
        }
        builder_init(&b, test_dir(), "host-cut");
        judge_boot_read(&boot, "good");
        policy = judge_learn(&boot);
        for (size_t which = 0; which < 2; which++) {
                for (size_t part = 1; part < 32; part++) {
                        struct evidence AUTO_EVIDENCE *evidence = NULL;
                        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                        struct bytes *log = which == 0 ? &b.vms[0].tcg_log : &b.vms[0].ima_log;

                        judge_boot_into(&boot, &b);
                        log->len = log->len * part / 32;
                        evidence = builder_build(&b);
                        result = judge_by(evidence, &b, policy);
                        assert_int_equal(result->vms[0]->tier, VERIFY_CONTRAINDICATED);
                        assert_int_equal(result->vms[1]->tier, VERIFY_WARNING);
                }
        }
        judge_boot_done(&boot);
        builder_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(logs_that_must_not_win),
            cmocka_unit_test(cut_anywhere),
        };

        return cmocka_run_group_tests_name("verify-attacks", tests, NULL, NULL);
}
