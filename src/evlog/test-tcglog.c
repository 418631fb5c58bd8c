/*
 * The inputs that must not win (L-*): logs that are built here, bent in one place, and judged.
 */
#include "base/hex.h"
#include "evlog/event-text.h"
#include "evlog/event-type.h"
#include "evlog/facts.h"
#include "evlog/findings.h"
#include "evlog/logbuild.h"
#include "evlog/replay.h"
#include "evlog/text.h"
#include "evlog/uefi.h"
#include "lib/test.h"

#define TEXT(s)  ((struct bytes){(const uint8_t *)(s), strlen(s)})
#define BYTES(s) ((struct bytes){(const uint8_t *)(s), sizeof(s) - 1})
#define LOG_MAX  65536

static const char *const two_banks[] = {"sha1", "sha256", NULL};
static const char *const only_sha1[] = {"sha1", NULL};

struct built {
        uint8_t memory[LOG_MAX];
        struct writer w;
        struct logbuild build;
};

static void begin(struct built *b, enum tcglog_format format, const char *const *banks)
{
        struct err err = {0};

        writer_init_fixed(&b->w, b->memory, sizeof(b->memory));
        assert_ok(logbuild_begin(&b->build, &b->w, format, banks, &err), &err);
}

static void add_measured(struct built *b, uint32_t pcr, uint32_t type, struct bytes data,
                         struct bytes measured)
{
        struct err err = {0};

        assert_ok(logbuild_add(&b->build, pcr, type, data, measured, &err), &err);
}

static void add(struct built *b, uint32_t pcr, uint32_t type, struct bytes data)
{
        add_measured(b, pcr, type, data, data);
}

static void add_variable(struct built *b, uint32_t type, const char *name, struct bytes value)
{
        uint8_t memory[512];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        logbuild_put_variable(&w, name, value);
        add(b, 7, type, writer_bytes(&w));
}

static int parse(const struct built *b, struct tcglog **ret_log, struct err *err)
{
        assert_int_equal(writer_check(&b->w), 0);
        return tcglog_parse(writer_bytes(&b->w), ret_log, err);
}

/* Which step of a good boot is bent. */
enum bend {
        BEND_NONE,
        BEND_NO_SEPARATOR,
        BEND_TWO_SEPARATORS,
        BEND_ERROR_SEPARATOR,
        BEND_ODD_SEPARATOR,
        BEND_LONG_SEPARATOR,
        BEND_TYPED_SEPARATOR,
        BEND_LATE_VARIABLE,
        BEND_NO_EXIT,
        BEND_EXIT_FAILED,
        BEND_EXIT_FORGED,
        BEND_NO_AUTHORITY,
        BEND_FORGED_AUTHORITY,
        BEND_SECURE_BOOT_TWICE,
        BEND_SECURE_BOOT_FORGED,
        BEND_SECURE_BOOT_ODD,
        BEND_SECURE_BOOT_OFF,
        BEND_DEBUG,
        BEND_DMA,
        BEND_TYPE_IN_PCR,
        BEND_TYPE_UNKNOWN,
        BEND_TYPE_ACTION,
        BEND_CMDLINE_FORGED,
        BEND_VARIABLE_OVERFLOW,
        BEND_BOOT_VARIABLE,
};

static void add_separator(struct built *b, uint32_t pcr, enum bend bend)
{
        struct bytes zeros = BYTES("\0\0\0\0");

        if (pcr != 4) {
                add(b, pcr, EV_SEPARATOR, zeros);
                return;
        }
        if (bend == BEND_ERROR_SEPARATOR)
                add_measured(b, pcr, EV_SEPARATOR, BYTES("\1\0\0\0"), BYTES("\1\0\0\0"));
        else if (bend == BEND_ODD_SEPARATOR)
                add(b, pcr, EV_SEPARATOR, BYTES("\2\0\0\0"));
        else if (bend == BEND_LONG_SEPARATOR)
                add_measured(b, pcr, EV_SEPARATOR, BYTES("\0\0\0\0\0"), zeros);
        else if (bend == BEND_TYPED_SEPARATOR)
                add(b, pcr, EV_EFI_ACTION, zeros);
        else if (bend != BEND_NO_SEPARATOR)
                add(b, pcr, EV_SEPARATOR, zeros);
        if (bend == BEND_TWO_SEPARATORS)
                add(b, pcr, EV_SEPARATOR, zeros);
}

static void add_secure_boot(struct built *b, enum bend bend)
{
        struct bytes on = bend == BEND_SECURE_BOOT_OFF ? BYTES("\0") : BYTES("\1");

        if (bend == BEND_SECURE_BOOT_ODD)
                on = BYTES("\2");
        if (bend == BEND_SECURE_BOOT_FORGED) {
                uint8_t memory[128];
                struct writer w;

                writer_init_fixed(&w, memory, sizeof(memory));
                logbuild_put_variable(&w, "SecureBoot", on);
                add_measured(b, 7, EV_EFI_VARIABLE_DRIVER_CONFIG, writer_bytes(&w), BYTES("off"));
                return;
        }
        add_variable(b, EV_EFI_VARIABLE_DRIVER_CONFIG, "SecureBoot", on);
        if (bend == BEND_SECURE_BOOT_TWICE)
                add_variable(b, EV_EFI_VARIABLE_DRIVER_CONFIG, "SecureBoot", BYTES("\0"));
}

