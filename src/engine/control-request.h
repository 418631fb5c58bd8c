/*
 * What each message of QEMU's control channel does to the engine.
 */
#ifndef ENGINE_CONTROL_REQUEST_H
#define ENGINE_CONTROL_REQUEST_H

#include "base/reader.h"
#include "base/writer.h"
#include "engine/engine.h"
#include "wire/control.h"

#define CONTROL_INFO_MAX 2048 /* bytes of GET_INFO's text in one answer */

struct control_request {
        struct engine *engine;
        struct reader body; /* exactly as long as its shape says */
        struct writer *answer;
        bool close; /* set by a handler: answer, then hang up */
};

struct control_row {
        size_t keep_max; /* of a message's further bytes; more than this are not even looked at */
        uint32_t states; /* in which it is allowed, of enum engine_state */
        /*
         * Puts the whole answer (result first) and returns 0, or puts nothing and returns a
         * positive enum control_result; negative ends the engine.
         */
        int (*handle)(struct control_request *request, struct err *err);
};

/* The row of a code; NULL for an unknown one. */
const struct control_row *control_row(uint32_t code);

#endif
