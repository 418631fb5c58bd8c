#include "evlog/tcglog.h"

#include <stdio.h>
#include <string.h>

#include "evlog/event-type.h"

#define SHA1_SIZE            20U
#define SPEC_ID_SIGNATURE    "Spec ID Event03" /* with its NUL 16 bytes (PFP 1.06, 10.4.5.1) */
#define LOCALITY_SIGNATURE   "StartupLocality" /* likewise (10.4.5.3) */
#define SIGNATURE_SIZE       16U
#define CCEL_REGISTER_MAX    4U /* TDX: 0 MRTD, 1 to 4 RTMR 0 to 3 */
#define EVENTS_FIRST         64U
#define PCR0_INITIAL_HCRTM   4U
#define PCR0_INITIAL_STARTUP 3U

struct parser {
        struct reader in;
        struct tcglog *log;
        size_t events_room;
        size_t padding_from; /* from here to the end all bytes are 0x00, or all 0xff */
        bool pcr0_extended;
        bool has_locality;
        bool has_hcrtm;
        struct err *err;
};

/* The one form of all complaints: which event, where, what. */
#define REFUSE(p, fmt, ...)                                                                        \
        err_set((p)->err, ERR_MALFORMED, "event %zu at byte %zu: " fmt, (p)->log->event_count,     \
                reader_offset(&(p)->in), ##__VA_ARGS__)

static bool has_signature(struct bytes data, const char signature[static SIGNATURE_SIZE])
{
        return data.len >= SIGNATURE_SIZE && memcmp(data.data, signature, SIGNATURE_SIZE) == 0;
}

static size_t find_padding(struct bytes input)
{
        size_t from = input.len;

        if (from == 0 || (input.data[from - 1] != 0x00 && input.data[from - 1] != 0xff))
                return from;
        while (from > 0 && input.data[from - 1] == input.data[input.len - 1])
                from--;
        return from;
}

/* False: p->err says why. */
static bool grow_events(struct parser *p)
{
        size_t room = p->events_room == 0 ? EVENTS_FIRST : 2 * p->events_room;
        struct tcglog_event *events;

        if (p->log->event_count >= TCGLOG_EVENTS_MAX) {
                err_set(p->err, ERR_LIMIT, "more than %d events", TCGLOG_EVENTS_MAX);
                return false;
        }
        events = realloc(p->log->events, room * sizeof(*events));
        if (events == NULL) {
                err_set(p->err, ERR_NO_MEMORY, "%zu events", room);
                return false;
        }
        p->log->events = events;
        p->events_room = room;
        return true;
}

/* A cleared event at the end of the array, with its number and offset; NULL: p->err says why. */
static struct tcglog_event *next_event(struct parser *p)
{
        struct tcglog_event *event;

        if (p->log->event_count >= p->events_room && !grow_events(p))
                return NULL;
        event = &p->log->events[p->log->event_count];
        *event = (struct tcglog_event){
            .n = (uint32_t)p->log->event_count,
            .offset = (uint32_t)reader_offset(&p->in),
        };
        return event;
}

static int get_index_and_type(struct parser *p, struct tcglog_event *event)
{
        if (reader_get_le32(&p->in, &event->pcr) != 0 || reader_get_le32(&p->in, &event->type) != 0)
                return REFUSE(p, "cut in its header");
        if (event->pcr < TCGLOG_PCR_COUNT)
                return 0;
        if (event->pcr == TCGLOG_PCR_NONE && event->type == EV_NO_ACTION)
                return 0;
        return REFUSE(p, "PCR index %u", event->pcr);
}

static int get_data(struct parser *p, struct tcglog_event *event)
{
        uint32_t size;

        if (reader_get_le32(&p->in, &size) != 0)
                return REFUSE(p, "cut before its size");
        if (reader_get_bytes(&p->in, size, &event->data) != 0)
                return REFUSE(p, "size %u, but only %zu bytes follow", size, reader_left(&p->in));
        return 0;
}

/* TCG_PCClientPCREvent: one SHA-1 digest (PFP 1.06, 10.2.1). */
static int get_legacy_event(struct parser *p, struct tcglog_event *event)
{
        struct bytes digest;
        int rc = get_index_and_type(p, event);

        if (rc != 0)
                return rc;
        if (reader_get_bytes(&p->in, SHA1_SIZE, &digest) != 0)
                return REFUSE(p, "cut in its digest");
        event->digests[0] = digest.data;
        return get_data(p, event);
}

static size_t find_bank(const struct tcglog *log, uint16_t tpm_id, size_t likely)
{
        if (likely < log->bank_count && log->banks[likely].tpm_id == tpm_id)
                return likely;
        for (size_t i = 0; i < log->bank_count; i++)
                if (log->banks[i].tpm_id == tpm_id)
                        return i;
        return TCGLOG_BANKS_MAX;
}

static int get_digest(struct parser *p, struct tcglog_event *event, size_t i)
{
        struct bytes digest;
        uint16_t tpm_id;
        size_t bank;

        if (reader_get_le16(&p->in, &tpm_id) != 0)
                return REFUSE(p, "cut in digest %zu", i);
        bank = find_bank(p->log, tpm_id, i);
        if (bank == TCGLOG_BANKS_MAX)
                return REFUSE(p, "digest of algorithm 0x%04x, which was not announced", tpm_id);
        if (event->digests[bank] != NULL)
                return REFUSE(p, "two digests of algorithm 0x%04x", tpm_id);
        if (reader_get_bytes(&p->in, p->log->banks[bank].size, &digest) != 0)
                return REFUSE(p, "cut in digest %zu", i);
        event->digests[bank] = digest.data;
        return 0;
}

/* TCG_PCR_EVENT2: a digest for each bank (PFP 1.06, 10.2.2). */
static int get_agile_event(struct parser *p, struct tcglog_event *event)
{
        uint32_t count;
        int rc = get_index_and_type(p, event);

        if (rc != 0)
                return rc;
        if (reader_get_le32(&p->in, &count) != 0)
                return REFUSE(p, "cut before its digests");
        if (count > p->log->bank_count)
                return REFUSE(p, "%u digests, but %zu banks", count, p->log->bank_count);
        for (size_t i = 0; i < count; i++) {
                rc = get_digest(p, event, i);
                if (rc != 0)
                        return rc;
        }
        return get_data(p, event);
}

/* PFP 1.06, 10.4.5.3: once, before anything extends PCR 0. */
static int check_locality(struct parser *p, const struct tcglog_event *event)
{
        uint8_t locality;

        if (event->data.len != SIGNATURE_SIZE + 1 || event->pcr != 0)
                return REFUSE(p, "StartupLocality of %zu bytes in PCR %u", event->data.len,
                              event->pcr);
        locality = event->data.data[SIGNATURE_SIZE];
        if (locality != 0 && locality != PCR0_INITIAL_STARTUP && locality != PCR0_INITIAL_HCRTM)
                return REFUSE(p, "StartupLocality %u", locality);
        if (p->has_locality)
                return REFUSE(p, "a second StartupLocality");
        if (p->pcr0_extended)
                return REFUSE(p, "StartupLocality after PCR 0 was extended");
        p->has_locality = true;
        p->log->pcr0_initial = locality;
        return 0;
}

/*
 * TPM 2.0 Part 1, 34.3: a measurement by the hardware before TPM2_Startup leaves PCR 0 at 4,
 * so it comes before everything else in PCR 0 and contradicts a startup from locality 3.
 */
static int check_hcrtm(struct parser *p)
{
        if (p->has_hcrtm)
                return 0;
        if (p->pcr0_extended)
                return REFUSE(p, "EV_EFI_HCRTM_EVENT after PCR 0 was extended");
        if (p->log->pcr0_initial == PCR0_INITIAL_STARTUP)
                return REFUSE(p, "EV_EFI_HCRTM_EVENT, but StartupLocality 3");
        p->has_hcrtm = true;
        p->log->pcr0_initial = PCR0_INITIAL_HCRTM;
        return 0;
}

/* What the order of events must keep whatever they mean. */
static int check_event(struct parser *p, const struct tcglog_event *event)
{
        int rc = 0;

        if (event->type == EV_NO_ACTION && has_signature(event->data, SPEC_ID_SIGNATURE))
                return REFUSE(p, "a Spec ID event that is not the first");
        if (p->log->format == TCGLOG_CCEL)
                return 0;
        if (event->type == EV_NO_ACTION && has_signature(event->data, LOCALITY_SIGNATURE))
                rc = check_locality(p, event);
        else if (event->type == EV_EFI_HCRTM_EVENT && event->pcr == 0)
                rc = check_hcrtm(p);
        if (event->pcr == 0 && tcglog_event_extends(event))
                p->pcr0_extended = true;
        return rc;
}

static int add_bank(struct parser *p, uint16_t tpm_id, uint16_t size)
{
        struct tcglog *log = p->log;
        const struct hash_alg *alg = hash_by_tpm_id(tpm_id);

        if (find_bank(log, tpm_id, 0) != TCGLOG_BANKS_MAX)
                return REFUSE(p, "algorithm 0x%04x announced twice", tpm_id);
        if (size == 0 || size > HASH_SIZE_MAX || (alg != NULL && alg->size != size))
                return REFUSE(p, "algorithm 0x%04x with digests of %u bytes", tpm_id, size);
        log->banks[log->bank_count++] =
            (struct tcglog_bank){.alg = alg, .tpm_id = tpm_id, .size = size};
        return 0;
}

static int get_algorithms(struct parser *p, struct reader *spec)
{
        uint32_t count;

        if (reader_get_le32(spec, &count) != 0)
                return REFUSE(p, "Spec ID event cut before its algorithms");
        if (count == 0 || count > TCGLOG_BANKS_MAX)
                return REFUSE(p, "Spec ID event with %u algorithms", count);
        for (uint32_t i = 0; i < count; i++) {
                uint16_t tpm_id;
                uint16_t size;
                int rc;

                if (reader_get_le16(spec, &tpm_id) != 0 || reader_get_le16(spec, &size) != 0)
                        return REFUSE(p, "Spec ID event cut in its algorithms");
                rc = add_bank(p, tpm_id, size);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

/* TCG_EfiSpecIdEvent (PFP 1.06, 10.4.5.1); some firmware leaves the vendor's part out. */
static int get_spec_id(struct parser *p, struct bytes data)
{
        struct reader spec = reader_from_bytes(data);
        uint8_t vendor_size = 0;
        int rc;

        /* signature, platformClass, versions and uintnSize say nothing that we rely on */
        if (reader_skip(&spec, SIGNATURE_SIZE + 4 + 4) != 0)
                return REFUSE(p, "Spec ID event of %zu bytes", data.len);
        rc = get_algorithms(p, &spec);
        if (rc != 0)
                return rc;
        if (reader_left(&spec) > 0 && reader_get_u8(&spec, &vendor_size) != 0)
                return REFUSE(p, "Spec ID event cut before its vendor part");
        if (reader_skip(&spec, vendor_size) != 0)
                return REFUSE(p, "vendor part of %u bytes, but only %zu follow", vendor_size,
                              reader_left(&spec));
        if (find_padding(data) > data.len - reader_left(&spec))
                return REFUSE(p, "%zu bytes after the Spec ID event", reader_left(&spec));
        return 0;
}

/* The first record has the old form in every format and decides which one it is. */
static int get_first_event(struct parser *p)
{
        struct tcglog *log = p->log;
        struct tcglog_event *event = next_event(p);
        int rc;

        if (event == NULL)
                return p->err->code;
        rc = get_legacy_event(p, event);
        if (rc != 0)
                return rc;
        if (!has_signature(event->data, SPEC_ID_SIGNATURE)) {
                rc = add_bank(p, HASH_TPM_SHA1, SHA1_SIZE);
                return rc != 0 ? rc : check_event(p, event);
        }
        if (event->type != EV_NO_ACTION || event->pcr > CCEL_REGISTER_MAX)
                return REFUSE(p, "Spec ID event of type 0x%08x in PCR %u", event->type, event->pcr);
        log->format = event->pcr == 0 ? TCGLOG_AGILE : TCGLOG_CCEL;
        rc = get_spec_id(p, event->data);
        if (rc == 0 && log->banks[0].tpm_id != HASH_TPM_SHA1)
                event->digests[0] = NULL; /* its zero SHA-1 digest has no bank here */
        return rc;
}

static int get_next_event(struct parser *p)
{
        struct tcglog_event *event = next_event(p);
        int rc;

        if (event == NULL)
                return p->err->code;
        if (p->log->format == TCGLOG_LEGACY)
                rc = get_legacy_event(p, event);
        else
                rc = get_agile_event(p, event);
        return rc != 0 ? rc : check_event(p, event);
}

static int get_events(struct parser *p)
{
        int rc = get_first_event(p);

        while (rc == 0) {
                p->log->event_count++;
                if (reader_left(&p->in) == 0 || reader_offset(&p->in) >= p->padding_from)
                        break;
                rc = get_next_event(p);
        }
        p->log->padding = reader_left(&p->in);
        return rc;
}

int tcglog_parse(struct bytes input, struct tcglog **ret_log, struct err *err)
{
        struct tcglog AUTO_TCGLOG *log = calloc(1, sizeof(*log));
        struct parser p = {.in = reader_from_bytes(input), .log = log, .err = err};
        int rc;

        if (log == NULL)
                return err_set(err, ERR_NO_MEMORY, "event log");
        if (input.len > TCGLOG_SIZE_MAX)
                return err_set(err, ERR_LIMIT, "event log of %zu bytes (at most %u)", input.len,
                               TCGLOG_SIZE_MAX);
        p.padding_from = find_padding(input);
        if (p.padding_from == 0)
                return REFUSE(&p, "an empty log");
        rc = get_events(&p);
        if (rc != 0)
                return rc;
        *ret_log = TAKE(log);
        return 0;
}

void tcglog_free(struct tcglog *log)
{
        if (log == NULL)
                return;
        free(log->events);
        free(log);
}

int tcglog_bank_index(const struct tcglog *log, const struct hash_alg *alg)
{
        for (size_t i = 0; i < log->bank_count; i++)
                if (log->banks[i].alg == alg)
                        return (int)i;
        return -1;
}

bool tcglog_event_extends(const struct tcglog_event *event)
{
        return event->type != EV_NO_ACTION;
}

const char *tcglog_bank_name(const struct tcglog_bank *bank, char ret_name[static 16])
{
        if (bank->alg != NULL)
                return bank->alg->name;
        (void)snprintf(ret_name, 16, "alg_0x%04x", bank->tpm_id);
        return ret_name;
}