static void add_firmware(struct built *b, enum bend bend)
{
        add(b, 0, EV_S_CRTM_VERSION, BYTES("1\0.\0"));
        add_secure_boot(b, bend);
        if (bend == BEND_VARIABLE_OVERFLOW)
                add(b, 7, EV_EFI_VARIABLE_DRIVER_CONFIG,
                    BYTES("0123456789abcdef\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0x"));
        if (bend == BEND_DEBUG)
                add(b, 7, EV_EFI_ACTION, TEXT("UEFI Debug Mode"));
        if (bend == BEND_DMA)
                add(b, 7, EV_EFI_ACTION, TEXT("DMA Protection Disabled"));
        if (bend == BEND_TYPE_IN_PCR)
                add(b, 7, EV_IPL, TEXT("grub_cmd: x"));
        if (bend == BEND_TYPE_UNKNOWN)
                add(b, 1, 0x31337, TEXT("?"));
        if (bend == BEND_BOOT_VARIABLE)
                add_measured(b, 1, EV_EFI_VARIABLE_BOOT, BYTES("short"), BYTES("long"));
        for (uint32_t pcr = 0; pcr < 8; pcr++)
                add_separator(b, pcr, bend);
        if (bend == BEND_LATE_VARIABLE)
                add_variable(b, EV_EFI_VARIABLE_DRIVER_CONFIG, "dbx", BYTES("late"));
}

static void add_loader(struct built *b, enum bend bend)
{
        static const char forged[] = "kernel_cmdline: /vmlinuz quiet";

        if (bend == BEND_FORGED_AUTHORITY)
                add_measured(b, 7, EV_EFI_VARIABLE_AUTHORITY, BYTES("certificate"), BYTES("none"));
        else if (bend != BEND_NO_AUTHORITY)
                add_variable(b, EV_EFI_VARIABLE_AUTHORITY, "db", BYTES("certificate"));
        if (bend == BEND_TYPE_ACTION)
                add_measured(b, 4, EV_EFI_ACTION, TEXT("Booting"), TEXT("grub.efi"));
        else
                add_measured(b, 4, EV_EFI_BOOT_SERVICES_APPLICATION, BYTES("image"), TEXT("grub"));
        add_measured(b, 8, EV_IPL, TEXT("grub_cmd: linux /vmlinuz quiet"),
                     TEXT("linux /vmlinuz quiet"));
        add_measured(b, 9, EV_IPL, TEXT("/vmlinuz"), TEXT("kernel's bytes"));
        add_measured(b, 8, EV_IPL, TEXT(forged),
                     bend == BEND_CMDLINE_FORGED ? TEXT("/vmlinuz evil") : TEXT("/vmlinuz quiet"));
        add_measured(b, 8, EV_IPL, TEXT("grub_cmd: initrd /initrd"), TEXT("initrd /initrd"));
        add_measured(b, 9, EV_IPL, TEXT("/initrd"), TEXT("initrd's bytes"));
        if (bend == BEND_NO_EXIT)
                return;
        add(b, 5, EV_EFI_ACTION, TEXT("Exit Boot Services Invocation"));
        if (bend == BEND_EXIT_FAILED)
                add(b, 5, EV_EFI_ACTION, TEXT("Exit Boot Services Returned with Failure"));
        else
                add_measured(b, 5, EV_EFI_ACTION, TEXT("Exit Boot Services Returned with Success"),
                             bend == BEND_EXIT_FORGED
                                 ? TEXT("Exit Boot Services Returned with Failure")
                                 : TEXT("Exit Boot Services Returned with Success"));
}

static void build_boot(struct built *b, enum bend bend)
{
        begin(b, TCGLOG_AGILE, two_banks);
        add_firmware(b, bend);
        add_loader(b, bend);
}

static const struct {
        const char *attack;
        enum bend bend;
        const char *id; /* NULL: nothing but notes */
        enum finding_severity severity;
} findings_rows[] = {
    {"a good boot", BEND_NONE, NULL, FINDING_NOTE},
    {"L-SEP missing", BEND_NO_SEPARATOR, "log.separator", FINDING_ERROR},
    {"L-SEP doubled", BEND_TWO_SEPARATORS, "log.separator", FINDING_ERROR},
    {"L-SEP error value", BEND_ERROR_SEPARATOR, "log.separator", FINDING_ERROR},
    {"L-SEP odd value", BEND_ODD_SEPARATOR, "log.separator", FINDING_ERROR},
    {"L-SEP long data", BEND_LONG_SEPARATOR, "log.separator", FINDING_ERROR},
    {"L-SEP wrong type", BEND_TYPED_SEPARATOR, "log.separator", FINDING_ERROR},
    {"L-SEP variables after it", BEND_LATE_VARIABLE, "log.after-separator", FINDING_ERROR},
    {"L-EBS", BEND_NO_EXIT, "log.exit-boot-services", FINDING_WARNING},
    {"L-EBS failed", BEND_EXIT_FAILED, "log.exit-boot-services", FINDING_WARNING},
    {"L-EBS forged", BEND_EXIT_FORGED, "log.data", FINDING_ERROR},
    {"L-EBS forged does not count", BEND_EXIT_FORGED, "log.exit-boot-services", FINDING_WARNING},
    {"L-NO-AUTH", BEND_NO_AUTHORITY, "log.secure-boot", FINDING_ERROR},
    {"L-NO-AUTH forged", BEND_FORGED_AUTHORITY, "log.secure-boot", FINDING_ERROR},
    {"L-NO-AUTH twice", BEND_SECURE_BOOT_TWICE, "log.secure-boot", FINDING_ERROR},
    {"L-NO-AUTH odd value", BEND_SECURE_BOOT_ODD, "log.secure-boot", FINDING_ERROR},
    {"L-DATA Secure Boot", BEND_SECURE_BOOT_FORGED, "log.data", FINDING_ERROR},
    {"Secure Boot off", BEND_SECURE_BOOT_OFF, "log.secure-boot", FINDING_NOTE},
    {"L-DEBUG", BEND_DEBUG, "log.debug", FINDING_ERROR},
    {"DMA protection off", BEND_DMA, "log.dma-protection", FINDING_WARNING},
    {"L-TYPE-SPOOF type of another PCR", BEND_TYPE_IN_PCR, "log.type", FINDING_WARNING},
    {"L-TYPE-SPOOF unknown type", BEND_TYPE_UNKNOWN, "log.type", FINDING_NOTE},
    {"L-TYPE-SPOOF image as action", BEND_TYPE_ACTION, "log.data", FINDING_ERROR},
    {"L-DATA command line", BEND_CMDLINE_FORGED, "log.data", FINDING_ERROR},
    {"L-DATA boot variable", BEND_BOOT_VARIABLE, "log.data", FINDING_ERROR},
};

