#include "evlog/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "evlog/event-type.h"
#include "evlog/event-verify.h"
#include "evlog/uefi.h"

#define PCR_AUTHORITY     7
#define PCR_FIRMWARE_LAST 7
#define EXIT_CALL         "Exit Boot Services Invocation"
#define EXIT_DONE         "Exit Boot Services Returned with Success"
#define EXIT_FAILED       "Exit Boot Services Returned with Failure"
#define DEBUG_MODE        "UEFI Debug Mode"
#define NO_DMA_PROTECTION "DMA Protection Disabled"

/* The values that a separator's digest can be of (PFP 1.06, 3.3.2.2): two good, one error. */
static const uint8_t separator_values[3][4] = {
    {0x00, 0x00, 0x00, 0x00}, {0xff, 0xff, 0xff, 0xff}, {0x01, 0x00, 0x00, 0x00}};
#define SEPARATOR_ERROR 2

struct scan {
        const struct tcglog *log;
        struct findings *out;
        uint8_t separators[TCGLOG_PCR_COUNT];                   /* how often, per PCR */
        const struct tcglog_event *disguised[TCGLOG_PCR_COUNT]; /* a separator's digest, no type */
        uint8_t separator_digests[3][TCGLOG_BANKS_MAX][HASH_SIZE_MAX];
        uint32_t bank_extended; /* bit n: some event extends bank n with more than zeros */
        uint32_t bank_missing;  /* bit n: log.bank was already said of bank n */
        size_t extends;
        size_t authorities;
        size_t applications;
        bool has_secure_boot;
        bool exit_called;
        bool exit_done;
        bool is_uefi;
};

static void say(struct scan *scan, const char *id, enum finding_severity severity,
                const struct tcglog_event *event, const char *fmt, ...) PRINTF_LIKE(5, 6);

static void say(struct scan *scan, const char *id, enum finding_severity severity,
                const struct tcglog_event *event, const char *fmt, ...)
{
        struct finding *finding = &scan->out->list[scan->out->count];
        va_list ap;

        if (severity > scan->out->worst)
                scan->out->worst = severity;
        if (scan->out->count == FINDINGS_MAX) {
                scan->out->more = true;
                return;
        }
        scan->out->count++;
        finding->id = id;
        finding->severity = severity;
        finding->pcr = event != NULL ? event->pcr : FINDING_NO_PCR;
        finding->event = event != NULL ? event->n : FINDING_NO_EVENT;
        va_start(ap, fmt);
        (void)vsnprintf(finding->text, sizeof(finding->text), fmt, ap);
        va_end(ap);
}

static bool data_is(struct bytes data, const char *words)
{
        size_t len = strlen(words);

        if (data.len == len + 1 && data.data[len] == '\0')
                data.len--;
        return data.len == len && memcmp(data.data, words, len) == 0;
}

static int hash_separators(struct scan *scan, struct err *err)
{
        for (size_t value = 0; value < 3; value++) {
                for (size_t i = 0; i < scan->log->bank_count; i++) {
                        const struct hash_alg *alg = scan->log->banks[i].alg;
                        int rc = alg == NULL ? 0
                                             : hash_digest(alg, separator_values[value], 4,
                                                           scan->separator_digests[value][i], err);

                        if (rc != 0)
                                return rc;
                }
        }
        return 0;
}

/* Whether some bank of the event holds the digest of this separator value. */
static bool has_separator_digest(const struct scan *scan, const struct tcglog_event *event,
                                 size_t value)
{
        for (size_t i = 0; i < scan->log->bank_count; i++) {
                const struct hash_alg *alg = scan->log->banks[i].alg;

                if (alg != NULL && event->digests[i] != NULL &&
                    memcmp(event->digests[i], scan->separator_digests[value][i], alg->size) == 0)
                        return true;
        }
        return false;
}

static void look_at_separator(struct scan *scan, const struct tcglog_event *event)
{
        bool has_good_digest =
            has_separator_digest(scan, event, 0) || has_separator_digest(scan, event, 1);

        if (event->type != EV_SEPARATOR) {
                if (has_good_digest)
                        scan->disguised[event->pcr] = event;
                return;
        }
        if (scan->separators[event->pcr] < UINT8_MAX)
                scan->separators[event->pcr]++;
        if (event->pcr > PCR_FIRMWARE_LAST)
                return; /* operating systems put their own marks there, Windows "WBCL" */
        if (has_separator_digest(scan, event, SEPARATOR_ERROR))
                say(scan, "log.separator", FINDING_ERROR, event,
                    "the separator reports an error of the firmware");
        else if (event->data.len != 4 || !has_good_digest)
                say(scan, "log.separator", FINDING_ERROR, event,
                    "the separator has another value than 0 or 0xffffffff");
        if (scan->separators[event->pcr] == 2 && scan->log->format != TCGLOG_CCEL)
                say(scan, "log.separator", FINDING_ERROR, event, "a second separator");
}

