/*
 * What a boot loaded and was told, picked out of a log for policies and for naming what changed:
 * kernel, initrd, command line, GRUB's commands and configuration, EFI applications, firmware.
 */
#ifndef EVLOG_FACTS_H
#define EVLOG_FACTS_H

#include "evlog/event-verify.h"
#include "evlog/text.h"

enum fact_kind {
        FACT_FIRMWARE,      /* volume, version or table of the platform, PCR 0 and 1 */
        FACT_DRIVER,        /* EFI driver or option ROM, PCR 0 and 2 */
        FACT_APPLICATION,   /* EFI application: shim, GRUB, a kernel by itself, PCR 4 */
        FACT_CONFIGURATION, /* file that GRUB read as its configuration, PCR 9 */
        FACT_KERNEL,        /* file that GRUB loaded as kernel, PCR 9 */
        FACT_INITRD,        /* initrd, by GRUB or by the kernel's EFI stub, PCR 9 */
        FACT_FILE,          /* any other file that a boot loader measured */
        FACT_COMMAND,       /* GRUB command, PCR 8 */
        FACT_CMDLINE,       /* kernel command line */
        FACT_KIND_COUNT,
};

struct fact {
        enum fact_kind kind;
        enum event_verdict verdict; /* name counts as measured with EVENT_VERIFIED only */
        uint32_t pcr;
        uint32_t event;
        const uint8_t *digest; /* in the bank of the facts; NULL if the event lacks it */
        struct bytes name;     /* path, command, command line; a view, printable or not */
};

struct facts {
        const struct hash_alg *alg;
        size_t count;
        struct fact *list; /* in the order of the log */
};

/*
 * Collects the facts with their digests in one bank. They are views into the log, which must
 * outlive them. Errors: ERR_NOT_FOUND (no such bank), ERR_NO_MEMORY, ERR_FAILED.
 */
int facts_collect(const struct tcglog *log, const struct hash_alg *alg, struct facts **ret_facts,
                  struct err *err) MUST_CHECK;
void facts_free(struct facts *facts);
DEFINE_CLEANUP(struct facts *, facts_free)
#define AUTO_FACTS CLEANUP(facts_free_p)

/* The n-th fact of a kind (0 is the first), or NULL. */
const struct fact *facts_find(const struct facts *facts, enum fact_kind kind, size_t n);

/* "kernel", "command line", ... */
const char *fact_kind_name(enum fact_kind kind);

/* "kernel /vmlinuz", "command line", "application .../\EFI\BOOT\BOOTX64.EFI" into memory. */
const char *fact_text(const struct fact *fact, char *memory, size_t size);

#endif