static void findings_name_what_is_wrong(void **state)
{
        static struct findings findings;
        static struct built b;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(findings_rows); i++) {
                struct tcglog AUTO_TCGLOG *log = NULL;
                const struct finding *finding = NULL;
                struct err err = {0};

                memset(&findings, 0xa5, sizeof(findings));
                build_boot(&b, findings_rows[i].bend);
                assert_ok(parse(&b, &log, &err), &err);
                assert_ok(findings_collect(log, &findings, &err), &err);
                if (findings_rows[i].id == NULL) {
                        assert_int_equal(findings.count, 0);
                        assert_int_equal(findings.secure_boot, SECURE_BOOT_ON);
                        continue;
                }
                finding = findings_find(&findings, findings_rows[i].id);
                if (finding == NULL || finding->severity != findings_rows[i].severity)
                        fail_msg("%s: %s", findings_rows[i].attack,
                                 finding == NULL ? "not found" : finding->text);
                assert_true(findings.worst >= finding->severity);
        }
}

static void secure_boot_is_on_only_when_verified(void **state)
{
        static const struct {
                enum bend bend;
                enum secure_boot state;
        } rows[] = {{BEND_NONE, SECURE_BOOT_ON},
                    {BEND_SECURE_BOOT_OFF, SECURE_BOOT_OFF},
                    {BEND_SECURE_BOOT_FORGED, SECURE_BOOT_UNKNOWN},
                    {BEND_SECURE_BOOT_TWICE, SECURE_BOOT_UNKNOWN},
                    {BEND_SECURE_BOOT_ODD, SECURE_BOOT_UNKNOWN}};
        static struct findings findings;
        static struct built b;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct tcglog AUTO_TCGLOG *log = NULL;
                struct err err = {0};

                build_boot(&b, rows[i].bend);
                assert_ok(parse(&b, &log, &err), &err);
                assert_ok(findings_collect(log, &findings, &err), &err);
                assert_int_equal(findings.secure_boot, rows[i].state);
        }
}

/* A full list must still say how bad it is. */
static void worst_survives_a_full_list(void **state)
{
        static struct findings findings;
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct err err = {0};

        (void)state;
        begin(&b, TCGLOG_AGILE, two_banks);
        for (int i = 0; i < FINDINGS_MAX + 10; i++)
                add(&b, 1, 0x31337, TEXT("?"));
        add_measured(&b, 5, EV_EFI_ACTION, TEXT("a"), TEXT("b"));
        assert_ok(parse(&b, &log, &err), &err);
        assert_ok(findings_collect(log, &findings, &err), &err);
        assert_int_equal(findings.count, FINDINGS_MAX);
        assert_true(findings.more);
        assert_int_equal(findings.worst, FINDING_ERROR);
}

/* L-EMPTY: a log that extends nothing has no PCR at all, not even zeros. */
static void empty_logs_are_not_all_well(void **state)
{
        static const uint8_t zeros[100] = {0};
        static struct findings findings;
        static struct replay replay;
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct tcglog *poisoned = (struct tcglog *)0x1;
        struct err err = {0};

        (void)state;
        assert_int_equal(tcglog_parse((struct bytes){NULL, 0}, &poisoned, &err), ERR_MALFORMED);
        assert_int_equal(tcglog_parse((struct bytes){zeros, 100}, &poisoned, &err), ERR_MALFORMED);
        assert_ptr_equal(poisoned, (struct tcglog *)0x1);
        assert_non_null(strstr(err.text, "byte 0"));
        begin(&b, TCGLOG_AGILE, two_banks);
        assert_ok(parse(&b, &log, &err), &err);
        assert_int_equal(log->event_count, 1);
        assert_ok(replay_run(log, &replay, &err), &err);
        assert_int_equal(replay.count, 0);
        assert_null(replay_pcr(&replay, hash_by_name("sha256"), 0));
        assert_ok(findings_collect(log, &findings, &err), &err);
        assert_non_null(findings_find(&findings, "log.empty"));
        assert_int_equal(findings.worst, FINDING_ERROR);
}

static void value_after(const struct built *b, const char *bank, uint32_t pcr, uint8_t *ret_value)
{
        const struct hash_alg *alg = hash_by_name(bank);
        struct tcglog AUTO_TCGLOG *log = NULL;
        static struct replay replay;
        struct err err = {0};
        const uint8_t *value;

        assert_ok(parse(b, &log, &err), &err);
        assert_ok(replay_run(log, &replay, &err), &err);
        value = replay_pcr(&replay, alg, pcr);
        assert_non_null(value);
        memcpy(ret_value, value, alg->size);
}