static bool is_zero(const uint8_t *digest, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if (digest[i] != 0)
                        return false;
        return true;
}

static void look_at_banks(struct scan *scan, const struct tcglog_event *event)
{
        char name[16];

        for (size_t i = 0; i < scan->log->bank_count; i++) {
                const struct tcglog_bank *bank = &scan->log->banks[i];
                uint32_t bit = UINT32_C(1) << i;

                if (event->digests[i] == NULL && (scan->bank_missing & bit) == 0) {
                        scan->bank_missing |= bit;
                        say(scan, "log.bank", FINDING_WARNING, event,
                            "no %s digest, so the bank cannot be replayed from here on",
                            tcglog_bank_name(bank, name));
                }
                if (event->digests[i] != NULL && !is_zero(event->digests[i], bank->size))
                        scan->bank_extended |= bit;
        }
}

static void look_at_type(struct scan *scan, const struct tcglog_event *event)
{
        const struct event_type *type = event_type_find(event->type);

        if (type == NULL)
                say(scan, "log.type", FINDING_NOTE, event, "event type 0x%08x is not known",
                    event->type);
        else if ((type->pcrs >> event->pcr & 1) == 0 && scan->log->format != TCGLOG_CCEL)
                say(scan, "log.type", FINDING_WARNING, event, "%s does not belong into PCR %u",
                    type->name, event->pcr);
}

static void look_at_secure_boot(struct scan *scan, const struct tcglog_event *event,
                                struct bytes value)
{
        enum secure_boot now = SECURE_BOOT_UNKNOWN;

        if (value.len == 1 && value.data[0] <= 1)
                now = value.data[0] == 1 ? SECURE_BOOT_ON : SECURE_BOOT_OFF;
        if (now == SECURE_BOOT_UNKNOWN)
                say(scan, "log.secure-boot", FINDING_ERROR, event,
                    "the variable SecureBoot holds neither 0 nor 1");
        if (scan->has_secure_boot && now != scan->out->secure_boot) {
                say(scan, "log.secure-boot", FINDING_ERROR, event,
                    "the variable SecureBoot is logged twice with different values");
                now = SECURE_BOOT_UNKNOWN;
        }
        scan->has_secure_boot = true;
        scan->out->secure_boot = now;
}

static bool is_authority_pcr(const struct scan *scan, uint32_t pcr)
{
        return pcr == (scan->log->format == TCGLOG_CCEL ? 1 : PCR_AUTHORITY);
}

static void look_at_variable(struct scan *scan, const struct tcglog_event *event,
                             enum event_verdict verdict)
{
        struct uefi_variable variable;

        if (event->type == EV_EFI_VARIABLE_AUTHORITY && is_authority_pcr(scan, event->pcr))
                scan->authorities += verdict == EVENT_VERIFIED;
        if (event->type != EV_EFI_VARIABLE_DRIVER_CONFIG || !is_authority_pcr(scan, event->pcr))
                return;
        if (scan->separators[event->pcr] > 0)
                say(scan, "log.after-separator", FINDING_ERROR, event,
                    "Secure Boot configuration after the separator");
        if (uefi_variable_parse(event->data, &variable) == 0 && verdict == EVENT_VERIFIED &&
            uefi_variable_is(&variable, "SecureBoot"))
                look_at_secure_boot(scan, event, variable.value);
}

static void look_at_action(struct scan *scan, const struct tcglog_event *event)
{
        if (event->type != EV_EFI_ACTION && event->type != EV_ACTION)
                return;
        if (data_is(event->data, EXIT_CALL))
                scan->exit_called = true;
        else if (data_is(event->data, EXIT_DONE))
                scan->exit_done = true;
        else if (data_is(event->data, EXIT_FAILED))
                scan->exit_done = false;
        else if (data_is(event->data, DEBUG_MODE))
                say(scan, "log.debug", FINDING_ERROR, event, "the platform is in debug mode");
        else if (data_is(event->data, NO_DMA_PROTECTION))
                say(scan, "log.dma-protection", FINDING_WARNING, event,
                    "DMA protection is disabled");
}

