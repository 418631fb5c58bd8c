/*
 * A real catena-vtpm process for tests, with the test as its TCB and as its QEMU.
 */
#ifndef TESTS_LIB_VTPM_H
#define TESTS_LIB_VTPM_H

#include <stdbool.h>

#include "base/spawn.h"
#include "lib/test.h"
#include "vmm/zygote.h"
#include "wire/engine.h"
#include "wire/link.h"

struct test_vtpm {
        bool forked; /* set by the test: from a zygote, not by a new program */
        bool spare;  /* and ahead of time: it is attached to its control channel later */
        struct spawn_child child;
        struct wire_link *core;
        int control; /* our ends of QEMU's channels */
        int data;
        uint8_t permanent[ENGINE_BLOB_MAX]; /* the last blob acknowledged */
        size_t permanent_len;
        unsigned n_persists;
        bool hold; /* true: blobs are taken but neither kept nor acknowledged */
        uint64_t held_sequence;
        struct engine_parked parked; /* its blob is in volatile_state */
        int parked_fds[2];           /* control and data, the engine's ends */
        unsigned events[8];          /* by kind */
        uint32_t init_count;         /* of the last event */
        char failed[401];            /* words of ENGINE_FAILED */
        uint8_t response[ENGINE_COMMAND_MAX];
        size_t response_len;
        uint32_t response_id;
        /* A bound engine's questions and what it is answered. */
        uint32_t start_flags;
        uint32_t decision; /* 0: granted */
        unsigned claims;
        uint8_t shown[ENGINE_TOKEN_SIZE]; /* the last token that came back */
        size_t shown_len;
        uint8_t volatile_state[ENGINE_BLOB_MAX]; /* of the last save or parking */
        size_t volatile_len;
};

/* What the test as TCB gives out for every save. */
#define TEST_VTPM_TOKEN "CTK1 a token of 36 bytes for a test."

/* Starts the program of this build; nothing is sent yet. with_control: also QEMU's channel. */
void test_vtpm_spawn(struct test_vtpm *v, bool with_control);

/* The zygote that forked ones come from; it lives until the test's end. */
struct vmm_zygote *test_vtpm_zygote(void);

/* Sends ENGINE_START with v's permanent blob (none: manufacture) and serves until READY. */
void test_vtpm_start(struct test_vtpm *v, const uint8_t *seed);

/* Both, and QEMU's start up to INIT: SET_DATAFD ... INIT(0). */
void test_vtpm_boot(struct test_vtpm *v);

/* SIGKILL and clean-up; permanent stays. */
void test_vtpm_kill(struct test_vtpm *v);

/* Waits for its end by itself; returns the exit status or minus the signal. Cleans up. */
int test_vtpm_end(struct test_vtpm *v);

/* Serves the core channel until this message came; false if the engine closed it before. */
bool test_vtpm_serve(struct test_vtpm *v, uint16_t until_code);

/* Acknowledges the blob that is held and goes on normally. */
void test_vtpm_release(struct test_vtpm *v);

/* Waits until the engine has handed over a blob while hold is true. */
void test_vtpm_await_held(struct test_vtpm *v);

/* Sends on the control channel and reads exactly answer_len bytes, serving the core meanwhile. */
void test_vtpm_control(struct test_vtpm *v, const void *message, size_t len, void *ret_answer,
                       size_t answer_len);
uint32_t test_vtpm_control_code(struct test_vtpm *v, const void *message, size_t len,
                                size_t answer_len);

/* Makes a new data channel and passes it; asserts the result. */
void test_vtpm_set_datafd(struct test_vtpm *v);

/* One TPM command in hex on the data channel; the response is in v. Returns its code. */
uint32_t test_vtpm_command(struct test_vtpm *v, const char *hex);

/* One TPM command of the TCB's on the core channel. Returns the response's code. */
uint32_t test_vtpm_core_command(struct test_vtpm *v, const char *hex);

/* Asks it to park; true if it did, and what it handed over is in v. Its process still runs. */
bool test_vtpm_park(struct test_vtpm *v, bool idle_only);

/* Sends engine_wake, with what was parked, to a process that test_vtpm_rouse() started. */
void test_vtpm_send_wake(struct test_vtpm *v, uint64_t clock, uint32_t flags);

/* Tells it that the state is used up durably. */
void test_vtpm_use_up(struct test_vtpm *v);

/* Ends the parked process and starts another one with its control channel. */
void test_vtpm_rouse(struct test_vtpm *v);

/* All of it: another process goes on at this time of the TCB's clock. */
void test_vtpm_wake(struct test_vtpm *v, uint64_t clock);

#endif
