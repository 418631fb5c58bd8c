/*
 * One VM's part of a challenge: identity, credential activation, quote. Everything that the agent
 * says is checked against the engine's own keys before the host vouches for it.
 */
#ifndef TCB_ATTEST_VM_H
#define TCB_ATTEST_VM_H

#include "crypto/merkle.h"
#include "tcb/vm.h"
#include "wire/leaf.h"

struct attest_vm {
        struct vm *vm; /* until done() */
        char name[TCB_NAME_MAX + 1];
        uint8_t nonce[LEAF_NONCE_SIZE];
        struct leaf leaf;
        struct writer encoded; /* the leaf's bytes, once it is complete */
        uint8_t secret[32];    /* of the credential that the agent has to open */
        uint8_t ek_pub[1024];  /* a copy: the VM may be gone before the answer is sent */
        size_t ek_pub_len;
        uint8_t ak_pub[1024];
        size_t ak_pub_len;
        struct agent_evidence evidence; /* views into memory */
        struct writer memory;
        bool complete;
        struct err failure; /* why it is not */
        void (*done)(void *user, struct attest_vm *part);
        void *user;
};

/* Asks the agent; done() is called exactly once, later or at once, also for failures. */
void attest_vm_start(struct attest_vm *part);
void attest_vm_done(struct attest_vm *part);

/* What the TCB says of this host in every leaf. */
int attest_fill_host(const struct tcb *tcb, struct leaf *leaf, struct err *err) MUST_CHECK;

#endif
