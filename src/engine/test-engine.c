/*
 * The real program under the sequences that QEMU 7.2 sends (PLATFORM, control channel), with the
 * test as QEMU and as TCB. Attack rows: G-GUEST, R-DOWNGRADE (state), D-FULL (the TCB's half).
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
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
#define NV_DEFINE  "80020000002d0000012a40000001" EMPTY_AUTH "0000000e01500001000b0206000600000008"
#define NV_WRITE(digit)                                                                            \
        "80020000002b000001370150000101500001" EMPTY_AUTH "0008000000000000000" digit "0000"
#define NV_READ "8002000000230000014e0150000101500001" EMPTY_AUTH "00080000"
#define CREATE_EK                                                                                  \
        "800200000043000001314000000b" EMPTY_AUTH "000400000000001a0023000b000300720000"           \
        "000600800043001000030010000000000000"                                                     \
        "00000000"

/* One at a time: the structure is large. */
static struct test_vtpm v;

static int set_up(void **state)
{
        (void)state;
        memset(&v, 0, sizeof(v));
        v.data = -1;
        v.control = -1;
        return 0;
}

static int set_up_forked(void **state)
{
        (void)set_up(state);
        v.forked = true;
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        if (v.child.pid > 0)
                test_vtpm_kill(&v);
        return 0;
}

static void control_gives(const char *message, size_t len, const char *answer, size_t answer_len)
{
        uint8_t got[64];

        test_vtpm_control(&v, message, len, got, answer_len);
        assert_memory_equal(got, answer, answer_len);
}

#define CONTROL(message, answer)                                                                   \
        control_gives(message, sizeof(message) - 1, answer, sizeof(answer) - 1)

static void reset_as_qemu_does(void)
{
        CONTROL("\0\0\0\x0e", "\0\0\0\0");
        CONTROL("\0\0\0\x11\0\0\0\0", "\0\0\0\0\0\0\x10\0\0\0\x0a\xf8\0\0\x10\0");
        CONTROL("\0\0\0\x0e", "\0\0\0\0");
        CONTROL("\0\0\0\x11\0\0\x0f\x80", "\0\0\0\0\0\0\x0f\x80\0\0\x0a\xf8\0\0\x10\0");
        CONTROL("\0\0\0\2\0\0\0\0", "\0\0\0\0");
}

static void plays_the_start_and_three_resets(void **state)
{
        (void)state;
        test_vtpm_spawn(&v, true);
        test_vtpm_start(&v, NULL);
        test_vtpm_set_datafd(&v);
        CONTROL("\0\0\0\1", "\0\0\0\0\0\0\xff\xff");
        assert_int_equal(test_vtpm_command(&v, READCLOCK), 0x101);
        assert_memory_equal(v.response, "\x80\1\0\0\0\x0a\0\0\1\1", 10);
        for (unsigned i = 1; i <= 3; i++) {
                /* The buffer stays at 0xf80 after the first time. */
                if (i == 1)
                        reset_as_qemu_does();
                else
                        CONTROL("\0\0\0\x0e", "\0\0\0\0");
                if (i > 1)
                        CONTROL("\0\0\0\2\0\0\0\0", "\0\0\0\0");
                assert_int_equal(v.events[ENGINE_EVENT_INIT], i);
                assert_int_equal(v.init_count, i);
                CONTROL("\0\0\0\4", "\0\0\0\0\0\0\0\0");
                CONTROL("\0\0\0\5\0\0\0\0", "\0\0\0\0");
                assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
                assert_int_equal(v.events[ENGINE_EVENT_STARTUP], i);
                assert_int_equal(test_vtpm_command(&v, STARTUP), 0x100);
                assert_int_equal(v.events[ENGINE_EVENT_STARTUP], i);
        }
        CONTROL("\0\0\0\3", "\0\0\0\0");
        assert_true(v.events[ENGINE_EVENT_SHUTDOWN] == 1 || test_vtpm_serve(&v, engine_event_code));
        assert_int_equal(v.events[ENGINE_EVENT_SHUTDOWN], 1);
}

