/* A leaf that decodes must encode to the very same bytes. */
#include <stdlib.h>
#include <string.h>

#include "wire/leaf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t memory[LEAF_SIZE_MAX];
        struct leaf leaf;
        struct writer w;
        struct err err = {0};

        if (leaf_decode((struct bytes){data, size}, &leaf, &err) != 0)
                return 0;
        writer_init_fixed(&w, memory, sizeof(memory));
        if (leaf_encode(&leaf, &w, &err) != 0 || w.len != size || memcmp(memory, data, size) != 0)
                abort();
        return 0;
}
