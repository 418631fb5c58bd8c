#include <stdlib.h>

#include "lib/test.h"
#include "verify/challenge.h"

#define MANY 10000

static int compare_nonces(const void *a, const void *b)
{
        return memcmp(a, b, CHALLENGE_NONCE_SIZE);
}

/* Q-NONCE-FIXED, Q-REPLAY: ten thousand challenges are unique, and each is good once. */
static void ten_thousand(void **state)
{
        struct challenge_book AUTO_CHALLENGE_BOOK *book = NULL;
        uint8_t(*nonces)[CHALLENGE_NONCE_SIZE] = calloc(MANY, CHALLENGE_NONCE_SIZE);
        struct err err = {0};

        (void)state;
        assert_non_null(nonces);
        assert_ok(challenge_book_new(MANY, 60, &book, &err), &err);
        for (size_t i = 0; i < MANY; i++)
                assert_ok(challenge_issue(book, 1000, nonces[i], &err), &err);
        for (size_t i = 0; i < MANY; i++) {
                assert_ok(challenge_redeem(book, nonces[i], 1000, &err), &err);
                if (i % 100 == 0)
                        assert_int_equal(challenge_redeem(book, nonces[i], 1000, &err),
                                         ERR_NOT_TRUSTED);
        }
        qsort(nonces, MANY, CHALLENGE_NONCE_SIZE, compare_nonces);
        for (size_t i = 1; i < MANY; i++)
                assert_memory_not_equal(nonces[i - 1], nonces[i], CHALLENGE_NONCE_SIZE);
        free(nonces);
}

/* Q-REPLAY after the deadline, and a nonce that nobody issued. */
static void deadlines(void **state)
{
        struct challenge_book AUTO_CHALLENGE_BOOK *book = NULL;
        uint8_t nonce[CHALLENGE_NONCE_SIZE], zero[CHALLENGE_NONCE_SIZE] = {0};
        struct err err = {0};

        (void)state;
        assert_ok(challenge_book_new(2, 60, &book, &err), &err);
        assert_ok(challenge_issue(book, 1000, nonce, &err), &err);
        assert_ok(challenge_redeem(book, nonce, 1060, &err), &err);
        assert_ok(challenge_issue(book, 1000, nonce, &err), &err);
        assert_int_equal(challenge_redeem(book, nonce, 1061, &err), ERR_TIMEOUT);
        assert_int_equal(challenge_redeem(book, nonce, 1000, &err), ERR_NOT_TRUSTED);
        assert_int_equal(challenge_redeem(book, zero, 1000, &err), ERR_NOT_TRUSTED);
}

static void bounded(void **state)
{
        struct challenge_book AUTO_CHALLENGE_BOOK *book = NULL;
        struct challenge_book *none = NULL;
        uint8_t nonce[CHALLENGE_NONCE_SIZE], first[CHALLENGE_NONCE_SIZE];
        struct err err = {0};

        (void)state;
        assert_int_equal(challenge_book_new(0, 60, &none, &err), ERR_LIMIT);
        assert_int_equal(challenge_book_new(CHALLENGE_OPEN_MAX + 1, 60, &none, &err), ERR_LIMIT);
        assert_null(none);
        assert_ok(challenge_book_new(2, 60, &book, &err), &err);
        assert_ok(challenge_issue(book, 1000, first, &err), &err);
        assert_ok(challenge_issue(book, 1030, nonce, &err), &err);
        assert_int_equal(challenge_issue(book, 1030, nonce, &err), ERR_LIMIT);
        /* The first expires and makes room; it is then unknown. */
        assert_ok(challenge_issue(book, 1061, nonce, &err), &err);
        assert_int_equal(challenge_redeem(book, first, 1061, &err), ERR_NOT_TRUSTED);
        assert_ok(challenge_redeem(book, nonce, 1061, &err), &err);
}

static struct bytes text(const char *words)
{
        return (struct bytes){(const uint8_t *)words, strlen(words)};
}

static void as_json(void **state)
{
        static struct challenge challenge = {
            .time = 1800000000, .host = "host-a", .vms = {"web1", "db"}, .n_vms = 2};
        static struct challenge again;
        char AUTO_FREE *json = NULL;
        struct err err = {0};

        (void)state;
        memset(challenge.nonce, 0xab, sizeof(challenge.nonce));
        assert_ok(challenge_to_json(&challenge, &json, &err), &err);
        assert_non_null(strstr(json, "\"2027-01-15T08:00:00Z\""));
        assert_ok(challenge_from_json(text(json), &again, &err), &err);
        assert_memory_equal(&again, &challenge, sizeof(again));
}

