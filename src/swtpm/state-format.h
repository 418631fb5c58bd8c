/*
 * The bytes of a state file (state-file.h): its headers, each of which fits a sector, and the body
 * that one of them names, as it is before it is sealed. Pure: bytes in, structures out.
 */
#ifndef SWTPM_STATE_FORMAT_H
#define SWTPM_STATE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"
#include "crypto/passphrase.h"
#include "wire/engine.h"

#define STATE_BODY_MAX    (256U << 10)
#define STATE_HEADER_LEN  128
#define STATE_UUID_LEN    16
#define STATE_DIGEST_LEN  32
#define STATE_FLAG_SEALED 1U

struct state_header {
        uint64_t generation; /* 0: none was written there */
        uint32_t flags;
        uint8_t salt[PASSPHRASE_SALT_LEN];
        uint8_t uuid[STATE_UUID_LEN];
        uint32_t len; /* of the body, at most STATE_BODY_MAX */
        uint8_t digest[STATE_DIGEST_LEN];
};

struct state_content {
        bool used;                       /* a guest's command has run on it */
        uint64_t lineage;                /* counts saves of the VM, wherever they were made */
        uint8_t saved[STATE_DIGEST_LEN]; /* of the token of the one save that may be restored */
        bool has_saved;
        uint8_t permanent[ENGINE_BLOB_MAX];
        size_t permanent_len; /* 0: no TPM was made yet */
};

/* The digest that headers have of bodies. */
int state_digest(const void *data, size_t len, uint8_t ret[STATE_DIGEST_LEN],
                 struct err *err) MUST_CHECK;

/* A header with its own digest, zeros behind its members. */
int state_header_encode(const struct state_header *header, uint8_t ret[STATE_HEADER_LEN],
                        struct err *err) MUST_CHECK;

/* ERR_CONFLICT: something else is there; ERR_DAMAGED. Nothing but zeros is generation 0. */
int state_header_decode(const uint8_t data[STATE_HEADER_LEN], struct state_header *ret,
                        struct err *err) MUST_CHECK;

/* Puts the body for this content; at most STATE_BODY_MAX less what sealing adds. */
void state_body_encode(const struct state_content *content, struct writer *w);

/* ERR_UNSUPPORTED: a newer version's; ERR_DAMAGED. *ret_content is changed only on success. */
int state_body_decode(struct bytes body, struct state_content *ret_content,
                      struct err *err) MUST_CHECK;

#endif
