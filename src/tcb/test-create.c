/*
 * A whole TCB in this process, with a real arbiter and real engines, whose vm_create() fails when
 * the test wants it to.
 */
#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fs.h"
#include "tcb/server.h"
#include "tcb/test-tcb.h"
#include "tcb/vm.h"

#define TURNS_MAX 100000

static bool fails;

int __real_vm_create(struct tcb *tcb, const struct vm_request *request, commit_fn *done, void *user,
                     struct vm **ret_vm, struct err *err);
int __wrap_vm_create(struct tcb *tcb, const struct vm_request *request, commit_fn *done, void *user,
                     struct vm **ret_vm, struct err *err);

int __wrap_vm_create(struct tcb *tcb, const struct vm_request *request, commit_fn *done, void *user,
                     struct vm **ret_vm, struct err *err)
{
        if (fails)
                return err_set(err, ERR_FAILED, "scripted");
        return __real_vm_create(tcb, request, done, user, ret_vm, err);
}

static struct tcb *open_tcb(void)
{
        struct tcb *tcb = test_tcb_open(0);
        char path[PATH_MAX];
        struct err err = {0};

        assert_ok(fs_join(path, sizeof(path), tcb->config.state, "images/disk", &err), &err);
        assert_ok(fs_write_file(path, "x", 1, 0600, &err), &err);
        return tcb;
}

static int connect_to(const struct tcb *tcb)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/%s",
                                     tcb->config.state, SERVER_SOCKET) < 108);
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

/* The code of the answer; the TCB's loop turns meanwhile. */
static uint16_t create(struct tcb *tcb, struct wire_link *link, uint32_t id, const char *name)
{
        const struct tcb_vm_create create = {
            .name = wire_text(name), .image = wire_text("disk"), .memory_mib = 512, .cpus = 1};
        struct wire_frame frame;
        struct err err = {0};

        assert_ok(wire_link_send(link, tcb_vm_create_code, id, 0, &create, NULL, &err), &err);
        for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
                int rc = wire_link_receive(link, &frame, &err);

                if (rc == 0)
                        return frame.message->code;
                assert_int_equal(rc, WIRE_AGAIN);
                assert_true(sd_event_run(tcb->event, 10000) >= 0);
        }
        fail_msg("no answer");
        return 0;
}

static void a_vm_that_fails_leaves_no_vtpm(void **state)
{
        struct wire_link AUTO_LINK *link = NULL;
        struct tcb *tcb = open_tcb();
        int fd = connect_to(tcb);
        struct err err = {0};

        (void)state;
        assert_ok(fd_set_nonblocking(fd, &err), &err);
        assert_ok(wire_link_new(fd, &wire_tcb_protocol, WIRE_CLIENT, &link, &err), &err);
        fails = true;
        assert_int_equal(create(tcb, link, 1, "web"), tcb_error_code);
        assert_null(tcb->instances.first);
        assert_null(tcb->vms);
        /* Nothing stands in the way of the next one of this name. */
        fails = false;
        assert_int_equal(create(tcb, link, 2, "web"), tcb_vm_code);
        assert_non_null(tcb->instances.first);
        assert_null(tcb->instances.first->next);
        tcb_close(tcb);
}

/* E-UUID-INJ: what the table of messages lets through, and no name is. */
static void names_that_cannot_be_filed_or_asked_for_are_refused(void **state)
{
        static const char *const names[] = {
            ".", "..", ".web", "-web", ".pool.a", "We", "a/b", "a b",
            /* Another vTPM could have this UUID, and would not be found by it any more. */
            "0123abcd-0123-4567-89ab-0123456789ab"};
        struct wire_link AUTO_LINK *link = NULL;
        struct tcb *tcb = open_tcb();
        int fd = connect_to(tcb);
        struct err err = {0};
        uint32_t id = 0;

        (void)state;
        fails = false;
        assert_ok(fd_set_nonblocking(fd, &err), &err);
        assert_ok(wire_link_new(fd, &wire_tcb_protocol, WIRE_CLIENT, &link, &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (create(tcb, link, ++id, names[i]) != tcb_error_code)
                        fail_msg("\"%s\" was taken", names[i]);
        assert_int_equal(create(tcb, link, ++id, "a.b-c_0"), tcb_vm_code);
        tcb_close(tcb);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_vm_that_fails_leaves_no_vtpm),
            cmocka_unit_test(names_that_cannot_be_filed_or_asked_for_are_refused),
        };

        return cmocka_run_group_tests_name("tcb-create", tests, NULL, NULL);
}