/* L-REORDER, L-DUP, L-DROP: every change of the order of events changes the replay. */
static void order_and_number_of_events_count(void **state)
{
        static const char *const orders[] = {"ab", "ba", "aab", "a", "abb"};
        static struct built b;
        uint8_t good[HASH_SIZE_MAX];
        uint8_t now[HASH_SIZE_MAX];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
                begin(&b, TCGLOG_AGILE, two_banks);
                for (const char *c = orders[i]; *c != '\0'; c++)
                        add(&b, 5, EV_EFI_ACTION, (struct bytes){(const uint8_t *)c, 1});
                value_after(&b, "sha256", 5, i == 0 ? good : now);
                if (i > 0)
                        assert_memory_not_equal(good, now, 32);
        }
}

/* L-TRUNC: cut anywhere but between two events a log is malformed; there it replays otherwise. */
static void every_cut_is_noticed(void **state)
{
        static struct built b;
        struct tcglog AUTO_TCGLOG *whole = NULL;
        struct err err = {0};

        (void)state;
        build_boot(&b, BEND_NONE);
        assert_ok(parse(&b, &whole, &err), &err);
        for (size_t len = 0; len < b.w.len; len++) {
                struct tcglog AUTO_TCGLOG *log = NULL;
                int rc = tcglog_parse((struct bytes){b.memory, len}, &log, &err);

                if (rc == 0)
                        assert_true(log->event_count < whole->event_count);
                else
                        assert_int_equal(rc, ERR_MALFORMED);
                if (rc != 0)
                        assert_non_null(strstr(err.text, "at byte "));
        }
}

/* L-NOACTION: EV_NO_ACTION changes no PCR, whatever index and digests it has. */
static void no_action_never_extends(void **state)
{
        static struct built b;
        uint8_t without[HASH_SIZE_MAX];
        uint8_t with[HASH_SIZE_MAX];
        uint8_t digests[20 + 32];

        (void)state;
        begin(&b, TCGLOG_AGILE, two_banks);
        add(&b, 5, EV_ACTION, TEXT("a"));
        value_after(&b, "sha1", 5, without);
        memset(digests, 0x77, sizeof(digests));
        logbuild_add_digests(&b.build, 5, EV_NO_ACTION, TEXT("x"), digests);
        logbuild_add_digests(&b.build, TCGLOG_PCR_NONE, EV_NO_ACTION, TEXT("x"), digests);
        value_after(&b, "sha1", 5, with);
        assert_memory_equal(without, with, 20);
}

/* L-LOCALITY and H-CRTM: what comes before PCR 0 is extended, and what must not come. */
#define LOCALITY(n) 0, EV_NO_ACTION, "StartupLocality\0" n, 17
static const struct {
        const char *attack;
        struct {
                uint32_t pcr;
                uint32_t type;
                const char *data;
                size_t len;
        } events[3];
        int initial; /* of PCR 0, or a code */
} locality_rows[] = {
    {"none", {{0, EV_ACTION, "a", 1}}, 0},
    {"0", {{LOCALITY("\0")}, {0, EV_ACTION, "a", 1}}, 0},
    {"3", {{LOCALITY("\3")}, {0, EV_ACTION, "a", 1}}, 3},
    {"4", {{LOCALITY("\4")}, {0, EV_ACTION, "a", 1}}, 4},
    {"after another PCR", {{7, EV_ACTION, "b", 1}, {LOCALITY("\3")}, {0, EV_ACTION, "a", 1}}, 3},
    {"H-CRTM alone", {{0, EV_EFI_HCRTM_EVENT, "HCRTM", 5}}, 4},
    {"H-CRTM in two parts",
     {{LOCALITY("\4")}, {0, EV_EFI_HCRTM_EVENT, "HCRTM", 5}, {0, EV_EFI_HCRTM_EVENT, "2", 1}},
     4},
    {"L-LOCALITY value 1", {{LOCALITY("\1")}, {0, EV_ACTION, "a", 1}}, ERR_MALFORMED},
    {"L-LOCALITY value 255", {{LOCALITY("\377")}, {0, EV_ACTION, "a", 1}}, ERR_MALFORMED},
    {"L-LOCALITY late", {{0, EV_ACTION, "a", 1}, {LOCALITY("\3")}}, ERR_MALFORMED},
    {"L-LOCALITY twice", {{LOCALITY("\3")}, {LOCALITY("\3")}}, ERR_MALFORMED},
    {"L-LOCALITY short", {{0, EV_NO_ACTION, "StartupLocality\0", 16}}, ERR_MALFORMED},
    {"L-LOCALITY long", {{0, EV_NO_ACTION, "StartupLocality\0\3\3", 18}}, ERR_MALFORMED},
    {"L-LOCALITY PCR 1", {{1, EV_NO_ACTION, "StartupLocality\0\3", 17}}, ERR_MALFORMED},
    {"H-CRTM late", {{0, EV_ACTION, "a", 1}, {0, EV_EFI_HCRTM_EVENT, "HCRTM", 5}}, ERR_MALFORMED},
    {"H-CRTM after locality 3",
     {{LOCALITY("\3")}, {0, EV_EFI_HCRTM_EVENT, "HCRTM", 5}},
     ERR_MALFORMED},
};

