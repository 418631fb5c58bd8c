/*
 * Waking with a real engine when the host lacks what it takes: the guest waits, its state stays
 * where it was, and the next try brings the same TPM back.
 */
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "tcb/parking.h"
#include "tcb/test-tcb.h"
#include "tpmwire/ek.h"

#define P256        (1U << TPM_EK_P256)
#define TURNS_MAX   1000
#define ANSWER_MAX  4096
#define SET_DATA_FD "\x00\x00\x00\x10"
#define INIT        "\x00\x00\x00\x02\x00\x00\x00\x00"
#define STARTUP     "\x80\x01\x00\x00\x00\x0c\x00\x00\x01\x44\x00\x00"

/* Read and extend PCR 16 (SHA-256, empty password): what is there is lost with the TPM. */
#define READ "\x80\x01\x00\x00\x00\x14\x00\x00\x01\x7e\x00\x00\x00\x01\x00\x0b\x03\x00\x00\x01"
#define EXTEND                                                                                     \
        "\x80\x02\x00\x00\x00\x41\x00\x00\x01\x82\x00\x00\x00\x10\x00\x00\x00\x09\x40\x00\x00\x09" \
        "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x0b"                                             \
        "abcdefghabcdefghabcdefghabcdefgh"

struct guest {
        struct instance *instance;
        int control;
        int data;
        bool started;
        bool ended;
        bool told;
        uint64_t value;
};

static struct tcb *tcb;
static struct guest guest;
static int failing; /* what reading the parked state answers; 0: the state */

int __real_store_get_blob(struct store *store, const uint8_t *uuid, enum store_kind kind,
                          struct store_blob *ret_blob, struct err *err);
int __wrap_store_get_blob(struct store *store, const uint8_t *uuid, enum store_kind kind,
                          struct store_blob *ret_blob, struct err *err);

int __wrap_store_get_blob(struct store *store, const uint8_t *uuid, enum store_kind kind,
                          struct store_blob *ret_blob, struct err *err)
{
        if (failing != 0 && kind == STORE_KIND_VOLATILE)
                return err_set(err, failing, "scripted");
        return __real_store_get_blob(store, uuid, kind, ret_blob, err);
}

static int set_up(void **state)
{
        (void)state;
        guest = (struct guest){.control = -1, .data = -1};
        failing = 0;
        tcb = test_tcb_open(0);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        fd_close(&guest.control);
        fd_close(&guest.data);
        tcb_close(tcb);
        return 0;
}

static void on_started(void *user, const struct err *err)
{
        (void)user;
        assert_null(err);
        guest.started = true;
}

static void on_died(void *user, const struct err *err)
{
        (void)user;
        (void)err;
        guest.ended = true;
}

static void on_told(void *user, uint64_t value)
{
        (void)user;
        guest.told = true;
        guest.value = value;
}

static const struct instance_user user_ops = {.started = on_started, .died = on_died};

/* All that is there now; what waits for another second is not. */
static void settle(void)
{
        for (int i = 0; sd_event_run(tcb->event, 0) > 0; i++)
                assert_in_range(i, 0, TURNS_MAX);
}

static void becomes(enum instance_state state)
{
        for (int i = 0; guest.instance->sm.state != (unsigned)state; i++) {
                assert_in_range(i, 0, TURNS_MAX);
                assert_true(sd_event_run(tcb->event, 1000000) >= 0);
        }
}

static size_t answer(int fd, uint8_t ret_answer[ANSWER_MAX])
{
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t n;

        for (int i = 0; poll(&ready, 1, 1) == 0; i++) {
                assert_in_range(i, 0, 60 * TURNS_MAX);
                settle();
        }
        n = read(fd, ret_answer, ANSWER_MAX);
        assert_true(n > 0);
        return (size_t)n;
}

static void ask(int fd, const char *message, size_t len)
{
        assert_int_equal(write(fd, message, len), (ssize_t)len);
}

#define ASK(fd, message) ask(fd, message, sizeof(message) - 1)

static void is_answered(int fd, const char *zero, size_t at)
{
        uint8_t bytes[ANSWER_MAX];

        assert_true(answer(fd, bytes) >= at + 4);
        assert_memory_equal(bytes + at, zero, 4);
}

static void power_on(void)
{
        struct err err = {0};
        int pair[2];

        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_int_equal(fd_send(guest.control, SET_DATA_FD, 4, &pair[1], 1), 4);
        fd_close(&pair[1]);
        guest.data = pair[0];
        is_answered(guest.control, "\0\0\0\0", 0);
        ASK(guest.control, INIT);
        is_answered(guest.control, "\0\0\0\0", 0);
        ASK(guest.data, STARTUP);
        is_answered(guest.data, "\0\0\0\0", 6);
        ASK(guest.data, EXTEND);
        is_answered(guest.data, "\0\0\0\0", 6);
}

static void park(void)
{
        struct err err = {0};

        guest.told = false;
        assert_ok(parking_park(guest.instance, false, on_told, NULL, &err), &err);
        test_tcb_run(tcb, &guest.told);
        assert_int_equal(guest.value, 0);
        assert_int_equal(guest.instance->sm.state, INSTANCE_PARKED);
}

static void boot(const char *name)
{
        struct err err = {0};
        int pair[2];

        guest.instance = test_tcb_create(tcb, name, P256, &err);
        assert_ok(err.code, &err);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_ok(instance_start(guest.instance, pair[1], &user_ops, NULL, &err), &err);
        fd_close(&pair[1]);
        guest.control = pair[0];
        test_tcb_run(tcb, &guest.started);
        power_on();
}

