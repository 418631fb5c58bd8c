#include "evlog/ima.h"

#include <string.h>

#include "evlog/ima-internal.h"
#include "evlog/ima-template.h"

#define PCR_COUNT      24
#define OLD_NAME_SIZE  256 /* template "ima" hashes the name padded to this */
#define AGGREGATE_NAME "boot_aggregate"
#define ENTRIES_FIRST  64U
#define AGGREGATE_PCRS 10

bool ima_is_zero(struct bytes bytes)
{
        for (size_t i = 0; i < bytes.len; i++)
                if (bytes.data[i] != 0)
                        return false;
        return true;
}

/* The entries with room for more, or NULL: err says why. */
static struct ima_entry *grow(struct ima_log *log, size_t *room, struct err *err)
{
        size_t more = *room == 0 ? ENTRIES_FIRST : 2 * *room;
        struct ima_entry *entries;

        if (log->count >= IMA_ENTRIES_MAX) {
                err_set(err, ERR_LIMIT, "more than %d IMA entries", IMA_ENTRIES_MAX);
                return NULL;
        }
        entries = realloc(log->entries, more * sizeof(*entries));
        if (entries == NULL) {
                err_set(err, ERR_NO_MEMORY, "%zu IMA entries", more);
                return NULL;
        }
        log->entries = entries;
        *room = more;
        return entries;
}

struct ima_entry *ima_log_next(struct ima_log *log, size_t *room, struct err *err)
{
        struct ima_entry *entries = log->count == *room ? grow(log, room, err) : log->entries;

        if (entries == NULL)
                return NULL;
        entries[log->count] = (struct ima_entry){0};
        return &entries[log->count];
}

