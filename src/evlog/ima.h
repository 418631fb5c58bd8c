/*
 * The kernel's IMA measurement list, binary and ASCII: templates ima, ima-ng, ima-sig, ima-ngv2,
 * ima-sigv2, ima-buf, ima-modsig, evm-sig and any other combination of the known fields. PCR
 * values are always computed from the template data, never from the template digests that the
 * list itself carries; whether those agree is told for each entry.
 */
#ifndef EVLOG_IMA_H
#define EVLOG_IMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"
#include "crypto/hash.h"

#define IMA_LOG_MAX      (64U << 20) /* bytes of a list */
#define IMA_ENTRIES_MAX  1000000
#define IMA_DATA_MAX     (1U << 20) /* bytes of template data of one entry (buf, modsig) */
#define IMA_TEMPLATE_MAX 127        /* bytes of a template's name or format */
#define IMA_FIELDS_MAX   16         /* fields of a template */
#define IMA_PCR          10

enum ima_field {
        IMA_FIELD_D,      /* digest without its algorithm: SHA-1 or MD5 */
        IMA_FIELD_N,      /* name of at most 255 bytes */
        IMA_FIELD_D_NG,   /* "sha256:" NUL digest */
        IMA_FIELD_D_NGV2, /* "ima:sha256:" or "verity:sha256:" NUL digest */
        IMA_FIELD_N_NG,   /* name with NUL */
        IMA_FIELD_SIG,
        IMA_FIELD_BUF,
        IMA_FIELD_D_MODSIG,
        IMA_FIELD_MODSIG,
        IMA_FIELD_EVMSIG,
        IMA_FIELD_IUID,
        IMA_FIELD_IGID,
        IMA_FIELD_IMODE,
        IMA_FIELD_XATTRNAMES,
        IMA_FIELD_XATTRLENGTHS,
        IMA_FIELD_XATTRVALUES,
        IMA_FIELD_COUNT,
};

struct ima_entry {
        uint32_t pcr;
        bool violation;         /* all-zero template digest: the PCR was extended with 0xff */
        uint32_t offset;        /* of the entry in the input */
        uint32_t present;       /* bit n: field n (enum ima_field) is in the template */
        struct bytes template;  /* "ima-sig", or a format "d-ng|n-ng" */
        struct bytes digest;    /* the template digest as the list carries it */
        struct bytes data;      /* the template data, as hashed; of template "ima": fields only */
        struct bytes hash_name; /* "sha256" of d-ng; empty for d and violations */
        struct bytes hash;      /* the file's digest */
        struct bytes path;      /* without NUL; not always printable */
        struct bytes signature; /* of sig or evmsig, or empty */
        struct bytes buffer;    /* of buf or modsig, or empty */
};

struct ima_log {
        const struct hash_alg *digest_alg; /* of the template digests in the list */
        bool ascii;
        size_t count;
        struct ima_entry *entries;
        uint8_t *arena; /* template data rebuilt from ASCII; NULL for binary lists */
};

/*
 * Parses a list. A binary one starts with a PCR index below 24 as u32, an ASCII one with its
 * digits. Template digests of 20, 32, 48 or 64 bytes are told apart by which of them makes sense
 * of the list. An empty list is no error (count 0); the caller must not take it for a good one.
 * Entries are views into input, which must outlive the log.
 * Errors: ERR_MALFORMED with entry and byte offset in the text (also for unknown templates and
 * fields), ERR_LIMIT, ERR_NO_MEMORY.
 */
int ima_log_parse(struct bytes input, struct ima_log **ret_log, struct err *err) MUST_CHECK;
void ima_log_free(struct ima_log *log);
DEFINE_CLEANUP(struct ima_log *, ima_log_free)
#define AUTO_IMA_LOG CLEANUP(ima_log_free_p)

/*
 * The hash of an entry's template data: what the kernel extends the bank of alg with. For a
 * violation that is alg->size times 0xff. Errors: ERR_FAILED.
 */
int ima_entry_digest(const struct ima_entry *entry, const struct hash_alg *alg, uint8_t *ret_digest,
                     struct err *err) MUST_CHECK;

/* Whether the digest that the list carries is that of its data; true for violations. */
int ima_entry_verify(const struct ima_log *log, const struct ima_entry *entry, bool *ret_verified,
                     struct err *err) MUST_CHECK;

/* The state of one PCR in one bank after some entries of a list. */
struct ima_replay {
        const struct hash_alg *alg;
        uint32_t pcr;
        size_t next;     /* entries before this one have been replayed */
        size_t extended; /* how many of them were in this PCR */
        uint8_t value[HASH_SIZE_MAX];
};

/* Starts at a PCR of zeros before the first entry. */
void ima_replay_init(struct ima_replay *replay, const struct hash_alg *alg, uint32_t pcr);

/*
 * Replays the entries from replay->next up to (not with) end, which is at most log->count. A list
 * that grew is replayed on from where the last replay stopped; a list of which only the new part
 * was sent has next 0 again, and ima_replay_rebase() says so. ERR_MALFORMED where end lies
 * before next: a list never shrinks within a boot. Errors: ERR_FAILED.
 */
int ima_replay_run(struct ima_replay *replay, const struct ima_log *log, size_t end,
                   struct err *err) MUST_CHECK;

/* Keeps the value and counts entries from 0: the next log holds only what came later. */
void ima_replay_rebase(struct ima_replay *replay);

/*
 * Goes on until the value is the one quoted, and stops there: what follows in the list is not
 * verified (replay->next < log->count; a later quote must catch up). The present state counts as
 * a match. ERR_NOT_TRUSTED where no prefix gives the value: the list is shorter than what the PCR
 * saw, was changed, or starts from a wrong offset; the replay is then unchanged. ERR_FAILED.
 */
int ima_replay_find(struct ima_replay *replay, const struct ima_log *log, const uint8_t *value,
                    struct err *err) MUST_CHECK;

/*
 * The first entry if it is the boot_aggregate, otherwise NULL. Its hash must equal
 * ima_boot_aggregate() of quoted PCRs; taken from the list itself it proves nothing.
 */
const struct ima_entry *ima_log_boot_aggregate(const struct ima_log *log);

/*
 * H(PCR 0 || ... || PCR 7), and on to PCR 9 for other hashes than SHA-1 on kernels since 5.8;
 * count is 8 or 10, pcrs hold alg->size bytes each. Errors: ERR_FAILED.
 */
int ima_boot_aggregate(const struct hash_alg *alg, const uint8_t *const *pcrs, size_t count,
                       uint8_t *ret_digest, struct err *err) MUST_CHECK;

#endif
