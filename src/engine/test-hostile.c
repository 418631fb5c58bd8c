/*
 * G-GUEST: a guest, or a QEMU that it has taken over, that sends whatever it likes to a real
 * engine's sockets. Whatever comes is answered or the channel is closed; the TCB is served all the
 * while, and the TPM goes on.
 */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hex.h"
#include "lib/vtpm.h"

#define STARTUP    "80010000000c000001440000"
#define GETRANDOM  "80010000000c0000017b0010"
#define EMPTY_AUTH "00000009400000090000000000"
#define NV_WRITE   "80020000002b000001370150000101500001" EMPTY_AUTH "000800000000000000050000"
#define NV_READ    "8002000000230000014e0150000101500001" EMPTY_AUTH "00080000"
#define CREATE_PRIMARY                                                                             \
        "80020000004100000131"                                                                     \
        "40000001" EMPTY_AUTH "00040000000000180023"                                               \
        "000b00050472000000100018000b000300100000000000000000"                                     \
        "0000"
#define START_SESSION                                                                              \
        "80010000003b0000017640000007400000070020"                                                 \
        "0101010101010101010101010101010101010101010101010101010101010101000000"                   \
        "0010000b"

#define RC_SUCCESS         0U
#define RC_OBJECT_MEMORY   0x902U
#define RC_SESSION_MEMORY  0x903U
#define RC_SESSION_HANDLES 0x905U
#define RC_NV_SPACE        0x14bU
#define COMMAND_MAX        256
#define CONTROL_ROUNDS     200

/* One of every shape: with and without handles, sessions, sized parameters, lists and unions. */
static const char *const commands[] = {
    STARTUP,
    GETRANDOM,
    "80010000000c00000143"
    "0001",                 /* SelfTest */
    "80010000000a0000017c", /* GetTestResult */
    "8001000000160000017a"
    "000000060000010000000020",                              /* GetCapability */
    "8001000000140000017e00000001000b03000001",              /* PCR_Read */
    "8002000000410000018200000010" EMPTY_AUTH "00000001000b" /* PCR_Extend */
    "0101010101010101010101010101010101010101010101010101010101010101",
    "80020000002d0000012a40000001" EMPTY_AUTH "0000000e01500001000b0206000600000008",
    NV_WRITE,
    NV_READ,
    CREATE_PRIMARY,
    START_SESSION,
    "80010000000e00000173"
    "80000000", /* ReadPublic */
    "80010000000e00000165"
    "80000000", /* FlushContext */
    "80010000001000000186"
    "00000010000b", /* HashSequenceStart, cut */
    "8001000000140000017d"
    "0004abcd000b4000000b", /* Hash */
    "80010000000a00000181", /* ReadClock */
};

/* One at a time: the structure is large. */
static struct test_vtpm v;

static int set_up(void **state)
{
        (void)state;
        memset(&v, 0, sizeof(v));
        v.data = -1;
        v.control = -1;
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

static void boot(void)
{
        test_vtpm_boot(&v);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
}

/* ---- commands ---- */

/* Sent under its true length; the answer has one, too, and its tag is one of the two. */
static void send_bytes(uint8_t *command, size_t len)
{
        char hex[2 * COMMAND_MAX + 1];

        command[2] = command[3] = command[4] = 0;
        command[5] = (uint8_t)len;
        (void)hex_encode(command, len, hex);
        (void)test_vtpm_command(&v, hex);
        if (v.response_len < 10 || v.response[0] != 0x80 ||
            (v.response[1] != 1 && v.response[1] != 2))
                fail_msg("%s: an answer of %zu bytes", hex, v.response_len);
}

static void decode(const char *hex, uint8_t ret[COMMAND_MAX], size_t *ret_len)
{
        assert_int_equal(hex_decode(hex, strlen(hex), ret, COMMAND_MAX - 16, ret_len), 0);
}

static void cut_everywhere(const char *hex)
{
        uint8_t command[COMMAND_MAX];
        size_t len;

        decode(hex, command, &len);
        for (size_t n = 10; n < len; n++)
                send_bytes(command, n);
        memset(command + len, 0, 16);
        for (size_t n = len + 1; n < len + 16; n++)
                send_bytes(command, n);
}

static void change_every_byte(const char *hex)
{
        static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        uint8_t command[COMMAND_MAX];
        size_t len;

        decode(hex, command, &len);
        for (size_t i = 0; i < len; i++)
                for (size_t k = 0; k < sizeof(values); k++) {
                        const uint8_t before = command[i];

                        command[i] = values[k];
                        send_bytes(command, len);
                        command[i] = before;
                }
}

static void answers_every_command_cut_grown_and_changed(void **state)
{
        (void)state;
        boot();
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
                cut_everywhere(commands[i]);
                change_every_byte(commands[i]);
                /* What a change turned off or filled is the guest's own; it can start anew. */
                test_vtpm_kill(&v);
                boot();
                assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
        }
}

/* A half command and the end of the channel: the next channel starts with nothing. */
static void forgets_half_a_command_with_its_channel(void **state)
{
        struct err err = {0};

        (void)state;
        boot();
        for (size_t n = 1; n < 12; n++) {
                assert_ok(fd_write_all(v.data, "\x80\1\0\0\0\x0c\0\0\1\x7b\0", n, &err), &err);
                fd_close(&v.data);
                /* With each command of the TCB's it looks at the channel once: at the half, at its
                 * end. */
                (void)test_vtpm_core_command(&v, GETRANDOM);
                (void)test_vtpm_core_command(&v, GETRANDOM);
                test_vtpm_set_datafd(&v);
                assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
        }
}

