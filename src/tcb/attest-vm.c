#include "tcb/attest-vm.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "evlog/quote.h"
#include "tpmwire/credential.h"
#include "tpmwire/qualify.h"

#define GUEST_PCRS (0x7ffU | 1U << 14) /* 0 to 10, and 14 for boot loaders that use it */
#define MEMORY_MAX (6U << 20)

static struct bytes ek_name(const struct attest_vm *part)
{
        const struct block_name *name = &part->vm->instance->stored.block.ek[0];

        return (struct bytes){name->data, name->len};
}

static void finish(struct attest_vm *part, const struct err *failure)
{
        if (failure != NULL)
                part->failure = *failure;
        part->complete = failure == NULL;
        part->done(part->user, part);
}

/* Asks, or gives up at once. */
static void ask(struct attest_vm *part, const struct agent_question *question)
{
        struct err err = {0};

        if (agent_link_ask(part->vm->agent, question, &err) != 0)
                finish(part, &err);
}

/* The quote -------------------------------------------------------------------------------- */

static const char *failing(const struct reasons *reasons)
{
        for (size_t i = 0; i < reasons->count; i++)
                if (reasons->items[i].severity == REASON_FAIL)
                        return reasons->items[i].text;
        return "not signed";
}

/* The host vouches only for a quote that it has checked itself. */
static int check_quote(const struct attest_vm *part, struct err *err)
{
        struct reasons reasons = {.count = 0};
        struct quote_result result;
        struct quote_key AUTO_QUOTE_KEY *key = NULL;
        struct quote_request request = {
            .attest = part->evidence.attest,
            .signature = part->evidence.signature,
            .nonce = {part->leaf.qualifying, sizeof(part->leaf.qualifying)},
            .bank = hash_by_tpm_id(HASH_TPM_SHA256),
            .required = GUEST_PCRS,
        };

        key = quote_key_new((struct bytes){part->ak_pub, part->ak_pub_len}, &reasons);
        request.key = key;
        quote_check(&request, &reasons, &result);
        if (key == NULL || !result.is_signed || reasons_failed(&reasons))
                return err_set(err, ERR_NOT_TRUSTED, "the vTPM's quote: %s", failing(&reasons));
        return 0;
}

/* Views of the frame die with it: the evidence is kept in memory of its own. */
static int keep_evidence(struct attest_vm *part, const struct wire_frame *frame, struct err *err)
{
        struct wire_frame copy = *frame;

        writer_init(&part->memory, MEMORY_MAX);
        writer_put_bytes(&part->memory, frame->payload);
        if (writer_check(&part->memory) != 0)
                return err_set(err, ERR_LIMIT, "evidence of %zu bytes", frame->payload.len);
        copy.payload = writer_bytes(&part->memory);
        return wire_frame_decode(&copy, &part->evidence, sizeof(part->evidence), err);
}

static int complete_leaf(struct attest_vm *part, struct err *err)
{
        part->leaf.init_count = part->vm->instance->init_count;
        if (qualify_quote_digest(part->evidence.attest, part->evidence.signature, part->leaf.quote,
                                 err) != 0)
                return err->code;
        writer_init(&part->encoded, LEAF_SIZE_MAX);
        return leaf_encode(&part->leaf, &part->encoded, err);
}

static void on_evidence(void *user, const struct wire_frame *frame, const struct err *failure)
{
        struct attest_vm *part = user;
        struct err err = {0};

        if (failure == NULL && (keep_evidence(part, frame, &err) != 0 ||
                                check_quote(part, &err) != 0 || complete_leaf(part, &err) != 0))
                failure = &err;
        finish(part, failure);
}

static void ask_for_quote(struct attest_vm *part)
{
        struct agent_quote message = {.pcr_mask = GUEST_PCRS};
        const struct agent_question question = {agent_quote_code, &message, agent_evidence_code,
                                                on_evidence, part};

        memcpy(message.qualifying, part->leaf.qualifying, sizeof(message.qualifying));
        ask(part, &question);
}

/* The keys ----------------------------------------------------------------------------------- */

static void on_activated(void *user, const struct wire_frame *frame, const struct err *failure)
{
        struct attest_vm *part = user;
        struct agent_activated activated;
        struct err err = {0};

        if (failure == NULL && wire_frame_decode(frame, &activated, sizeof(activated), &err) != 0)
                failure = &err;
        if (failure == NULL &&
            (activated.credential.len != sizeof(part->secret) ||
             !secret_equal(activated.credential.data, part->secret, sizeof(part->secret)))) {
                (void)err_set(&err, ERR_NOT_TRUSTED, "the AK does not live in this VM's vTPM");
                failure = &err;
        }
        explicit_bzero(part->secret, sizeof(part->secret));
        if (failure != NULL)
                finish(part, failure);
        else
                ask_for_quote(part);
}

/* A secret that only the vTPM with our engine's EK and this AK can open. */
static int make_credential(struct attest_vm *part, struct credential *ret_credential,
                           struct err *err)
{
        struct secret AUTO_SECRET *secret = NULL;
        const struct instance *instance = part->vm->instance;
        struct tpm_public ek;
        struct tpm_name ak = {.len = part->leaf.ak_name.len};

