#include "tcb/attest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hex.h"
#include "base/log.h"
#include "tcb/attest-vm.h"
#include "tpmwire/qualify.h"

#define VMS_MAX  256 /* of one challenge */
#define PATH_LEN 200

/* Of the kernel's first TPM; root only. */
#define FIRMWARE_LOG "/sys/kernel/security/tpm0/binary_bios_measurements"
#define IMA_LOG      "/sys/kernel/security/ima/binary_runtime_measurements"

/* At a time; also those whose client has gone count until they are done. */
#define SESSIONS_MAX 64

struct session {
        struct tcb *tcb;
        struct request *request;
        struct attest_vm *parts;
        size_t n_parts;
        size_t waiting; /* parts that are not done */
        uint32_t vms;   /* of the host, when the challenge came */
        uint32_t vms_running;
        struct writer host_leaf;
        struct merkle_tree *tree;
        uint8_t nonce[LEAF_NONCE_SIZE];
        uint8_t attest[2048];
        size_t attest_len;
        uint8_t signature[1024];
        size_t signature_len;
};

static void session_free(struct session *session)
{
        for (size_t i = 0; i < session->n_parts; i++)
                attest_vm_done(&session->parts[i]);
        session->tcb->attestations--;
        free(session->parts);
        writer_done(&session->host_leaf);
        merkle_tree_free(session->tree);
        free(session);
}

static void fail(struct session *session, const struct err *err)
{
        request_fail(session->request, err);
        session_free(session);
}

/* Sending it ---------------------------------------------------------------------------------- */

static void send_blob(struct session *session, const char *dir, const char *name, struct bytes data)
{
        char path[PATH_LEN];
        struct tcb_evidence evidence = {.data = data};

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        evidence.path = wire_text(path);
        request_send(session->request, tcb_evidence_code, &evidence);
}