static void startup_decides_where_pcr_0_begins(void **state)
{
        static struct built b;

        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_SIZE(locality_rows); i++) {
                size_t row = i / 2;
                struct tcglog AUTO_TCGLOG *log = NULL;
                struct err err = {0};
                int rc;

                begin(&b, i % 2 == 0 ? TCGLOG_AGILE : TCGLOG_LEGACY,
                      i % 2 == 0 ? two_banks : only_sha1);
                for (size_t n = 0; n < 3 && locality_rows[row].events[n].data != NULL; n++)
                        add(&b, locality_rows[row].events[n].pcr, locality_rows[row].events[n].type,
                            (struct bytes){(const uint8_t *)locality_rows[row].events[n].data,
                                           locality_rows[row].events[n].len});
                rc = parse(&b, &log, &err);
                if (locality_rows[row].initial < 0) {
                        if (rc != locality_rows[row].initial)
                                fail_msg("%s: %d", locality_rows[row].attack, rc);
                        continue;
                }
                assert_ok(rc, &err);
                assert_int_equal(log->pcr0_initial, locality_rows[row].initial);
        }
}

static void pcr_0_is_replayed_from_there(void **state)
{
        const struct hash_alg *sha256 = hash_by_name("sha256");
        static struct built b;
        uint8_t want[HASH_SIZE_MAX] = {[31] = 3};
        uint8_t digest[HASH_SIZE_MAX];
        uint8_t value[HASH_SIZE_MAX];
        struct err err = {0};

        (void)state;
        begin(&b, TCGLOG_AGILE, two_banks);
        add(&b, 0, EV_NO_ACTION, BYTES("StartupLocality\0\3"));
        add(&b, 0, EV_ACTION, TEXT("a"));
        value_after(&b, "sha256", 0, value);
        assert_ok(hash_digest(sha256, "a", 1, digest, &err), &err);
        assert_ok(hash_extend(sha256, want, digest, &err), &err);
        assert_memory_equal(value, want, 32);
}

/* L-BANK-UNEXT and L-COUNT: a bank that is not extended is absent, one with a gap too. */
static void unextended_banks_are_absent(void **state)
{
        static struct findings findings;
        static struct replay replay;
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct logbuild sha1_only;
        struct replay_bank bank;
        struct err err = {0};

        (void)state;
        begin(&b, TCGLOG_AGILE, two_banks);
        sha1_only = b.build;
        sha1_only.count = 1; /* firmware that fills the SHA-1 bank only */
        assert_ok(logbuild_add(&sha1_only, 0, EV_ACTION, TEXT("a"), TEXT("a"), &err), &err);
        assert_ok(parse(&b, &log, &err), &err);
        assert_ok(replay_run(log, &replay, &err), &err);
        assert_int_equal(replay.count, 1);
        assert_non_null(replay_pcr(&replay, hash_by_name("sha1"), 0));
        assert_null(replay_pcr(&replay, hash_by_name("sha256"), 0));
        assert_int_equal(replay_run_bank(log, hash_by_name("sha256"), &bank, &err), ERR_NOT_FOUND);
        assert_int_equal(replay_run_bank(log, hash_by_name("sha384"), &bank, &err), ERR_NOT_FOUND);
        assert_ok(findings_collect(log, &findings, &err), &err);
        assert_int_equal(findings_find(&findings, "log.bank-unextended")->severity, FINDING_ERROR);
        assert_non_null(findings_find(&findings, "log.bank"));
}

static void a_gap_in_a_bank_spoils_its_pcr(void **state)
{
        static struct replay replay;
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct logbuild sha1_only;
        struct err err = {0};

        (void)state;
        begin(&b, TCGLOG_AGILE, two_banks);
        add(&b, 0, EV_ACTION, TEXT("a"));
        add(&b, 1, EV_ACTION, TEXT("a"));
        sha1_only = b.build;
        sha1_only.count = 1;
        assert_ok(logbuild_add(&sha1_only, 0, EV_ACTION, TEXT("b"), TEXT("b"), &err), &err);
        assert_ok(parse(&b, &log, &err), &err);
        assert_ok(replay_run(log, &replay, &err), &err);
        assert_null(replay_pcr(&replay, hash_by_name("sha256"), 0));
        assert_non_null(replay_pcr(&replay, hash_by_name("sha256"), 1));
        assert_non_null(replay_pcr(&replay, hash_by_name("sha1"), 0));
}

/* Zeros in a bank are what firmware writes that does not hash for it. */
static void zero_digests_are_no_measurements(void **state)
{
        static struct findings findings;
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        uint8_t digests[20 + 32] = {1};
        struct err err = {0};

        (void)state;
        begin(&b, TCGLOG_AGILE, two_banks);
        logbuild_add_digests(&b.build, 0, EV_POST_CODE, TEXT("x"), digests);
        assert_ok(parse(&b, &log, &err), &err);
        assert_ok(findings_collect(log, &findings, &err), &err);
        assert_non_null(findings_find(&findings, "log.bank-unextended"));
}

/* The two forms of a log's head, to be bent as raw bytes. */
static void patch_le32(struct built *b, size_t at, uint32_t v)
{
        for (size_t i = 0; i < 4; i++)
                b->memory[at + i] = (uint8_t)(v >> 8 * i);
}

/* Offsets: 32 bytes of legacy head, then the Spec ID event; its end; the first event after it. */
#define SPEC_COUNT  (32 + 24)
#define SPEC_ALG1   (SPEC_COUNT + 4)
#define SPEC_ALG2   (SPEC_ALG1 + 4)
#define SPEC_VENDOR (SPEC_ALG2 + 4)
#define FIRST       (SPEC_VENDOR + 1)