        memcpy(ak.data, part->leaf.ak_name.data, part->leaf.ak_name.len);
        if (tpm_public_parse((struct bytes){instance->ek_pub, instance->ek_pub_len}, &ek, err) != 0)
                return err->code;
        if (secret_new_random(sizeof(part->secret), &secret, err) != 0)
                return err->code;
        memcpy(part->secret, secret->data, sizeof(part->secret));
        return credential_make(&ek, &ak, secret, ret_credential, err);
}

static void ask_to_activate(struct attest_vm *part)
{
        struct credential credential;
        struct agent_activate message;
        struct err err = {0};

        if (make_credential(part, &credential, &err) != 0) {
                finish(part, &err);
                return;
        }
        message.credential_blob = (struct bytes){credential.blob, credential.blob_len};
        message.encrypted_secret = (struct bytes){credential.secret, credential.secret_len};
        ask(part, &(struct agent_question){agent_activate_code, &message, agent_activated_code,
                                           on_activated, part});
}

static int take_identity(struct attest_vm *part, const struct wire_frame *frame, struct err *err)
{
        const struct instance *instance = part->vm->instance;
        struct agent_identity identity;
        struct tpm_public public;
        struct tpm_name name;

        if (wire_frame_decode(frame, &identity, sizeof(identity), err) != 0)
                return err->code;
        if (!bytes_equal(identity.ek_pub, (struct bytes){instance->ek_pub, instance->ek_pub_len}))
                return err_set(err, ERR_NOT_TRUSTED, "the guest shows an EK of another vTPM");
        if (tpm_public_parse(identity.ak_pub, &public, err) != 0 ||
            tpm_name_of_public(&public, &name, err) != 0 ||
            leaf_name_set(&part->leaf.ak_name, tpm_name_bytes(&name)) != 0)
                return err_wrap(err, "the guest's AK");
        part->ek_pub_len = identity.ek_pub.len;
        memcpy(part->ek_pub, identity.ek_pub.data, identity.ek_pub.len);
        part->ak_pub_len = identity.ak_pub.len;
        memcpy(part->ak_pub, identity.ak_pub.data, identity.ak_pub.len);
        return 0;
}

static void on_identity(void *user, const struct wire_frame *frame, const struct err *failure)
{
        struct attest_vm *part = user;
        struct err err = {0};

        if (failure == NULL && take_identity(part, frame, &err) != 0)
                failure = &err;
        if (failure != NULL)
                finish(part, failure);
        else
                ask_to_activate(part);
}

/* What the host says ------------------------------------------------------------------------ */

int attest_fill_host(const struct tcb *tcb, struct leaf *leaf, struct err *err)
{
        leaf->epoch = 1;
        leaf->anchor = LEAF_ANCHOR_NONE;
        leaf->launch = LEAF_LAUNCH_TCB;
        memcpy(leaf->firmware, tcb->measurements.ovmf, sizeof(leaf->firmware));
        memcpy(leaf->qemu, tcb->measurements.qemu, sizeof(leaf->qemu));
        memcpy(leaf->engine, tcb->measurements.engine, sizeof(leaf->engine));
        if (leaf_name_set(&leaf->cek_name, tpm_name_bytes(&tcb->keys.cek_name)) != 0)
                return err_set(err, ERR_LIMIT, "name of the CEK");
        return 0;
}

static int prepare(struct attest_vm *part, struct err *err)
{
        const struct security_block *block = &part->vm->instance->stored.block;
        struct leaf *leaf = &part->leaf;
        struct qualify_vm binding = {.nonce = part->nonce,
                                     .uuid = block->uuid,
                                     .cek_name = tpm_name_bytes(&part->vm->tcb->keys.cek_name),
                                     .ek_name = ek_name(part)};

        if (attest_fill_host(part->vm->tcb, leaf, err) != 0)
                return err->code;
        memcpy(leaf->nonce, part->nonce, sizeof(leaf->nonce));
        memcpy(leaf->uuid, block->uuid, sizeof(leaf->uuid));
        leaf->epoch = binding.epoch = block->epoch;
        if (part->vm->qemu.degraded != 0)
                leaf->flags |= LEAF_DEGRADED;
        if (leaf_name_set(&leaf->ek_name, ek_name(part)) != 0 ||
            security_block_digest(block, leaf->security_block, err) != 0)
                return err_wrap(err, "security block");
        return qualify_vm(&binding, leaf->qualifying, err);
}

void attest_vm_start(struct attest_vm *part)
{
        const struct agent_identify message = {0};
        struct err err = {0};

        if (part->vm->sm.state != VM_RUNNING)
                (void)err_set(&err, ERR_UNREACHABLE, "%s is %s", part->name,
                              vm_state_name(part->vm));
        else if (prepare(part, &err) == 0) {
                ask(part, &(struct agent_question){agent_identify_code, &message,
                                                   agent_identity_code, on_identity, part});
                return;
        }
        finish(part, &err);
}

void attest_vm_done(struct attest_vm *part)
{
        explicit_bzero(part->secret, sizeof(part->secret));
        writer_done(&part->encoded);
        writer_done(&part->memory);
}
