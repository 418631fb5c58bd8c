/*
 * Table-defined messages. A protocol is a .def file of messages with their sender, number of
 * descriptors and fields; wire/structs.h makes C structs of it, wire/tables.h the table that
 * encodes, decodes and checks them. Integers are big endian; variable fields carry a be32 length.
 *
 *   MESSAGE(engine_persist, 4, WIRE_SERVER, 0)
 *   FIELD_U64(engine_persist, sequence)
 *   FIELD_BYTES(engine_persist, blob, ENGINE_BLOB_MAX)
 *   END(engine_persist)
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"

/* Who may send a message. The client is the side that connected or that spawned the other. */
enum wire_role { WIRE_CLIENT = 1, WIRE_SERVER = 2, WIRE_EITHER = 3 };

enum wire_kind {
        WIRE_U8,
        WIRE_U16,
        WIRE_U32,
        WIRE_U64,
        WIRE_FIXED, /* uint8_t[max], exactly */
        WIRE_BYTES, /* struct bytes, at most max */
        WIRE_TEXT,  /* struct bytes, UTF-8 without control characters, at most max bytes */
};

struct wire_field {
        const char *name;
        enum wire_kind kind;
        size_t offset; /* in the message's struct */
        size_t max;    /* bytes; 0 for integers */
};

struct wire_message {
        const char *name;
        uint16_t code; /* 1 to 65535; 0 is the hello of every protocol */
        enum wire_role sender;
        uint8_t n_fds; /* descriptors that travel with it, exactly */
        size_t size;   /* of its struct */
        const struct wire_field *fields;
        size_t n_fields;
};

struct wire_protocol {
        const char *name;
        uint16_t version;
        size_t payload_max; /* bytes of the largest message's payload */
        bool renews;        /* a second hello is that of a new peer on the old channel */
        const struct wire_message *messages;
        size_t n_messages;
};

/* The row with this code, or NULL. */
const struct wire_message *wire_message_find(const struct wire_protocol *protocol, uint16_t code);

/* Bytes of the largest payload that its table allows. */
size_t wire_message_payload_max(const struct wire_message *message);

/*
 * Appends the payload of a message from its struct. ERR_LIMIT when a field is longer than its
 * maximum: that is our own mistake or a value that should have been checked before.
 */
int wire_encode(const struct wire_message *message, const void *from, struct writer *w,
                struct err *err) MUST_CHECK;

/*
 * Decodes a whole payload into the message's struct; views point into the payload. Nothing may be
 * left over. ERR_MALFORMED names message, field and offset. *ret_message is written only on
 * success; ret_size must be the size of the struct.
 */
int wire_decode(const struct wire_message *message, struct bytes payload, void *ret_message,
                size_t ret_size, struct err *err) MUST_CHECK;

/* NUL-terminated text as a field; it has to be clean. */
struct bytes wire_text(const char *text);

/*
 * Words of ours, which may quote anybody's, made fit for a text field: cut to max bytes between
 * characters, and whatever is not clean UTF-8 becomes '?'. Works in place.
 */
struct bytes wire_text_fit(char *text, size_t max);

/* A text field as a NUL-terminated copy of at most size - 1 bytes. */
const char *wire_text_copy(struct bytes text, char *ret_text, size_t size);

#endif