static void send_text(struct session *session, const char *dir, const char *name, const char *text)
{
        send_blob(session, dir, name, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static int send_proof(struct session *session, const char *dir, size_t index, struct err *err)
{
        struct merkle_proof proof;
        struct writer AUTO_WRITER w = {0};

        writer_init(&w, 4096);
        if (merkle_tree_prove(session->tree, index, &proof, err) != 0)
                return err_wrap(err, "proof of %s", dir);
        merkle_proof_encode(&proof, &w);
        if (writer_check(&w) != 0)
                return err_set(err, ERR_NO_MEMORY, "proof of %s: out of memory", dir);
        send_blob(session, dir, "proof", writer_bytes(&w));
        return 0;
}

static void send_about(struct session *session)
{
        char text[256];

        (void)snprintf(text, sizeof(text),
                       "{\"measured_by\":\"" MEASURE_BY
                       "\",\"ptpm\":\"%s\",\"tcb_version\":\"%s\"}\n",
                       ptpm_kind(session->tcb->ptpm), CATENA_VERSION);
        send_text(session, "host", "about.json", text);
}

static int send_certificate(struct session *session, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        size_t len;
        int rc = store_get_record(session->tcb->store, "ak-certificate", &data, &len, err);

        /* A host that is not enrolled has none; the verifier says so. */
        if (rc == ERR_NOT_FOUND)
                return 0;
        if (rc == 0)
                send_blob(session, "host", "ak.crt", (struct bytes){data, len});
        return rc;
}

/*
 * What the firmware and the kernel of the host measured into the pTPM. A log that cannot be read
 * is left out: the verifier then refuses what the quote shows and nothing explains.
 */
static void send_boot_log(struct session *session, const char *name, const char *configured,
                          const char *kernels)
{
        bool is_hardware = strcmp(ptpm_kind(session->tcb->ptpm), "hardware") == 0;
        const char *path = configured[0] != '\0' ? configured : is_hardware ? kernels : NULL;
        uint8_t AUTO_FREE *data = NULL;
        struct err err = {0};
        size_t len = 0;

        if (path == NULL)
                return;
        if (fs_read_file(path, TCB_EVIDENCE_MAX, &data, &len, &err) == 0)
                send_blob(session, "host", name, (struct bytes){data, len});
        else
                log_warning((&(struct log_fields){.err = &err}), "no log of the host's boot");
}

static int send_host(struct session *session, struct err *err)
{
        const struct tcb *tcb = session->tcb;
        const struct host_keys *keys = &tcb->keys;

        send_text(session, "host", "name", tcb->config.host_name);
        send_blob(session, "host", "ek.pub", ptpm_ek_public(tcb->ptpm));
        send_blob(session, "host", "ak.pub", keys->ak_pub);
        send_blob(session, "host", "cek.pub", keys->cek_pub);
        send_blob(session, "host", "cek.attest", keys->cek_attest);
        send_blob(session, "host", "cek.sig", keys->cek_signature);
        if (send_certificate(session, err) != 0)
                return err->code;
        send_blob(session, "host", "quote.attest",
                  (struct bytes){session->attest, session->attest_len});
        send_blob(session, "host", "quote.sig",
                  (struct bytes){session->signature, session->signature_len});
        send_blob(session, "host", "catena_log", writer_bytes(&tcb->measurements.log));
        send_boot_log(session, "binary_bios_measurements", tcb->config.event_log, FIRMWARE_LOG);
        send_boot_log(session, "binary_runtime_measurements", tcb->config.ima_log, IMA_LOG);
        send_blob(session, "host", "leaf", writer_bytes(&session->host_leaf));
        send_about(session);
        return send_proof(session, "host", 0, err);
}

static int send_vm(struct session *session, const struct attest_vm *part, size_t index,
                   struct err *err)
{
        char hex[2 * LEAF_DIGEST_SIZE + 1];
        char dir[PATH_LEN / 2];

        (void)snprintf(dir, sizeof(dir), "vms/%s", part->name);
        if (!part->complete) {
                send_text(session, dir, "missing", part->failure.text);
                return 0;
        }
        send_blob(session, dir, "leaf", writer_bytes(&part->encoded));
        send_blob(session, dir, "ek.pub", (struct bytes){part->ek_pub, part->ek_pub_len});
        send_blob(session, dir, "ak.pub", (struct bytes){part->ak_pub, part->ak_pub_len});
        send_blob(session, dir, "quote.attest", part->evidence.attest);
        send_blob(session, dir, "quote.sig", part->evidence.signature);
        send_text(session, dir, "nonce.hex",
                  hex_encode(part->leaf.qualifying, sizeof(part->leaf.qualifying), hex));
        send_blob(session, dir, "binary_bios_measurements", part->evidence.tcg_log);
        send_blob(session, dir, "binary_runtime_measurements", part->evidence.ima_log);
        send_blob(session, dir, "cmdline", part->evidence.cmdline);
        return send_proof(session, dir, index, err);
}

/* What cannot be had ends the answer with an error: half an answer is none. */
static void send_all(struct session *session)
{
        size_t index = 1; /* leaf 0 is the host's */
        struct err err = {0};
        int rc = send_host(session, &err);

        for (size_t i = 0; rc == 0 && i < session->n_parts; i++)
                rc = send_vm(session, &session->parts[i], session->parts[i].complete ? index++ : 0,
                             &err);
        if (rc != 0) {
                fail(session, &err);
                return;
        }
        request_done(session->request);
        session_free(session);
}

/* The host's quote ---------------------------------------------------------------------------- */

static void on_quoted(void *user, const struct wire_frame *frame, const struct err *failure)
{
        struct session *session = user;
        struct ptpm_quoted quoted;
        struct err err = {0};

        if (failure == NULL && wire_frame_decode(frame, &quoted, sizeof(quoted), &err) != 0)
                failure = &err;
        if (failure != NULL) {
                fail(session, failure);
                return;
        }
        session->attest_len = quoted.attest.len;
        memcpy(session->attest, quoted.attest.data, quoted.attest.len);
        session->signature_len = quoted.signature.len;
        memcpy(session->signature, quoted.signature.data, quoted.signature.len);
        send_all(session);
}

/* Leaf 0 says what the host says of itself, so that a host without VMs answers afresh too. */
static int make_host_leaf(struct session *session, struct err *err)
{
        struct leaf leaf = {0};

        if (attest_fill_host(session->tcb, &leaf, err) != 0)
                return err->code;
        memcpy(leaf.nonce, session->nonce, sizeof(leaf.nonce));
        leaf.launch = LEAF_LAUNCH_HOST;
        leaf.vms = session->vms;
        leaf.vms_running = session->vms_running;
        return leaf_encode(&leaf, &session->host_leaf, err);
}

static int make_tree(struct session *session, struct err *err)
{
        uint8_t(*hashes)[MERKLE_HASH_SIZE] = calloc(session->n_parts + 1, MERKLE_HASH_SIZE);
        size_t n = 1;
        int rc;

        if (hashes == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = merkle_leaf_hash(writer_bytes(&session->host_leaf), hashes[0], err);
        for (size_t i = 0; rc == 0 && i < session->n_parts; i++)
                if (session->parts[i].complete)
                        rc = merkle_leaf_hash(writer_bytes(&session->parts[i].encoded), hashes[n++],
                                              err);
        if (rc == 0)
                rc = merkle_tree_new((const uint8_t(*)[MERKLE_HASH_SIZE])hashes, n, &session->tree,
                                     err);
        free(hashes);
        return rc;
}

static size_t tree_size(const struct session *session)
{
        size_t n = 1;

        for (size_t i = 0; i < session->n_parts; i++)
                n += session->parts[i].complete;
        return n;
}

static void quote_tree(struct session *session)
{
        struct ptpm_quote quote = {.pcr_mask = PTPM_QUOTE_PCRS};
        struct err err = {0};

        if (make_host_leaf(session, &err) != 0 || make_tree(session, &err) != 0 ||
            qualify_tree(tpm_name_bytes(&session->tcb->keys.cek_name), tree_size(session),
                         merkle_tree_root(session->tree), quote.qualifying, &err) != 0 ||
            ptpm_ask(session->tcb->ptpm,
                     &(struct ptpm_question){ptpm_quote_code, &quote, ptpm_quoted_code, on_quoted,
                                             session},
                     &err) != 0)
                fail(session, &err);
}

/* The parts ----------------------------------------------------------------------------------- */

static void on_part_done(void *user, struct attest_vm *part)
{
        struct session *session = user;

        if (!part->complete)
                log_warning((&(struct log_fields){.vm = part->name, .err = &part->failure}),
                            "no evidence");
        if (--session->waiting == 0)
                quote_tree(session);
}

static void add_part(struct session *session, struct vm *vm)
{
        struct attest_vm *part = &session->parts[session->n_parts++];

        part->vm = vm;
        (void)snprintf(part->name, sizeof(part->name), "%s", vm->config.name);
        memcpy(part->nonce, session->nonce, sizeof(part->nonce));
        part->done = on_part_done;
        part->user = session;
}

/* The same VMs that a list of them names: the relay may shorten that, and not this. */
static void count_vms(struct session *session)
{
        for (const struct vm *vm = session->tcb->vms; vm != NULL; vm = vm->next) {
                session->vms++;
                session->vms_running += vm->sm.state != VM_OFF;
        }
}

static int choose_parts(struct session *session, const struct tcb_attest *attest, struct err *err)
{
        char name[TCB_NAME_MAX + 1];
        struct vm *vm;

        count_vms(session);
        session->parts = calloc((size_t)session->vms + 1, sizeof(*session->parts));
        if (session->parts == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        switch (attest->scope) {
        case TCB_SCOPE_HOST:
                return 0;
        case TCB_SCOPE_VM:
                wire_text_copy(attest->name, name, sizeof(name));
                if (tcb_find_vm(session->tcb, name, &vm, err) != 0)
                        return err->code;
                add_part(session, vm);
                return 0;
        case TCB_SCOPE_ALL:
                for (vm = session->tcb->vms; vm != NULL; vm = vm->next) {
                        if (session->n_parts == VMS_MAX)
                                return err_set(err, ERR_LIMIT, "more than %d VMs", VMS_MAX);
                        add_part(session, vm);
                }
                return 0;
        default:
                return err_set(err, ERR_MALFORMED, "unknown scope %u", attest->scope);
        }
}

int attest_start(struct tcb *tcb, const struct tcb_attest *attest, struct request *request,
                 struct err *err)
{
        struct session *session;

        if (tcb->attestations == SESSIONS_MAX)
                return err_set(err, ERR_LIMIT, "%d challenges are being answered", SESSIONS_MAX);
        session = calloc(1, sizeof(*session));
        if (session == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        tcb->attestations++;
        session->tcb = tcb;
        session->request = request;
        writer_init(&session->host_leaf, LEAF_SIZE_MAX);
        memcpy(session->nonce, attest->nonce, sizeof(session->nonce));
        if (choose_parts(session, attest, err) != 0) {
                session_free(session);
                return err->code;
        }
        /* One more than there are: the last part that is done at once must not end it too early. */
        session->waiting = session->n_parts + 1;
        for (size_t i = 0; i < session->n_parts; i++)
                attest_vm_start(&session->parts[i]);
        if (--session->waiting == 0)
                quote_tree(session);
        return 0;
}
