/*
 * Sockets of operator-bound vTPMs, with a whole TCB and real engines: who may have a vTPM, and what
 * QEMUs that do not keep to the order can do to it and to others (G-GUEST).
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hex.h"
#include "base/writer.h"
#include "tcb/bound.h"
#include "tcb/test-tcb.h"
#include "tpmwire/ek.h"
#include "wire/control.h"

#define P256      (1U << TPM_EK_P256)
#define LONGEST_S 60
#define TURN_USEC UINT64_C(20000)
#define STRANGER  4242 /* a user that has nothing */
#define OFF       0x101
#define REFUSED   13
#define STARTUP   "80010000000c000001440000"
#define RANDOM    "80010000000c0000017b0004"
#define ANSWER    4096

static struct tcb *tcb;

/* A QEMU: its ends of both channels. */
struct qemu {
        int control;
        int data;
};

static int set_up(void **state)
{
        (void)state;
        tcb = test_tcb_open(0);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        tcb_close(tcb);
        return 0;
}

/* A directory that no other user may write to. */
static const char *sockets(void)
{
        static char dir[64];

        if (dir[0] == '\0') {
                (void)snprintf(dir, sizeof(dir), "/tmp/catena-test-XXXXXX");
                assert_non_null(mkdtemp(dir));
        }
        return dir;
}

static struct socket_path socket_of(const char *name)
{
        struct socket_path path = {.uid = geteuid(), .gid = getegid(), .mode = 0600};

        (void)snprintf(path.path, sizeof(path.path), "%s/%s", sockets(), name);
        return path;
}

static void on_stored(void *user, uint64_t value)
{
        bool *done = user;

        assert_int_equal(value, 0);
        *done = true;
}

static void bind_to(struct instance *instance, const struct socket_path *path)
{
        struct err err = {0};
        bool done = false;

        assert_ok(bound_create(tcb, instance, path, on_stored, &done, &err), &err);
        test_tcb_run(tcb, &done);
}

static struct instance *make(const char *name)
{
        const struct socket_path path = socket_of(name);
        struct err failure = {0};
        struct instance *instance = test_tcb_create(tcb, name, P256, &failure);

        assert_ok(failure.code, &failure);
        bind_to(instance, &path);
        return instance;
}

/* Turns the loop until this descriptor can be read or its peer is gone. */
static void await(int fd)
{
        const time_t start = time(NULL);
        struct pollfd polled = {.fd = fd, .events = POLLIN};

        while (poll(&polled, 1, 0) == 0) {
                assert_true(sd_event_run(tcb->event, TURN_USEC) >= 0);
                assert_true(time(NULL) - start < LONGEST_S);
        }
}

static void await_state(const struct instance *instance, enum instance_state wanted)
{
        const time_t start = time(NULL);

        while (instance->sm.state != (unsigned)wanted) {
                assert_true(sd_event_run(tcb->event, TURN_USEC) >= 0);
                assert_true(time(NULL) - start < LONGEST_S);
        }
}

/* Exactly so many bytes; false when the peer closed before. */
static bool take(int fd, uint8_t *data, size_t len)
{
        while (len > 0) {
                ssize_t n;

                await(fd);
                n = read(fd, data, len);
                if (n <= 0)
                        return false;
                data += n;
                len -= (size_t)n;
        }
        return true;
}

static bool is_cut_off(int fd)
{
        uint8_t byte;

        return !take(fd, &byte, 1);
}

/* -1 and errno when it is refused; EAGAIN: too many wait there. */
static int connect_to(const char *name)
{
        const struct socket_path path = socket_of(name);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path.path);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
                int saved = errno;

                fd_close(&fd);
                errno = saved;
        }
        return fd;
}

/* Turns the loop while too many wait there. */
static int reach(const char *name)
{
        const time_t start = time(NULL);
        int fd = connect_to(name);

        while (fd < 0) {
                assert_int_equal(errno, EAGAIN);
                assert_true(time(NULL) - start < LONGEST_S);
                assert_true(sd_event_run(tcb->event, TURN_USEC) >= 0);
                fd = connect_to(name);
        }
        return fd;
}

