/* A token from outside against a fixed key: nothing may verify, nothing may crash. */
#include <stdlib.h>

#include "verify/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct pkey *key;
        json_t AUTO_JSON *claims = NULL;
        struct err err = {0};

        if (key == NULL && pkey_generate_ec(PKEY_P256, &key, &err) != 0)
                abort();
        if (jwt_verify((struct bytes){data, size}, key, &claims, &err) == 0)
                abort();
        return 0;
}