static void keeps_what_it_acknowledged_through_kill_9(void **state)
{
        static const char *const writes[] = {NV_WRITE("1"), NV_WRITE("2"), NV_WRITE("3"),
                                             NV_WRITE("4")};

        (void)state;
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&v, NV_DEFINE), 0);
        for (uint8_t i = 0; i < ARRAY_SIZE(writes); i++) {
                assert_int_equal(test_vtpm_command(&v, writes[i]), 0);
                test_vtpm_kill(&v);
                test_vtpm_boot(&v);
                assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
                assert_int_equal(test_vtpm_command(&v, NV_READ), 0);
                assert_int_equal(v.response[16 + 7], i + 1);
        }
}

/* D-FULL: while the blob is not durable the guest has no answer; the TCB's commands wait too. */
static void stalls_until_the_blob_is_durable(void **state)
{
        uint8_t command[64];
        struct pollfd polled;
        struct err err = {0};
        struct engine_command mine = {
            .command = {(const uint8_t *)"\x80\1\0\0\0\x0c\0\0\1\x7b\0\4", 12}};

        (void)state;
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&v, NV_DEFINE), 0);
        assert_int_equal(test_vtpm_command(&v, NV_WRITE("1")), 0);
        v.hold = true;
        memcpy(command,
               "\x80\2\0\0\0\x2b\0\0\1\x37\1\x50\0\1\1\x50\0\1\0\0\0\x09\x40\0\0\x09\0\0\0\0\0"
               "\0\x08\0\0\0\0\0\0\0\5\0\0",
               43);
        assert_ok(fd_write_all(v.data, command, 43, &err), &err);
        test_vtpm_await_held(&v);
        assert_ok(wire_link_send(v.core, engine_command_code, 77, 0, &mine, NULL, &err), &err);
        polled = (struct pollfd){.fd = v.data, .events = POLLIN};
        assert_int_equal(poll(&polled, 1, 100), 0);
        test_vtpm_release(&v);
        assert_true(test_vtpm_serve(&v, engine_response_code));
        assert_int_equal(v.response_id, 77);
        assert_int_equal(poll(&polled, 1, 5000), 1);
        assert_int_equal(read(v.data, command, sizeof(command)), 19);
        assert_memory_equal(command + 6, "\0\0\0\0", 4);
}

static void loses_only_what_was_not_acknowledged(void **state)
{
        struct err err = {0};

        (void)state;
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&v, NV_DEFINE), 0);
        assert_int_equal(test_vtpm_command(&v, NV_WRITE("1")), 0);
        v.hold = true;
        assert_ok(fd_write_all(v.data,
                               "\x80\2\0\0\0\x2b\0\0\1\x37\1\x50\0\1\1\x50\0\1\0\0\0\x09\x40\0"
                               "\0\x09\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\5\0\0",
                               43, &err),
                  &err);
        test_vtpm_await_held(&v);
        test_vtpm_kill(&v);
        v.hold = false;
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&v, NV_READ), 0);
        assert_int_equal(v.response[16 + 7], 1);
}

static void get_ek(const uint8_t *seed, uint8_t *ret_public, size_t *ret_len)
{
        test_vtpm_spawn(&v, false);
        v.permanent_len = 0;
        test_vtpm_start(&v, seed);
        assert_int_equal(test_vtpm_core_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_core_command(&v, CREATE_EK), 0);
        *ret_len = 2 + (size_t)(v.response[18] << 8 | v.response[19]);
        assert_in_range(*ret_len, 80, 200);
        memcpy(ret_public, v.response + 18, *ret_len);
        test_vtpm_kill(&v);
}

static void same_seed_gives_the_same_keys(void **state)
{
        uint8_t seed[ENGINE_SEED_SIZE] = "forty-eight bytes that decide all primary seeds";
        uint8_t keys[4][256];
        size_t lens[4];

        (void)state;
        get_ek(seed, keys[0], &lens[0]);
        get_ek(seed, keys[1], &lens[1]);
        seed[47] ^= 1;
        get_ek(seed, keys[2], &lens[2]);
        get_ek(NULL, keys[3], &lens[3]);
        assert_int_equal(lens[0], lens[1]);
        assert_memory_equal(keys[0], keys[1], lens[0]);
        assert_memory_not_equal(keys[0], keys[2], lens[0]);
        assert_memory_not_equal(keys[0], keys[3], lens[0]);
}