/* Sends a request of these numbers and some bytes; its result, or UINT32_MAX when it is cut off. */
static uint32_t ask(const struct qemu *qemu, const uint32_t *words, size_t n, struct bytes tail)
{
        struct writer AUTO_WRITER w = {0};
        uint8_t result[4];

        writer_init(&w, CONTROL_REQUEST_MAX);
        for (size_t i = 0; i < n; i++)
                writer_put_be32(&w, words[i]);
        writer_put_bytes(&w, tail);
        assert_int_equal(writer_check(&w), 0);
        if (send(qemu->control, w.data, w.len, MSG_NOSIGNAL) != (ssize_t)w.len ||
            !take(qemu->control, result, sizeof(result)))
                return UINT32_MAX;
        return (uint32_t)result[0] << 24 | (uint32_t)result[1] << 16 | (uint32_t)result[2] << 8 |
               result[3];
}

#define ASK(qemu, ...)                                                                             \
        ask(qemu, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4,          \
            (struct bytes){NULL, 0})

/* Connects and hands over the data channel; false when it is turned away. */
static bool arrive(const char *name, struct qemu *ret_qemu)
{
        static const uint8_t request[4] = {0, 0, 0, CONTROL_SET_DATAFD};
        struct qemu qemu = {.control = reach(name), .data = -1};
        uint8_t answer[4] = {0xff};
        struct err err = {0};
        int pair[2];

        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        qemu.data = pair[0];
        (void)fd_send(qemu.control, request, sizeof(request), &pair[1], 1);
        fd_close(&pair[1]);
        *ret_qemu = qemu;
        return take(qemu.control, answer, sizeof(answer)) && memcmp(answer, "\0\0\0\0", 4) == 0;
}

static void leave(struct qemu *qemu)
{
        fd_close(&qemu->control);
        fd_close(&qemu->data);
}

/* A guest's command: the response's code, or UINT32_MAX when it is cut off. */
static uint32_t command(const struct qemu *qemu, const char *hex)
{
        uint8_t data[256];
        uint8_t answer[ANSWER];
        size_t len = 0;

        assert_int_equal(hex_decode(hex, strlen(hex), data, sizeof(data), &len), 0);
        if (send(qemu->data, data, len, MSG_NOSIGNAL) != (ssize_t)len ||
            !take(qemu->data, answer, 10))
                return UINT32_MAX;
        len = (size_t)answer[4] << 8 | answer[5];
        assert_true(len >= 10 && len <= sizeof(answer));
        assert_true(take(qemu->data, answer + 10, len - 10));
        return (uint32_t)answer[6] << 24 | (uint32_t)answer[7] << 16 | (uint32_t)answer[8] << 8 |
               answer[9];
}

static struct qemu boot(const char *name)
{
        struct qemu qemu;

        assert_true(arrive(name, &qemu));
        assert_int_equal(ASK(&qemu, CONTROL_INIT, 0), 0);
        assert_int_equal(command(&qemu, STARTUP), 0);
        return qemu;
}

/* What QEMU would write into the saved VM. */
static size_t save(const struct qemu *qemu, uint8_t token[ANSWER])
{
        size_t len = 0;

        for (uint32_t kind = 1; kind <= 3; kind++) {
                uint8_t head[12];
                size_t part;

                assert_int_equal(ASK(qemu, CONTROL_GET_STATEBLOB, 1, kind, 0), 0);
                assert_true(take(qemu->control, head, sizeof(head)));
                part = (size_t)head[10] << 8 | head[11];
                assert_true(len + part <= ANSWER);
                assert_true(take(qemu->control, token + len, part));
                len += part;
        }
        return len;
}

static uint32_t restore(const struct qemu *qemu, const uint8_t *token, size_t len)
{
        const uint32_t words[] = {CONTROL_SET_STATEBLOB, 1, 1, (uint32_t)len};
        uint32_t rc = ASK(qemu, CONTROL_STOP);

        if (rc == 0)
                rc = ask(qemu, words, ARRAY_SIZE(words), (struct bytes){token, len});
        return rc != 0 ? rc : ASK(qemu, CONTROL_INIT, 1);
}

/* ---- who ---- */

