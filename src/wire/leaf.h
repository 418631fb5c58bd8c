/*
 * The leaf: the host's statement about one VM, made by the TCB from what it knows itself
 * (never from the agent's claims), encoded as leaf.def lists its fields. An encoding has exactly
 * one decoding and the other way round, so equal leaves are equal bytes.
 */
#ifndef WIRE_LEAF_H
#define WIRE_LEAF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"

#define LEAF_VERSION     2
#define LEAF_NONCE_SIZE  32
#define LEAF_UUID_SIZE   16
#define LEAF_DIGEST_SIZE 32
#define LEAF_NAME_MAX    66 /* algorithm and SHA-512 */
#define LEAF_SIZE_MAX    1024

enum leaf_anchor { LEAF_ANCHOR_NONE = 0 };

enum leaf_launch {
        LEAF_LAUNCH_TCB = 1,      /* the TCB made QEMU's argument vector and started it */
        LEAF_LAUNCH_OPERATOR = 2, /* operator-bound: QEMU was started by hand or by libvirt */
        LEAF_LAUNCH_HOST = 3,     /* no VM: the host alone was asked, uuid and names are empty */
};

enum leaf_flags {
        LEAF_ROLLBACK = 1 << 0, /* a rollback was accepted with its owner's consent */
        LEAF_REBUILD = 1 << 1,  /* the vTPM was rebuilt from its seed */
        LEAF_DEGRADED = 1 << 2, /* the kernel refused a part of its QEMU's isolation */
        LEAF_FLAGS_ALL = LEAF_ROLLBACK | LEAF_REBUILD | LEAF_DEGRADED,
};

struct leaf_name {
        uint8_t len;
        uint8_t data[LEAF_NAME_MAX];
};

struct leaf {
#define LEAF_UINT(bits, name)  uint##bits##_t name;
#define LEAF_BYTES(size, name) uint8_t name[size];
#define LEAF_NAME(name)        struct leaf_name name;
#include "wire/leaf.def"
#undef LEAF_UINT
#undef LEAF_BYTES
#undef LEAF_NAME
};

/* Sets a name from its bytes; ERR_LIMIT beyond LEAF_NAME_MAX. */
int leaf_name_set(struct leaf_name *name, struct bytes bytes) MUST_CHECK;
bool leaf_name_equal(const struct leaf_name *name, struct bytes bytes);

/* Appends "CLF", the version and the fields. ERR_MALFORMED for values no decoder would take. */
int leaf_encode(const struct leaf *leaf, struct writer *w, struct err *err) MUST_CHECK;

/* Errors: ERR_UNSUPPORTED (another version), ERR_MALFORMED with the offset. */
int leaf_decode(struct bytes data, struct leaf *ret_leaf, struct err *err) MUST_CHECK;

#endif
