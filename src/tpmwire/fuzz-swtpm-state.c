/* swtpm's state files: what parses is a view into the file, and comes back from one of ours. */
#include <stdlib.h>

#include "tpmwire/swtpm-state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct writer AUTO_WRITER w = {0};
        struct bytes state = {NULL, 0};
        struct bytes again = {NULL, 0};
        struct err err = {0};

        if (swtpm_state_parse((struct bytes){data, size}, &state, &err) != 0)
                return 0;
        if (state.len == 0 || state.data < data || state.data + state.len > data + size)
                abort();
        writer_init(&w, size);
        swtpm_state_encode(state, &w);
        if (writer_check(&w) != 0 || swtpm_state_parse(writer_bytes(&w), &again, &err) != 0 ||
            !bytes_equal(state, again))
                abort();
        return 0;
}
