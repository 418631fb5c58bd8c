/* swtpm's state files: what parses is a view into the file. */
#include <stdlib.h>

#include "tpmwire/swtpm-state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct bytes state = {NULL, 0};
        struct err err = {0};

        if (swtpm_state_parse((struct bytes){data, size}, &state, &err) != 0)
                return 0;
        if (state.len == 0 || state.data < data || state.data + state.len > data + size)
                abort();
        return 0;
}
