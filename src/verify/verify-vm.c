/* A VM's part of the verdict: the host's leaf about it, then its own quote and logs. */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "verify/verify-private.h"

#define DIR_MAX     (EVIDENCE_COMPONENT_MAX + 8)
#define MISSING_MAX 200 /* bytes of the host's words that are shown */

static void dir_of(const struct verify_machine *vm, char ret_dir[DIR_MAX])
{
        (void)snprintf(ret_dir, DIR_MAX, "vms/%s", vm->name);
}

/* The qualifying data that a host's quote over this leaf's tree has. */
static int tree_of(const struct verify_run *run, struct bytes leaf, struct bytes proof_bytes,
                   uint8_t ret_tree[QUALIFY_SIZE], struct err *err)
{
        uint8_t hash[MERKLE_HASH_SIZE], root[MERKLE_HASH_SIZE];
        struct merkle_proof proof;
        int rc = merkle_proof_decode(proof_bytes, &proof, err);

        if (rc == 0)
                rc = merkle_leaf_hash(leaf, hash, err);
        if (rc == 0)
                rc = merkle_proof_root(&proof, hash, root, err);
        if (rc == 0)
                rc = qualify_tree(tpm_name_bytes(&run->cek_name), proof.size, root, ret_tree, err);
        return rc;
}

static void read_claims(struct verify_machine *vm, const struct leaf *leaf)
{
        vm->has_leaf = true;
        memcpy(vm->uuid, leaf->uuid, sizeof(vm->uuid));
        vm->epoch = leaf->epoch;
        vm->init_count = leaf->init_count;
        (void)hex_encode(leaf->ek_name.data, leaf->ek_name.len, vm->id);
}

bool verify_leaf_is_fresh(const struct verify_run *run, const struct verify_leaf *leaf)
{
        return leaf->is_read && memcmp(leaf->leaf.nonce, run->result->challenge.nonce,
                                       sizeof(leaf->leaf.nonce)) == 0;
}

/* Why there is nothing, in the host's own words. */
static void say_missing(struct verify_machine *vm, struct bytes words)
{
        char text[MISSING_MAX + 1];
        size_t len = words.len < MISSING_MAX ? words.len : MISSING_MAX;

        for (size_t i = 0; i < len; i++) {
                uint8_t c = words.data[i];

                text[i] = (char)(c >= 0x20 && c < 0x7f ? c : (uint8_t)'?');
        }
        text[len] = '\0';
        reasons_add(&vm->reasons, "bind.missing", REASON_FAIL,
                    "there is no evidence of it; the host says \"%s\"", text);
}

static void read_leaf(struct verify_run *run, struct verify_leaf *leaf, const char *dir)
{
        struct reasons *reasons = &leaf->machine->reasons;
        struct bytes bytes, proof;
        struct err err = {0};

        if (!verify_find(run, dir, "leaf", &bytes) && verify_find(run, dir, "missing", &bytes)) {
                say_missing(leaf->machine, bytes);
                return;
        }
        if (!verify_get(run, leaf->machine, dir, "leaf", &bytes) ||
            !verify_get(run, leaf->machine, dir, "proof", &proof))
                return;
        if (leaf_decode(bytes, &leaf->leaf, &err) != 0) {
                reasons_add(reasons, "bind.leaf", REASON_FAIL, "%s", err.text);
                return;
        }
        leaf->is_read = true;
        if (tree_of(run, bytes, proof, leaf->tree, &err) != 0)
                reasons_add(reasons, "bind.proof", REASON_FAIL, "%s", err.text);
        else
                leaf->has_tree = true;
}

static void check_tree(const struct verify_run *run, struct verify_machine *vm,
                       const struct verify_leaf *leaf)
{
        if (!leaf->has_tree)
                return; /* said already */
        if (!bytes_equal(run->host_extra, (struct bytes){leaf->tree, sizeof(leaf->tree)}))
                reasons_add(&vm->reasons, "bind.proof", REASON_FAIL,
                            "the host's quote does not cover this leaf: it is of another tree");
}

/* Who asks for all VMs has their names from the relay, which nobody trusts. */
static void check_count(const struct verify_run *run, const struct leaf *leaf)
{
        const struct challenge *challenge = &run->result->challenge;

        if (challenge->all && leaf->vms != challenge->n_vms)
                reasons_add(&run->result->host->reasons, "bind.all", REASON_FAIL,
                            "the host has %u VMs (%u run), and %zu were named as all of them",
                            leaf->vms, leaf->vms_running, challenge->n_vms);
}