/* ---- QEMU's control channel ---- */

static uint64_t draw(uint64_t *state)
{
        uint64_t z = *state += 0x9e3779b97f4a7c15U;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        return z ^ z >> 31;
}

/* Messages of known codes with bodies of noise, some of them cut: answered, or the end of it. */
static size_t make_noise(uint64_t *random, uint8_t *ret_bytes)
{
        size_t len = 0;

        for (uint64_t n = draw(random) % 4 + 1; n > 0; n--) {
                const size_t body = draw(random) % 20;

                memcpy(ret_bytes + len, "\0\0\0", 3);
                ret_bytes[len + 3] = (uint8_t)(draw(random) % 21);
                for (size_t i = 0; i < body; i++)
                        ret_bytes[len + 4 + i] =
                            (uint8_t)(draw(random) % 3 == 0 ? draw(random) : 0);
                len += 4 + body;
        }
        return len;
}

static void outlives_noise_on_the_control_channel(void **state)
{
        uint64_t random = 3;

        (void)state;
        for (unsigned i = 0; i < CONTROL_ROUNDS; i++) {
                uint8_t noise[256];
                const size_t len = make_noise(&random, noise);
                char sink[4096];

                boot();
                assert_int_equal(send(v.control, noise, len, MSG_NOSIGNAL), len);
                /* It may have been told to go off, or to wait for the rest of a message. */
                (void)test_vtpm_core_command(&v, GETRANDOM);
                if (v.response_len < 10)
                        fail_msg("round %u: the TCB is not answered", i);
                while (recv(v.control, sink, sizeof(sink), MSG_DONTWAIT) > 0)
                        continue;
                test_vtpm_kill(&v);
        }
}

/* Answers that nobody takes stop the channel, not the TPM; none of them is lost. */
static void a_control_peer_that_never_reads_waits_for_itself(void **state)
{
        struct pollfd polled;
        unsigned sent = 0;

        (void)state;
        boot();
        do {
                while (send(v.control, "\0\0\0\1", 4, MSG_DONTWAIT) == 4)
                        sent++;
                polled = (struct pollfd){.fd = v.control, .events = POLLOUT};
        } while (poll(&polled, 1, 200) > 0);
        assert_true(sent > 100);
        assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
        assert_int_equal(test_vtpm_core_command(&v, GETRANDOM), 0);
        for (unsigned i = 0; i < sent; i++) {
                uint8_t answer[8];
                struct err err = {0};

                assert_ok(fd_read_exact(v.control, answer, sizeof(answer), &err), &err);
                assert_memory_equal(answer, "\0\0\0\0\0\0\xff\xff", 8);
        }
}

/* ---- filling up ---- */

/* The answer that stops it. */
static uint32_t repeat_until_refused(const char *hex, unsigned *ret_n)
{
        uint32_t code = 0;
        unsigned n = 0;

        while (n < 5000 && (code = test_vtpm_command(&v, hex)) == 0)
                n++;
        *ret_n = n;
        return code;
}

static void full_of_objects_and_sessions_it_says_so(void **state)
{
        uint32_t code;
        unsigned n;

        (void)state;
        boot();
        assert_int_equal(repeat_until_refused(CREATE_PRIMARY, &n), RC_OBJECT_MEMORY);
        assert_int_equal(n, 3);
        code = repeat_until_refused(START_SESSION, &n);
        assert_true(code == RC_SESSION_MEMORY || code == RC_SESSION_HANDLES);
        assert_true(n > 0);
        assert_int_equal(test_vtpm_command(&v, GETRANDOM), 0);
        assert_int_equal(test_vtpm_command(&v, "80010000000e0000016580000000"), 0);
        assert_int_equal(test_vtpm_command(&v, CREATE_PRIMARY), 0);
}

static uint32_t define(unsigned index)
{
        char hex[128];

        (void)snprintf(hex, sizeof(hex),
                       "80020000002d0000012a40000001" EMPTY_AUTH "0000000e%08x000b02060006000007d0",
                       0x01500001U + index);
        return test_vtpm_command(&v, hex);
}

/* Its state is larger than ever then, is stored, and loads again. */
static void full_nv_is_said_and_kept(void **state)
{
        uint32_t code = 0;
        unsigned n = 0;

        (void)state;
        boot();
        while (n < 5000 && (code = define(n)) == 0)
                n++;
        assert_int_equal(code, RC_NV_SPACE);
        assert_true(n > 3);
        assert_int_equal(test_vtpm_command(&v, NV_WRITE), 0);
        test_vtpm_kill(&v);
        boot();
        assert_int_equal(define(n), RC_NV_SPACE);
        assert_int_equal(test_vtpm_command(&v, NV_READ), 0);
        assert_int_equal(v.response[16 + 7], 5);
        assert_int_equal(test_vtpm_command(&v, "80020000001f000001224000000101500002" EMPTY_AUTH),
                         0);
        assert_int_equal(define(n), 0);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            ROW(answers_every_command_cut_grown_and_changed),
            ROW(forgets_half_a_command_with_its_channel),
            ROW(outlives_noise_on_the_control_channel),
            ROW(a_control_peer_that_never_reads_waits_for_itself),
            ROW(full_of_objects_and_sessions_it_says_so),
            ROW(full_nv_is_said_and_kept),
        };

        return cmocka_run_group_tests_name("engine-hostile", tests, NULL, NULL);
}
