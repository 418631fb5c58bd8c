/* State files of swtpm's. */
#include <stdlib.h>

#include "swtpm/foreign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct writer AUTO_WRITER w = {0};
        struct bytes permanent;
        struct err err = {0};

        if (foreign_decode((struct bytes){data, size}, &permanent, &err) != 0)
                return 0;
        writer_init(&w, size);
        foreign_encode(permanent, &w);
        if (writer_check(&w) != 0 || writer_bytes(&w).len != size)
                abort();
        return 0;
}
