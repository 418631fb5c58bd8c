/*
 * One engine (catena-vtpm) with its state in a file: this program is to it what catena-tcb is to
 * the engines of a host. Nothing is written for a guest before its first command has come
 * (PROTOCOLS.md, "QEMU and state"); from then on every save is durable before the command is
 * answered, and a disk that is full stalls it, until it is not full, QEMU is gone, or we are to
 * end.
 *
 * Which save may be restored: the last one that was made here, as long as no guest went on since;
 * one that was made elsewhere after the last one known here; any on a state that no guest has used.
 */
#ifndef SWTPM_ENGINE_LINK_H
#define SWTPM_ENGINE_LINK_H

#include "swtpm/package.h"
#include "swtpm/starter.h"
#include "swtpm/state-file.h"
#include "vmm/engine.h"
#include "wire/link.h"

struct engine_link {
        struct state_file *state; /* not ours */
        const struct secret *migration_key;
        const uint8_t *uuid;
        bool deferred;           /* nothing is saved; the owner of the state does it, or does not */
        int signals;             /* readable: we are to end; -1: none */
        int client;              /* QEMU's side of the control channel; -1: none */
        struct starter *starter; /* starts engines; NULL: we do */
        struct vmm_engine process;
        struct wire_link *wire;
        int control; /* QEMU's control channel, our end */
        bool ready;
        bool gone;      /* it broke off, or the protocol: of no use any more */
        bool claimed;   /* a guest's command came since the last INIT, save or restore */
        bool unsaved;   /* the content waits for that */
        uint8_t *saved; /* package of the last save, for QEMU */
        size_t saved_len;
        struct package restored; /* what QEMU brought, until the engine asks for it */
        uint8_t *restored_memory;
        size_t restored_len;
        uint8_t response[ENGINE_COMMAND_MAX];
        size_t response_len;
        bool answered;
};

/*
 * Starts the engine with the state's TPM, or has it make one, and waits until it is ready. Its
 * state, migration_key, uuid, deferred, signals and starter are the caller's to fill before.
 */
int engine_link_start(struct engine_link *link, struct err *err) MUST_CHECK;

/* Ends the engine and forgets everything of it. */
void engine_link_stop(struct engine_link *link);

/* Takes one message of the engine's and answers it. ERR_UNREACHABLE: it is gone. */
int engine_link_serve(struct engine_link *link, struct err *err) MUST_CHECK;

/* One TPM command of our own; the response is valid until the next. */
int engine_link_command(struct engine_link *link, struct bytes command, struct bytes *ret_response,
                        struct err *err) MUST_CHECK;

/* Opens what QEMU brought and keeps it for the engine's question. */
int engine_link_take_package(struct engine_link *link, struct bytes data,
                             struct err *err) MUST_CHECK;

#endif
