/*
 * A whole valid set of evidence made in software: CA, host keys, CEK, vTPM keys, quotes, leaves
 * and proofs. Tests change the plan before it is built (so that everything is signed over the
 * lie), or a blob afterwards.
 */
#ifndef TESTS_LIB_EVIDENCE_BUILDER_H
#define TESTS_LIB_EVIDENCE_BUILDER_H

#include "crypto/ca.h"
#include "tpmwire/name.h"
#include "verify/challenge.h"
#include "verify/evidence.h"
#include "wire/leaf.h"

#define BUILDER_NOW        INT64_C(1800000000)
#define BUILDER_VMS        2
#define BUILDER_NAME_MAX   16
#define BUILDER_PUBLIC_MAX 256

/* A key with its public area as a TPM2B_PUBLIC, and its name. */
struct builder_key {
        struct pkey *key;
        uint8_t public[BUILDER_PUBLIC_MAX];
        size_t public_len;
        struct tpm_name name;
};

struct builder_vm {
        char name[BUILDER_NAME_MAX];
        struct builder_key ek, ak;
        uint8_t uuid[LEAF_UUID_SIZE];
        struct leaf leaf;                /* filled by builder_prepare(), may then be changed */
        uint8_t qualifying[32];          /* what the vTPM quotes; the same */
        const struct builder_key *under; /* EK of the quote's signer; NULL: ek */
        struct bytes tcg_log, ima_log;   /* not owned; empty: none */
        uint8_t pcrs[24][32];            /* what the vTPM quotes */
};

struct builder {
        struct ca *ca;
        struct x509_list roots; /* the CA's root, not owned */
        struct builder_key ek, ak, cek;
        struct challenge challenge;
        struct builder_vm vms[BUILDER_VMS];
        size_t n_vms;
        uint8_t pcrs[24][32]; /* of the host */
        char *host_log;       /* host/catena_log */
        size_t host_log_len;
        struct bytes host_tcg_log, host_ima_log; /* of its firmware and kernel, not owned */
        const char *about;                       /* about.json */
        bool residency;                          /* the AK's certificate says EK certified */
        struct leaf host_leaf;                   /* of the host alone, when n_vms is 0 */
};

/* Makes all keys and the CA (in a directory below dir). Fails the test on any error. */
void builder_init(struct builder *b, const char *dir, const char *host);
void builder_done(struct builder *b);

/* Fills leaves and qualifying data from what is there now. */
void builder_prepare(struct builder *b);

/* Signs and assembles everything; evidence_free() the result. */
struct evidence *builder_build(struct builder *b);

/* A key of these TPMA_OBJECT bits; builder_key_done() it. */
void builder_key_make(struct builder_key *key, uint32_t attributes);
void builder_key_done(struct builder_key *key);

extern const uint32_t builder_signing; /* attributes of a good AK or CEK */

/* The host's log of its software, its PCR 13 from zero; the event about its TPM, or none. */
#define BUILDER_PTPM "catena-ptpm embedded tcb IBM SW_TPM 1.0.0.0"
void builder_make_host_log(struct builder *b, const char *ptpm);

/* Measures one more component, or any text, into the host's log, as a TCB that starts again does.
 */
void builder_add_component(struct builder *b, const char *name, uint8_t fill);
void builder_add_host_event(struct builder *b, const char *text);

/* Replaces a blob by one with the byte at offset (negative: from the end) inverted. */
void builder_flip(struct evidence *evidence, const char *path, long offset);

/* Puts text in place of a blob. */
void builder_put_text(struct evidence *evidence, const char *path, const char *text);

#endif
