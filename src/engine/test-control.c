/*
 * G-GUEST: every message of QEMU's control channel at every length, through the dispatcher with
 * libtpms behind it, in this process.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/control.h"
#include "engine/core.h"
#include "engine/vtpm.h"
#include "lib/test.h"
#include "wire/control.h"

static struct engine *engine;
static int peer;

static int set_up(void **state)
{
        struct err err = {0};
        int pair[2];

        (void)state;
        assert_ok(engine_new_detached(&engine, &err), &err);
        assert_ok(vtpm_load(&(struct vtpm_setup){.persist = core_persist, .context = engine}, &err),
                  &err);
        sm_move(&engine->life, ENGINE_OFF);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        engine->control.fd = pair[0];
        peer = pair[1];
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        engine_free(TAKE(engine));
        fd_close(&peer);
        return 0;
}

/* Feeds bytes; returns how many came back, -1 when the channel was closed and nothing came. */
static ssize_t feed(const void *data, size_t n, uint8_t *ret_answer, size_t size)
{
        struct err err = {0};

        memcpy(engine->control.in + engine->control.in_len, data, n);
        engine->control.in_len += n;
        assert_ok(control_run(engine, &err), &err);
        return recv(peer, ret_answer, size, MSG_DONTWAIT);
}

/* What QEMU sends and how much it waits for, written down apart from the program's own table. */
static const struct {
        uint8_t code;
        size_t body; /* bytes after the code */
        size_t answer;
        uint32_t off; /* result while the TPM is off, with a body of zeros */
        uint32_t on;  /* and while the guest runs */
} rows[] = {
    {1, 0, 8, 0, 0},    {2, 4, 4, 0, 0},   {4, 0, 8, 10, 0}, {5, 4, 4, 0, 0},  {6, 0, 4, 10, 0},
    {7, 4, 4, 10, 0},   {8, 0, 4, 10, 0},  {9, 0, 4, 0, 0},  {10, 0, 4, 8, 8}, {11, 4, 4, 10, 61},
    {12, 12, 16, 8, 8}, {13, 12, 4, 8, 8}, {14, 0, 4, 0, 0}, {15, 0, 8, 0, 0}, {16, 0, 4, 3, 3},
    {17, 4, 16, 0, 0},  {18, 16, 0, 0, 0}, {19, 4, 4, 0, 0},
};

static uint32_t result_of(const uint8_t *answer)
{
        struct reader r = reader_from(answer, 4);
        uint32_t result = ~0U;

        assert_int_equal(reader_get_be32(&r, &result), 0);
        return result;
}

static void check_row(size_t i, uint32_t expected)
{
        uint8_t message[64] = {0};
        uint8_t answer[4096];
        ssize_t n;

        message[3] = rows[i].code;
        /* Byte by byte: no answer before the last one. */
        for (size_t k = 0; k < 4 + rows[i].body - 1; k++)
                if (feed(message + k, 1, answer, sizeof(answer)) >= 0)
                        fail_msg("code %u is answered after %zu bytes", rows[i].code, k + 1);
        n = feed(message + 4 + rows[i].body - 1, 1, answer, sizeof(answer));
        if (n < 4 || (rows[i].answer != 0 && (size_t)n != rows[i].answer))
                fail_msg("code %u: answer of %zd bytes", rows[i].code, n);
        if (result_of(answer) != expected)
                fail_msg("code %u: result %u instead of %u", rows[i].code, result_of(answer),
                         expected);
        assert_true(engine->control.fd >= 0);
        assert_int_equal(engine->control.in_len, 0);
}

static void answers_each_message_at_its_length_only(void **state)
{
        static const uint8_t init[8] = {0, 0, 0, 2};
        uint8_t answer[16];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                engine_power_off(engine);
                check_row(i, rows[i].off);
        }
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(feed(init, sizeof(init), answer, sizeof(answer)), 4);
                check_row(i, rows[i].on);
        }
}

