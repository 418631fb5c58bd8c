#include "base/writer.h"
#include "lib/test.h"
#include "verify/base64url.h"
#include "verify/jwt.h"

static struct bytes text(const char *words)
{
        return (struct bytes){(const uint8_t *)words, strlen(words)};
}

/* RFC 4648, 10, without the padding; and the two characters that differ from base64. */
static const struct {
        const char *plain, *coded;
} vectors[] = {
    {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
    {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "-__-"},
};

static void base64url_vectors(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
                uint8_t memory[32];
                struct writer w;

                writer_init_fixed(&w, memory, sizeof(memory));
                base64url_put(&w, text(vectors[i].plain));
                assert_true(bytes_equal(writer_bytes(&w), text(vectors[i].coded)));
                writer_init_fixed(&w, memory, sizeof(memory));
                assert_int_equal(base64url_decode(text(vectors[i].coded), &w), 0);
                assert_true(bytes_equal(writer_bytes(&w), text(vectors[i].plain)));
                assert_int_equal(BASE64URL_LEN(strlen(vectors[i].plain)), strlen(vectors[i].coded));
        }
}

/* Padding, base64's own alphabet, white space, impossible lengths, unused bits set. */
static const char *const bad_base64url[] = {"Zg==",   "Z",    "Zm9vY", "+__-",
                                            "Zm9v\n", "Zm 9", "Zh",    "Zm9"};

static void base64url_refuses(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad_base64url); i++) {
                uint8_t memory[32];
                struct writer w;

                writer_init_fixed(&w, memory, sizeof(memory));
                if (base64url_decode(text(bad_base64url[i]), &w) != ERR_MALFORMED)
                        fail_msg("accepted: %s", bad_base64url[i]);
        }
}

static struct pkey *key, *other;

/* A token of these parts as they are, signed by our key over its own first two parts. */
static char *make_token(const char *header, const char *claims)
{
        struct writer w;
        uint8_t signature[PKEY_ES256_SIZE];
        size_t len;
        struct err err = {0};

        writer_init(&w, 4096);
        base64url_put(&w, text(header));
        writer_put_u8(&w, '.');
        base64url_put(&w, text(claims));
        assert_ok(pkey_sign_es256(key, writer_bytes(&w), signature, &err), &err);
        writer_put_u8(&w, '.');
        base64url_put(&w, (struct bytes){signature, sizeof(signature)});
        writer_put_u8(&w, 0);
        assert_int_equal(writer_check(&w), 0);
        return (char *)writer_take(&w, &len);
}

static void there_and_back(void **state)
{
        json_t AUTO_JSON *claims = json_pack("{s:s, s:i}", "b", "two", "a", 1);
        json_t AUTO_JSON *again = NULL;
        char AUTO_FREE *token = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(jwt_sign(claims, key, &token, &err), &err);
        assert_ok(jwt_verify(text(token), key, &again, &err), &err);
        assert_true(json_equal(claims, again));
        json_decref(TAKE(again));
        assert_int_equal(jwt_verify(text(token), other, &again, &err), ERR_NOT_TRUSTED);
        assert_null(again);
}

#define ES256 "{\"alg\":\"ES256\"}"

static const struct {
        const char *name, *header, *claims;
        int code;
} rows[] = {
    {"good", ES256, "{}", 0},
    {"typ", "{\"typ\":\"JWT\",\"alg\":\"ES256\"}", "{}", 0},
    {"alg none", "{\"alg\":\"none\"}", "{}", ERR_NOT_TRUSTED},
    {"alg NONE", "{\"alg\":\"NONE\"}", "{}", ERR_NOT_TRUSTED},
    {"alg HS256", "{\"alg\":\"HS256\"}", "{}", ERR_NOT_TRUSTED},
    {"alg ES384", "{\"alg\":\"ES384\"}", "{}", ERR_NOT_TRUSTED},
    {"alg es256", "{\"alg\":\"es256\"}", "{}", ERR_NOT_TRUSTED},
    {"alg missing", "{}", "{}", ERR_NOT_TRUSTED},
    {"alg not a string", "{\"alg\":256}", "{}", ERR_NOT_TRUSTED},
    {"alg twice", "{\"alg\":\"none\",\"alg\":\"ES256\"}", "{}", ERR_MALFORMED},
    {"alg with NUL", "{\"alg\":\"ES256\\u0000\"}", "{}", ERR_MALFORMED},
    {"crit", "{\"alg\":\"ES256\",\"crit\":[]}", "{}", ERR_MALFORMED},
    {"jwk", "{\"alg\":\"ES256\",\"jwk\":{}}", "{}", ERR_MALFORMED},
    {"kid", "{\"alg\":\"ES256\",\"kid\":\"../../x\"}", "{}", ERR_MALFORMED},
    {"typ other", "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", "{}", ERR_MALFORMED},
    {"header no object", "[]", "{}", ERR_MALFORMED},
    {"claims no object", ES256, "[]", ERR_MALFORMED},
    {"claims doubled", ES256, "{\"exp\":1,\"exp\":2}", ERR_MALFORMED},
    {"claims no JSON", ES256, "{", ERR_MALFORMED},
    {"claims and more", ES256, "{} {}", ERR_MALFORMED},
};

static void hostile_tokens(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char AUTO_FREE *token = make_token(rows[i].header, rows[i].claims);
                json_t AUTO_JSON *claims = NULL;
                struct err err = {0};

                if (jwt_verify(text(token), key, &claims, &err) != rows[i].code)
                        fail_msg("%s: %d %s", rows[i].name, err.code, err.text);
        }
}

/* Every character changed, every cut, and text after the token. */
static void altered_tokens(void **state)
{
        char AUTO_FREE *token = make_token(ES256, "{\"a\":1}");
        size_t len = strlen(token);
        json_t *claims = NULL;
        struct err err = {0};
        char longer[512];

        (void)state;
        for (size_t i = 0; i < len; i++) {
                char was = token[i];

                token[i] = was == 'A' ? 'B' : 'A';
                assert_int_not_equal(jwt_verify(text(token), key, &claims, &err), 0);
                token[i] = was;
                assert_int_not_equal(
                    jwt_verify((struct bytes){(uint8_t *)token, i}, key, &claims, &err), 0);
        }
        (void)snprintf(longer, sizeof(longer), "%s=", token);
        assert_int_equal(jwt_verify(text(longer), key, &claims, &err), ERR_MALFORMED);
        (void)snprintf(longer, sizeof(longer), "%s.", token);
        assert_int_equal(jwt_verify(text(longer), key, &claims, &err), ERR_MALFORMED);
        (void)snprintf(longer, sizeof(longer), "%s\n", token);
        assert_int_equal(jwt_verify(text(longer), key, &claims, &err), ERR_MALFORMED);
        assert_null(claims);
}

static int make_keys(void **state)
{
        struct err err = {0};

        (void)state;
        assert_ok(pkey_generate_ec(PKEY_P256, &key, &err), &err);
        assert_ok(pkey_generate_ec(PKEY_P256, &other, &err), &err);
        return 0;
}

static int free_keys(void **state)
{
        (void)state;
        pkey_free(key);
        pkey_free(other);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(base64url_vectors), cmocka_unit_test(base64url_refuses),
            cmocka_unit_test(there_and_back),    cmocka_unit_test(hostile_tokens),
            cmocka_unit_test(altered_tokens),
        };
        return cmocka_run_group_tests_name("verify-jwt", tests, make_keys, free_keys);
}
