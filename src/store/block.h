/*
 * A VM's security block: what the TCB vouches for when it speaks about this VM. It is encoded to
 * bytes with a format number so that its digest is well defined: format 1 where no manufacture
 * profile is recorded, as for every vTPM made before there were any, else format 2.
 */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"

#define BLOCK_UUID_LEN     16
#define BLOCK_DIGEST_LEN   32 /* SHA-256 */
#define BLOCK_ENGINE_MAX   63 /* characters */
#define BLOCK_PROFILE_MAX  95 /* characters */
#define BLOCK_TPM_NAME_MAX 66 /* TPM2B_NAME with SHA-512: algorithm and digest */
#define BLOCK_EK_MAX       4
#define BLOCK_ENCODED_MAX  576

struct block_name {
        uint8_t data[BLOCK_TPM_NAME_MAX];
        size_t len;
};

struct security_block {
        uint8_t uuid[BLOCK_UUID_LEN];
        uint64_t epoch;                          /* of ownership; 1 until there is a KMC */
        uint64_t created;                        /* seconds since 1970, UTC */
        uint8_t config_digest[BLOCK_DIGEST_LEN]; /* SHA-256 of the VM's configuration */
        uint8_t engine_digest[BLOCK_DIGEST_LEN]; /* SHA-256 of the engine's program */
        char engine[BLOCK_ENGINE_MAX + 1];       /* name and version, "libtpms 0.9.2" */
        struct block_name ek[BLOCK_EK_MAX];      /* names of the endorsement keys */
        size_t n_ek;
        char profile[BLOCK_PROFILE_MAX + 1]; /* of its manufacture; "": not recorded */
};

/* Puts at most BLOCK_ENCODED_MAX bytes; writer_check() tells overflow. */
void security_block_encode(const struct security_block *block, struct writer *w);

/* Errors: ERR_MALFORMED with the offset, ERR_UNSUPPORTED (format). */
int security_block_decode(struct bytes encoded, struct security_block *ret_block,
                          struct err *err) MUST_CHECK;

/* SHA-256 of the encoding. */
int security_block_digest(const struct security_block *block, uint8_t ret_digest[BLOCK_DIGEST_LEN],
                          struct err *err) MUST_CHECK;

#endif
