/*
 * Events in words. What the digest does not cover says so in the words themselves.
 */
#ifndef EVLOG_EVENT_TEXT_H
#define EVLOG_EVENT_TEXT_H

#include "evlog/event-verify.h"
#include "evlog/text.h"

/*
 * Writes the words of an event into memory of size bytes (TEXT_SIZE holds nearly everything;
 * longer is cut). Unless the verdict is EVENT_VERIFIED they end in what is not covered by the
 * digest: "[name not measured]", "[description not measured]", "[does not match the digest]".
 * Returns memory.
 */
const char *event_text(const struct tcglog_event *event, enum event_verdict verdict, char *memory,
                       size_t size);

#endif
