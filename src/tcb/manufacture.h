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

#define MANUFACTURE_CERT_MAX 2048 /* what an NV index of libtpms holds */

struct manufacture_cert {
        uint8_t data[MANUFACTURE_CERT_MAX]; /* as it stands in NV, padding included */
        size_t len;                         /* 0: none */
        size_t size;                        /* of the index */
};

struct manufacture_ek {
        uint8_t public[TPM_PUBLIC_MAX]; /* TPM2B_PUBLIC */
        size_t public_len;              /* 0: not made */
        struct tpm_name name;
};

/* A step, and for those of a key whose. */
struct manufacture_at {
        unsigned step;
        enum tpm_ek_kind kind;
};

struct manufacture {
        struct engine_host *engine; /* the owner's, started with ENGINE_START_DRAFT */
        uint8_t wanted;             /* mask of 1 << enum tpm_ek_kind */
        /*
         * The TPM is somebody's already: nothing is kept, the keys that it has at their handles are
         * wanted too, and its certificates are read.
         */
        bool only_read;
        /* Once, after the last answer or the first that says no; may free all of this. */
        void (*done)(void *user, const struct err *failure);
        void *user;
        /* Written as it goes. */
        struct manufacture_at sent;
        struct manufacture_at answered;
        unsigned unanswered;
        struct manufacture_ek eks[TPM_EK_COUNT];
        struct manufacture_cert certs[TPM_EK_COUNT];
        uint8_t algorithms[MANUFACTURE_ALGORITHMS_SIZE];
};

/*
 * Sends all the steps to an engine that was just started: it goes from one to the next without
 * waiting for us. done() follows later, unless this fails or the engine ends, which its owner is
 * told.
 */
int manufacture_start(struct manufacture *m, struct err *err) MUST_CHECK;

#endif
