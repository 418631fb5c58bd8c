/*
 * A bound engine: the real program, with the test as its QEMU and as the TCB that decides.
 */
#include <poll.h>

#include "base/fd.h"
#include "lib/vtpm.h"

#define STARTUP  "80010000000c000001440000"
#define EXTEND9  "80020000004100000182000000090000000940000009000000000000000001000b" ONES ONES
#define ONES     "11111111111111111111111111111111"
#define READ9    "8001000000140000017e00000001000b03000200"
#define RANDOM   "80010000000c0000017b0010"
#define RC_OFF   0x101 /* the TPM does not answer */
#define REFUSED  9     /* enum control_result: failed */
#define TOKEN_AT 16    /* in the answer to GET_STATEBLOB: result, flags, total, length */

static struct test_vtpm v;

static const char init[] = "\0\0\0\2\0\0\0";
static const char init_resume[] = "\0\0\0\2\0\0\0\1";
static const char stop[] = "\0\0\0\x0e";

static uint32_t control(const char *message, size_t len)
{
        return test_vtpm_control_code(&v, message, len, 4);
}

static int boot(void **state)
{
        (void)state;
        memset(&v, 0, sizeof(v));
        v.start_flags = ENGINE_START_BOUND;
        test_vtpm_boot(&v);
        return 0;
}

static int kill_engine(void **state)
{
        (void)state;
        test_vtpm_kill(&v);
        return 0;
}

/* Ends the engine, keeps what the test stored as TCB, and starts another one for the next QEMU. */
static void next_qemu(uint32_t flags)
{
        test_vtpm_kill(&v);
        v.start_flags = ENGINE_START_BOUND | flags;
        v.claims = 0;
        test_vtpm_spawn(&v, true);
        test_vtpm_start(&v, NULL);
        test_vtpm_set_datafd(&v);
}

static void get_blob(uint8_t type, uint8_t ret_answer[TOKEN_AT + ENGINE_TOKEN_SIZE], size_t len)
{
        const uint8_t get[16] = {0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, type};

        test_vtpm_control(&v, get, sizeof(get), ret_answer, len);
}

/* All that QEMU asks when it saves its VM; the token is what goes into its file. */
static void save(uint8_t ret_token[ENGINE_TOKEN_SIZE])
{
        uint8_t answer[TOKEN_AT + ENGINE_TOKEN_SIZE];

        get_blob(1, answer, sizeof(answer));
        assert_memory_equal(answer, "\0\0\0\0\0\0\0\1\0\0\0\x24\0\0\0\x24", TOKEN_AT);
        memcpy(ret_token, answer + TOKEN_AT, ENGINE_TOKEN_SIZE);
        get_blob(2, answer, TOKEN_AT);
        assert_memory_equal(answer, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0", TOKEN_AT);
        get_blob(3, answer, TOKEN_AT);
        assert_memory_equal(answer, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0", TOKEN_AT);
}

static uint32_t set_blob(const void *token, uint8_t len)
{
        uint8_t set[16 + 255] = {0, 0, 0, 13, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, len};

        memcpy(set + 16, token, len);
        assert_int_equal(control(stop, 4), 0);
        return test_vtpm_control_code(&v, set, 16U + len, 4);
}

static void the_first_command_after_an_init_asks(void **state)
{
        (void)state;
        assert_int_equal(v.claims, 0);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&v, RANDOM), 0);
        assert_int_equal(v.claims, 1);
        assert_int_equal(control(init, sizeof(init)), 0);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(v.claims, 2);
}

/* The guest of a QEMU that lost gets no answer of the TPM's, and nothing is stored for it. */
/* QEMU may be faster than the TCB: what it says waits until the engine has its TPM. */
static void qemu_waits_for_the_tcb(void **state)
{
        static const uint8_t get_capability[4] = {0, 0, 0, 1};
        uint8_t answer[8];
        struct err err = {0};

        (void)state;
        test_vtpm_kill(&v);
        test_vtpm_spawn(&v, true);
        assert_ok(fd_write_all(v.control, get_capability, sizeof(get_capability), &err), &err);
        assert_int_equal(poll(&(struct pollfd){.fd = v.control, .events = POLLIN}, 1, 50), 0);
        test_vtpm_start(&v, NULL);
        assert_ok(fd_read_exact(v.control, answer, sizeof(answer), &err), &err);
        assert_memory_equal(answer, "\0\0\0\0", 4);
}

static void a_refusal_holds_until_another_decision(void **state)
{
        unsigned persists = v.n_persists;

        (void)state;
        v.decision = REFUSED;
        assert_int_equal(test_vtpm_command(&v, STARTUP), RC_OFF);
        assert_int_equal(test_vtpm_command(&v, STARTUP), RC_OFF);
        assert_int_equal(control("\0\0\0\6", 4), 10); /* HASH_START */
        assert_int_equal(v.claims, 2);
        assert_int_equal(v.n_persists, persists);
        v.decision = 0;
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(v.claims, 3);
}

static void a_save_gives_a_token_and_locks(void **state)
{
        uint8_t token[ENGINE_TOKEN_SIZE];

        (void)state;
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        save(token);
        assert_memory_equal(token, TEST_VTPM_TOKEN, sizeof(token));
        assert_in_range(v.volatile_len, 1000, 30000);
        v.decision = REFUSED;
        assert_int_equal(test_vtpm_command(&v, RANDOM), RC_OFF);
        v.decision = 0;
        assert_int_equal(test_vtpm_command(&v, RANDOM), 0);
        assert_int_equal(v.claims, 3);
}

/* The second part of a token is asked for by nobody; a new token would spend the one that was sent.
 */
