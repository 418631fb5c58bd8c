/*
 * Parking: an engine gives way and another one goes on; the guest notices nothing of it. The test
 * is the TCB and QEMU. Attack rows: the double wake, and the changed clock (PROTOCOLS, Engines).
 */
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/vtpm.h"

#define STARTUP    "80010000000c000001440000"
#define READCLOCK  "80010000000a00000181"
#define GETRANDOM  "80010000000c0000017b0010"
#define EMPTY_AUTH "00000009400000090000000000"
#define PCR16_EXTEND                                                                               \
        "8002000000410000018200000010" EMPTY_AUTH "00000001000b"                                   \
        "0101010101010101010101010101010101010101010101010101010101010101"
#define PCR16_READ "8001000000140000017e00000001000b03000001"
#define CREATE_KEY                                                                                 \
        "800200000043000001314000000b" EMPTY_AUTH "000400000000001a0023000b000300720000"           \
        "000600800043001000030010000000000000"                                                     \
        "00000000"
#define READ_KEY "80010000000e0000017380000000"
#define START_SESSION                                                                              \
        "80010000002b000001764000000740000007001000000000000000000000000000000000"                 \
        "0000000010000b"
#define AUDITED(attributes)                                                                        \
        "80020000001900"                                                                           \
        "00017b00000009020000000000" attributes "00000010"
#define NV_DEFINE                                                                                  \
        "8002000000310000012a40000001" EMPTY_AUTH "000461757468000e01500001000b0006000600000008"
#define NV_GUESS                                                                                   \
        "8002000000270000014e0150000101500001000000"                                               \
        "0d4000000900000000"                                                                       \
        "0477726f6e00080000"
#define LOCKOUT            "8001000000160000017a000000060000020e00000001"
#define RC_AUDIT_EXCLUSIVE 0x121

static struct test_vtpm v;

static int set_up(void **state)
{
        (void)state;
        memset(&v, 0, sizeof(v));
        v.data = -1;
        v.control = -1;
        v.forked = true;
        for (int i = 0; i < 2; i++)
                v.parked_fds[i] = -1;
        return 0;
}

static int set_up_spare(void **state)
{
        int rc = set_up(state);

        v.spare = true;
        return rc;
}

static int tear_down(void **state)
{
        (void)state;
        if (v.child.pid > 0)
                test_vtpm_kill(&v);
        for (int i = 0; i < 2; i++)
                fd_close(&v.parked_fds[i]);
        return 0;
}