static const struct {
        const char *attack;
        size_t at;
        uint32_t value;
} head_rows[] = {
    {"L-SPECID count 0", SPEC_COUNT, 0},
    {"L-SPECID count huge", SPEC_COUNT, 0xffffffff},
    {"L-SPECID count more than follow", SPEC_COUNT, 5},
    {"L-SPECID count less than follow", SPEC_COUNT, 1},
    {"L-SPECID digest size 0", SPEC_ALG1, 0x0000000b},
    {"L-SPECID digest size wrong", SPEC_ALG1, 0x0014000b},
    {"L-SPECID digest size huge", SPEC_ALG1, 0xffff0027},
    {"L-SPECID algorithm twice", SPEC_ALG2, 0x00140004},
    {"L-SPECID event size", 28, 0x7fffffff},
    {"L-SPECID event size cuts it", 28, 20},
    {"L-SPECID type", 4, EV_ACTION},
    {"L-SPECID PCR", 0, 9},
    {"L-COUNT", FIRST + 8, 0xffffffff},
    {"L-COUNT one more", FIRST + 8, 3},
    {"L-COUNT one less", FIRST + 8, 1},
    {"algorithm not announced", FIRST + 12, 0x0000000c},
    {"algorithm twice in an event", FIRST + 12 + 22, 0x00000004},
    {"PCR 24", FIRST, 24},
    {"PCR none and extending", FIRST, 0xffffffff},
    {"event size", FIRST + 12 + 22 + 34, 0x7fffffff},
    {"event size all", FIRST + 12 + 22 + 34, 0xffffffff},
};

static void malformed_heads_are_refused(void **state)
{
        static struct built b;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(head_rows); i++) {
                struct tcglog *log = (struct tcglog *)0x1;
                struct err err = {0};
                int rc;

                begin(&b, TCGLOG_AGILE, two_banks);
                add(&b, 1, EV_ACTION, TEXT("a"));
                patch_le32(&b, head_rows[i].at, head_rows[i].value);
                rc = parse(&b, &log, &err);
                if (rc != ERR_MALFORMED)
                        fail_msg("%s: %d", head_rows[i].attack, rc);
                assert_ptr_equal(log, (struct tcglog *)0x1);
                assert_non_null(strstr(err.text, " at byte "));
        }
}

static void vendor_part_is_bounded(void **state)
{
        static const struct {
                uint8_t size;
                const char *rest;
                size_t rest_len;
                int rc;
        } rows[] = {{3, "abc", 3, 0},
                    {200, "abc", 3, ERR_MALFORMED},
                    {0, "\0\0\0", 3, 0},
                    {0, "abc", 3, ERR_MALFORMED},
                    {1, "abc", 3, ERR_MALFORMED}};
        static struct built b;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct tcglog AUTO_TCGLOG *log = NULL;
                struct err err = {0};

                begin(&b, TCGLOG_AGILE, two_banks);
                b.memory[SPEC_VENDOR] = rows[i].size;
                writer_put(&b.w, rows[i].rest, rows[i].rest_len);
                patch_le32(&b, 28, (uint32_t)(SPEC_VENDOR + 1 - 32 + rows[i].rest_len));
                add(&b, 1, EV_ACTION, TEXT("a"));
                assert_int_equal(parse(&b, &log, &err), rows[i].rc);
        }
}

/* L-SPECID: not first, once more later, or before a log of the old form. */
static void spec_id_comes_first_and_once(void **state)
{
        static const char spec[] = "Spec ID Event03\0\0\0\0\0\0\2\0\2\1\0\0\0\4\0\24\0\0";
        static const enum tcglog_format formats[] = {TCGLOG_AGILE, TCGLOG_LEGACY};
        static struct built b;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
                struct tcglog AUTO_TCGLOG *log = NULL;
                struct err err = {0};

                begin(&b, formats[i], only_sha1);
                add(&b, 0, EV_ACTION, TEXT("a"));
                add(&b, 0, EV_NO_ACTION, BYTES(spec));
                assert_int_equal(parse(&b, &log, &err), ERR_MALFORMED);
                assert_non_null(strstr(err.text, "not the first"));
        }
}

/* L-LEGACY: index 99 crashed a well-known tool. */
static void legacy_logs_are_bounded_too(void **state)
{
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct err err = {0};

        (void)state;
        begin(&b, TCGLOG_LEGACY, only_sha1);
        add(&b, 0, EV_ACTION, TEXT("a"));
        assert_ok(parse(&b, &log, &err), &err);
        assert_int_equal(log->format, TCGLOG_LEGACY);
        add(&b, 99, EV_ACTION, TEXT("a"));
        tcglog_free(TAKE(log));
        assert_int_equal(parse(&b, &log, &err), ERR_MALFORMED);
        assert_string_equal(err.text, "event 1 at byte 41: PCR index 99");
}

static void padding_is_no_event(void **state)
{
        static const uint8_t fills[] = {0x00, 0xff};
        static struct built b;

        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_SIZE(fills); i++) {
                struct tcglog AUTO_TCGLOG *log = NULL;
                struct err err = {0};

                begin(&b, i < 2 ? TCGLOG_CCEL : TCGLOG_LEGACY, only_sha1);
                add(&b, 1, EV_ACTION, TEXT("a"));
                for (int n = 0; n < 999; n++)
                        writer_put_u8(&b.w, fills[i % 2]);
                assert_ok(parse(&b, &log, &err), &err);
                assert_int_equal(log->padding, 999);
                tcglog_free(TAKE(log));
                writer_put_u8(&b.w, 1);
                assert_int_equal(parse(&b, &log, &err), ERR_MALFORMED);
        }
}

static void unknown_hashes_are_shown_but_not_replayed(void **state)
{
        static struct replay replay;
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct err err = {0};
        char name[16];

        (void)state;
        begin(&b, TCGLOG_AGILE, two_banks);
        add(&b, 1, EV_ACTION, TEXT("a"));
        patch_le32(&b, SPEC_ALG2, 0x00200027); /* SHA3-256 */
        b.memory[FIRST + 12 + 22] = 0x27;
        assert_ok(parse(&b, &log, &err), &err);
        assert_null(log->banks[1].alg);
        assert_string_equal(tcglog_bank_name(&log->banks[1], name), "alg_0x0027");
        assert_ok(replay_run(log, &replay, &err), &err);
        assert_int_equal(replay.count, 1);
}