static void a_token_is_sent_whole_or_not_at_all(void **state)
{
        static const uint8_t offsets[][4] = {
            {0, 0, 0, 1}, {0, 0, 0, ENGINE_TOKEN_SIZE}, {0xff, 0xff, 0xff, 0xff}};
        unsigned persists;

        (void)state;
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        persists = v.n_persists;
        for (uint8_t type = ENGINE_BLOB_PERMANENT; type <= ENGINE_BLOB_SAVESTATE; type++)
                for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
                        uint8_t get[16] = {0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, type};
                        uint8_t answer[TOKEN_AT];

                        memcpy(get + 12, offsets[i], 4);
                        test_vtpm_control(&v, get, sizeof(get), answer, sizeof(answer));
                        assert_memory_equal(answer, "\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0", TOKEN_AT);
                }
        assert_int_equal(v.n_persists, persists);
        assert_int_equal(test_vtpm_command(&v, RANDOM), 0);
        assert_int_equal(v.claims, 1);
}

static void a_save_that_is_refused_locks_nothing(void **state)
{
        uint8_t answer[TOKEN_AT + ENGINE_TOKEN_SIZE];

        (void)state;
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        v.decision = REFUSED;
        get_blob(1, answer, TOKEN_AT);
        assert_memory_equal(answer, "\0\0\0\x09", 4);
        assert_int_equal(test_vtpm_command(&v, RANDOM), 0);
}

/* The guest goes on in another engine with its PCRs; the volatile state is asked for once. */
static void a_restore_goes_on_where_the_save_was(void **state)
{
        uint8_t token[ENGINE_TOKEN_SIZE];
        uint8_t pcr[ENGINE_COMMAND_MAX];
        size_t pcr_len;

        (void)state;
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&v, EXTEND9), 0);
        assert_int_equal(test_vtpm_command(&v, READ9), 0);
        pcr_len = v.response_len;
        memcpy(pcr, v.response, pcr_len);
        save(token);
        next_qemu(ENGINE_START_EMPTY);
        assert_int_equal(set_blob(token, sizeof(token)), 0);
        assert_int_equal(v.shown_len, sizeof(token));
        assert_memory_equal(v.shown, token, sizeof(token));
        assert_int_equal(control(init_resume, 8), 0);
        assert_int_equal(v.claims, 0);
        assert_int_equal(test_vtpm_command(&v, READ9), 0);
        assert_int_equal(v.claims, 1);
        assert_int_equal(v.response_len, pcr_len);
        assert_memory_equal(v.response, pcr, pcr_len);
        /* A reset starts cold. */
        assert_int_equal(control(init, sizeof(init)), 0);
        assert_int_equal(test_vtpm_command(&v, READ9), 0x100);
}

/* INIT(0) instead of INIT(1): the guest starts anew, whatever was loaded. */
static void a_cold_init_drops_what_was_restored(void **state)
{
        uint8_t token[ENGINE_TOKEN_SIZE];

        (void)state;
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        save(token);
        next_qemu(0);
        assert_int_equal(set_blob(token, sizeof(token)), 0);
        assert_int_equal(control(init, sizeof(init)), 0);
        assert_int_equal(test_vtpm_command(&v, RANDOM), 0x100);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
}

static void a_restore_that_is_refused_leaves_nothing(void **state)
{
        static const uint8_t swtpm_state[200] = {2, 1};

        (void)state;
        next_qemu(ENGINE_START_EMPTY);
        v.decision = 13;
        assert_int_equal(set_blob(TEST_VTPM_TOKEN, ENGINE_TOKEN_SIZE), 13);
        assert_int_equal(set_blob(swtpm_state, sizeof(swtpm_state)), 13);
        assert_int_equal(v.shown_len, 0);
        assert_int_equal(control(init_resume, 8), 9);
        assert_int_equal(control(init, 8), 9);
        assert_int_equal(v.events[ENGINE_EVENT_REFUSED], 2);
        assert_int_equal(test_vtpm_command(&v, STARTUP), RC_OFF);
}

/* Only while the power is off, and only type 1; anything else is answered and changes nothing. */
static void state_comes_in_order(void **state)
{
        uint8_t set[16] = {0, 0, 0, 13, 0, 0, 0, 1, 0, 0, 0, 1};
        uint8_t answer[TOKEN_AT + ENGINE_TOKEN_SIZE];

        (void)state;
        assert_int_equal(test_vtpm_control_code(&v, set, sizeof(set), 4), 10);
        assert_int_equal(control(stop, 4), 0);
        set[11] = 2;
        assert_int_equal(test_vtpm_control_code(&v, set, sizeof(set), 4), 3);
        get_blob(0, answer, TOKEN_AT);
        assert_memory_equal(answer, "\0\0\0\3", 4);
        get_blob(4, answer, TOKEN_AT);
        assert_memory_equal(answer, "\0\0\0\3", 4);
        assert_int_equal(v.claims, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, boot, kill_engine)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(the_first_command_after_an_init_asks),
            TEST(qemu_waits_for_the_tcb),
            TEST(a_refusal_holds_until_another_decision),
            TEST(a_save_gives_a_token_and_locks),
            TEST(a_token_is_sent_whole_or_not_at_all),
            TEST(a_save_that_is_refused_locks_nothing),
            TEST(a_restore_goes_on_where_the_save_was),
            TEST(a_cold_init_drops_what_was_restored),
            TEST(a_restore_that_is_refused_leaves_nothing),
            TEST(state_comes_in_order),
        };
        return cmocka_run_group_tests_name("engine-bound", tests, NULL, NULL);
}
