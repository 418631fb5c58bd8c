/*
 * QEMU's argument vector, computed from a VM's configuration: the same configuration and the same
 * set of descriptors give the same words, so their digest is known before the start and can be
 * vouched for. QEMU opens nothing by path: firmware, variables, disk, channels, log and memory
 * are descriptors with fixed numbers. What works with QEMU 7.2, tried: fdsets for files with
 * locking=off (QEMU's locks need a path), sockets by fd=, RAM through /proc/self/fd.
 */
#ifndef VMM_ARGV_H
#define VMM_ARGV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"

#define VMM_NAME_MAX       63
#define VMM_UUID_LEN       16
#define VMM_MEMORY_MIN_MIB 64
#define VMM_MEMORY_MAX_MIB (1U << 20)
#define VMM_CPUS_MAX       255
#define VMM_DIGEST_LEN     32
#define VMM_CONFIG_LEN_MAX 256 /* bytes of an encoded configuration */

enum vmm_accel { VMM_ACCEL_TCG, VMM_ACCEL_KVM, VMM_ACCEL_COUNT };

/* What the tenant's VM is; part of what its security block covers. */
struct vmm_config {
        char name[VMM_NAME_MAX + 1]; /* [a-z0-9._-] */
        uint8_t uuid[VMM_UUID_LEN];
        uint32_t memory_mib;
        uint32_t cpus;
        bool disk_read_only; /* several VMs may then share one image */
};

/* QEMU's descriptors, from VMM_FD_FIRST on in this order. */
enum vmm_fd {
        VMM_FD_CODE,   /* OVMF's code, read-only */
        VMM_FD_VARS,   /* its variables, read-write */
        VMM_FD_DISK,   /* raw image; read-only if the configuration says so */
        VMM_FD_TPM,    /* the engine's control socket (unix, stream) */
        VMM_FD_AGENT,  /* the agent's channel (unix, stream) */
        VMM_FD_QMP,    /* unix, stream */
        VMM_FD_SERIAL, /* the serial console's log: opened for writing and appending */
        VMM_FD_MEMORY, /* memfd of exactly the memory's size, sealed SHRINK|GROW|SEAL */
        VMM_FD_COUNT,
};
#define VMM_FD_FIRST 10

struct vmm_argv {
        const char *words[96]; /* NULL-terminated; into text */
        size_t n;
        char text[4096];
        size_t text_len;
        bool failed; /* something did not fit */
};

/*
 * The words for this configuration, accelerator and set of descriptors; has[fd] tells which there
 * are. QMP and firmware (code and variables) are needed, the others may be missing.
 * Errors: ERR_USAGE (the configuration is out of range, or what is needed is missing).
 */
int vmm_argv_build(const struct vmm_config *config, enum vmm_accel accel,
                   const bool has[VMM_FD_COUNT], struct vmm_argv *ret_argv,
                   struct err *err) MUST_CHECK;

/* SHA-256 over the words, each with its NUL. */
int vmm_argv_digest(const struct vmm_argv *argv, uint8_t ret_digest[VMM_DIGEST_LEN],
                    struct err *err) MUST_CHECK;

/* ERR_USAGE with the reason unless the configuration can be run. */
int vmm_config_check(const struct vmm_config *config, struct err *err) MUST_CHECK;

/* The configuration as bytes, for the store and for its digest; at most VMM_CONFIG_LEN_MAX. */
int vmm_config_encode(const struct vmm_config *config, uint8_t *ret_data, size_t *ret_len,
                      struct err *err) MUST_CHECK;
/* Errors: ERR_MALFORMED, ERR_UNSUPPORTED (format), ERR_USAGE (out of range). */
int vmm_config_decode(struct bytes data, struct vmm_config *ret_config, struct err *err) MUST_CHECK;

/* QEMU's name of the accelerator. */
const char *vmm_accel_name(enum vmm_accel accel);

#endif