static int look_at_event(struct scan *scan, const struct tcglog_event *event, struct err *err)
{
        enum event_verdict verdict;
        int rc;

        if (!tcglog_event_extends(event))
                return 0;
        rc = event_verify(scan->log, event, &verdict, err);
        if (rc != 0)
                return rc;
        scan->extends++;
        if (event->type >= EV_EFI_VARIABLE_DRIVER_CONFIG)
                scan->is_uefi = true;
        if (event->type == EV_EFI_BOOT_SERVICES_APPLICATION)
                scan->applications++;
        if (verdict == EVENT_MISMATCH)
                say(scan, "log.data", FINDING_ERROR, event,
                    "the digest is not the hash of the event data");
        look_at_banks(scan, event);
        look_at_type(scan, event);
        look_at_separator(scan, event);
        look_at_variable(scan, event, verdict);
        if (verdict == EVENT_VERIFIED)
                look_at_action(scan, event);
        return 0;
}

static void sum_up_separators(struct scan *scan)
{
        /* CCEL: PCR 1 and 7 go to register 1, PCR 2 to 6 to register 2, PCR 0 to the build. */
        uint32_t first = scan->log->format == TCGLOG_CCEL ? 1 : 0;
        uint32_t last = scan->log->format == TCGLOG_CCEL ? 2 : PCR_FIRMWARE_LAST;

        for (uint32_t pcr = first; pcr <= last; pcr++) {
                if (scan->separators[pcr] > 0)
                        continue;
                if (scan->disguised[pcr] != NULL)
                        say(scan, "log.separator", FINDING_ERROR, scan->disguised[pcr],
                            "the separator is logged as another event type");
                else
                        say(scan, "log.separator", FINDING_ERROR,
                            &(struct tcglog_event){.pcr = pcr, .n = FINDING_NO_EVENT},
                            "no separator");
        }
}

static void sum_up_banks(struct scan *scan)
{
        char name[16];

        for (size_t i = 0; i < scan->log->bank_count; i++)
                if ((scan->bank_extended >> i & 1) == 0)
                        say(scan, "log.bank-unextended", FINDING_ERROR, NULL,
                            "the log announces the bank %s and never extends it",
                            tcglog_bank_name(&scan->log->banks[i], name));
}

static void sum_up_secure_boot(struct scan *scan)
{
        if (scan->out->secure_boot == SECURE_BOOT_OFF)
                say(scan, "log.secure-boot", FINDING_NOTE, NULL, "Secure Boot is off");
        if (!scan->has_secure_boot)
                say(scan, "log.secure-boot", FINDING_NOTE, NULL,
                    "the log says nothing verified "
                    "of Secure Boot");
        if (scan->out->secure_boot == SECURE_BOOT_ON && scan->applications > 0 &&
            scan->authorities == 0)
                say(scan, "log.secure-boot", FINDING_ERROR, NULL,
                    "Secure Boot is on, but no authority is logged for what was loaded");
}

static void sum_up_exit(struct scan *scan)
{
        if (!scan->is_uefi)
                say(scan, "log.exit-boot-services", FINDING_NOTE, NULL,
                    "not a UEFI boot: nothing marks the end of the firmware");
        else if (!scan->exit_called)
                say(scan, "log.exit-boot-services", FINDING_WARNING, NULL,
                    "ExitBootServices was never called");
        else if (!scan->exit_done)
                say(scan, "log.exit-boot-services", FINDING_WARNING, NULL,
                    "ExitBootServices did not return with success");
}

int findings_collect(const struct tcglog *log, struct findings *ret_findings, struct err *err)
{
        struct scan scan = {.log = log, .out = ret_findings};
        int rc;

        ret_findings->count = 0;
        ret_findings->more = false;
        ret_findings->worst = FINDING_NOTE;
        ret_findings->secure_boot = SECURE_BOOT_UNKNOWN;
        rc = hash_separators(&scan, err);
        for (size_t i = 0; rc == 0 && i < log->event_count; i++)
                rc = look_at_event(&scan, &log->events[i], err);
        if (rc != 0)
                return rc;
        if (scan.extends == 0) {
                say(&scan, "log.empty", FINDING_ERROR, NULL, "no event extends any PCR");
                return 0;
        }
        if (log->pcr0_initial != 0)
                say(&scan, "log.locality", FINDING_NOTE, NULL, "PCR 0 starts at %u",
                    log->pcr0_initial);
        sum_up_separators(&scan);
        sum_up_banks(&scan);
        sum_up_secure_boot(&scan);
        sum_up_exit(&scan);
        return 0;
}

const struct finding *findings_find(const struct findings *findings, const char *id)
{
        for (size_t i = 0; i < findings->count; i++)
                if (strcmp(findings->list[i].id, id) == 0)
                        return &findings->list[i];
        return NULL;
}

const char *finding_severity_name(enum finding_severity severity)
{
        static const char *const names[] = {"note", "warning", "error"};

        return names[severity];
}
