/*
 * QEMU's control channel to a TPM emulator, swtpm's protocol as far as QEMU 7.2 speaks it: codes,
 * results, how long a request is and how long its answer. Big endian: a u32 code and a body, whose
 * length the code decides; the answer starts with a u32 result and always has the length that QEMU
 * waits for. What the messages mean the engine knows (engine/control-request.c).
 */
#ifndef WIRE_CONTROL_H
#define WIRE_CONTROL_H

#include "base/err.h"
#include "base/reader.h"

enum control_code {
        CONTROL_GET_CAPABILITY = 1,
        CONTROL_INIT,
        CONTROL_SHUTDOWN,
        CONTROL_GET_ESTABLISHED,
        CONTROL_SET_LOCALITY,
        CONTROL_HASH_START,
        CONTROL_HASH_DATA,
        CONTROL_HASH_END,
        CONTROL_CANCEL,
        CONTROL_STORE_VOLATILE,
        CONTROL_RESET_ESTABLISHED,
        CONTROL_GET_STATEBLOB,
        CONTROL_SET_STATEBLOB,
        CONTROL_STOP,
        CONTROL_GET_CONFIG,
        CONTROL_SET_DATAFD,
        CONTROL_SET_BUFFERSIZE,
        CONTROL_GET_INFO,
        CONTROL_LOCK_STORAGE,
        CONTROL_CODE_END,
};

/* Results: TPM 1.2's codes, which this protocol uses. */
enum control_result {
        CONTROL_OK = 0,
        CONTROL_BAD_PARAMETER = 3,
        CONTROL_DISABLED_CMD = 8, /* refused here by design */
        CONTROL_FAIL = 9,
        CONTROL_BAD_ORDINAL = 10, /* unknown, or not in this state */
        CONTROL_IOERROR = 31,
        CONTROL_BAD_LOCALITY = 61,
};

#define CONTROL_CODE_SIZE   4
#define CONTROL_NO_LENGTH   SIZE_MAX
#define CONTROL_HASH_MAX    4096
#define CONTROL_STATE_MAX   (1U << 18) /* bytes of a state in QEMU's stream */
#define CONTROL_REQUEST_MAX (CONTROL_CODE_SIZE + 12 + CONTROL_STATE_MAX)
#define CONTROL_ANSWER_MAX  4096 /* of the engine's */

struct control_shape {
        const char *name;
        size_t body_len;         /* of a request's fixed part, behind the code */
        size_t length_at;        /* where in it the number of further bytes stands */
        size_t more_max;         /* the most that may say */
        size_t answer_len;       /* of its fixed part; QEMU waits for it also with an error */
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
