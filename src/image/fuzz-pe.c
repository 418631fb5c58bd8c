/* Any bytes as a PE image: every range that would be hashed lies inside the input. */
#include <stdlib.h>

#include "image/pe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct pe_ranges ranges;
        struct err err = {0};

        if (pe_parse((struct bytes){data, size}, &ranges, &err) < 0)
                return 0;
        for (size_t i = 0; i < ranges.n; i++)
                if (ranges.range[i].data < data ||
                    ranges.range[i].len > size - (size_t)(ranges.range[i].data - data))
                        abort();
        return 0;
}
