/*
 * Qualifying data for everything that a TPM of ours signs: SHA-256 over a label, one per use, and
 * the fields, each with its length before it. So no peer ever chooses the bytes of a quote, and
 * a quote made for one use never serves another.
 */
#ifndef TPMWIRE_QUALIFY_H
#define TPMWIRE_QUALIFY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"

#define QUALIFY_SIZE       32
#define QUALIFY_NONCE_SIZE 32
#define QUALIFY_UUID_SIZE  16
#define QUALIFY_FIELDS_MAX 8
#define QUALIFY_BYTES_MAX  4096 /* of all fields together */

enum qualify_label {
        QUALIFY_TREE,    /* the host's quote over a tree of leaves */
        QUALIFY_VM,      /* a vTPM's quote */
        QUALIFY_ENROL,   /* keys certified at enrolment */
        QUALIFY_KMC,     /* requests to the key management centre */
        QUALIFY_MIGRATE, /* quotes exchanged by two TCBs */
        QUALIFY_LABELS,
};

/* SHA-256(len label || label || len field || field ...), lengths as be16. */
int qualify_digest(enum qualify_label label, const struct bytes *fields, size_t n_fields,
                   uint8_t ret_digest[QUALIFY_SIZE], struct err *err) MUST_CHECK;

/* What a vTPM's quote is bound to. Names are TPM names (Part 1, 16): algorithm and digest. */
struct qualify_vm {
        const uint8_t *nonce; /* QUALIFY_NONCE_SIZE bytes of the challenger */
        const uint8_t *uuid;  /* QUALIFY_UUID_SIZE bytes */
        uint64_t epoch;
        struct bytes cek_name;
        struct bytes ek_name;
};

/* H("vm" || nonce || uuid || epoch || CEK name || EK name), as qualify_digest() puts them. */
int qualify_vm(const struct qualify_vm *vm, uint8_t ret_digest[QUALIFY_SIZE],
               struct err *err) MUST_CHECK;

/* What the host's quote is bound to: the name of its CEK, the number of leaves, the root. */
int qualify_tree(struct bytes cek_name, uint64_t size, const uint8_t root[32],
                 uint8_t ret_digest[QUALIFY_SIZE], struct err *err) MUST_CHECK;

/* The qualifying data with which an AK certifies another key of its host (TPM2_Certify). */
int qualify_enrol(struct bytes ak_name, struct bytes key_name, uint8_t ret_digest[QUALIFY_SIZE],
                  struct err *err) MUST_CHECK;

/* SHA-256(attest || signature), the bytes as they travel: what a host's leaf says of a quote. */
int qualify_quote_digest(struct bytes attest, struct bytes signature,
                         uint8_t ret_digest[QUALIFY_SIZE], struct err *err) MUST_CHECK;

#endif
