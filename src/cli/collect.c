#include "cli/collect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int fill_vm(struct challenge *challenge, struct bytes name, struct err *err)
{
        if (challenge->n_vms == CHALLENGE_VMS_MAX)
                return err_set(err, ERR_LIMIT, "more than %d VMs in one challenge",
                               CHALLENGE_VMS_MAX);
        wire_text_copy(name, challenge->vms[challenge->n_vms++], sizeof(challenge->vms[0]));
        return 0;
}

static int on_vm(void *user, const struct wire_frame *frame, struct err *err)
{
        struct tcb_vm vm;
        int rc = wire_frame_decode(frame, &vm, sizeof(vm), err);

        return rc != 0 ? rc : fill_vm(user, vm.name, err);
}

/*
 * All VMs of the host: asked beforehand, so that none can be left out of the answer unseen. That
 * none was left out of the list shows in the host's leaf, which counts them.
 */
static int list_vms(struct client *client, struct challenge *challenge, struct err *err)
{
        const struct tcb_vm_list request = {0};
        const struct client_list all = {tcb_vm_list_code, &request, tcb_vm_code, on_vm, challenge};

        return client_each(client, &all, err);
}

static int prepare(struct client *client, const struct collect_request *request,
                   struct challenge *challenge, struct err *err)
{
        const struct tcb_status ask = {0};
        struct tcb_status_is status;

        challenge->time = time(NULL);
        if (request->nonce != NULL)
                memcpy(challenge->nonce, request->nonce, sizeof(challenge->nonce));
        else if (getrandom(challenge->nonce, sizeof(challenge->nonce), 0) !=
                 (ssize_t)sizeof(challenge->nonce))
                return err_set_errno(err, errno, "getrandom");
        if (request->host != NULL)
                (void)snprintf(challenge->host, sizeof(challenge->host), "%s", request->host);
        else if (client_call(client, tcb_status_code, &ask, tcb_status_is_code, &status,
                             sizeof(status), err) != 0)
                return err->code;
        else
                wire_text_copy(status.host, challenge->host, sizeof(challenge->host));
        if (request->scope == TCB_SCOPE_VM)
                return fill_vm(challenge, wire_text(request->vm), err);
        challenge->all = request->scope == TCB_SCOPE_ALL;
        return challenge->all ? list_vms(client, challenge, err) : 0;
}

static int on_blob(void *user, const struct wire_frame *frame, struct err *err)
{
        struct tcb_evidence blob;
        char path[201];
        int rc = wire_frame_decode(frame, &blob, sizeof(blob), err);

        if (rc != 0)
                return rc;
        return evidence_put(user, wire_text_copy(blob.path, path, sizeof(path)), blob.data, err);
}

static int put_challenge(struct evidence *evidence, const struct challenge *challenge,
                         struct err *err)
{
        char AUTO_FREE *text = NULL;

        if (challenge_to_json(challenge, &text, err) != 0)
                return err->code;
        /* Ours, whatever the host may have sent under this name. */
        return evidence_replace(evidence, "challenge.json",
                                (struct bytes){(const uint8_t *)text, strlen(text)}, err);
}

int collect_evidence(struct client *client, const struct collect_request *request,
                     struct evidence **ret_evidence, uint8_t *ret_nonce, struct err *err)
{
        struct challenge AUTO_FREE *challenge = calloc(1, sizeof(*challenge));
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct tcb_attest attest = {.scope = (uint8_t)request->scope,
                                    .name = wire_text(request->vm == NULL ? "" : request->vm)};
        struct client_list all = {tcb_attest_code, &attest, tcb_evidence_code, on_blob, NULL};

        if (challenge == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (prepare(client, request, challenge, err) != 0 || evidence_new(&evidence, err) != 0)
                return err->code;
        memcpy(attest.nonce, challenge->nonce, sizeof(attest.nonce));
        all.user = evidence;
        if (client_each(client, &all, err) != 0 || put_challenge(evidence, challenge, err) != 0)
                return err->code;
        memcpy(ret_nonce, challenge->nonce, sizeof(challenge->nonce));
        *ret_evidence = TAKE(evidence);
        return 0;
}
