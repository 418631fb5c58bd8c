/*
 * Sealed state: bytes that open only with the storage key and in exactly the context they were
 * sealed for. Every save has a fresh data encryption key (DEK); the storage key only wraps DEKs,
 * so that forgetting the wrapped DEK erases the state, and the storage key can be exchanged
 * without rewriting state.
 *
 *   magic be32 ‖ salt[16] ‖ AEAD(wrap key, DEK) ‖ AEAD(DEK, plaintext)
 *
 * The wrap key is HKDF(storage key, salt, "catena sealed wrap"), with a new random salt for every
 * process and every 2^20 saves: random nonces never come near their bound. Both AEADs have the
 * whole context as associated data.
 */
#ifndef STORE_SEALED_H
#define STORE_SEALED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/secret.h"

#define SEALED_FORMAT    1
#define SEALED_MAGIC     (UINT32_C(0x43535300) + SEALED_FORMAT) /* "CSS" and the format */
#define SEALED_SALT_LEN  16
#define SEALED_TAG_LEN   16 /* at the end; unique for each save */
#define SEALED_OVERHEAD  (4 + SEALED_SALT_LEN + (12 + 32 + 16) + (12 + 16))
#define SEALED_PLAIN_MAX (4U << 20)

struct sealed_context {
        const uint8_t *uuid;          /* 16 bytes */
        uint64_t epoch;               /* of ownership */
        uint64_t sequence;            /* of this save */
        const uint8_t *config_digest; /* 32 bytes, of the VM's configuration */
        uint32_t kind;
};

struct sealer;

/* Copies the storage key (32 bytes). */
int sealer_new(const struct secret *key, struct sealer **ret_sealer, struct err *err) MUST_CHECK;
void sealer_free(struct sealer *sealer);

/* *ret_sealed has plain.len + SEALED_OVERHEAD bytes; free() it. */
int sealer_seal(struct sealer *sealer, const struct sealed_context *context, struct bytes plain,
                uint8_t **ret_sealed, struct err *err) MUST_CHECK;

/*
 * *ret_plain has sealed.len - SEALED_OVERHEAD bytes; wipe and free() it.
 * Errors: ERR_DAMAGED (not sealed, or altered, or of another context or key), ERR_UNSUPPORTED
 * (a newer format), ERR_LIMIT.
 */
int sealer_open(struct sealer *sealer, const struct sealed_context *context, struct bytes sealed,
                uint8_t **ret_plain, struct err *err) MUST_CHECK;

#endif
