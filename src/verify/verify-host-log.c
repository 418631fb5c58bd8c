#include "verify/verify-host-log.h"

#include <string.h>

#include "evlog/tcglog.h"

bool host_log_has(const struct host_log *log, const char *name)
{
        for (size_t i = 0; i < log->n; i++)
                if (strcmp(log->components[i].name, name) == 0)
                        return true;
        return false;
}

bool host_log_has_digest(const struct host_log *log, const char *name,
                         const uint8_t digest[HOST_DIGEST_SIZE])
{
        for (size_t i = 0; i < log->n; i++)
                if (strcmp(log->components[i].name, name) == 0 &&
                    memcmp(log->components[i].digest, digest, HOST_DIGEST_SIZE) == 0)
                        return true;
        return false;
}

bool host_log_has_version(const struct host_log *log, const char *name, const char *version)
{
        for (size_t i = 0; i < log->n; i++)
                if (strcmp(log->components[i].name, name) == 0 &&
                    strcmp(log->components[i].version, version) == 0)
                        return true;
        return false;
}

/* A TCB that starts again measures again: what is there already adds nothing. */
static int add_component(const struct hostlog_component *component, struct host_log *log,
                         struct err *err)
{
        if (host_log_has_digest(log, component->name, component->digest))
                return 0;
        if (log->n == HOST_COMPONENTS_MAX)
                return err_set(err, ERR_LIMIT, "more than %d components", HOST_COMPONENTS_MAX);
        log->components[log->n++] = *component;
        return 0;
}

/* One TPM is of one kind: whoever measured two has lied once. */
static int add_ptpm(struct bytes data, struct host_log *log, struct err *err)
{
        struct hostlog_ptpm ptpm;

        if (hostlog_ptpm_parse(data, &ptpm, err) != 0)
                return err->code;
        if (log->ptpm.kind[0] != '\0' &&
            (strcmp(log->ptpm.kind, ptpm.kind) != 0 || strcmp(log->ptpm.by, ptpm.by) != 0))
                return err_set(err, ERR_MALFORMED, "it tells of two kinds of TPM");
        log->ptpm = ptpm;
        return 0;
}

static int add_data(struct bytes data, struct host_log *log, struct err *err)
{
        struct hostlog_component component;

        if (hostlog_is_ptpm(data))
                return add_ptpm(data, log, err);
        if (hostlog_parse(data, &component, err) != 0)
                return err->code;
        return add_component(&component, log, err);
}

static int read_event(const struct tcglog_event *event, int bank, struct host_log *log,
                      struct err *err)
{
        const struct hash_alg *sha256 = hash_by_tpm_id(HASH_TPM_SHA256);
        uint8_t digest[32];
        int rc;

        if (event->pcr != HOSTLOG_PCR || event->digests[bank] == NULL)
                return err_set(err, ERR_MALFORMED, "event %u is not in PCR %d", event->n,
                               HOSTLOG_PCR);
        rc = hash_digest(sha256, event->data.data, event->data.len, digest, err);
        if (rc != 0)
                return rc;
        if (memcmp(digest, event->digests[bank], sizeof(digest)) != 0)
                return err_set(err, ERR_MALFORMED, "event %u was not made of its data", event->n);
        rc = add_data(event->data, log, err);
        return rc != 0 ? rc : hash_extend(sha256, log->pcr, digest, err);
}

int host_log_read(struct bytes bytes, struct host_log *ret_log, struct err *err)
{
        struct tcglog AUTO_TCGLOG *tcg = NULL;
        struct host_log log = {.n = 0};
        int bank;
        int rc = tcglog_parse(bytes, &tcg, err);

        if (rc != 0)
                return rc;
        bank = tcglog_bank_index(tcg, hash_by_tpm_id(HASH_TPM_SHA256));
        if (bank < 0 || tcg->pcr0_initial != 0 || tcg->format != TCGLOG_AGILE)
                return err_set(err, ERR_MALFORMED, "no log of a host's software");
        for (size_t i = 0; rc == 0 && i < tcg->event_count; i++)
                if (tcglog_event_extends(&tcg->events[i]))
                        rc = read_event(&tcg->events[i], bank, &log, err);
        if (rc == 0)
                *ret_log = log;
        return rc;
}
