#include "agent/agent.h"

#include "base/fs.h"
#include "tpm/credential.h"

#define CMDLINE_MAX 4096

const struct agent_paths agent_kernel_paths = {
    .tcg_log = "/sys/kernel/security/tpm0/binary_bios_measurements",
    .ima_log = "/sys/kernel/security/ima/binary_runtime_measurements",
    .cmdline = "/proc/cmdline",
};

static struct bytes view(const struct tpm_blob *blob)
{
        return (struct bytes){blob->data, blob->len};
}

int agent_init(struct agent *ret_agent, struct tpm *tpm, const struct agent_paths *paths,
               struct err *err)
{
        struct agent AUTO_AGENT agent = {.tpm = tpm, .paths = paths};
        struct tpm_key_blobs blobs;

        if (tpm_key_create_ek(tpm, TPM_EK_ECC_P256, &agent.ek, err) != 0 ||
            tpm_key_create_signing(agent.ek, NULL, &blobs, err) != 0 ||
            tpm_key_load(agent.ek, &blobs, NULL, &agent.ak, err) != 0)
                return err_wrap(err, "make the agent's keys");
        *ret_agent = agent;
        agent.ek = NULL;
        agent.ak = NULL;
        return 0;
}

void agent_done(struct agent *agent)
{
        tpm_key_free(TAKE(agent->ak));
        tpm_key_free(TAKE(agent->ek));
}

static int act_identify(struct agent *agent, const struct request *request, struct answer *answer,
                        struct err *err)
{
        (void)request;
        (void)err;
        answer->code = agent_identity_code;
        answer->as.identity = (struct agent_identity){
            .ek_pub = view(tpm_key_public(agent->ek)),
            .ak_pub = view(tpm_key_public(agent->ak)),
        };
        return 0;
}

static int act_activate(struct agent *agent, const struct request *request, struct answer *answer,
                        struct err *err)
{
        const struct agent_activate *activate = &request->as.activate;

        if (tpm_credential_activate(agent->ek, agent->ak, activate->credential_blob,
                                    activate->encrypted_secret, &answer->credential, err) != 0)
                return err->code;
        answer->code = agent_activated_code;
        answer->as.activated.credential =
            (struct bytes){answer->credential->data, answer->credential->len};
        return 0;
}

/*
 * A log that the kernel does not have is sent empty: what that is worth is the verifier's to say.
 * The memory belongs to the answer.
 */
static int read_log(const char *path, size_t max, uint8_t **ret_memory, struct bytes *ret_log,
                    struct err *err)
{
        size_t len = 0;
        int rc = fs_read_file(path, max, ret_memory, &len, err);

        if (rc != 0 && rc != ERR_NOT_FOUND)
                return rc;
        *ret_log = (struct bytes){*ret_memory, len};
        return 0;
}

/* The logs are read after the quote, so that they hold at least all that it covers. */
static int act_quote(struct agent *agent, const struct request *request, struct answer *answer,
                     struct err *err)
{
        const struct tpm_pcr_selection selection = {.alg = TPM_ALG_ID_SHA256,
                                                    .mask = request->as.quote.pcr_mask};
        struct agent_evidence *evidence = &answer->as.evidence;

        if (tpm_quote(agent->ak, request->as.quote.qualifying, &selection, &answer->quote, err) !=
                0 ||
            read_log(agent->paths->tcg_log, AGENT_TCG_LOG_MAX, &answer->logs[0], &evidence->tcg_log,
                     err) != 0 ||
            read_log(agent->paths->ima_log, AGENT_IMA_LOG_MAX, &answer->logs[1], &evidence->ima_log,
                     err) != 0 ||
            read_log(agent->paths->cmdline, CMDLINE_MAX, &answer->logs[2], &evidence->cmdline,
                     err) != 0)
                return err->code;
        answer->code = agent_evidence_code;
        evidence->attest = view(&answer->quote.attest);
        evidence->signature = view(&answer->quote.signature);
        return 0;
}

static int act_poweroff(struct agent *agent, const struct request *request, struct answer *answer,
                        struct err *err)
{
        (void)agent;
        (void)request;
        (void)err;
        answer->stop = true;
        return 0;
}

/* One row for each request of wire/agent.def. */
static const struct {
        uint16_t code;
        int (*act)(struct agent *agent, const struct request *request, struct answer *answer,
                   struct err *err);
} acts[] = {
    {agent_identify_code, act_identify},
    {agent_activate_code, act_activate},
    {agent_quote_code, act_quote},
    {agent_poweroff_code, act_poweroff},
};

int agent_act(void *user, const struct request *request, struct answer *answer, struct err *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
                if (acts[i].code == request->code)
                        return acts[i].act(user, request, answer, err);
        return err_set(err, ERR_UNSUPPORTED, "unknown request %u", request->code);
}
