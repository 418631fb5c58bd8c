#include <string.h>

#include "tpmwire/attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was parsed is written again as the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct err err = {0};
        struct attest parsed;
        uint8_t memory[4096];
        struct writer w;

        if (size > sizeof(memory) || attest_parse((struct bytes){data, size}, &parsed, &err) != 0)
                return 0;
        writer_init_fixed(&w, memory, sizeof(memory));
        attest_put(&w, &parsed);
        if (writer_check(&w) != 0 || w.len != size || memcmp(memory, data, size) != 0)
                abort();
        return 0;
}