/* No process can be started: neither forked nor by its program. */
static void lose_engines(struct instance_host *ret_lost)
{
        *ret_lost = tcb->instance_host;
        tcb->instance_host.zygote = NULL;
        tcb->instance_host.spares = NULL;
        (void)snprintf(tcb->instance_host.engine_path, sizeof(tcb->instance_host.engine_path),
                       "/nonexistent");
}

static void find_engines(const struct instance_host *lost)
{
        tcb->instance_host.zygote = lost->zygote;
        tcb->instance_host.spares = lost->spares;
        memcpy(tcb->instance_host.engine_path, lost->engine_path, sizeof(lost->engine_path));
}

static void waits(void)
{
        struct pollfd ready = {.fd = guest.data, .events = POLLIN};

        settle();
        assert_int_equal(poll(&ready, 1, 0), 0);
        assert_int_equal(guest.instance->sm.state, INSTANCE_PARKED);
        assert_false(guest.ended);
}

static void a_guest_waits_until_it_can_be_woken(void **state)
{
        uint8_t before[ANSWER_MAX];
        uint8_t after[ANSWER_MAX];
        struct instance_host lost;
        size_t len;

        (void)state;
        boot("late");
        ASK(guest.data, READ);
        len = answer(guest.data, before);
        for (int i = 0; i < 2; i++) {
                park();
                lose_engines(&lost);
                ASK(guest.data, READ);
                waits();
                find_engines(&lost);
                assert_int_equal(answer(guest.data, after), len);
                assert_memory_equal(after, before, len);
                becomes(INSTANCE_LIVE);
        }
}

static void who_asked_hears_why(void **state)
{
        struct instance_host lost;
        struct err err = {0};

        (void)state;
        boot("asked");
        park();
        lose_engines(&lost);
        guest.told = false;
        assert_true(parking_wake(guest.instance, on_told, NULL, &err) != 0);
        assert_non_null(strstr(err.text, "nonexistent"));
        waits();
        find_engines(&lost);
        err = (struct err){0};
        assert_ok(parking_wake(guest.instance, on_told, NULL, &err), &err);
        test_tcb_run(tcb, &guest.told);
        assert_int_equal(guest.value, 0);
        ASK(guest.data, READ);
        is_answered(guest.data, "\0\0\0\0", 6);
}

/* One that waits is stopped like any other, and a QEMU that goes away is noticed. */
static void one_that_waits_can_end(void **state)
{
        struct instance_host lost;

        (void)state;
        boot("stopped");
        park();
        lose_engines(&lost);
        ASK(guest.data, READ);
        waits();
        instance_stop(guest.instance);
        assert_int_equal(guest.instance->sm.state, INSTANCE_IDLE);
        find_engines(&lost);
}

static void a_qemu_that_goes_away_meanwhile_is_noticed(void **state)
{
        struct instance_host lost;

        (void)state;
        boot("left");
        park();
        lose_engines(&lost);
        ASK(guest.data, READ);
        waits();
        fd_close(&guest.control);
        becomes(INSTANCE_IDLE);
        find_engines(&lost);
}

/* Also one that somebody has put back, or that no version of ours can read. */
static void what_is_lost_ends_it_and_what_is_late_does_not(void **state)
{
        static const struct {
                const char *name;
                int code;
                bool ends;
        } rows[] = {
            {"damaged", ERR_DAMAGED, true},      {"gone", ERR_NOT_FOUND, true},
            {"rollback", ERR_ROLLBACK, true},    {"newer", ERR_UNSUPPORTED, true},
            {"long", ERR_LIMIT, true},           {"disk", ERR_IO, false},
            {"no-memory", ERR_NO_MEMORY, false},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                guest = (struct guest){.control = -1, .data = -1};
                boot(rows[i].name);
                park();
                failing = rows[i].code;
                ASK(guest.data, READ);
                if (rows[i].ends) {
                        test_tcb_run(tcb, &guest.ended);
                        failing = 0;
                } else {
                        waits();
                        failing = 0;
                        is_answered(guest.data, "\0\0\0\0", 6);
                        becomes(INSTANCE_LIVE);
                        instance_stop(guest.instance);
                }
                fd_close(&guest.control);
                fd_close(&guest.data);
        }
}

/* Its engine's end is not waited for, but seen. */
static void the_engine_of_a_parked_one_is_reaped(void **state)
{
        pid_t pid;

        (void)state;
        boot("reaped");
        pid = engine_host_pid(guest.instance->engine);
        assert_int_equal(kill(pid, 0), 0);
        park();
        for (int i = 0; kill(pid, 0) == 0; i++) {
                assert_in_range(i, 0, TURNS_MAX);
                assert_true(sd_event_run(tcb->event, 1000000) >= 0);
        }
        ASK(guest.data, READ);
        is_answered(guest.data, "\0\0\0\0", 6);
}

/* A state that is gone does not come back: that ends it, at once. */
static void one_without_its_state_ends(void **state)
{
        struct err err = {0};

        (void)state;
        boot("empty");
        park();
        assert_ok(instance_put_volatile(guest.instance, (struct bytes){NULL, 0}, NULL, NULL, &err),
                  &err);
        settle();
        ASK(guest.data, READ);
        test_tcb_run(tcb, &guest.ended);
        assert_int_equal(guest.instance->sm.state, INSTANCE_IDLE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_guest_waits_until_it_can_be_woken, set_up, tear_down),
            cmocka_unit_test_setup_teardown(who_asked_hears_why, set_up, tear_down),
            cmocka_unit_test_setup_teardown(one_that_waits_can_end, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_qemu_that_goes_away_meanwhile_is_noticed, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(what_is_lost_ends_it_and_what_is_late_does_not, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(the_engine_of_a_parked_one_is_reaped, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(one_without_its_state_ends, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("tcb-parking", tests, NULL, NULL);
}
