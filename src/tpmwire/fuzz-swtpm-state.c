/* swtpm's state files: what parses is views into the file, and in clear it comes back from ours. */
#include <stdlib.h>

#include "tpmwire/swtpm-state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct bytes part, struct bytes file)
{
        return part.len == 0 ||
               (part.data >= file.data && part.data + part.len <= file.data + file.len);
}

static void check_round_trip(const struct swtpm_state *state)
{
        struct writer AUTO_WRITER w = {0};
        struct swtpm_state again;
        struct err err = {0};

        writer_init(&w, state->data.len + 64);
        swtpm_state_encode(state->data, &w);
        if (writer_check(&w) != 0 || swtpm_state_parse(writer_bytes(&w), &again, &err) != 0 ||
            again.key_len != 0 || !bytes_equal(state->data, again.data))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct bytes file = {data, size};
        struct swtpm_state state;
        struct err err = {0};

        if (swtpm_state_parse(file, &state, &err) != 0)
                return 0;
        if (state.data.len == 0 || !is_inside(state.data, file) || !is_inside(state.mac, file) ||
            !is_inside(state.iv, file))
                abort();
        if (state.key_len == 0)
                check_round_trip(&state);
        return 0;
}
