/*
 * A token from outside against a key of ours: nothing may verify, nothing may crash. Then the
 * same bytes as claims that the key did sign, so that what follows the signature is reached.
 */
#include <stdlib.h>

#include "verify/base64url.h"
#include "verify/ear.h"
#include "verify/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_claims(struct bytes claims, const struct pkey *key)
{
        static const char header[] = "{\"alg\":\"ES256\"}";
        struct writer AUTO_WRITER w = {0};
        uint8_t signature[PKEY_ES256_SIZE];
        json_t AUTO_JSON *json = NULL;
        struct err err = {0};

        writer_init(&w, JWT_SIZE_MAX);
        base64url_put(&w, (struct bytes){(const uint8_t *)header, sizeof(header) - 1});
        writer_put_u8(&w, '.');
        base64url_put(&w, claims);
        if (writer_check(&w) != 0 || pkey_sign_es256(key, writer_bytes(&w), signature, &err) != 0)
                return;
        writer_put_u8(&w, '.');
        base64url_put(&w, (struct bytes){signature, sizeof(signature)});
        if (writer_check(&w) == 0 &&
            ear_verify(writer_bytes(&w), key, 1800000005, NULL, &json, &err) == 0)
                (void)ear_status(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct pkey *key;
        json_t AUTO_JSON *claims = NULL;
        struct err err = {0};

        if (key == NULL && pkey_generate_ec(PKEY_P256, &key, &err) != 0)
                abort();
        if (jwt_verify((struct bytes){data, size}, key, &claims, &err) == 0)
                abort();
        as_claims((struct bytes){data, size}, key);
        return 0;
}
