/*
 * The faster search for primes beside libtpms' own: the same primes, and the same keys from the
 * same seeds. The keys that are recorded with the profile are in tests of the TCB.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/macro.h"
#include "engine/interpose-prime.h"
#include "engine/interpose.h"
#include "engine/vtpm.h"
#include "lib/test.h"

#define EXPONENT  65537
#define SEEDS     4
#define SEARCHES  6
#define EK_ROOM   1024
#define NO_RESULT 0x154

/* As libtpms calls it. */
uint32_t __wrap_PrimeSelectWithSieve(struct interpose_number *number, uint32_t exponent,
                                     void *random);
uint32_t __real_PrimeSelectWithSieve(struct interpose_number *number, uint32_t exponent,
                                     void *random);

static const uint8_t startup[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};

/* A restricted RSA-2048 decryption key in the endorsement hierarchy. */
static const char create_rsa[] = "8002000000430000013140"
                                 "00000b0000000940000009000000000000040000"
                                 "0000001a0001000b00030072000000060080004300100800"
                                 "000000000000000000000000";

static void forget(void *context, enum engine_blob_kind kind, struct bytes blob)
{
        (void)context;
        (void)kind;
        (void)blob;
}

static void power_on(const uint8_t *seed)
{
        struct err err = {0};

        assert_ok(vtpm_load(&(struct vtpm_setup){.seed = {seed, seed == NULL ? 0 : 48},
                                                 .persist = forget},
                            &err),
                  &err);
        assert_ok(vtpm_power_on(&err), &err);
}

static int set_up(void **state)
{
        (void)state;
        interpose_warm_up();
        power_on(NULL);
        interpose_prime_warm_up();
        return 0;
}

/* Its header is the engine's interpose.c's alone. */
int RAND_priv_bytes(unsigned char *buf, int num);
int RAND_set_rand_method(const void *method);

/* OpenSSL 3.0 loses 64 bytes at exit(3) if its own generators were never used. */
static int tear_down(void **state)
{
        uint8_t byte;

        (void)state;
        vtpm_unload();
        return RAND_set_rand_method(NULL) == 1 && RAND_priv_bytes(&byte, 1) == 1 ? 0 : -1;
}

/* This libtpms searches as the one that the module was written for. */
static void test_is_used(void **state)
{
        (void)state;
        assert_true(interpose_prime_is_used());
}

static struct interpose_number some_number(void)
{
        struct interpose_number number = {INTERPOSE_PRIME_WORDS, INTERPOSE_PRIME_WORDS, {0}};

        interpose_random(number.words, sizeof(number.words));
        number.words[0] |= 1;
        number.words[INTERPOSE_PRIME_WORDS - 1] |= UINT64_C(0xc000000000000000);
        return number;
}

static void test_same_primes(void **state)
{
        (void)state;
        for (int i = 0; i < SEARCHES; i++) {
                struct interpose_number ours = some_number();
                struct interpose_number theirs = ours;
                const uint32_t rc = __real_PrimeSelectWithSieve(&theirs, EXPONENT, NULL);

                assert_int_equal(interpose_prime_search(&ours, EXPONENT, NULL), rc);
                assert_memory_equal(ours.words, theirs.words, sizeof(ours.words));
                assert_true(rc == 0 || rc == NO_RESULT);
        }
}

/* A borrow over all words on the way down to the start of a field, and one that ends at once. */
static void test_carries(void **state)
{
        static const uint64_t lowest[] = {1, 3, 103, 105, 209, UINT64_MAX, UINT64_MAX - 104};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(lowest); i++) {
                struct interpose_number ours = {
                    INTERPOSE_PRIME_WORDS,
                    INTERPOSE_PRIME_WORDS,
                    {lowest[i], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, UINT64_C(1) << 63 | i}};
                struct interpose_number theirs = ours;
                const uint32_t rc = __real_PrimeSelectWithSieve(&theirs, EXPONENT, NULL);

                assert_int_equal(interpose_prime_search(&ours, EXPONENT, NULL), rc);
                assert_memory_equal(ours.words, theirs.words, sizeof(ours.words));
        }
}

/* What this one does not search is libtpms': smaller primes, small exponents. */
static void test_others_are_left(void **state)
{
        const struct {
                uint64_t size;
                uint32_t exponent;
        } rows[] = {{8, EXPONENT}, {INTERPOSE_PRIME_WORDS, 3}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct interpose_number ours = some_number();
                struct interpose_number theirs;
                uint32_t rc;

                ours.size = rows[i].size;
                ours.words[ours.size - 1] |= UINT64_C(0xc000000000000000);
                theirs = ours;
                rc = __real_PrimeSelectWithSieve(&theirs, rows[i].exponent, NULL);
                assert_int_equal(__wrap_PrimeSelectWithSieve(&ours, rows[i].exponent, NULL), rc);
                assert_memory_equal(ours.words, theirs.words, ours.size * sizeof(ours.words[0]));
        }
}

/* The second prime begins where the generator was left after the first. */
static size_t make_key(const uint8_t seed[48], bool faster, uint8_t ret_key[EK_ROOM])
{
        uint8_t command[sizeof(create_rsa) / 2];
        struct bytes response;
        size_t len = 0;

        interpose_prime_use(faster);
        power_on(seed);
        (void)vtpm_process((struct bytes){startup, sizeof(startup)});
        assert_int_equal(
            hex_decode(create_rsa, sizeof(create_rsa) - 1, command, sizeof(command), &len), 0);
        response = vtpm_process((struct bytes){command, len});
        assert_in_range(response.len, 256, EK_ROOM);
        memcpy(ret_key, response.data, response.len);
        return response.len;
}

static void test_same_keys(void **state)
{
        (void)state;
        for (uint8_t i = 0; i < SEEDS; i++) {
                const uint8_t seed[48] = {i, 0x5e, 0xed};
                uint8_t ours[EK_ROOM] = {0};
                uint8_t theirs[EK_ROOM] = {0};
                const size_t len = make_key(seed, false, theirs);

                assert_int_equal(make_key(seed, true, ours), len);
                assert_memory_equal(ours, theirs, len);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_is_used),   cmocka_unit_test(test_same_primes),
            cmocka_unit_test(test_carries),   cmocka_unit_test(test_others_are_left),
            cmocka_unit_test(test_same_keys),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
