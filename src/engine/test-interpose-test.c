/*
 * libtpms' own tests of its algorithms: asked for after each power-on until they have passed once
 * in this process, and whenever a guest asks.
 */
#include <string.h>

#include "engine/interpose-test.h"
#include "engine/interpose.h"
#include "engine/vtpm.h"
#include "lib/test.h"

static const uint8_t startup[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};
static const uint8_t self_test[] = {0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, 0};
static const uint8_t full_test[] = {0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, 1};
static const uint8_t increment[] = {0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x42, 0, 0, 0, 0};

static void forget(void *context, enum engine_blob_kind kind, struct bytes blob)
{
        (void)context;
        (void)kind;
        (void)blob;
}

static void power_on(void)
{
        struct err err = {0};

        assert_ok(vtpm_load(&(struct vtpm_setup){.persist = forget}, &err), &err);
        assert_ok(vtpm_power_on(&err), &err);
        assert_int_equal(vtpm_process((struct bytes){startup, sizeof(startup)}).data[9], 0);
}

/* How many algorithms TPM2_IncrementalSelfTest has on its list. */
static uint32_t left_to_test(void)
{
        const struct bytes response = vtpm_process((struct bytes){increment, sizeof(increment)});
        struct reader r = reader_from_bytes(response);
        uint32_t code = 1;
        uint32_t n = 0;

        assert_true(reader_skip(&r, 6) == 0 && reader_get_be32(&r, &code) == 0);
        assert_int_equal(code, 0);
        assert_int_equal(reader_get_be32(&r, &n), 0);
        return n;
}

static void test_once(void **state)
{
        (void)state;
        interpose_warm_up();
        power_on();
        assert_int_not_equal(left_to_test(), 0);
        assert_int_equal(vtpm_process((struct bytes){self_test, sizeof(self_test)}).data[9], 0);
        assert_int_equal(left_to_test(), 0);
        power_on();
        assert_int_not_equal(left_to_test(), 0);
        assert_int_equal(vtpm_process((struct bytes){self_test, sizeof(self_test)}).data[9], 0);
        interpose_tests_passed();
        power_on();
        assert_int_equal(left_to_test(), 0);
        assert_int_equal(vtpm_process((struct bytes){full_test, sizeof(full_test)}).data[9], 0);
        assert_int_equal(left_to_test(), 0);
        vtpm_unload();
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_once)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}
