/*
 * catenad's relay: for each client at its socket one connection to the TCB, and every frame passed
 * on as it is, after the table's checks of sender, size and descriptors. It holds no key and
 * decides nothing; the TCB treats what comes through as hostile.
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
void relay_free(struct relay *relay);

#endif
