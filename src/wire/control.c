#include "wire/control.h"

#define NONE CONTROL_NO_LENGTH

static const struct control_shape shapes[CONTROL_CODE_END] = {
    [CONTROL_GET_CAPABILITY] = {"GET_CAPABILITY", 0, NONE, 0, 8, NONE},
    [CONTROL_INIT] = {"INIT", 4, NONE, 0, 4, NONE},
    [CONTROL_SHUTDOWN] = {"SHUTDOWN", 0, NONE, 0, 4, NONE},
    [CONTROL_GET_ESTABLISHED] = {"GET_TPMESTABLISHED", 0, NONE, 0, 8, NONE},
    [CONTROL_SET_LOCALITY] = {"SET_LOCALITY", 4, NONE, 0, 4, NONE},
    [CONTROL_HASH_START] = {"HASH_START", 0, NONE, 0, 4, NONE},
    [CONTROL_HASH_DATA] = {"HASH_DATA", 4, 0, CONTROL_HASH_MAX, 4, NONE},
    [CONTROL_HASH_END] = {"HASH_END", 0, NONE, 0, 4, NONE},
    [CONTROL_CANCEL] = {"CANCEL_TPM_CMD", 0, NONE, 0, 4, NONE},
    [CONTROL_STORE_VOLATILE] = {"STORE_VOLATILE", 0, NONE, 0, 4, NONE},
    [CONTROL_RESET_ESTABLISHED] = {"RESET_TPMESTABLISHED", 4, NONE, 0, 4, NONE},
    [CONTROL_GET_STATEBLOB] = {"GET_STATEBLOB", 12, NONE, 0, 16, 12},
    [CONTROL_SET_STATEBLOB] = {"SET_STATEBLOB", 12, 8, CONTROL_STATE_MAX, 4, NONE},
    [CONTROL_STOP] = {"STOP", 0, NONE, 0, 4, NONE},
    [CONTROL_GET_CONFIG] = {"GET_CONFIG", 0, NONE, 0, 8, NONE},
    [CONTROL_SET_DATAFD] = {"SET_DATAFD", 0, NONE, 0, 4, NONE},
    [CONTROL_SET_BUFFERSIZE] = {"SET_BUFFERSIZE", 4, NONE, 0, 16, NONE},
    [CONTROL_GET_INFO] = {"GET_INFO", 16, NONE, 0, 12, 8},
    [CONTROL_LOCK_STORAGE] = {"LOCK_STORAGE", 4, NONE, 0, 4, NONE},
};

const struct control_shape *control_shape(uint32_t code)
{
        return code < CONTROL_CODE_END && shapes[code].name != NULL ? &shapes[code] : NULL;
}

/* fixed bytes, and as many more as the be32 at length_at says. */
static int whole_len(struct bytes input, size_t fixed, size_t length_at, size_t more_max,
                     size_t *ret_len, struct err *err)
{
        struct reader r = reader_from_bytes(input);
        uint32_t more = 0;

        if (input.len < fixed)
                return 1;
        if (length_at != NONE &&
            (reader_skip(&r, length_at) != 0 || reader_get_be32(&r, &more) != 0))
                return 1;
        if (more > more_max)
                return err_set(err, ERR_MALFORMED, "control channel: a message of %u bytes", more);
        *ret_len = fixed + more;
        return 0;
}

int control_request_len(struct bytes input, size_t *ret_len, struct err *err)
{
        struct reader r = reader_from_bytes(input);
        const struct control_shape *shape;
        uint32_t code;

        if (reader_get_be32(&r, &code) != 0)
                return 1;
        shape = control_shape(code);
        if (shape == NULL)
                return err_set(err, ERR_MALFORMED, "control channel: unknown code %u", code);
        return whole_len(input, CONTROL_CODE_SIZE + shape->body_len,
                         shape->length_at == NONE ? NONE : CONTROL_CODE_SIZE + shape->length_at,
                         shape->more_max, ret_len, err);
}

int control_answer_len(const struct control_shape *shape, struct bytes input, size_t more_max,
                       size_t *ret_len, struct err *err)
{
        return whole_len(input, shape->answer_len, shape->answer_length_at, more_max, ret_len, err);
}