#define REFUSE(log, r, err, fmt, ...)                                                              \
        err_set(err, ERR_MALFORMED, "IMA entry %zu at byte %zu: " fmt, (log)->count,               \
                reader_offset(r), ##__VA_ARGS__)

/* Template "ima" says no length: digest, then the name's length and the name. */
static int get_old_data(struct reader *r, struct bytes *ret_data)
{
        struct reader probe = *r;
        uint32_t len;

        if (reader_skip(&probe, 20) != 0 || reader_get_le32(&probe, &len) != 0)
                return ERR_MALFORMED;
        if (len > IMA_DATA_MAX)
                return ERR_MALFORMED;
        return reader_get_bytes(r, 20 + 4 + (size_t)len, ret_data);
}

static int get_data(struct reader *r, const struct ima_template *template, struct bytes *ret_data)
{
        uint32_t len;

        if (template->is_old)
                return get_old_data(r, ret_data);
        if (reader_get_le32(r, &len) != 0 || len > IMA_DATA_MAX)
                return ERR_MALFORMED;
        return reader_get_bytes(r, len, ret_data);
}

static int get_entry(struct reader *r, const struct ima_log *log, struct ima_entry *entry,
                     struct err *err)
{
        struct ima_template template;
        const char *what = NULL;
        uint32_t len;

        entry->offset = (uint32_t)reader_offset(r);
        if (reader_get_le32(r, &entry->pcr) != 0)
                return REFUSE(log, r, err, "cut in its PCR index");
        if (entry->pcr >= PCR_COUNT)
                return REFUSE(log, r, err, "PCR index %u", entry->pcr);
        if (reader_get_bytes(r, log->digest_alg->size, &entry->digest) != 0)
                return REFUSE(log, r, err, "cut in its template digest");
        if (reader_get_le32(r, &len) != 0 || len == 0 || len > IMA_TEMPLATE_MAX)
                return REFUSE(log, r, err, "template name of a wrong length");
        if (reader_get_bytes(r, len, &entry->template) != 0)
                return REFUSE(log, r, err, "cut in its template name");
        if (ima_template_find(entry->template, &template) != 0)
                return REFUSE(log, r, err, "unknown template");
        if (get_data(r, &template, &entry->data) != 0)
                return REFUSE(log, r, err, "template data longer than what follows");
        entry->violation = ima_is_zero(entry->digest);
        if (!ima_template_split(&template, entry, &what))
                return REFUSE(log, r, err, "%s", what == NULL ? "template data" : what);
        return 0;
}

static int parse_binary(struct bytes input, const struct hash_alg *alg, struct ima_log **ret_log,
                        size_t *ret_entries, struct err *err)
{
        struct ima_log AUTO_IMA_LOG *log = calloc(1, sizeof(*log));
        struct reader r = reader_from_bytes(input);
        size_t room = 0;

        if (log == NULL)
                return err_set(err, ERR_NO_MEMORY, "IMA log");
        log->digest_alg = alg;
        while (reader_left(&r) > 0) {
                struct ima_entry *entry = ima_log_next(log, &room, err);
                int rc = entry == NULL ? err->code : get_entry(&r, log, entry, err);

                if (rc != 0) {
                        *ret_entries = log->count;
                        return rc;
                }
                log->count++;
        }
        *ret_log = TAKE(log);
        return 0;
}

/*
 * The list does not say how long its template digests are. The first entry decides: with a wrong
 * length no template name follows. Of the failures the one that came furthest is reported.
 */
static int parse_any_size(struct bytes input, struct ima_log **ret_log, struct err *err)
{
        static const uint16_t algs[] = {HASH_TPM_SHA1, HASH_TPM_SHA256, HASH_TPM_SHA384,
                                        HASH_TPM_SHA512};
        struct err first = {0};
        int failed = 0;

        for (size_t i = 0; i < ARRAY_SIZE(algs); i++) {
                struct err now = {0};
                size_t entries = 0;
                int rc = parse_binary(input, hash_by_tpm_id(algs[i]), ret_log, &entries, &now);

                if (rc == 0)
                        return 0;
                if (i == 0 || entries > 0 || rc != ERR_MALFORMED) {
                        failed = rc;
                        first = now;
                }
                if (entries > 0 || rc != ERR_MALFORMED)
                        break;
        }
        *err = first;
        return failed;
}

int ima_log_parse(struct bytes input, struct ima_log **ret_log, struct err *err)
{
        if (input.len > IMA_LOG_MAX)
                return err_set(err, ERR_LIMIT, "IMA log of %zu bytes (at most %u)", input.len,
                               IMA_LOG_MAX);
        /* A PCR index below 24 cannot look like a digit or a space. */
        if (input.len > 0 &&
            (input.data[0] == ' ' || (input.data[0] >= '0' && input.data[0] <= '9')))
                return ima_ascii_parse(input, ret_log, err);
        return parse_any_size(input, ret_log, err);
}

void ima_log_free(struct ima_log *log)
{
        if (log == NULL)
                return;
        free(log->entries);
        free(log->arena);
        free(log);
}

/* The old template hashes its digest and the name in 256 bytes, without lengths. */
static int old_digest(const struct ima_entry *entry, const struct hash_alg *alg,
                      uint8_t *ret_digest, struct err *err)
{
        uint8_t name[OLD_NAME_SIZE] = {0};
        const struct bytes parts[] = {entry->hash, {name, sizeof(name)}};

        memcpy(name, entry->path.data, entry->path.len);
        return hash_digest_parts(alg, parts, ARRAY_SIZE(parts), ret_digest, err);
}

static bool is_old(const struct ima_entry *entry)
{
        return entry->template.len == 3 && memcmp(entry->template.data, "ima", 3) == 0;
}

static int data_digest(const struct ima_entry *entry, const struct hash_alg *alg,
                       uint8_t *ret_digest, struct err *err)
{
        if (is_old(entry))
                return old_digest(entry, alg, ret_digest, err);
        return hash_digest(alg, entry->data.data, entry->data.len, ret_digest, err);
}

int ima_entry_digest(const struct ima_entry *entry, const struct hash_alg *alg, uint8_t *ret_digest,
                     struct err *err)
{
        if (!entry->violation)
                return data_digest(entry, alg, ret_digest, err);
        memset(ret_digest, 0xff, alg->size);
        return 0;
}

int ima_entry_verify(const struct ima_log *log, const struct ima_entry *entry, bool *ret_verified,
                     struct err *err)
{
        uint8_t digest[HASH_SIZE_MAX];
        int rc;

        if (entry->violation) {
                *ret_verified = true;
                return 0;
        }
        rc = data_digest(entry, log->digest_alg, digest, err);
        if (rc != 0)
                return rc;
        *ret_verified = memcmp(digest, entry->digest.data, entry->digest.len) == 0;
        return 0;
}

void ima_replay_init(struct ima_replay *replay, const struct hash_alg *alg, uint32_t pcr)
{
        *replay = (struct ima_replay){.alg = alg, .pcr = pcr};
}

static int step(struct ima_replay *replay, const struct ima_log *log, struct err *err)
{
        const struct ima_entry *entry = &log->entries[replay->next];
        uint8_t digest[HASH_SIZE_MAX];
        int rc = 0;

        if (entry->pcr == replay->pcr) {
                rc = ima_entry_digest(entry, replay->alg, digest, err);
                if (rc == 0)
                        rc = hash_extend(replay->alg, replay->value, digest, err);
                replay->extended++;
        }
        if (rc != 0)
                return err_wrap(err, "replay IMA entry %zu", replay->next);
        replay->next++;
        return 0;
}

int ima_replay_run(struct ima_replay *replay, const struct ima_log *log, size_t end,
                   struct err *err)
{
        if (end > log->count || replay->next > end)
                return err_set(err, ERR_MALFORMED,
                               "IMA log of %zu entries, but entries %zu to %zu are wanted",
                               log->count, replay->next, end);
        while (replay->next < end) {
                int rc = step(replay, log, err);

                if (rc != 0)
                        return rc;
        }
        return 0;
}

void ima_replay_rebase(struct ima_replay *replay)
{
        replay->next = 0;
}

int ima_replay_find(struct ima_replay *replay, const struct ima_log *log, const uint8_t *value,
                    struct err *err)
{
        struct ima_replay now = *replay;

        while (memcmp(now.value, value, now.alg->size) != 0) {
                int rc;

                if (now.next >= log->count)
                        return err_set(err, ERR_NOT_TRUSTED,
                                       "no part of the IMA log from entry %zu to %zu gives PCR %u",
                                       replay->next, log->count, now.pcr);
                rc = step(&now, log, err);
                if (rc != 0)
                        return rc;
        }
        *replay = now;
        return 0;
}

const struct ima_entry *ima_log_boot_aggregate(const struct ima_log *log)
{
        const struct ima_entry *first = log->entries;

        if (log->count == 0 || first->violation || first->pcr != IMA_PCR ||
            first->path.len != strlen(AGGREGATE_NAME) ||
            memcmp(first->path.data, AGGREGATE_NAME, first->path.len) != 0)
                return NULL;
        return first;
}

int ima_boot_aggregate(const struct hash_alg *alg, const uint8_t *const *pcrs, size_t count,
                       uint8_t *ret_digest, struct err *err)
{
        struct bytes parts[AGGREGATE_PCRS];

        if (count > AGGREGATE_PCRS)
                return err_set(err, ERR_FAILED, "boot aggregate over %zu PCRs", count);
        for (size_t i = 0; i < count; i++)
                parts[i] = (struct bytes){pcrs[i], alg->size};
        return hash_digest_parts(alg, parts, count, ret_digest, err);
}
