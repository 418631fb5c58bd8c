/* What another host's QEMU stream claims to be a TPM's state. */
#include <stdlib.h>

#include "swtpm/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct package package;
        struct err err = {0};
        uint8_t *memory = NULL;
        uint8_t *again = NULL;
        size_t len;
        size_t again_len = 0;

        if (package_decode((struct bytes){data, size}, NULL, &package, &memory, &len, &err) != 0)
                return 0;
        if (package_encode(&package, NULL, &again, &again_len, &err) != 0 ||
            !bytes_equal((struct bytes){data, size}, (struct bytes){again, again_len}))
                abort();
        free(again);
        free(memory);
        return 0;
}