/* L-TYPE-SPOOF, L-PATH, L-DATA, seen by what a policy reads. */
static void facts_say_what_was_measured(void **state)
{
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct facts AUTO_FACTS *facts = NULL;
        const struct fact *fact;
        struct err err = {0};
        char text[256];

        (void)state;
        build_boot(&b, BEND_NONE);
        assert_ok(parse(&b, &log, &err), &err);
        assert_ok(facts_collect(log, hash_by_name("sha256"), &facts, &err), &err);
        fact = facts_find(facts, FACT_KERNEL, 0);
        assert_non_null(fact);
        assert_int_equal(fact->verdict, EVENT_UNVERIFIABLE);
        assert_string_equal(fact_text(fact, text, sizeof(text)), "kernel /vmlinuz");
        fact = facts_find(facts, FACT_INITRD, 0);
        assert_string_equal(fact_text(fact, text, sizeof(text)), "initrd /initrd");
        fact = facts_find(facts, FACT_CMDLINE, 0);
        assert_int_equal(fact->verdict, EVENT_VERIFIED);
        assert_string_equal(fact_text(fact, text, sizeof(text)), "command line /vmlinuz quiet");
        assert_non_null(facts_find(facts, FACT_APPLICATION, 0));
        assert_null(facts_find(facts, FACT_APPLICATION, 1));
        assert_non_null(facts_find(facts, FACT_COMMAND, 1));
}

static void forged_facts_are_marked(void **state)
{
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct facts AUTO_FACTS *facts = NULL;
        struct err err = {0};

        (void)state;
        build_boot(&b, BEND_CMDLINE_FORGED);
        assert_ok(parse(&b, &log, &err), &err);
        assert_ok(facts_collect(log, hash_by_name("sha256"), &facts, &err), &err);
        assert_int_equal(facts_find(facts, FACT_CMDLINE, 0)->verdict, EVENT_MISMATCH);
        assert_int_equal(facts_collect(log, hash_by_name("sha384"), &facts, &err), ERR_NOT_FOUND);
}

/* One bank that does not match spoils the verdict, even where SHA-1 fits. */
static void all_banks_must_agree(void **state)
{
        static struct built b;
        struct tcglog AUTO_TCGLOG *log = NULL;
        enum event_verdict verdict;
        uint8_t digests[20 + 32] = {0};
        struct err err = {0};

        (void)state;
        begin(&b, TCGLOG_AGILE, two_banks);
        assert_ok(hash_digest(hash_by_name("sha1"), "good", 4, digests, &err), &err);
        assert_ok(hash_digest(hash_by_name("sha256"), "evil", 4, digests + 20, &err), &err);
        logbuild_add_digests(&b.build, 5, EV_EFI_ACTION, TEXT("good"), digests);
        assert_ok(parse(&b, &log, &err), &err);
        assert_ok(event_verify(log, &log->events[1], &verdict, &err), &err);
        assert_int_equal(verdict, EVENT_MISMATCH);
}

/* L-PATH, L-DEVPATH, L-UEFIVAR: hostile data in words. */
#define IMAGE_HEAD "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
static const struct {
        const char *attack;
        uint32_t type;
        struct bytes data;
        enum event_verdict verdict;
        const char *words;
} word_rows[] = {
    {"L-PATH file", EV_IPL, BYTES("/vmlinuz\0"), EVENT_UNVERIFIABLE,
     "file /vmlinuz [name not measured]"},
    {"L-PATH forged", EV_IPL, BYTES("kernel_cmdline: a\0"), EVENT_MISMATCH,
     "kernel command line: a [does not match the digest]"},
    {"escapes", EV_EFI_ACTION, BYTES("a\033[2J\nb\xff"), EVENT_VERIFIED, "610x"},
    {"L-DEVPATH no end", EV_EFI_BOOT_SERVICES_APPLICATION,
     BYTES(IMAGE_HEAD "\6\0\0\0\0\0\0\0\1\1\6\0\0\3"), EVENT_UNVERIFIABLE,
     "image of 0x1 bytes from Pci(0x3,0x0)/(no end) [name not measured]"},
    {"L-DEVPATH short node", EV_EFI_BOOT_SERVICES_APPLICATION,
     BYTES(IMAGE_HEAD "\4\0\0\0\0\0\0\0\1\1\3\0"), EVENT_UNVERIFIABLE,
     "image of 0x1 bytes from (damaged path) [name not measured]"},
    {"L-DEVPATH long node", EV_EFI_BOOT_SERVICES_APPLICATION,
     BYTES(IMAGE_HEAD "\4\0\0\0\0\0\0\0\1\1\377\377"), EVENT_UNVERIFIABLE,
     "image of 0x1 bytes from (damaged path) [name not measured]"},
    {"L-DEVPATH node too short for its kind", EV_EFI_BOOT_SERVICES_APPLICATION,
     BYTES(IMAGE_HEAD "\11\0\0\0\0\0\0\0\4\1\5\0x\177\377\4\0"), EVENT_UNVERIFIABLE,
     "image of 0x1 bytes from Path(4,1,78) [name not measured]"},
    {"L-DEVPATH length past the end", EV_EFI_BOOT_SERVICES_APPLICATION,
     BYTES(IMAGE_HEAD "\377\377\377\377\377\377\377\377"), EVENT_UNVERIFIABLE,
     "image (damaged event) [name not measured]"},
    {"L-UEFIVAR name length", EV_EFI_VARIABLE_DRIVER_CONFIG,
     BYTES("0123456789abcdef\1\0\0\0\0\0\0\200\0\0\0\0\0\0\0\0x"), EVENT_MISMATCH,
     "(damaged variable) [does not match the digest]"},
    {"L-UEFIVAR data length", EV_EFI_VARIABLE_DRIVER_CONFIG,
     BYTES("0123456789abcdef\1\0\0\0\0\0\0\0\377\377\377\377\377\377\377\377x\0"), EVENT_MISMATCH,
     "(damaged variable) [does not match the digest]"},
    {"GPT cut", EV_EFI_GPT_EVENT, BYTES("EFI PART"), EVENT_VERIFIED, "GPT of 8 bytes"},
    {"tag length", EV_EVENT_TAG, BYTES("\xec\"\x3b\x8f\377\377\377\377abc"), EVENT_UNVERIFIABLE,
     "initrd loaded by the kernel: (damaged tag) abc [description not measured]"},
    {"UKI command line", EV_IPL, BYTES("q\0u\0i\0e\0t\0\0\0"), EVENT_VERIFIED, "quiet"},
    {"locality", EV_NO_ACTION, BYTES("StartupLocality\0\3"), EVENT_UNVERIFIABLE,
     "TPM2_Startup from locality 3 [not measured: EV_NO_ACTION]"},
    {"no data", EV_EFI_ACTION, BYTES(""), EVENT_VERIFIED, ""},
};

