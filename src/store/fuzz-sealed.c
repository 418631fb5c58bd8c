/* Bytes from the disk as sealed state, and as a security block. */
#include <stdlib.h>

#include "store/block.h"
#include "store/sealed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const uint8_t zeros[32];
        static struct sealer *sealer;
        struct sealed_context context = {.uuid = zeros, .config_digest = zeros, .sequence = 1};
        struct secret AUTO_SECRET *key = NULL;
        struct security_block block;
        struct bytes input = {data, size};
        struct err err = {0};
        uint8_t *plain = NULL;

        if (sealer == NULL && (secret_new_copy(zeros, sizeof(zeros), &key, &err) != 0 ||
                               sealer_new(key, &sealer, &err) != 0))
                return 0;
        if (sealer_open(sealer, &context, input, &plain, &err) == 0)
                free(plain);
        (void)(security_block_decode(input, &block, &err) == 0);
        return 0;
}
