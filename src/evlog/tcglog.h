/*
 * The TCG event log as firmware hands it over: crypto-agile (PFP 1.06, 10.2.2 with the Spec ID
 * Event03 first), SHA-1 only (TCG_PCClientPCREvent, 10.2.1) and the confidential-computing
 * variant (CCEL: indices are measurement registers, the rest of the area is padding). The parser
 * bounds and splits the input; it believes nothing but the shape. Whether the digests match
 * their data is event-verify.h, what they add up to is replay.h, what they mean is event-text.h.
 */
#ifndef EVLOG_TCGLOG_H
#define EVLOG_TCGLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"
#include "crypto/hash.h"

#define TCGLOG_SIZE_MAX   (8U << 20) /* bytes of a log; real ones stay below 200 kB */
#define TCGLOG_EVENTS_MAX 65536
#define TCGLOG_BANKS_MAX  8
#define TCGLOG_PCR_COUNT  24
#define TCGLOG_PCR_NONE   UINT32_MAX /* legal in EV_NO_ACTION only */

enum tcglog_format {
        TCGLOG_LEGACY, /* SHA-1 only */
        TCGLOG_AGILE,
        TCGLOG_CCEL, /* crypto-agile, first event not in PCR 0 */
};

struct tcglog_bank {
        const struct hash_alg *alg; /* NULL: a hash that we do not know, shown but not replayed */
        uint16_t tpm_id;
        uint16_t size; /* bytes of a digest */
};

struct tcglog_event {
        uint32_t n; /* 0 is the first record of the log, the Spec ID event where there is one */
        uint32_t pcr;
        uint32_t type;
        uint32_t offset;                          /* of the record in the input */
        const uint8_t *digests[TCGLOG_BANKS_MAX]; /* by bank of the log, NULL: not recorded */
        struct bytes data;
};

struct tcglog {
        enum tcglog_format format;
        struct tcglog_bank banks[TCGLOG_BANKS_MAX];
        size_t bank_count;
        struct tcglog_event *events;
        size_t event_count;
        uint8_t pcr0_initial; /* last byte of PCR 0 before its first extend: 0, 3 or 4 */
        size_t padding;       /* bytes of 0x00 or 0xff after the last event */
};

/*
 * Parses a whole log. Events are views into input, which must outlive the log. Refused besides
 * what does not fit its lengths: no events at all, PCR indices of 24 and more (0xffffffff is
 * legal in EV_NO_ACTION), digests of an algorithm that the Spec ID event did not announce or
 * twice in an event, a second Spec ID event, and a StartupLocality that is late, doubled or of a
 * value other than 0, 3 and 4 (PFP 1.06, 10.4.5.3). Errors: ERR_MALFORMED with the number of the
 * event and the byte offset in the text, ERR_LIMIT, ERR_NO_MEMORY.
 */
int tcglog_parse(struct bytes input, struct tcglog **ret_log, struct err *err) MUST_CHECK;
void tcglog_free(struct tcglog *log);
DEFINE_CLEANUP(struct tcglog *, tcglog_free)
#define AUTO_TCGLOG CLEANUP(tcglog_free_p)

/* The index of a hash's bank in the log, or -1. */
int tcglog_bank_index(const struct tcglog *log, const struct hash_alg *alg);

/* Whether the event changes its PCR: everything but EV_NO_ACTION (PFP 1.06, 10.4.1). */
bool tcglog_event_extends(const struct tcglog_event *event);

/* "sha256", or "alg_0x0027" for a hash without a name here; ret_name has room for 16. */
const char *tcglog_bank_name(const struct tcglog_bank *bank, char ret_name[static 16]);

#endif