static void refuses_values_that_make_no_sense(void **state)
{
        static const struct {
                const char *name;
                const char *message;
                size_t len;
                uint32_t result;
        } values[] = {
            {"INIT, unknown flag", "\0\0\0\2\0\0\0\2", 8, CONTROL_BAD_PARAMETER},
            {"INIT, all flags", "\0\0\0\2\xff\xff\xff\xff", 8, CONTROL_BAD_PARAMETER},
            {"SET_LOCALITY 5", "\0\0\0\5\5\0\0\0", 8, CONTROL_BAD_LOCALITY},
            {"SET_LOCALITY 255", "\0\0\0\5\xff\0\0\0", 8, CONTROL_BAD_LOCALITY},
            {"GET_INFO past the end", "\0\0\0\x12\0\0\0\0\0\0\0\1\x7f\xff\xff\xff\0\0\0\0", 20,
             CONTROL_BAD_PARAMETER},
            {"GET_INFO far past the end", "\0\0\0\x12\0\0\0\0\0\0\0\1\xff\xff\xff\xff\0\0\0\0", 20,
             CONTROL_BAD_PARAMETER},
        };
        uint8_t answer[64];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                assert_true(feed(values[i].message, values[i].len, answer, sizeof(answer)) >= 4);
                if (result_of(answer) != values[i].result)
                        fail_msg("%s: %u", values[i].name, result_of(answer));
        }
        assert_int_equal(engine->life.state, ENGINE_OFF);
        assert_int_equal(engine->init_count, 0);
}

/* Only between power cycles may the buffer change: a running guest has read its size. */
static void keeps_the_buffer_of_a_running_guest(void **state)
{
        uint8_t answer[64];

        (void)state;
        assert_int_equal(feed("\0\0\0\2\0\0\0\0", 8, answer, sizeof(answer)), 4);
        assert_int_equal(feed("\0\0\0\x11\0\0\x0f\x80", 8, answer, sizeof(answer)), 16);
        assert_int_equal(result_of(answer), CONTROL_BAD_ORDINAL);
}

/* R-DOWNGRADE: a blob that QEMU brings is dropped unread, and what follows it is understood. */
static void drops_a_state_blob_unread(void **state)
{
        uint8_t answer[64];
        uint8_t blob[5000] = {0};

        (void)state;
        assert_int_equal(feed("\0\0\0\x0d\0\0\0\0\0\0\0\1\0\0\x27\x10", 16, answer, sizeof(answer)),
                         4);
        assert_int_equal(result_of(answer), CONTROL_DISABLED_CMD);
        assert_true(feed(blob, 5000, answer, sizeof(answer)) < 0);
        assert_true(feed(blob, 4999, answer, sizeof(answer)) < 0);
        assert_int_equal(engine->control_skip, 1);
        assert_int_equal(feed("\0\0\0\0\1", 5, answer, sizeof(answer)), 8);
        assert_memory_equal(answer, "\0\0\0\0\0\0\xff\xff", 8);
}

static void takes_several_messages_at_once(void **state)
{
        uint8_t answer[64];

        (void)state;
        assert_int_equal(
            feed("\0\0\0\1\0\0\0\x0e\0\0\0\x0f\0\0\0\2\0\0", 18, answer, sizeof(answer)),
            8 + 4 + 8);
        assert_int_equal(feed("\0\0\0\0\0\x09", 6, answer, sizeof(answer)), 4 + 4);
        assert_int_equal(feed("\0\0", 2, answer, sizeof(answer)), -1);
        assert_int_equal(engine->init_count, 1);
        assert_int_equal(engine->control.in_len, 2);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            ROW(answers_each_message_at_its_length_only), ROW(refuses_values_that_make_no_sense),
            ROW(keeps_the_buffer_of_a_running_guest),     ROW(drops_a_state_blob_unread),
            ROW(takes_several_messages_at_once),
        };
        return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
