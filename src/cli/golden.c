#include "cli/golden.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "evlog/hostlog.h"
#include "evlog/learn.h"
#include "evlog/tcglog.h"
#include "verify/verify-host-log.h"

static struct bytes blob(const struct evidence *evidence, const char *dir, const char *name)
{
        struct bytes data = {NULL, 0};
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        if (!evidence_get(evidence, path, &data))
                return (struct bytes){NULL, 0};
        return data;
}

static int learn_guest(const struct evidence *evidence, const struct golden_request *request,
                       struct policy **ret_policy, struct err *err)
{
        struct verdict AUTO_FREE *verdict = calloc(1, sizeof(*verdict));
        struct appraise_evidence boot;
        uint8_t nonce[32];
        struct bytes hex;
        char dir[128];

        if (verdict == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        (void)snprintf(dir, sizeof(dir), "vms/%s", request->vm);
        boot = (struct appraise_evidence){
            .key = blob(evidence, dir, "ak.pub"),
            .ek = blob(evidence, dir, "ek.pub"),
            .attest = blob(evidence, dir, "quote.attest"),
            .signature = blob(evidence, dir, "quote.sig"),
            .tcg_log = blob(evidence, dir, "binary_bios_measurements"),
            .ima_log = blob(evidence, dir, "binary_runtime_measurements"),
        };
        hex = blob(evidence, dir, "nonce.hex");
        if (hex_decode((const char *)hex.data, hex.len, nonce, sizeof(nonce), &boot.nonce.len) != 0)
                return err_set(err, ERR_MALFORMED, "%s/nonce.hex is not hexadecimal", dir);
        boot.nonce.data = nonce;
        return learn_policy(&boot, request->name, request->firmware,
                            hash_by_tpm_id(HASH_TPM_SHA256), ret_policy, verdict, err);
}

static int add_components(struct bytes log_bytes, struct policy *policy, struct err *err)
{
        struct tcglog AUTO_TCGLOG *log = NULL;

        if (tcglog_parse(log_bytes, &log, err) != 0)
                return err_wrap(err, "the host's log");
        for (size_t i = 0; i < log->event_count; i++) {
                struct policy_digest digest = {.alg = hash_by_tpm_id(HASH_TPM_SHA256)};
                struct hostlog_component component;

                if (!tcglog_event_extends(&log->events[i]) || hostlog_is_ptpm(log->events[i].data))
                        continue;
                if (hostlog_parse(log->events[i].data, &component, err) != 0)
                        return err->code;
                memcpy(digest.data, component.digest, sizeof(component.digest));
                if (policy_add_host(policy, component.name, &digest, err) != 0)
                        return err->code;
        }
        return 0;
}

static int add_ptpm(struct bytes log_bytes, struct policy *policy, struct err *err)
{
        struct host_log AUTO_FREE *log = calloc(1, sizeof(*log));
        unsigned bit;

        if (log == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (host_log_read(log_bytes, log, err) != 0)
                return err_wrap(err, "the host's log");
        bit = policy_ptpm_from_name(log->ptpm.kind);
        if (bit == 0)
                return err_set(err, ERR_MALFORMED, "the host's log does not say which TPM it is");
        policy->ptpm |= bit;
        return 0;
}

/* How the host booted, where its TPM and its firmware tell of it. */
static int learn_host_boot(const struct evidence *evidence, struct policy *policy, struct err *err)
{
        struct verdict AUTO_FREE *verdict = calloc(1, sizeof(*verdict));
        struct host_log AUTO_FREE *software = calloc(1, sizeof(*software));
        struct policy AUTO_POLICY *boot = NULL;
        struct attest attest = {.type = 0};
        struct pcr_values known = {.alg = hash_by_tpm_id(HASH_TPM_SHA256),
                                   .mask = UINT32_C(1) << HOSTLOG_PCR};
        struct appraise_evidence host = {
            .key = blob(evidence, "host", "ak.pub"),
            .ek = blob(evidence, "host", "ek.pub"),
            .attest = blob(evidence, "host", "quote.attest"),
            .signature = blob(evidence, "host", "quote.sig"),
            .tcg_log = blob(evidence, "host", "binary_bios_measurements"),
            .ima_log = blob(evidence, "host", "binary_runtime_measurements"),
            .known = &known,
        };

        if (host.tcg_log.len == 0)
                return 0;
        if (verdict == NULL || software == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (host_log_read(blob(evidence, "host", "catena_log"), software, err) != 0 ||
            attest_parse(host.attest, &attest, err) != 0)
                return err->code;
        memcpy(known.values[HOSTLOG_PCR], software->pcr, sizeof(software->pcr));
        host.nonce = attest.extra_data; /* a golden boot answers no challenge */
        if (learn_policy(&host, "host", "host", known.alg, &boot, verdict, err) != 0 ||
            policy_set_host_boot(policy, boot, err) != 0)
                return err_wrap(err, "the host's boot");
        boot = NULL;
        return 0;
}

int golden_add_host(const struct evidence *evidence, struct policy *policy, struct err *err)
{
        if (add_components(blob(evidence, "host", "catena_log"), policy, err) != 0 ||
            learn_host_boot(evidence, policy, err) != 0)
                return err->code;
        return add_ptpm(blob(evidence, "host", "catena_log"), policy, err);
}

int golden_learn(const struct evidence *evidence, const struct golden_request *request,
                 struct policy **ret_policy, struct err *err)
{
        struct policy AUTO_POLICY *policy = NULL;

        if (learn_guest(evidence, request, &policy, err) != 0 ||
            golden_add_host(evidence, policy, err) != 0)
                return err->code;
        *ret_policy = TAKE(policy);
        return 0;
}
