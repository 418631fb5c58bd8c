/* Input: protocol, code, payload; every decoder of every table. */
#include "wire/agent.h"
#include "wire/engine.h"
#include "wire/kept.h"
#include "wire/ptpm.h"
#include "wire/supervisor.h"
#include "wire/tcb.h"
#include "wire/zygote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct wire_protocol *const protocols[] = {
            &wire_engine_protocol, &wire_agent_protocol,  &wire_ptpm_protocol,
            &wire_tcb_protocol,    &wire_zygote_protocol, &wire_supervisor_protocol,
            &wire_kept_protocol};
        struct reader r = reader_from(data, size);
        const struct wire_message *message;
        _Alignas(max_align_t) uint8_t decoded[1024];
        struct err err = {0};
        uint8_t which;
        uint8_t code;
        struct bytes payload;

        if (reader_get_u8(&r, &which) != 0 || reader_get_u8(&r, &code) != 0 ||
            reader_get_bytes(&r, reader_left(&r), &payload) != 0)
                return 0;
        message = wire_message_find(protocols[which % ARRAY_SIZE(protocols)], code);
        if (message != NULL && wire_decode(message, payload, decoded, message->size, &err) == 0) {
                struct writer AUTO_WRITER w = {0};

                /* What decodes encodes to the same bytes. */
                writer_init(&w, size);
                if (wire_encode(message, decoded, &w, &err) != 0 ||
                    !bytes_equal(writer_bytes(&w), payload))
                        __builtin_trap();
        }
        return 0;
}
