#include "verify/jwt.h"

#include <string.h>

#include "base/writer.h"
#include "verify/base64url.h"

static const char header_text[] = "{\"alg\":\"ES256\",\"typ\":\"JWT\"}";

static int put_claims(const json_t *claims, struct writer *w, struct err *err)
{
        char AUTO_FREE *text = json_dumps(claims, JSON_COMPACT | JSON_SORT_KEYS);

        if (text == NULL)
                return err_set(err, ERR_NO_MEMORY, "claims of a token");
        base64url_put(w, (struct bytes){(const uint8_t *)text, strlen(text)});
        return 0;
}

int jwt_sign(const json_t *claims, const struct pkey *key, char **ret_token, struct err *err)
{
        struct writer AUTO_WRITER w = {0};
        uint8_t signature[PKEY_ES256_SIZE];
        size_t len;
        int rc;

        writer_init(&w, JWT_SIZE_MAX + 1);
        base64url_put(&w, (struct bytes){(const uint8_t *)header_text, sizeof(header_text) - 1});
        writer_put_u8(&w, '.');
        rc = put_claims(claims, &w, err);
        if (rc == 0 && writer_check(&w) != 0)
                rc = err_set(err, ERR_LIMIT, "claims too large for a token");
        if (rc == 0)
                rc = pkey_sign_es256(key, writer_bytes(&w), signature, err);
        if (rc != 0)
                return rc;
        writer_put_u8(&w, '.');
        base64url_put(&w, (struct bytes){signature, sizeof(signature)});
        writer_put_u8(&w, '\0');
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "token too large");
        *ret_token = (char *)writer_take(&w, &len);
        return 0;
}

/* The three parts, and what is signed: the first two with the dot between them. */
struct parts {
        struct bytes header, claims, signature, is_signed;
};

static int split(struct bytes token, struct parts *ret_parts)
{
        const uint8_t *end = token.data + token.len;
        const uint8_t *first = memchr(token.data, '.', token.len);
        const uint8_t *second;

        if (first == NULL)
                return ERR_MALFORMED;
        second = memchr(first + 1, '.', (size_t)(end - first - 1));
        if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL)
                return ERR_MALFORMED;
        *ret_parts = (struct parts){
            .header = {token.data, (size_t)(first - token.data)},
            .claims = {first + 1, (size_t)(second - first - 1)},
            .signature = {second + 1, (size_t)(end - second - 1)},
            .is_signed = {token.data, (size_t)(second - token.data)},
        };
        return 0;
}

static int decode_object(struct bytes text, const char *what, json_t **ret_object, struct err *err)
{
        struct writer AUTO_WRITER w = {0};
        json_t AUTO_JSON *object = NULL;
        json_error_t where;

        writer_init(&w, JWT_SIZE_MAX);
        if (base64url_decode(text, &w) != 0 || writer_check(&w) != 0)
                return err_set(err, ERR_MALFORMED, "token: %s is no base64url", what);
        object = json_loadb((const char *)w.data, w.len, JSON_REJECT_DUPLICATES, &where);
        if (object == NULL || !json_is_object(object))
                return err_set(err, ERR_MALFORMED, "token: %s is no JSON object", what);
        *ret_object = TAKE(object);
        return 0;
}

static int check_header(struct bytes text, struct err *err)
{
        json_t AUTO_JSON *header = NULL;
        const char *key;
        json_t *value;
        int rc = decode_object(text, "header", &header, err);

        if (rc != 0)
                return rc;
        value = json_object_get(header, "alg");
        if (!json_is_string(value) || strcmp(json_string_value(value), "ES256") != 0)
                return err_set(err, ERR_NOT_TRUSTED, "token: its algorithm is not ES256");
        json_object_foreach(header, key, value)
        {
                if (strcmp(key, "alg") == 0)
                        continue;
                if (strcmp(key, "typ") != 0 || !json_is_string(value) ||
                    strcmp(json_string_value(value), "JWT") != 0)
                        return err_set(err, ERR_MALFORMED, "token: unexpected header member");
        }
        return 0;
}

static int check_signature(const struct parts *parts, const struct pkey *key, struct err *err)
{
        uint8_t memory[PKEY_ES256_SIZE];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        if (base64url_decode(parts->signature, &w) != 0 || writer_check(&w) != 0 ||
            w.len != sizeof(memory))
                return err_set(err, ERR_MALFORMED, "token: signature");
        if (pkey_verify_es256(key, parts->is_signed, writer_bytes(&w), err) != 0)
                return err_set(err, ERR_NOT_TRUSTED, "token: the signature does not verify");
        return 0;
}

int jwt_verify(struct bytes token, const struct pkey *key, json_t **ret_claims, struct err *err)
{
        struct parts parts;
        int rc;

        if (token.len == 0 || token.len > JWT_SIZE_MAX || split(token, &parts) != 0)
                return err_set(err, ERR_MALFORMED, "not a token of three parts");
        rc = check_header(parts.header, err);
        if (rc == 0)
                rc = check_signature(&parts, key, err);
        if (rc == 0)
                rc = decode_object(parts.claims, "claims", ret_claims, err);
        return rc;
}