static void words_are_safe_and_marked(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(word_rows); i++) {
                struct tcglog_event event = {.type = word_rows[i].type, .data = word_rows[i].data};
                char text[TEXT_SIZE];

                event_text(&event, word_rows[i].verdict, text, sizeof(text));
                if (strcmp(word_rows[i].words, "610x") == 0) {
                        assert_null(strchr(text, '\033'));
                        assert_null(strchr(text, '\n'));
                        continue;
                }
                assert_string_equal(text, word_rows[i].words);
        }
}

/* The mark must be there however long the name is. */
static void long_words_are_cut_before_the_mark(void **state)
{
        static char name[3 * TEXT_SIZE];
        struct tcglog_event event = {.type = EV_IPL, .data = {(const uint8_t *)name, sizeof(name)}};
        char text[TEXT_SIZE];
        const char *mark;

        (void)state;
        memset(name, 'a', sizeof(name));
        event_text(&event, EVENT_UNVERIFIABLE, text, sizeof(text));
        mark = strstr(text, "... [name not measured]");
        assert_non_null(mark);
        assert_string_equal(mark, "... [name not measured]");
}

static void utf16_stays_valid_utf8(void **state)
{
        struct text text;
        char memory[64];

        (void)state;
        text_init(&text, memory, sizeof(memory));
        text_add_utf16(&text, BYTES("a\0\xe4\0\xac\x20\x00\xd8\x2e\x20\x1b\0z"));
        assert_string_equal(memory, "a\xc3\xa4\xe2\x82\xac\\ud800\\u202e\\u001b");
}

/* A log of more events than we take is refused, not truncated. */
static void limits_hold(void **state)
{
        const size_t count = TCGLOG_EVENTS_MAX + 1;
        struct tcglog AUTO_TCGLOG *log = NULL;
        uint8_t AUTO_FREE *big = calloc(1, TCGLOG_SIZE_MAX + 1);
        struct err err = {0};

        (void)state;
        assert_non_null(big);
        for (size_t i = 0; i < count; i++)
                big[32 * i + 4] = EV_ACTION;
        assert_int_equal(tcglog_parse((struct bytes){big, 32 * count}, &log, &err), ERR_LIMIT);
        assert_int_equal(tcglog_parse((struct bytes){big, TCGLOG_SIZE_MAX + 1}, &log, &err),
                         ERR_LIMIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(findings_name_what_is_wrong),
            cmocka_unit_test(secure_boot_is_on_only_when_verified),
            cmocka_unit_test(worst_survives_a_full_list),
            cmocka_unit_test(empty_logs_are_not_all_well),
            cmocka_unit_test(order_and_number_of_events_count),
            cmocka_unit_test(every_cut_is_noticed),
            cmocka_unit_test(no_action_never_extends),
            cmocka_unit_test(startup_decides_where_pcr_0_begins),
            cmocka_unit_test(pcr_0_is_replayed_from_there),
            cmocka_unit_test(unextended_banks_are_absent),
            cmocka_unit_test(a_gap_in_a_bank_spoils_its_pcr),
            cmocka_unit_test(zero_digests_are_no_measurements),
            cmocka_unit_test(malformed_heads_are_refused),
            cmocka_unit_test(vendor_part_is_bounded),
            cmocka_unit_test(spec_id_comes_first_and_once),
            cmocka_unit_test(legacy_logs_are_bounded_too),
            cmocka_unit_test(padding_is_no_event),
            cmocka_unit_test(unknown_hashes_are_shown_but_not_replayed),
            cmocka_unit_test(facts_say_what_was_measured),
            cmocka_unit_test(forged_facts_are_marked),
            cmocka_unit_test(all_banks_must_agree),
            cmocka_unit_test(words_are_safe_and_marked),
            cmocka_unit_test(long_words_are_cut_before_the_mark),
            cmocka_unit_test(utf16_stays_valid_utf8),
            cmocka_unit_test(limits_hold),
        };
        return cmocka_run_group_tests_name("evlog-tcglog", tests, NULL, NULL);
}
