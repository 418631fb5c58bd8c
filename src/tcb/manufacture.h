/*
 * The steps that make keys in an engine that serves nobody else: power it on, create the
 * endorsement keys that are wanted, keep each at its handle, power off. For a fresh TPM and for one
 * that gets more keys later. What it makes it reads from the engine itself, never from a guest.
 */
#ifndef TCB_MANUFACTURE_H
#define TCB_MANUFACTURE_H

#include <stdbool.h>

#include "tcb/engine-host.h"
#include "tpmwire/ek.h"
#include "tpmwire/name.h"

#define MANUFACTURE_ALGORITHMS_SIZE 4 /* of SHA-256 over TPM_CAP_ALGS */

struct manufacture_ek {
        uint8_t public[TPM_PUBLIC_MAX]; /* TPM2B_PUBLIC */
        size_t public_len;              /* 0: not made */
        struct tpm_name name;
};

struct manufacture {
        struct engine_host *engine; /* the owner's, ready */
        uint8_t wanted;             /* mask of 1 << enum tpm_ek_kind */
        bool only_read;             /* the TPM is somebody's already: nothing is kept in it */
        /* Once, after the last step or the first that failed; may free all of this. */
        void (*done)(void *user, const struct err *failure);
        void *user;
        /* Written as it goes. */
        unsigned step;
        enum tpm_ek_kind kind;
        uint32_t handle;
        struct manufacture_ek eks[TPM_EK_COUNT];
        uint8_t algorithms[MANUFACTURE_ALGORITHMS_SIZE];
};

/* Starts with the first step; done() may be called before this returns. */
void manufacture_run(struct manufacture *m);

#endif