static void read_host_leaf(struct verify_run *run, struct verify_leaf *leaf)
{
        const struct challenge *challenge = &run->result->challenge;
        struct bytes bytes;

        if (challenge->n_vms != 0 && !challenge->all &&
            !evidence_get(run->request->evidence, "host/leaf", &bytes))
                return;
        read_leaf(run, leaf, "host");
        if (leaf->is_read && leaf->leaf.launch != LEAF_LAUNCH_HOST)
                reasons_add(&leaf->machine->reasons, "bind.leaf", REASON_FAIL,
                            "the host's leaf about itself is about a VM");
        if (!leaf->is_read)
                return;
        /* It is shown although VMs were asked for: then it has to be true as well. */
        check_tree(run, leaf->machine, leaf);
        check_count(run, &leaf->leaf);
        if (!verify_leaf_is_fresh(run, leaf))
                reasons_add(&leaf->machine->reasons, "bind.nonce", REASON_FAIL,
                            "the host's leaf about itself answers another challenge");
}

void verify_read_leaves(struct verify_run *run)
{
        size_t n = run->result->n_vms;

        for (size_t i = 0; i < n; i++) {
                char dir[DIR_MAX];

                run->leaves[i].machine = run->result->vms[i];
                dir_of(run->result->vms[i], dir);
                read_leaf(run, &run->leaves[i], dir);
                if (run->leaves[i].is_read)
                        read_claims(run->result->vms[i], &run->leaves[i].leaf);
        }
        run->leaves[n].machine = run->result->host;
        read_host_leaf(run, &run->leaves[n]);
}

/* What the leaf says by itself. */
static void check_leaf(const struct verify_run *run, struct verify_machine *vm,
                       const struct verify_leaf *read)
{
        const struct leaf *leaf = &read->leaf;
        static const uint8_t nil[LEAF_UUID_SIZE];
        struct reasons *reasons = &vm->reasons;

        if (!verify_leaf_is_fresh(run, read))
                reasons_add(reasons, "bind.nonce", REASON_FAIL,
                            "the host's leaf answers another challenge");
        if (leaf->launch == LEAF_LAUNCH_HOST || memcmp(leaf->uuid, nil, sizeof(nil)) == 0)
                reasons_add(reasons, "bind.leaf", REASON_FAIL, "the host's leaf is of no VM");
        if (run->cek_name.len == 0 ||
            !leaf_name_equal(&leaf->cek_name, tpm_name_bytes(&run->cek_name)))
                reasons_add(reasons, "bind.cek", REASON_FAIL,
                            "the host's leaf names another CEK than the host's");
        if (leaf->launch == LEAF_LAUNCH_OPERATOR)
                reasons_add(reasons, "bind.operator", REASON_WARNING,
                            "operator-bound: the host did not start this VM, so its disks, "
                            "memory and QEMU are not vouched for");
        if ((leaf->flags & LEAF_ROLLBACK) != 0)
                reasons_add(reasons, "bind.rollback", REASON_WARNING,
                            "its state was rolled back with its owner's consent");
        if ((leaf->flags & LEAF_DEGRADED) != 0)
                reasons_add(reasons, "host.sandbox", REASON_WARNING,
                            "its QEMU runs without all of its isolation from the host and other "
                            "VMs; catena host status says what is missing");
        if ((leaf->flags & LEAF_REBUILD) != 0)
                reasons_add(reasons, "bind.rebuild", REASON_WARNING,
                            "its vTPM was rebuilt from a seed: counters and NV data are not the "
                            "old ones");
}

static void check_key_name(struct verify_machine *vm, struct bytes bytes, const char *id,
                           const char *what, const struct leaf_name *wanted)
{
        struct tpm_public public;
        struct tpm_name name;
        struct err err = {0};

        if (tpm_public_parse(bytes, &public, &err) != 0 ||
            tpm_name_of_public(&public, &name, &err) != 0)
                reasons_add(&vm->reasons, id, REASON_FAIL, "%s: %s", what, err.text);
        else if (!leaf_name_equal(wanted, tpm_name_bytes(&name)))
                reasons_add(&vm->reasons, id, REASON_FAIL,
                            "%s is not the key that the host vouches for", what);
}

