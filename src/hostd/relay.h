/*
 * catenad's relay: for each client at its socket one connection to the TCB, and every frame passed
 * on as it is, after the table's checks of sender, size and descriptors; only what is asked about
 * the relay itself (tcb_relay) it answers. It holds no key and decides nothing; the TCB treats what
 * comes through as hostile.
 */
#ifndef HOSTD_RELAY_H
#define HOSTD_RELAY_H

#include <systemd/sd-event.h>

#include "base/err.h"

struct relay;

struct relay_request {
        sd_event *event;
        const char *listen_path; /* made with mode 0660 */
        const char *tcb_path;
};

/* A relay on the loop that the request names; it serves until it is freed. */
int relay_new(const struct relay_request *request, struct relay **ret_relay,
              struct err *err) MUST_CHECK;

/* What the kernel did not grant to its sandbox: told to clients that ask the relay about itself. */
void relay_set_sandbox(struct relay *relay, const char *words);

void relay_free(struct relay *relay);

#endif
