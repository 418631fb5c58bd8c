/*
 * What a log says about itself that an appraisal has to know: separators, ExitBootServices,
 * Secure Boot, debug mode, data that does not match. Nothing here replaces comparing the replay
 * with a quote; a finding names why a log should not be believed or what it shows openly.
 */
#ifndef EVLOG_FINDINGS_H
#define EVLOG_FINDINGS_H

#include "evlog/tcglog.h"

#define FINDINGS_MAX      128
#define FINDING_TEXT_SIZE 160
#define FINDING_NO_PCR    UINT32_MAX
#define FINDING_NO_EVENT  UINT32_MAX

enum finding_severity {
        FINDING_NOTE,    /* worth showing */
        FINDING_WARNING, /* a policy may accept it */
        FINDING_ERROR,   /* the log contradicts itself or the platform is open */
};

/*
 * The stable ids:
 *   log.empty               no event extends any PCR
 *   log.data                data that must be the measured data does not match its digest
 *   log.bank                an event lacks the digest of a bank
 *   log.bank-unextended     a bank is announced and never extended, or is all zeros
 *   log.type                a type that does not belong into its PCR, or an unknown type
 *   log.separator           missing, doubled, of another value or length, an error, or in disguise
 *   log.after-separator     Secure Boot configuration after the separator of its PCR
 *   log.exit-boot-services  the end of the firmware's boot services is not logged, or failed
 *   log.secure-boot         off, contradictory, or on without any authority
 *   log.debug               the platform is in UEFI debug mode
 *   log.dma-protection      the IOMMU was off
 *   log.locality            PCR 0 starts at 3 or 4
 */
struct finding {
        const char *id;
        enum finding_severity severity;
        uint32_t pcr;   /* or FINDING_NO_PCR */
        uint32_t event; /* tcglog_event.n, or FINDING_NO_EVENT */
        char text[FINDING_TEXT_SIZE];
};

enum secure_boot {
        SECURE_BOOT_UNKNOWN, /* not logged, logged twice with two values, or not verified */
        SECURE_BOOT_OFF,
        SECURE_BOOT_ON,
};

struct findings {
        size_t count;
        bool more;                   /* the list is full, and others were left out */
        enum finding_severity worst; /* of all, also of those left out */
        enum secure_boot secure_boot;
        struct finding list[FINDINGS_MAX];
};

/* Looks through a log. Errors are the program's only (ERR_FAILED); a bad log is a finding. */
int findings_collect(const struct tcglog *log, struct findings *ret_findings,
                     struct err *err) MUST_CHECK;

/* The first finding with this id, or NULL. */
const struct finding *findings_find(const struct findings *findings, const char *id);

/* "note", "warning", "error" */
const char *finding_severity_name(enum finding_severity severity);

#endif