/* A vTPM has keys of its own: no key of the host may pass for a guest's. */
static void check_apart(const struct verify_run *run, struct verify_machine *vm,
                        const struct leaf *leaf)
{
        const struct tpm_name *ak = run->ak == NULL ? NULL : quote_key_name(run->ak);
        struct bytes cek = tpm_name_bytes(&run->cek_name);

        if (run->ek_name.len != 0 && leaf_name_equal(&leaf->ek_name, tpm_name_bytes(&run->ek_name)))
                reasons_add(&vm->reasons, "bind.ek", REASON_FAIL,
                            "the host's EK is shown as the vTPM's");
        if ((ak != NULL && leaf_name_equal(&leaf->ak_name, tpm_name_bytes(ak))) ||
            (cek.len != 0 && leaf_name_equal(&leaf->ak_name, cek)))
                reasons_add(&vm->reasons, "bind.ak", REASON_FAIL,
                            "a key of the host is shown as the vTPM's AK");
}

static void check_keys(const struct verify_run *run, struct verify_machine *vm,
                       const struct leaf *leaf, const char *dir)
{
        struct bytes bytes;

        check_apart(run, vm, leaf);
        if (verify_get(run, vm, dir, "ek.pub", &bytes))
                check_key_name(vm, bytes, "bind.ek", "ek.pub", &leaf->ek_name);
        if (verify_get(run, vm, dir, "ak.pub", &bytes))
                check_key_name(vm, bytes, "bind.ak", "ak.pub", &leaf->ak_name);
}

static void check_quote_digest(const struct verify_run *run, struct verify_machine *vm,
                               const struct leaf *leaf, const char *dir)
{
        struct bytes attest, signature;
        uint8_t digest[QUALIFY_SIZE];
        struct err err = {0};

        if (!verify_get(run, vm, dir, "quote.attest", &attest) ||
            !verify_get(run, vm, dir, "quote.sig", &signature))
                return;
        if (qualify_quote_digest(attest, signature, digest, &err) != 0)
                reasons_add_broken(&vm->reasons, "the quote's digest", &err);
        else if (memcmp(digest, leaf->quote, sizeof(digest)) != 0)
                reasons_add(&vm->reasons, "bind.quote", REASON_FAIL,
                            "the host saw another quote of this vTPM");
}

/* The one value that the vTPM's quote must carry, from what was asked and what is vouched for. */
static bool make_qualifying(const struct verify_run *run, struct verify_machine *vm,
                            const struct leaf *leaf, uint8_t ret_digest[QUALIFY_SIZE])
{
        struct qualify_vm in = {
            .nonce = run->result->challenge.nonce,
            .uuid = leaf->uuid,
            .epoch = leaf->epoch,
            .cek_name = tpm_name_bytes(&run->cek_name),
            .ek_name = {leaf->ek_name.data, leaf->ek_name.len},
        };
        struct err err = {0};

        if (qualify_vm(&in, ret_digest, &err) != 0) {
                reasons_add_broken(&vm->reasons, "the qualifying data", &err);
                return false;
        }
        if (memcmp(ret_digest, leaf->qualifying, QUALIFY_SIZE) != 0)
                reasons_add(&vm->reasons, "bind.qualifying", REASON_FAIL,
                            "the host vouches for a quote with other qualifying data");
        return true;
}

/* The host says with what it started the VM, and has measured what it starts VMs with. */
static void check_component(const struct verify_run *run, struct verify_machine *vm,
                            const char *name, const uint8_t digest[LEAF_DIGEST_SIZE])
{
        if (!host_log_has_digest(&run->host_log, name, digest))
                reasons_add(&vm->reasons, "bind.component", REASON_FAIL,
                            "it was started with another %s than the host measured", name);
}

static void check_components(const struct verify_run *run, struct verify_machine *vm,
                             const struct leaf *leaf)
{
        check_component(run, vm, "catena-vtpm", leaf->engine);
        if (leaf->launch != LEAF_LAUNCH_TCB)
                return;
        check_component(run, vm, "qemu", leaf->qemu);
        check_component(run, vm, "ovmf", leaf->firmware);
}

void verify_vm_judge(struct verify_run *run, size_t i)
{
        struct verify_machine *vm = run->result->vms[i];
        const struct verify_leaf *leaf = &run->leaves[i];
        uint8_t qualifying[QUALIFY_SIZE];
        char dir[DIR_MAX];

        if (!leaf->is_read)
                return; /* said already; without the identity mark it is contraindicated */
        dir_of(vm, dir);
        check_tree(run, vm, leaf);
        check_leaf(run, vm, leaf);
        check_keys(run, vm, &leaf->leaf, dir);
        check_quote_digest(run, vm, &leaf->leaf, dir);
        check_components(run, vm, &leaf->leaf);
        if (!make_qualifying(run, vm, &leaf->leaf, qualifying))
                return;
        vm->identity = reasons_failed(&vm->reasons) ? VERIFY_BAD : VERIFY_OK;
        verify_guest_appraise(run, vm, dir, qualifying);
}