static uint64_t clock_now(void)
{
        struct timespec now = {0};

        (void)clock_gettime(CLOCK_BOOTTIME, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void boot(void)
{
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
}

static void park_and_wake(void)
{
        assert_true(test_vtpm_park(&v, false));
        test_vtpm_wake(&v, clock_now());
}

static void the_guest_notices_nothing(void **state)
{
        uint8_t pcr[128];
        uint8_t key[512];
        size_t key_len;

        (void)state;
        boot();
        assert_int_equal(test_vtpm_command(&v, PCR16_EXTEND), 0);
        assert_int_equal(test_vtpm_command(&v, CREATE_KEY), 0);
        assert_int_equal(test_vtpm_command(&v, PCR16_READ), 0);
        memcpy(pcr, v.response, v.response_len);
        assert_int_equal(test_vtpm_command(&v, READ_KEY), 0);
        key_len = v.response_len;
        memcpy(key, v.response, key_len);
        for (int i = 0; i < 3; i++) {
                park_and_wake();
                assert_int_equal(test_vtpm_command(&v, PCR16_READ), 0);
                assert_memory_equal(pcr, v.response, v.response_len);
                assert_int_equal(test_vtpm_command(&v, READ_KEY), 0);
                assert_int_equal(v.response_len, key_len);
                assert_memory_equal(key, v.response, key_len);
                /* It is started already, and no INIT was counted. */
                assert_int_equal(test_vtpm_command(&v, STARTUP), 0x100);
                assert_int_equal(v.events[ENGINE_EVENT_INIT], 1);
                assert_int_equal(v.events[ENGINE_EVENT_STARTUP], 1);
        }
}

/* An exclusive audit session ends with the first command that it does not audit. */
static void sessions_and_their_exclusive_audit_go_on(void **state)
{
        (void)state;
        boot();
        assert_int_equal(test_vtpm_command(&v, START_SESSION), 0);
        assert_int_equal(test_vtpm_command(&v, AUDITED("81")), 0);
        park_and_wake();
        assert_int_equal(test_vtpm_command(&v, AUDITED("83")), 0);
        /* The check can fail: */
        assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
        assert_int_equal(test_vtpm_command(&v, AUDITED("83")), RC_AUDIT_EXCLUSIVE);
}

/* Commands that come while nobody is there wait in the socket. */
static void the_first_byte_waits_for_the_wake(void **state)
{
        static const uint8_t command[] = "\x80\1\0\0\0\x0c\0\0\1\x7b\0\x10";
        uint8_t response[28];
        struct err err = {0};

        (void)state;
        boot();
        assert_true(test_vtpm_park(&v, false));
        assert_ok(fd_write_all(v.data, command, 5, &err), &err);
        test_vtpm_wake(&v, clock_now());
        assert_ok(fd_write_all(v.data, command + 5, 7, &err), &err);
        assert_ok(fd_read_exact(v.data, response, sizeof(response), &err), &err);
        assert_memory_equal(response + 6, "\0\0\0\0\0\x10", 6);
        /* QEMU's channel goes on, too. */
        assert_int_equal(test_vtpm_control_code(&v, "\0\0\0\5\0\0\0\0", 8, 4), 0);
}

static void one_state_woken_twice_draws_other_numbers(void **state)
{
        uint8_t first[16];

        (void)state;
        boot();
        assert_true(test_vtpm_park(&v, false));
        for (int i = 0; i < 2; i++) {
                test_vtpm_rouse(&v);
                test_vtpm_send_wake(&v, clock_now(), 0);
                test_vtpm_use_up(&v);
                assert_true(test_vtpm_serve(&v, engine_ready_code));
                assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
                if (i == 0)
                        memcpy(first, v.response + 12, sizeof(first));
        }
        assert_memory_not_equal(first, v.response + 12, sizeof(first));
}

/* Nobody is served from a state that could be woken once more. */
static void the_state_is_used_up_before_anybody_is_served(void **state)
{
        static const uint8_t command[] = "\x80\1\0\0\0\x0c\0\0\1\x7b\0\x10";
        struct pollfd polled;
        struct err err = {0};
        unsigned before;

        (void)state;
        boot();
        assert_true(test_vtpm_park(&v, false));
        assert_ok(fd_write_all(v.data, command, 12, &err), &err);
        test_vtpm_rouse(&v);
        before = v.n_persists;
        test_vtpm_send_wake(&v, clock_now(), 0);
        polled = (struct pollfd){.fd = v.data, .events = POLLIN};
        assert_int_equal(poll(&polled, 1, 100), 0);
        test_vtpm_use_up(&v);
        assert_true(test_vtpm_serve(&v, engine_ready_code));
        assert_int_equal(poll(&polled, 1, 20000), 1);
        assert_int_equal(v.n_persists, before);
}

static void adopt(uint64_t nonce)
{
        const struct engine_adopt message = {.nonce = nonce};
        struct err err = {0};

        assert_ok(wire_link_send(v.core, engine_adopt_code, 0, 0, &message, NULL, &err), &err);
}

/* The TCB that began the wake is gone, and nobody knows whether it finished that. */
static void another_TCB_is_asked_whether_it_is_used_up(void **state)
{
        static const uint8_t command[] = "\x80\1\0\0\0\x0c\0\0\1\x7b\0\x10";
        struct pollfd polled;
        struct err err = {0};

        (void)state;
        boot();
        assert_true(test_vtpm_park(&v, false));
        assert_ok(fd_write_all(v.data, command, 12, &err), &err);
        test_vtpm_rouse(&v);
        v.hold = true;
        test_vtpm_send_wake(&v, clock_now(), 0);
        for (uint64_t i = 1; i <= 2; i++) {
                adopt(i);
                assert_true(test_vtpm_serve(&v, engine_adopted_code));
                test_vtpm_await_held(&v);
        }
        polled = (struct pollfd){.fd = v.data, .events = POLLIN};
        assert_int_equal(poll(&polled, 1, 100), 0);
        test_vtpm_release(&v);
        assert_true(test_vtpm_serve(&v, engine_ready_code));
        assert_int_equal(poll(&polled, 1, 20000), 1);
}

/* It was adopted, asked and was answered; then the word came as well. */
static void a_late_word_changes_nothing(void **state)
{
        (void)state;
        boot();
        assert_int_equal(test_vtpm_command(&v, PCR16_EXTEND), 0);
        park_and_wake();
        test_vtpm_use_up(&v);
        assert_int_equal(test_vtpm_core_command(&v, GETRANDOM), 0);
        assert_int_equal(test_vtpm_command(&v, PCR16_READ), 0);
        /* Nor does it stand for the next wake's. */
        assert_true(test_vtpm_park(&v, false));
        test_vtpm_rouse(&v);
        test_vtpm_use_up(&v);
        v.hold = true;
        test_vtpm_send_wake(&v, clock_now(), 0);
        adopt(1);
        test_vtpm_await_held(&v);
        test_vtpm_release(&v);
        assert_true(test_vtpm_serve(&v, engine_ready_code));
}

static void a_channel_is_attached_once_and_first(void **state)
{
        const struct engine_attach attach = {0};
        struct err err = {0};

        (void)state;
        for (int started = 0; started < 2; started++) {
                test_vtpm_spawn(&v, true);
                if (started)
                        test_vtpm_start(&v, NULL);
                assert_ok(
                    wire_link_send(v.core, engine_attach_code, 0, 0, &attach, &v.control, &err),
                    &err);
                assert_false(test_vtpm_serve(&v, engine_response_code));
                assert_string_not_equal(v.failed, "");
                test_vtpm_kill(&v);
        }
}

static void only_an_idle_one_is_parked(void **state)
{
        struct err err = {0};
        uint8_t response[28];

        (void)state;
        test_vtpm_spawn(&v, true);
        test_vtpm_start(&v, NULL);
        assert_false(test_vtpm_park(&v, false)); /* off */
        test_vtpm_kill(&v);
        boot();
        assert_false(test_vtpm_park(&v, true)); /* it was asked things a moment ago */
        assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
        assert_false(test_vtpm_park(&v, true));
        /* Half a command on either channel. */
        assert_ok(fd_write_all(v.control, "\0\0", 2, &err), &err);
        assert_int_equal(test_vtpm_core_command(&v, GETRANDOM), 0);
        assert_false(test_vtpm_park(&v, false));
        assert_ok(fd_write_all(v.control, "\0\1", 2, &err), &err);
        assert_ok(fd_read_exact(v.control, response, 8, &err), &err);
        assert_false(test_vtpm_park(&v, true));
        assert_true(test_vtpm_park(&v, true));
}

static void a_parked_one_can_go_on_by_itself(void **state)
{
        const struct engine_unpark unpark = {0};
        struct pollfd polled;
        struct err err = {0};

        (void)state;
        boot();
        assert_int_equal(test_vtpm_command(&v, PCR16_EXTEND), 0);
        for (int i = 0; i < 2; i++) {
                assert_true(test_vtpm_park(&v, false));
                assert_ok(fd_write_all(v.data, "\x80\1\0\0\0\x0c\0\0\1\x7b\0\x10", 12, &err), &err);
                polled = (struct pollfd){.fd = v.data, .events = POLLIN};
                assert_int_equal(poll(&polled, 1, 50), 0);
                assert_ok(wire_link_send(v.core, engine_unpark_code, 0, 0, &unpark, NULL, &err),
                          &err);
                assert_int_equal(poll(&polled, 1, 20000), 1);
                assert_ok(fd_read_exact(v.data, v.response, 28, &err), &err);
                for (int f = 0; f < 2; f++)
                        fd_close(&v.parked_fds[f]);
        }
        assert_int_equal(test_vtpm_command(&v, PCR16_READ), 0);
        assert_int_equal(test_vtpm_core_command(&v, GETRANDOM), 0);
}

/* ---- time ---- */

static uint32_t failed_tries(void)
{
        struct reader r = reader_from(v.response, sizeof(v.response));
        uint32_t value = 0;

        assert_int_equal(test_vtpm_command(&v, LOCKOUT), 0);
        /* Header, more, capability, count, property. */
        assert_int_equal(reader_skip(&r, 10 + 1 + 4 + 4 + 4), 0);
        assert_int_equal(reader_get_be32(&r, &value), 0);
        return value;
}

static uint64_t tpm_time(void)
{
        struct reader r = reader_from(v.response + 10, 8);
        uint64_t value = 0;

        assert_int_equal(test_vtpm_command(&v, READCLOCK), 0);
        assert_int_equal(reader_get_be64(&r, &value), 0);
        return value;
}

/*
 * Guesses stay counted however long the system clock says that the TPM was parked: only the TCB's
 * time heals them. The recovery time of a new TPM is 1000 s.
 */
static void only_the_tcbs_time_heals_a_lockout(void **state)
{
        uint64_t before;
        const uint64_t hour = 3600 * 1000;

        (void)state;
        boot();
        assert_int_equal(test_vtpm_command(&v, NV_DEFINE), 0);
        /* The first one is told to try again, so that none is made before it can be counted. */
        for (int i = 0; i < 3; i++)
                assert_int_not_equal(test_vtpm_command(&v, NV_GUESS), 0);
        assert_int_equal(failed_tries(), 2);
        park_and_wake();
        assert_int_equal(failed_tries(), 2);
        /* Back in time, which no clock of the TCB's goes, gives nothing either. */
        before = tpm_time();
        assert_true(test_vtpm_park(&v, false));
        test_vtpm_wake(&v, clock_now() > hour ? clock_now() - hour : 0);
        assert_int_equal(failed_tries(), 2);
        assert_true(tpm_time() >= before);
        assert_true(tpm_time() - before < hour / 2);
        assert_true(test_vtpm_park(&v, false));
        test_vtpm_wake(&v, clock_now() + hour);
        assert_true(tpm_time() - before > hour - 1000);
        assert_int_equal(failed_tries(), 0);
}

/* ---- what does not wake ---- */

static void a_broken_state_is_an_error_and_never_a_new_tpm(void **state)
{
        static const char *const rows[] = {"volatile changed",  "volatile cut", "no volatile",
                                           "permanent changed", "no permanent", "unknown flags",
                                           "unknown marks",     "locality 5"};
        uint8_t kept_volatile[32768];
        uint8_t kept_permanent[32768];
        size_t volatile_len;
        size_t permanent_len;

        (void)state;
        boot();
        assert_true(test_vtpm_park(&v, false));
        volatile_len = v.volatile_len;
        permanent_len = v.permanent_len;
        assert_true(volatile_len < sizeof(kept_volatile));
        memcpy(kept_volatile, v.volatile_state, volatile_len);
        memcpy(kept_permanent, v.permanent, permanent_len);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct engine_parked kept = v.parked;

                v.n_persists = 0;
                v.volatile_state[volatile_len / 2] ^= i == 0;
                v.volatile_len = i == 1 ? volatile_len - 1 : i == 2 ? 0 : volatile_len;
                v.permanent[permanent_len / 2] ^= i == 3;
                v.permanent_len = i == 4 ? 0 : permanent_len;
                v.parked.marks = i == 6 ? 0x80 : kept.marks;
                v.parked.locality = i == 7 ? 5 : kept.locality;
                test_vtpm_rouse(&v);
                test_vtpm_send_wake(&v, clock_now(), i == 5 ? 0x80 : 0);
                if (test_vtpm_serve(&v, engine_ready_code))
                        fail_msg("woke up: %s", rows[i]);
                assert_string_not_equal(v.failed, "");
                assert_int_equal(v.n_persists, 0);
                memcpy(v.volatile_state, kept_volatile, volatile_len);
                memcpy(v.permanent, kept_permanent, permanent_len);
                v.parked = kept;
        }
        v.volatile_len = volatile_len;
        v.permanent_len = permanent_len;
        test_vtpm_wake(&v, clock_now());
        assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SPARE(test)                                                                                \
        {                                                                                          \
#test " (spare)", test, set_up_spare, tear_down, NULL                              \
        }

int main(void)
{
        const struct CMUnitTest tests[] = {
            ROW(the_guest_notices_nothing),
            ROW(sessions_and_their_exclusive_audit_go_on),
            ROW(the_first_byte_waits_for_the_wake),
            ROW(one_state_woken_twice_draws_other_numbers),
            ROW(the_state_is_used_up_before_anybody_is_served),
            ROW(another_TCB_is_asked_whether_it_is_used_up),
            ROW(a_late_word_changes_nothing),
            ROW(a_channel_is_attached_once_and_first),
            ROW(only_an_idle_one_is_parked),
            ROW(a_parked_one_can_go_on_by_itself),
            ROW(only_the_tcbs_time_heals_a_lockout),
            ROW(a_broken_state_is_an_error_and_never_a_new_tpm),
            /* Spare engines have been through a wake of nobody's TPM already. */
            SPARE(the_guest_notices_nothing),
            SPARE(sessions_and_their_exclusive_audit_go_on),
            SPARE(the_first_byte_waits_for_the_wake),
            SPARE(one_state_woken_twice_draws_other_numbers),
            SPARE(the_state_is_used_up_before_anybody_is_served),
            SPARE(another_TCB_is_asked_whether_it_is_used_up),
            SPARE(a_channel_is_attached_once_and_first),
            SPARE(only_an_idle_one_is_parked),
            SPARE(only_the_tcbs_time_heals_a_lockout),
            SPARE(a_broken_state_is_an_error_and_never_a_new_tpm),
        };
        return cmocka_run_group_tests_name("engine-park", tests, NULL, NULL);
}