/* Two TPMs of one seed must not share their random numbers: Startup draws from the kernel. */
static void same_seed_gives_other_random_numbers(void **state)
{
        static const uint8_t seed[ENGINE_SEED_SIZE] = {7};
        uint8_t first[16] = {0};

        (void)state;
        for (int i = 0; i < 2; i++) {
                v.permanent_len = 0;
                test_vtpm_spawn(&v, false);
                test_vtpm_start(&v, seed);
                assert_int_equal(test_vtpm_core_command(&v, STARTUP), 0);
                assert_int_equal(test_vtpm_core_command(&v, GETRANDOM), 0);
                if (i == 0)
                        memcpy(first, v.response + 12, sizeof(first));
                test_vtpm_kill(&v);
        }
        assert_memory_not_equal(first, v.response + 12, sizeof(first));
}

static void never_manufactures_over_damaged_state(void **state)
{
        static const size_t places[] = {2, 5, SIZE_MAX} /* the magic, twice; a cut */;

        (void)state;
        test_vtpm_spawn(&v, false);
        test_vtpm_start(&v, NULL);
        test_vtpm_kill(&v);
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                struct engine_start start = {.permanent = {v.permanent, v.permanent_len}};
                struct err err = {0};

                if (places[i] == SIZE_MAX)
                        start.permanent.len -= 40;
                else
                        v.permanent[places[i]] ^= 0x5a;
                v.n_persists = 0;
                v.failed[0] = '\0';
                test_vtpm_spawn(&v, false);
                assert_ok(wire_link_send(v.core, engine_start_code, 0, 0, &start, NULL, &err),
                          &err);
                if (test_vtpm_serve(&v, engine_ready_code))
                        fail_msg("damage at %zu was taken", places[i]);
                assert_non_null(strstr(v.failed, "load the permanent state"));
                assert_int_equal(v.n_persists, 0);
                assert_int_equal(test_vtpm_end(&v), 1);
                if (places[i] != SIZE_MAX)
                        v.permanent[places[i]] ^= 0x5a;
        }
}

static void serves_the_tcb_in_private_before_the_guest(void **state)
{
        static const uint8_t zero[32];

        (void)state;
        test_vtpm_spawn(&v, true);
        test_vtpm_start(&v, NULL);
        test_vtpm_set_datafd(&v);
        assert_int_equal(test_vtpm_core_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_core_command(&v, PCR16_EXTEND), 0);
        assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0x101); /* QEMU sees nothing of it */
        CONTROL("\0\0\0\2\0\0\0\0", "\0\0\0\0");
        assert_int_equal(v.init_count, 1);
        assert_int_equal(test_vtpm_core_command(&v, STARTUP), 0x100);
        assert_int_equal(test_vtpm_core_command(&v, "8001"), 0x142);
        assert_int_equal(v.events[ENGINE_EVENT_STARTUP], 0);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(v.events[ENGINE_EVENT_STARTUP], 1);
        assert_int_equal(test_vtpm_command(&v, PCR16_READ), 0);
        assert_memory_equal(v.response + v.response_len - 32, zero, 32);
}

static void keeps_the_tcbs_commands_at_locality_0(void **state)
{
        /* PCR 20 can be extended at localities 1 to 3 only (PC Client PTP, 5.5). */
        static const char extend_20[] =
            "8002000000410000018200000014" EMPTY_AUTH
            "00000001000b0101010101010101010101010101010101010101010101010101010101010101";

        (void)state;
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&v, extend_20), 0x907);
        CONTROL("\0\0\0\5\2\0\0\0", "\0\0\0\0");
        assert_int_equal(test_vtpm_command(&v, extend_20), 0);
        assert_int_equal(test_vtpm_core_command(&v, extend_20), 0x907);
        assert_int_equal(test_vtpm_command(&v, extend_20), 0);
        CONTROL("\0\0\0\5\5\0\0\0", "\0\0\0\x3d");
}

static void measures_through_hash_commands(void **state)
{
        static const uint8_t zero[32];

        (void)state;
        test_vtpm_boot(&v);
        CONTROL("\0\0\0\6", "\0\0\0\0");
        CONTROL("\0\0\0\7\0\0\0\4abcd", "\0\0\0\0");
        CONTROL("\0\0\0\x08", "\0\0\0\0");
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&v, "8001000000140000017e00000001000b03010000"), 0);
        assert_memory_not_equal(v.response + v.response_len - 32, zero, 32);
}