static void its_qemu_is_shown(void **state)
{
        struct instance *instance = make("shown");
        struct qemu qemu;

        (void)state;
        assert_int_equal(bound_look(instance->bound).qemu, 0);
        qemu = boot("shown");
        assert_int_equal(bound_look(instance->bound).qemu, getpid());
        assert_int_equal(instance->sm.state, INSTANCE_LIVE);
        leave(&qemu);
        await_state(instance, INSTANCE_IDLE);
        assert_int_equal(bound_look(instance->bound).qemu, 0);
        assert_string_equal(bound_look(instance->bound).trouble, "");
}

/* Connects as another user; the exit status is the error's number, 0 for success. */
static int connect_as(const char *name, uid_t uid, gid_t gid)
{
        int status = 0;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
                        _exit(255);
                errno = 0;
                _exit(connect_to(name) >= 0 ? 0 : errno);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* The kernel keeps strangers out; of those it lets in the one that came is shown, by its number. */
static void users_are_told_apart(void **state)
{
        static const struct {
                mode_t mode;
                uid_t uid;
                gid_t gid;
                int expected;
        } rows[] = {
            {0600, STRANGER, STRANGER, EACCES}, {0600, STRANGER, STRANGER + 1, EACCES},
            {0660, STRANGER, STRANGER, EACCES}, {0660, STRANGER, STRANGER + 1, 0},
            {0600, STRANGER + 1, STRANGER, 0},
        };
        struct instance *instance;

        (void)state;
        if (geteuid() != 0 || connect_as("nobody", STRANGER, STRANGER) == 255) {
                print_message("# skipped: only root can become somebody else\n");
                skip();
        }
        instance = make("users");
        assert_int_equal(chmod(sockets(), 0711), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char name[16];
                struct socket_path path;

                (void)snprintf(name, sizeof(name), "users%zu", i);
                path = socket_of(name);
                path.mode = rows[i].mode;
                path.uid = STRANGER + 1;
                path.gid = STRANGER + 1;
                bind_to(instance, &path);
                if (connect_as(name, rows[i].uid, rows[i].gid) != rows[i].expected)
                        fail_msg("row %zu", i);
        }
}

static void a_second_may_not_start_the_vm(void **state)
{
        struct instance *instance = make("second");
        struct qemu first = boot("second");
        struct qemu second;

        (void)state;
        assert_true(arrive("second", &second));
        assert_int_not_equal(ASK(&second, CONTROL_INIT, 0), 0);
        assert_int_equal(command(&second, RANDOM), OFF);
        assert_int_equal(command(&first, RANDOM), 0);
        leave(&first);
        await_state(instance, INSTANCE_IDLE);
        leave(&second);
        first = boot("second");
        leave(&first);
}

static void a_third_is_turned_away(void **state)
{
        struct instance *instance = make("third");
        struct qemu first = boot("third");
        struct qemu second;
        struct qemu third;

        (void)state;
        assert_true(arrive("third", &second));
        for (int i = 0; i < 3; i++) {
                assert_false(arrive("third", &third));
                leave(&third);
        }
        assert_int_equal(command(&first, RANDOM), 0);
        leave(&second);
        leave(&first);
        await_state(instance, INSTANCE_IDLE);
}

/* ---- tokens ---- */

/* R-CLONE, R-SPLICE: another vTPM's, a changed one, half of one, more than one; then its own. */
static void tokens_of_others_are_refused(void **state)
{
        struct instance *instance = make("mine");
        struct qemu qemu;
        uint8_t own[ANSWER + 1] = {0};
        uint8_t other[ANSWER];
        size_t len;

        (void)state;
        (void)make("theirs");
        qemu = boot("theirs");
        assert_int_equal(save(&qemu, other), ENGINE_TOKEN_SIZE);
        leave(&qemu);
        qemu = boot("mine");
        len = save(&qemu, own);
        leave(&qemu);
        await_state(instance, INSTANCE_IDLE);
        assert_true(bound_look(instance->bound).saved);
        assert_true(arrive("mine", &qemu));
        assert_int_equal(restore(&qemu, other, len), REFUSED);
        assert_int_equal(restore(&qemu, own, len - 1), REFUSED);
        assert_int_equal(restore(&qemu, own, len + 1), REFUSED);
        own[len - 1] ^= 1;
        assert_int_equal(restore(&qemu, own, len), REFUSED);
        own[len - 1] ^= 1;
        assert_int_equal(restore(&qemu, own, len), 0);
        assert_int_equal(command(&qemu, RANDOM), 0);
        assert_false(bound_look(instance->bound).saved);
        leave(&qemu);
        await_state(instance, INSTANCE_IDLE);
        /* R-ROLLBACK: it went on since. */
        assert_true(arrive("mine", &qemu));
        assert_int_equal(restore(&qemu, own, len), REFUSED);
        leave(&qemu);
}

/* Of two that hold a good token and the engine, the one whose guest goes on first does. */
static void one_goes_on(void **state)
{
        struct instance *instance = make("race");
        struct qemu source = boot("race");
        struct qemu target;
        uint8_t token[ANSWER];
        size_t len;

        (void)state;
        assert_true(arrive("race", &target));
        len = save(&source, token);
        assert_int_equal(restore(&target, token, len), 0);
        assert_int_equal(command(&target, RANDOM), 0);
        assert_true(is_cut_off(source.data));
        assert_true(is_cut_off(source.control));
        leave(&source);
        /* And the other way round. */
        assert_true(arrive("race", &source));
        len = save(&target, token);
        assert_int_equal(restore(&source, token, len), 0);
        assert_int_equal(command(&target, RANDOM), 0);
        (void)command(&source, RANDOM);
        assert_true(is_cut_off(source.control));
        assert_int_equal(command(&target, RANDOM), 0);
        leave(&source);
        leave(&target);
        await_state(instance, INSTANCE_IDLE);
}

/* ---- those who do not keep to the order ---- */

/* Whatever one of them does, another vTPM's QEMU gets its answers. */
static void half_a_request_keeps_nobody_waiting(void **state)
{
        static const uint8_t bytes[] = {0, 0, 0, CONTROL_SET_STATEBLOB, 0, 0, 0, 1};
        struct instance *instance = make("half");
        struct qemu other;

        (void)state;
        (void)make("whole");
        other = boot("whole");
        for (size_t len = 0; len <= sizeof(bytes); len++) {
                struct qemu qemu = {.control = reach("half"), .data = -1};

                assert_int_equal(send(qemu.control, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
                assert_int_equal(command(&other, RANDOM), 0);
                leave(&qemu);
                assert_int_equal(command(&other, RANDOM), 0);
        }
        leave(&other);
        other = boot("half");
        leave(&other);
        await_state(instance, INSTANCE_IDLE);
}

/* Asks as much as the socket takes and reads no answer. */
static void one_that_never_reads_waits_alone(void **state)
{
        static const uint8_t request[] = {0, 0, 0, CONTROL_GET_CAPABILITY};
        struct instance *instance = make("deaf");
        struct qemu qemu = {.data = -1};
        struct qemu other;
        size_t sent = 0;

        (void)state;
        (void)make("hears");
        other = boot("hears");
        qemu.control = connect_to("deaf");
        assert_true(qemu.control >= 0);
        for (unsigned i = 0; i < 64; i++) {
                while (send(qemu.control, request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) ==
                       (ssize_t)sizeof(request))
                        sent++;
                assert_int_equal(command(&other, RANDOM), 0);
        }
        assert_true(sent > 64);
        leave(&qemu);
        leave(&other);
        await_state(instance, INSTANCE_IDLE);
        other = boot("deaf");
        leave(&other);
}

/* More connections than are taken in a second: they wait or are refused, and the loop goes on. */
static void a_storm_of_connections_passes(void **state)
{
        struct instance *instance = make("storm");
        struct qemu other;
        int fds[100];

        (void)state;
        (void)make("calm");
        other = boot("calm");
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                fds[i] = connect_to("storm");
                assert_true(fds[i] >= 0 || errno == EAGAIN);
                assert_int_equal(command(&other, RANDOM), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                fd_close(&fds[i]);
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(command(&other, RANDOM), 0);
        leave(&other);
        other = boot("storm");
        assert_int_equal(bound_look(instance->bound).qemu, getpid());
        leave(&other);
}

/* ---- ends ---- */

static void a_dead_engine_cuts_its_qemu_off(void **state)
{
        struct instance *instance = make("dead");
        struct qemu qemu = boot("dead");

        (void)state;
        assert_int_equal(kill(engine_host_pid(instance->engine), SIGKILL), 0);
        assert_true(is_cut_off(qemu.control));
        assert_true(is_cut_off(qemu.data));
        leave(&qemu);
        await_state(instance, INSTANCE_IDLE);
        qemu = boot("dead");
        leave(&qemu);
}

static void an_ending_tcb_lets_nobody_in(void **state)
{
        struct instance *instance = make("ending");
        struct qemu qemu;

        (void)state;
        tcb->ending = true;
        assert_false(arrive("ending", &qemu));
        leave(&qemu);
        assert_int_equal(instance->sm.state, INSTANCE_IDLE);
        tcb->ending = false;
        qemu = boot("ending");
        leave(&qemu);
}

/* ---- what is stored ---- */

static struct instance *reopen(const char *name)
{
        struct instance *instance = NULL;
        struct err err = {0};

        tcb_close(tcb);
        tcb = test_tcb_open(0);
        assert_ok(tcb_find_instance(tcb, name, &instance, &err), &err);
        return instance;
}

static void the_socket_comes_back(void **state)
{
        struct instance *instance = make("stays");
        struct qemu qemu;

        (void)state;
        assert_int_not_equal(access(socket_of("stays").path, F_OK), -1);
        instance = reopen("stays");
        assert_non_null(instance->bound);
        qemu = boot("stays");
        leave(&qemu);
}

/* Where it cannot be, the host goes on and says why. */
static void trouble_is_told(void **state)
{
        char moved[128];
        struct instance *instance = make("trouble");
        struct err err = {0};

        (void)state;
        (void)snprintf(moved, sizeof(moved), "%s.moved", sockets());
        tcb_close(tcb);
        assert_int_equal(rename(sockets(), moved), 0);
        tcb = test_tcb_open(0);
        assert_ok(tcb_find_instance(tcb, "trouble", &instance, &err), &err);
        assert_string_not_equal(bound_look(instance->bound).trouble, "");
        assert_int_equal(rename(moved, sockets()), 0);
}

static void put_config(struct instance *instance, struct bytes config)
{
        struct err err = {0};

        assert_ok(commit_begin(tcb->commit, &err), &err);
        assert_ok(store_put_config(tcb->store, instance->stored.block.uuid, config, &err), &err);
        assert_ok(commit_flush(tcb->commit, &err), &err);
}

/* A record of ours that is cut or too long is an error for a person; a VM's is not ours. */
static void damaged_records_are_errors(void **state)
{
        static const uint8_t record[] = {1, 1, 0, 2, '/', 's', 0, 0,    0, 0,
                                         0, 0, 0, 0, 0,   0,   1, 0x80, 0};
        struct instance *instance = make("damaged");

        (void)state;
        assert_true(bound_is_record((struct bytes){record, sizeof(record)}));
        assert_false(bound_is_record((struct bytes){(const uint8_t *)"\0\1", 2}));
        assert_false(bound_is_record((struct bytes){record, 1}));
        bound_free(instance->bound);
        for (size_t len = 2; len <= sizeof(record); len++) {
                struct err err = {0};

                if (len == sizeof(record) - 1)
                        continue; /* this one is whole */
                put_config(instance, (struct bytes){record, len});
                assert_int_equal(bounds_load(tcb, &err), ERR_DAMAGED);
                assert_non_null(strstr(err.text, "damaged"));
                assert_null(instance->bound);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(its_qemu_is_shown),
            cmocka_unit_test(users_are_told_apart),
            cmocka_unit_test(a_second_may_not_start_the_vm),
            cmocka_unit_test(a_third_is_turned_away),
            cmocka_unit_test(tokens_of_others_are_refused),
            cmocka_unit_test(one_goes_on),
            cmocka_unit_test(half_a_request_keeps_nobody_waiting),
            cmocka_unit_test(one_that_never_reads_waits_alone),
            cmocka_unit_test(a_storm_of_connections_passes),
            cmocka_unit_test(a_dead_engine_cuts_its_qemu_off),
            cmocka_unit_test(an_ending_tcb_lets_nobody_in),
            cmocka_unit_test(the_socket_comes_back),
            cmocka_unit_test(trouble_is_told),
            cmocka_unit_test(damaged_records_are_errors),
        };
        struct err err = {0};
        int failed = cmocka_run_group_tests_name("tcb-bound", tests, set_up, tear_down);

        return fs_remove_tree(sockets(), &err) == 0 ? failed : 1;
}
