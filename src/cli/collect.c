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

/* All VMs of the host: asked beforehand, so that none can be left out of the answer unseen. */
static int list_vms(struct client *client, struct challenge *challenge, struct err *err)
{
        const struct tcb_vm_list request = {0};
        struct wire_frame frame;
        struct tcb_vm vm;

        if (client_send(client, tcb_vm_list_code, &request, err) != 0)
                return err->code;
        for (;;) {
                if (client_next(client, &frame, err) != 0)
                        return err->code;
                if (frame.message->code == tcb_done_code)
                        return 0;
                if (frame.message->code != tcb_vm_code)
                        return err_set(err, ERR_MALFORMED, "the host answers with %s",
                                       frame.message->name);
                if (wire_frame_decode(&frame, &vm, sizeof(vm), err) != 0 ||
                    fill_vm(challenge, vm.name, err) != 0)
                        return err->code;
        }
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
        return request->scope == TCB_SCOPE_ALL ? list_vms(client, challenge, err) : 0;
}

static int receive(struct client *client, struct evidence *evidence, struct err *err)
{
        for (;;) {
                struct tcb_evidence blob;
                struct wire_frame frame;
                char path[201];

                if (client_next(client, &frame, err) != 0)
                        return err->code;
                if (frame.message->code == tcb_done_code)
                        return 0;
                if (frame.message->code != tcb_evidence_code)
                        return err_set(err, ERR_MALFORMED, "the host answers with %s",
                                       frame.message->name);
                if (wire_frame_decode(&frame, &blob, sizeof(blob), err) != 0 ||
                    evidence_put(evidence, wire_text_copy(blob.path, path, sizeof(path)), blob.data,
                                 err) != 0)
                        return err->code;
        }
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

        if (challenge == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (prepare(client, request, challenge, err) != 0 || evidence_new(&evidence, err) != 0)
                return err->code;
        memcpy(attest.nonce, challenge->nonce, sizeof(attest.nonce));
        if (client_send(client, tcb_attest_code, &attest, err) != 0 ||
            receive(client, evidence, err) != 0 || put_challenge(evidence, challenge, err) != 0)
                return err->code;
        memcpy(ret_nonce, challenge->nonce, sizeof(challenge->nonce));
        *ret_evidence = TAKE(evidence);
        return 0;
}
