/*
 * Between the files of the verifier: what one appraisal carries along.
 */
#ifndef VERIFY_VERIFY_PRIVATE_H
#define VERIFY_VERIFY_PRIVATE_H

#include "crypto/merkle.h"
#include "evlog/appraise.h"
#include "tpmwire/qualify.h"
#include "verify/verify-host-log.h"
#include "verify/verify.h"
#include "wire/leaf.h"

/* A VM's leaf as far as it could be read, and the tree that its proof leads to. */
struct verify_leaf {
        struct verify_machine *machine; /* whom it is about */
        bool is_read;
        bool has_tree; /* the proof gives a root */
        struct leaf leaf;
        uint8_t tree[QUALIFY_SIZE]; /* qualifying data that the host's quote must have */
};

struct verify_run {
        const struct verify_request *request;
        struct verify_result *result;
        struct quote_key *ak;         /* the host's, or NULL */
        struct tpm_name ek_name;      /* of the host's EK; len 0: not known */
        struct tpm_name ek_qualified; /* of the host's EK, the AK's parent; len 0: not known */
        struct tpm_name cek_name;     /* len 0 until the AK's certification of it was seen */
        struct bytes host_extra;      /* qualifying data of the host's quote; empty: no quote */
        struct verify_leaf *leaves;   /* one per VM, and the host's own after them */
        size_t n_leaves;
        struct host_log host_log; /* no components until it was read */
        bool has_boot_log;        /* the host showed its firmware's log */
};

/* A blob of "host" or "vms/<name>"; verify_get() adds bind.missing when it is not there. */
bool verify_find(const struct verify_run *run, const char *dir, const char *name,
                 struct bytes *ret_data);
bool verify_get(const struct verify_run *run, struct verify_machine *machine, const char *dir,
                const char *name, struct bytes *ret_data);

/* Certificate, CEK and the qualifying data of the quote: what leaves are compared with. */
void verify_host_keys(struct verify_run *run);

/*
 * Reads all leaves and proofs; that of the host itself (host/leaf) must be there only when no VM
 * or all of them were asked for. Needs verify_host_keys().
 */
void verify_read_leaves(struct verify_run *run);

/* Whether a leaf answers this challenge. */
bool verify_leaf_is_fresh(const struct verify_run *run, const struct verify_leaf *leaf);

/* Quote, log and policy of the host. Needs all leaves. */
void verify_host_judge(struct verify_run *run);

/* Binding, then quote, logs and policy of a VM. */
void verify_vm_judge(struct verify_run *run, size_t i);

/* Marks and reasons of the appraisal of one machine by itself. */
void verify_take_verdict(struct verify_machine *machine, const struct verdict *verdict);

/* Quote, logs and policy of a VM; qualifying is what its quote must carry. */
void verify_guest_appraise(struct verify_run *run, struct verify_machine *vm, const char *dir,
                           const uint8_t qualifying[QUALIFY_SIZE]);

#endif
