#include "evlog/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct err err = {0};
        struct policy AUTO_POLICY *policy = NULL;
        struct policy AUTO_POLICY *again = NULL;
        char AUTO_FREE *text = NULL;
        size_t len = 0;

        if (policy_from_json((struct bytes){data, size}, &policy, &err) != 0)
                return 0;
        /* What was read can be written, and is read again. */
        if (policy_to_json(policy, &text, &len, &err) != 0 ||
            policy_from_json((struct bytes){(uint8_t *)text, len}, &again, &err) != 0)
                abort();
        return 0;
}
