/*
 * What travels in QEMU's stream when a VM is saved or migrated: the TPM's state, with the token
 * that stands for this one save. Under a migration key it is sealed (AES-256-GCM under a key that
 * passphrase.h makes); without one it is in clear, as swtpm's is, and every reader of the stream
 * or of the saved VM has the TPM's keys.
 */
#ifndef SWTPM_PACKAGE_H
#define SWTPM_PACKAGE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/secret.h"
#include "wire/engine.h"

#define PACKAGE_TOKEN_LEN 32
#define PACKAGE_UUID_LEN  16
#define PACKAGE_MAX       (2 * ENGINE_BLOB_MAX + 256)

struct package {
        uint8_t uuid[PACKAGE_UUID_LEN]; /* zeros: not known */
        uint64_t lineage;               /* see struct state_content */
        uint8_t token[PACKAGE_TOKEN_LEN];
        struct bytes permanent;
        struct bytes volatile_state; /* empty: the TPM was off */
};

/* key: the migration passphrase, or NULL. *ret_data is free()d by the caller, wiped before. */
int package_encode(const struct package *package, const struct secret *key, uint8_t **ret_data,
                   size_t *ret_len, struct err *err) MUST_CHECK;

/*
 * ret_package's views lie in *ret_memory, which the caller wipes and free()s. Errors: ERR_MALFORMED
 * (no package; swtpm's own state is not understood), ERR_NOT_PERMITTED (sealed, and no or another
 * key; or not sealed, and a key), ERR_UNSUPPORTED.
 */
int package_decode(struct bytes data, const struct secret *key, struct package *ret_package,
                   uint8_t **ret_memory, size_t *ret_len, struct err *err) MUST_CHECK;

#endif
