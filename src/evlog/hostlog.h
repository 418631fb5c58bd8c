/*
 * The log of the host's own software: one EV_IPL event a component in PCR 13, whose data is the
 * text "catena-host NAME VERSION sha256 HEX" and whose digests are the hashes of that text. So
 * every event can be verified from its data, and the data names what ran. One more event,
 * "catena-ptpm KIND BY MANUFACTURER VENDOR FIRMWARE", says which TPM it was and who measured.
 */
#ifndef EVLOG_HOSTLOG_H
#define EVLOG_HOSTLOG_H

#include <stdbool.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"

#define HOSTLOG_PCR      13
#define HOSTLOG_NAME_MAX 63
#define HOSTLOG_TEXT_MAX 256
#define HOSTLOG_LOG_MAX  (64U << 10) /* bytes of a whole log */

struct hostlog_component {
        char
            name[HOSTLOG_NAME_MAX + 1]; /* catena-supervisor, catena-tcb, catena-vtpm, qemu, ovmf */
        char version[HOSTLOG_NAME_MAX + 1]; /* "-" when it has none */
        uint8_t digest[32];                 /* SHA-256 of the file */
};

/* The TPM that the software was measured into, by its own fixed properties (Part 2, 6.13). */
struct hostlog_ptpm {
        char kind[16];                           /* embedded, swtpm, hardware */
        char by[16];                             /* who measured: tcb, starter */
        char manufacturer[HOSTLOG_NAME_MAX + 1]; /* IBM, IFX, STM, INTC ... */
        char vendor[HOSTLOG_NAME_MAX + 1];
        char firmware[HOSTLOG_NAME_MAX + 1];
};

/* The event's data, NUL-terminated. ERR_MALFORMED when name or version hold anything but
 * [A-Za-z0-9._+:~-]. */
int hostlog_text(const struct hostlog_component *component, char ret_text[HOSTLOG_TEXT_MAX],
                 struct err *err) MUST_CHECK;

/* The component that an event's data names; ERR_MALFORMED if it is not of this form. */
int hostlog_parse(struct bytes data, struct hostlog_component *ret_component,
                  struct err *err) MUST_CHECK;

/* The same two for the event about the TPM. */
int hostlog_ptpm_text(const struct hostlog_ptpm *ptpm, char ret_text[HOSTLOG_TEXT_MAX],
                      struct err *err) MUST_CHECK;
int hostlog_ptpm_parse(struct bytes data, struct hostlog_ptpm *ret_ptpm,
                       struct err *err) MUST_CHECK;

/* Whether an event's data is, by its first word, about the TPM. */
bool hostlog_is_ptpm(struct bytes data);

/* Appends the Spec ID event (TCG PFP 10.4.5.1) that a crypto-agile log begins with. */
void hostlog_put_header(struct writer *w);

/* Appends one TCG_PCR_EVENT2 with these bytes as its data. */
int hostlog_put_event(struct writer *w, struct bytes data, struct err *err) MUST_CHECK;

#endif
