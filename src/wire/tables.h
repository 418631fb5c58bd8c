/*
 * Makes the tables of the protocol in WIRE_DEF: <message>_fields and an array of messages named
 * WIRE_MESSAGES. No include guard: it is included once, by the protocol's source file.
 */
#define FIELD_U8(m, f)         {#f, WIRE_U8, offsetof(struct m, f), 0},
#define FIELD_U16(m, f)        {#f, WIRE_U16, offsetof(struct m, f), 0},
#define FIELD_U32(m, f)        {#f, WIRE_U32, offsetof(struct m, f), 0},
#define FIELD_U64(m, f)        {#f, WIRE_U64, offsetof(struct m, f), 0},
#define FIELD_FIXED(m, f, n)   {#f, WIRE_FIXED, offsetof(struct m, f), n},
#define FIELD_BYTES(m, f, max) {#f, WIRE_BYTES, offsetof(struct m, f), max},
#define FIELD_TEXT(m, f, max)  {#f, WIRE_TEXT, offsetof(struct m, f), max},

/* The closing row keeps the array of a message without fields legal; it is not counted. */
#define MESSAGE(m, code, sender, n_fds) static const struct wire_field m##_fields[] = {
#define END(m)                                                                                     \
        {                                                                                          \
                NULL, WIRE_U8, 0, 0                                                                \
        }                                                                                          \
        }                                                                                          \
        ;

#include WIRE_DEF

#undef FIELD_U8
#undef FIELD_U16
#undef FIELD_U32
#undef FIELD_U64
#undef FIELD_FIXED
#undef FIELD_BYTES
#undef FIELD_TEXT
#undef MESSAGE
#undef END

#define FIELD_U8(m, f)
#define FIELD_U16(m, f)
#define FIELD_U32(m, f)
#define FIELD_U64(m, f)
#define FIELD_FIXED(m, f, n)
#define FIELD_BYTES(m, f, max)
#define FIELD_TEXT(m, f, max)
#define MESSAGE(m, code, sender, n_fds)                                                            \
        {#m, code, sender, n_fds, sizeof(struct m), m##_fields, ARRAY_SIZE(m##_fields) - 1},
#define END(m)

static const struct wire_message WIRE_MESSAGES[] = {
#include WIRE_DEF
};

#undef FIELD_U8
#undef FIELD_U16
#undef FIELD_U32
#undef FIELD_U64
#undef FIELD_FIXED
#undef FIELD_BYTES
#undef FIELD_TEXT
#undef MESSAGE
#undef END
