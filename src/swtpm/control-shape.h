/*
 * The shape of the messages on QEMU's control channel (the engine knows their meaning,
 * engine/control.c): how long a request is, and how long its answer.
 */
#ifndef SWTPM_CONTROL_SHAPE_H
#define SWTPM_CONTROL_SHAPE_H

#include "base/err.h"
#include "base/reader.h"

#define CONTROL_GET_CAPABILITY    1
#define CONTROL_INIT              2
#define CONTROL_SHUTDOWN          3
#define CONTROL_GET_ESTABLISHED   4
#define CONTROL_SET_LOCALITY      5
#define CONTROL_CANCEL            9
#define CONTROL_RESET_ESTABLISHED 11
#define CONTROL_GET_STATEBLOB     12
#define CONTROL_SET_STATEBLOB     13
#define CONTROL_STOP              14
#define CONTROL_GET_CONFIG        15
#define CONTROL_SET_DATAFD        16
#define CONTROL_SET_BUFFERSIZE    17
#define CONTROL_GET_INFO          18

#define CONTROL_CODE_SIZE   4
#define CONTROL_NO_LENGTH   SIZE_MAX
#define CONTROL_REQUEST_MAX (CONTROL_CODE_SIZE + 12 + (1U << 18))
#define CONTROL_ANSWER_MAX  4096 /* of the engine's */

struct control_shape {
        uint32_t code;
        size_t body_len;         /* of a request's fixed part, behind the code */
        size_t length_at;        /* where in it the number of further bytes stands */
        size_t more_max;         /* the most that may say */
        size_t answer_len;       /* of its fixed part */
        size_t answer_length_at; /* where in it the number of further bytes stands */
};

/* NULL for an unknown code. */
const struct control_shape *control_shape(uint32_t code);

/*
 * The length of the request at the start of input: 0 and *ret_len, or 1 when more bytes are needed
 * to know. ERR_MALFORMED: an unknown code, or longer than it may be.
 */
int control_request_len(struct bytes input, size_t *ret_len, struct err *err) MUST_CHECK;

/* The same for the answer to a request with this shape; more_max: the most after its fixed part. */
int control_answer_len(const struct control_shape *shape, struct bytes input, size_t more_max,
                       size_t *ret_len, struct err *err) MUST_CHECK;

#endif
