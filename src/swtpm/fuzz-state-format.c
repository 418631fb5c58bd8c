/* State files of ours: what decodes is encoded to the same bytes. The first byte says which part.
 */
#include <stdlib.h>
#include <string.h>

#include "swtpm/state-format.h"

#define SIGNED_LEN (STATE_HEADER_LEN - STATE_DIGEST_LEN)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* With its digest made good: a fuzzer finds none. */
static void check_header(const uint8_t *data, size_t size)
{
        uint8_t header[STATE_HEADER_LEN] = {0};
        uint8_t again[STATE_HEADER_LEN];
        struct state_header decoded;
        struct err err = {0};

        memcpy(header, data, size < SIGNED_LEN ? size : SIGNED_LEN);
        if (state_digest(header, SIGNED_LEN, header + SIGNED_LEN, &err) != 0 ||
            state_header_decode(header, &decoded, &err) != 0)
                return;
        if (decoded.len > STATE_BODY_MAX || state_header_encode(&decoded, again, &err) != 0)
                abort();
        /* Behind the members the rest is zero when it is written, and not looked at. */
        if (state_header_decode(again, &decoded, &err) != 0)
                abort();
}

static void check_body(struct bytes body)
{
        static struct state_content content;
        struct writer AUTO_WRITER w = {0};
        struct err err = {0};
        struct bytes again;

        if (state_body_decode(body, &content, &err) != 0)
                return;
        writer_init(&w, STATE_BODY_MAX);
        state_body_encode(&content, &w);
        again = writer_bytes(&w);
        if (writer_check(&w) != 0 || again.len != body.len ||
            memcmp(again.data + 12, body.data + 12, body.len - 12) != 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 1)
                return 0;
        if (data[0] == 0)
                check_header(data + 1, size - 1);
        else
                check_body((struct bytes){data + 1, size - 1});
        return 0;
}