static void ends_with_the_tcb_and_outlives_qemu(void **state)
{
        const struct engine_stop stop = {0};
        struct err err = {0};

        (void)state;
        test_vtpm_boot(&v);
        fd_close(&v.control);
        assert_true(test_vtpm_serve(&v, engine_event_code));
        assert_int_equal(v.events[ENGINE_EVENT_CLOSED], 1);
        assert_int_equal(test_vtpm_core_command(&v, GETRANDOM), 0x100);
        assert_ok(wire_link_send(v.core, engine_stop_code, 0, 0, &stop, NULL, &err), &err);
        assert_int_equal(test_vtpm_end(&v), 0);
        test_vtpm_boot(&v);
        wire_link_free(v.core);
        v.core = NULL;
        assert_int_equal(test_vtpm_end(&v), 0);
}

static void refuses_a_tcb_that_breaks_the_protocol(void **state)
{
        const struct engine_command command = {.command = {(const uint8_t *)"x", 1}};
        const struct engine_persisted persisted = {.sequence = 3};
        const struct engine_decided decided = {0};
        const struct engine_start flags = {.flags = 8};
        const struct engine_start empty = {.flags = ENGINE_START_EMPTY};
        const struct engine_start both = {.flags = ENGINE_START_BOUND | ENGINE_START_EMPTY,
                                          .permanent = {(const uint8_t *)"x", 1}};
        const struct engine_start seed = {.seed = {(const uint8_t *)"short", 5}};
        const struct engine_start bound_draft = {.flags = ENGINE_START_DRAFT | ENGINE_START_BOUND};
        const struct engine_start orphan = {.volatile_state = {(const uint8_t *)"x", 1}};
        const struct {
                uint16_t code;
                const void *message;
        } rows[] = {{engine_command_code, &command},  {engine_persisted_code, &persisted},
                    {engine_decided_code, &decided},  {engine_start_code, &flags},
                    {engine_start_code, &empty},      {engine_start_code, &both},
                    {engine_start_code, &seed},       {engine_start_code, &orphan},
                    {engine_start_code, &bound_draft}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};

                test_vtpm_spawn(&v, false);
                v.failed[0] = '\0';
                assert_ok(wire_link_send(v.core, rows[i].code, 0, 0, rows[i].message, NULL, &err),
                          &err);
                assert_false(test_vtpm_serve(&v, engine_ready_code));
                assert_true(v.failed[0] != '\0');
                assert_int_equal(test_vtpm_end(&v), 1);
        }
}

/* G-GUEST: broken sizes, half commands and garbage are answered, and the next command works. */
static void answers_every_broken_command(void **state)
{
        static const char *const rows[] = {
            "800100000005",             /* shorter than a header */
            "800100000000",             /* nothing */
            "800100001001000001440000", /* 4097 bytes announced */
            "8001ffffffff00000144",     /* 4 GiB announced */
            "80010000000c0000017b",     /* half: answered after a second */
            "8001",                     /* not even a size */
        };

        (void)state;
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (test_vtpm_command(&v, rows[i]) != 0x142)
                        fail_msg("%s", rows[i]);
                assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
        }
        for (unsigned i = 0; i < 2000; i++) {
                /* Every command code with a body of noise: an answer, whatever it is. */
                char hex[128];

                (void)snprintf(hex, sizeof(hex), "800%u00000020%08x%08x%08x%08x%08x%08x%04x",
                               1 + i % 2, 0x11f + i % 0x80, i * 2654435761U, i % 7, i * 40503U,
                               0x40000000U + i % 16, i, (i * 7) & 0xffffU);
                (void)test_vtpm_command(&v, hex);
        }
        assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
}

static void one_slow_channel_holds_up_no_other(void **state)
{
        static const uint8_t command[] = "\x80\1\0\0\0\x0c\0\0\1\x7b\0\x20";
        struct pollfd polled;
        unsigned sent = 0;

        (void)state;
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        /* Flood and read nothing, until the engine stops taking more. */
        do {
                while (send(v.data, command, 12, MSG_DONTWAIT) == 12)
                        sent++;
                polled = (struct pollfd){.fd = v.data, .events = POLLOUT};
        } while (poll(&polled, 1, 200) > 0);
        assert_true(sent > 100);
        CONTROL("\0\0\0\1", "\0\0\0\0\0\0\xff\xff");
        assert_int_equal(test_vtpm_core_command(&v, GETRANDOM), 0);
        /* Half a control message, and the data channel goes on with all of them. */
        assert_int_equal(send(v.control, "\0\0", 2, 0), 2);
        for (unsigned i = 0; i < sent; i++) {
                uint8_t response[44];
                struct err err = {0};

                assert_ok(fd_read_exact(v.data, response, sizeof(response), &err), &err);
                assert_memory_equal(response + 6, "\0\0\0\0\0\x20", 6);
        }
        CONTROL("\0\1", "\0\0\0\0\0\0\xff\xff");
}