#define NONCE "abababababababababababababababababababababababababababababababab"
#define TIME  "\"time\":\"2027-01-15T08:00:00Z\""
#define REST  TIME ",\"host\":\"h\",\"all\":false,\"vms\":[]"

static const struct {
        const char *name, *json;
        int code;
} bad[] = {
    {"good", "{\"schema\":2,\"nonce\":\"" NONCE "\"," REST "}", 0},
    {"no JSON", "{", ERR_MALFORMED},
    {"schema 3", "{\"schema\":3,\"nonce\":\"" NONCE "\"," REST "}", ERR_UNSUPPORTED},
    {"unknown member", "{\"schema\":2,\"nonce\":\"" NONCE "\"," REST ",\"x\":1}", ERR_MALFORMED},
    {"doubled", "{\"schema\":2,\"nonce\":\"" NONCE "\",\"nonce\":\"" NONCE "\"," REST "}",
     ERR_MALFORMED},
    {"Q-NONCE missing", "{\"schema\":2," REST "}", ERR_MALFORMED},
    {"Q-NONCE short", "{\"schema\":2,\"nonce\":\"abab\"," REST "}", ERR_MALFORMED},
    {"Q-NONCE longer", "{\"schema\":2,\"nonce\":\"" NONCE "ab\"," REST "}", ERR_MALFORMED},
    {"Q-NONCE not hex", "{\"schema\":2,\"nonce\":\"zb" NONCE "\"," REST "}", ERR_MALFORMED},
    {"E-UUID-INJ host",
     "{\"schema\":2,\"nonce\":\"" NONCE "\"," TIME ",\"host\":\"../h\",\"all\":false,\"vms\":[]}",
     ERR_MALFORMED},
    {"E-UUID-INJ vm",
     "{\"schema\":2,\"nonce\":\"" NONCE "\"," TIME
     ",\"host\":\"h\",\"all\":false,\"vms\":[\"a\\nb\"]}",
     ERR_MALFORMED},
    {"a VM twice",
     "{\"schema\":2,\"nonce\":\"" NONCE "\"," TIME
     ",\"host\":\"h\",\"all\":false,\"vms\":[\"a\",\"a\"]}",
     ERR_MALFORMED},
    {"all is no boolean",
     "{\"schema\":2,\"nonce\":\"" NONCE "\"," TIME ",\"host\":\"h\",\"all\":1,\"vms\":[]}",
     ERR_MALFORMED},
    {"all is missing", "{\"schema\":2,\"nonce\":\"" NONCE "\"," TIME ",\"host\":\"h\",\"vms\":[]}",
     ERR_MALFORMED},
    {"no list",
     "{\"schema\":2,\"nonce\":\"" NONCE "\"," TIME ",\"host\":\"h\",\"all\":false,\"vms\":{}}",
     ERR_MALFORMED},
};

static void strict_json(void **state)
{
        static struct challenge challenge;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct err err = {0};

                if (challenge_from_json(text(bad[i].json), &challenge, &err) != bad[i].code)
                        fail_msg("%s: %d %s", bad[i].name, err.code, err.text);
        }
}

static const char *const bad_times[] = {
    "",
    "2026-01-31",
    "2026-01-31T12:00:00",
    "2026-01-31T12:00:00+01:00",
    "2026-1-31T12:00:00Z",
    "2026-02-31T12:00:00Z",
    "2026-01-31T12:00:00Z ",
    "2026-01-31t12:00:00z",
};

static void times(void **state)
{
        char words[CHALLENGE_TIME_MAX];
        int64_t time = 0;
        struct err err = {0};

        (void)state;
        assert_ok(challenge_time_parse("2026-01-31T12:00:00Z", &time, &err), &err);
        assert_string_equal(challenge_time_text(time, words), "2026-01-31T12:00:00Z");
        for (size_t i = 0; i < ARRAY_SIZE(bad_times); i++)
                if (challenge_time_parse(bad_times[i], &time, &err) != ERR_MALFORMED)
                        fail_msg("accepted: %s", bad_times[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(ten_thousand), cmocka_unit_test(deadlines),
            cmocka_unit_test(bounded),      cmocka_unit_test(as_json),
            cmocka_unit_test(strict_json),  cmocka_unit_test(times),
        };
        return cmocka_run_group_tests_name("verify-challenge", tests, NULL, NULL);
}
