/*
 * Starting QEMU for a VM: the argument vector, the descriptors at their fixed numbers, an own
 * identity, and guest memory that the caller owns.
 */
#ifndef VMM_LAUNCH_H
#define VMM_LAUNCH_H

#include "base/spawn.h"
#include "vmm/argv.h"

struct vmm_launch {
        const char *qemu;   /* absolute path of the program */
        const int *program; /* borrowed: this open file is executed instead; NULL: none */
        const struct vmm_config *config;
        enum vmm_accel accel;
        int fds[VMM_FD_COUNT]; /* borrowed; -1: none. The caller closes its copies */
        int log;               /* borrowed: QEMU's stdout and stderr; -1: nowhere */
        uid_t uid;             /* when the caller is root and this is not 0 */
        bool sibling;          /* as in struct spawn_request, these three */
        int (*announce)(void *user, const struct spawn_child *child, struct err *err);
        void *user;
        gid_t gid; /* 0 with a uid: the group of /dev/kvm under KVM, else the uid's number */
};

/*
 * Starts QEMU. The guest runs at once; its end shows on ret_child->pidfd. *ret_digest is that of
 * the argument vector. Descriptors are checked first: access modes, and the memory's size and
 * seals. Errors: ERR_USAGE (configuration or descriptors), those of spawn_start().
 */
int vmm_launch(const struct vmm_launch *launch, struct spawn_child *ret_child,
               uint8_t ret_digest[VMM_DIGEST_LEN], struct err *err) MUST_CHECK;

/* Guest memory: a memfd of this size that can neither shrink, grow nor be unsealed. */
int vmm_memory_create(uint32_t mib, int *ret_fd, struct err *err) MUST_CHECK;

/* /dev/kvm opens for this process. Says nothing about whether it works: accel.h. */
bool vmm_kvm_usable(void);

#endif