static void takes_only_a_unix_stream_for_data(void **state)
{
        uint8_t answer[4];
        int fds[8];
        int n = 0;

        (void)state;
        test_vtpm_spawn(&v, true);
        test_vtpm_start(&v, NULL);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds + 2), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds + 4), 0);
        fds[6] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        fds[7] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        for (n = 0; n < 8; n++) {
                struct err err = {0};

                if (fds[n] < 0)
                        continue;
                assert_int_equal(fd_send(v.control, "\0\0\0\x10", 4, &fds[n], 1), 4);
                assert_ok(fd_read_exact(v.control, answer, 4, &err), &err);
                assert_memory_equal(answer, "\0\0\0\3", 4);
                fd_close(&fds[n]);
        }
        CONTROL("\0\0\0\x10", "\0\0\0\3"); /* none at all */
        test_vtpm_set_datafd(&v);
        assert_int_equal(fd_send(v.control, "\0\0\0\x10", 4, &v.data, 1), 4); /* a second one */
        assert_int_equal(recv(v.control, answer, 4, MSG_WAITALL), 4);
        assert_memory_equal(answer, "\0\0\0\x1f", 4);
        assert_int_equal(test_vtpm_command(&v, READCLOCK), 0x101);
}

static void cuts_off_a_control_peer_that_breaks_the_protocol(void **state)
{
        static const struct {
                const char *name;
                const char *data;
                size_t len;
                size_t n_fds;
        } rows[] = {
            {"code 0", "\0\0\0\0", 4, 0},
            {"unknown code", "\0\0\0\x14", 4, 0},
            {"huge code", "\xff\xff\xff\xff", 4, 0},
            {"HASH_DATA too long", "\0\0\0\7\0\0\x10\1", 8, 0},
            {"HASH_DATA 4 GiB", "\0\0\0\7\xff\xff\xff\xff", 8, 0},
            {"SET_STATEBLOB too long", "\0\0\0\x0d\0\0\0\0\0\0\0\1\0\4\0\1", 16, 0},
            {"two descriptors", "\0\0\0\x10", 4, 2},
            {"descriptor nobody asked for", "\0\0\0\1", 4, 1},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const int fds[] = {0, 0};
                char sink[64];

                memset(v.events, 0, sizeof(v.events));
                test_vtpm_boot(&v);
                assert_int_equal(fd_send(v.control, rows[i].data, rows[i].len, fds, rows[i].n_fds),
                                 rows[i].len);
                while (v.events[ENGINE_EVENT_CLOSED] == 0)
                        if (!test_vtpm_serve(&v, engine_event_code))
                                fail_msg("%s: the engine died", rows[i].name);
                while (recv(v.control, sink, sizeof(sink), 0) > 0)
                        continue;
                assert_int_equal(test_vtpm_core_command(&v, STARTUP), 0);
                test_vtpm_kill(&v);
        }
}

/* Each with a program that was started for it, and with a copy of the zygote. */
#define ROW(test)                                                                                  \
        cmocka_unit_test_setup_teardown(test, set_up, tear_down),                                  \
            cmocka_unit_test_setup_teardown(test, set_up_forked, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            ROW(plays_the_start_and_three_resets),
            ROW(keeps_what_it_acknowledged_through_kill_9),
            ROW(stalls_until_the_blob_is_durable),
            ROW(loses_only_what_was_not_acknowledged),
            ROW(same_seed_gives_the_same_keys),
            ROW(same_seed_gives_other_random_numbers),
            ROW(never_manufactures_over_damaged_state),
            ROW(serves_the_tcb_in_private_before_the_guest),
            ROW(keeps_the_tcbs_commands_at_locality_0),
            ROW(measures_through_hash_commands),
            ROW(ends_with_the_tcb_and_outlives_qemu),
            ROW(refuses_a_tcb_that_breaks_the_protocol),
            ROW(answers_every_broken_command),
            ROW(one_slow_channel_holds_up_no_other),
            ROW(takes_only_a_unix_stream_for_data),
            ROW(cuts_off_a_control_peer_that_breaks_the_protocol),
        };
        return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
