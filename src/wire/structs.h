/*
 * Makes the enum of codes and the structs of the protocol in WIRE_DEF. No include guard: it is
 * included once for each protocol, by that protocol's header.
 */
#define FIELD_U8(m, f)         uint8_t f;
#define FIELD_U16(m, f)        uint16_t f;
#define FIELD_U32(m, f)        uint32_t f;
#define FIELD_U64(m, f)        uint64_t f;
#define FIELD_FIXED(m, f, n)   uint8_t f[n];
#define FIELD_BYTES(m, f, max) struct bytes f;
#define FIELD_TEXT(m, f, max)  struct bytes f;

/* A message without fields still needs a struct that is not empty. */
#define MESSAGE(m, code, sender, n_fds)                                                            \
        enum { m##_code = (code) };                                                                \
        struct m {                                                                                 \
                uint8_t unused_;
#define END(m)                                                                                     \
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
