/*
 * A real QEMU under TCG, without a guest: that the argument vector and the descriptors are ones
 * which QEMU accepts, under its own sandbox and ours.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "lib/test.h"
#include "vmm/launch.h"
#include "vmm/qmp.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define CODE "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define VARS "/usr/share/OVMF/OVMF_VARS_4M.fd"

static const struct vmm_config config = {.name = "test", .memory_mib = 128, .cpus = 1};

/* A file in the test's directory, opened with these flags. */
static int scratch(const char *name, const void *data, size_t len, int flags)
{
        char path[4096];
        struct err err = {0};
        int fd;

        assert_ok(fs_join(path, sizeof(path), test_dir(), name, &err), &err);
        assert_ok(fs_write_file(path, data, len, 0600, &err), &err);
        fd = open(path, flags | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void close_all(struct vmm_launch *launch)
{
        for (int i = 0; i < VMM_FD_COUNT; i++)
                fd_close(&launch->fds[i]);
        fd_close(&launch->log);
}

/* Everything but the TPM, whose other end would have to answer. */
static void prepare(struct vmm_launch *launch, int *ret_qmp, int *ret_agent)
{
        struct err err = {0};
        uint8_t *vars = NULL;
        uint8_t *disk = calloc(1, 1 << 20);
        size_t len = 0;
        int pair[2];

        *launch = (struct vmm_launch){.qemu = QEMU, .config = &config, .accel = VMM_ACCEL_TCG};
        for (int i = 0; i < VMM_FD_COUNT; i++)
                launch->fds[i] = -1;
        launch->fds[VMM_FD_CODE] = open(CODE, O_RDONLY | O_CLOEXEC);
        assert_ok(fs_read_file(VARS, 16U << 20, &vars, &len, &err), &err);
        launch->fds[VMM_FD_VARS] = scratch("vars", vars, len, O_RDWR);
        launch->fds[VMM_FD_DISK] = scratch("disk", disk, 1 << 20, O_RDWR);
        launch->fds[VMM_FD_SERIAL] = scratch("serial", "", 0, O_WRONLY | O_APPEND);
        launch->log = scratch("log", "", 0, O_WRONLY | O_APPEND);
        assert_ok(vmm_memory_create(config.memory_mib, &launch->fds[VMM_FD_MEMORY], &err), &err);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        launch->fds[VMM_FD_QMP] = pair[0];
        *ret_qmp = pair[1];
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        launch->fds[VMM_FD_AGENT] = pair[0];
        *ret_agent = pair[1];
        free(vars);
        free(disk);
}

static void print_log(void)
{
        char path[4096];
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;

        if (fs_join(path, sizeof(path), test_dir(), "log", &err) == 0 &&
            fs_read_file(path, 1 << 20, &data, &len, &err) == 0)
                print_message("# QEMU: %s\n", (char *)data);
        free(data);
}

static void qemu_runs_and_answers(void **state)
{
        static const struct qmp_handlers handlers;
        struct vmm_launch launch;
        struct spawn_child child = {0};
        struct qmp *qmp = NULL;
        uint8_t digest[VMM_DIGEST_LEN];
        char words[QMP_TEXT_MAX] = "";
        struct err err = {0};
        int status = -1;
        int qmp_end = -1;
        int agent = -1;

        (void)state;
        if (access(QEMU, X_OK) != 0 || access(CODE, R_OK) != 0) {
                print_message("# skipped: no QEMU or no OVMF\n");
                skip();
        }
        prepare(&launch, &qmp_end, &agent);
        assert_ok(vmm_launch(&launch, &child, digest, &err), &err);
        close_all(&launch);
        assert_ok(qmp_new(qmp_end, &handlers, NULL, &qmp, &err), &err);
        if (qmp_call(qmp, QMP_QUERY_STATUS, 20000, words, &err) != 0) {
                print_log();
                spawn_kill(&child);
                fail_msg("%s", err.text);
        }
        assert_string_equal(words, "running");
        assert_ok(qmp_call(qmp, QMP_STOP, 20000, words, &err), &err);
        assert_ok(qmp_call(qmp, QMP_QUERY_STATUS, 20000, words, &err), &err);
        assert_string_equal(words, "paused");
        assert_ok(qmp_call(qmp, QMP_QUIT, 20000, words, &err), &err);
        assert_ok(spawn_wait(&child, 20000, &status, &err), &err);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        qmp_free(qmp);
        (void)close(agent);
}

static void refuses_wrong_descriptors(void **state)
{
        static const struct vmm_config other = {.name = "test", .memory_mib = 256, .cpus = 1};
        struct vmm_launch launch;
        struct spawn_child child = {0};
        uint8_t digest[VMM_DIGEST_LEN];
        struct err err = {0};
        int qmp_end = -1;
        int agent = -1;
        int saved;

        (void)state;
        if (access(CODE, R_OK) != 0)
                skip();
        prepare(&launch, &qmp_end, &agent);
        saved = launch.fds[VMM_FD_CODE];
        launch.fds[VMM_FD_CODE] = launch.fds[VMM_FD_VARS];
        assert_int_equal(vmm_launch(&launch, &child, digest, &err), ERR_USAGE);
        assert_non_null(strstr(err.text, "firmware"));
        launch.fds[VMM_FD_CODE] = saved;
        launch.config = &other;
        assert_int_equal(vmm_launch(&launch, &child, digest, &err), ERR_USAGE);
        assert_non_null(strstr(err.text, "256 MiB"));
        launch.config = &config;
        saved = launch.fds[VMM_FD_MEMORY];
        launch.fds[VMM_FD_MEMORY] = memfd_create("unsealed", MFD_CLOEXEC);
        assert_int_equal(ftruncate(launch.fds[VMM_FD_MEMORY], 128 << 20), 0);
        assert_int_equal(vmm_launch(&launch, &child, digest, &err), ERR_USAGE);
        assert_non_null(strstr(err.text, "not sealed"));
        (void)close(saved);
        close_all(&launch);
        (void)close(qmp_end);
        (void)close(agent);
        assert_int_equal(child.pid, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(qemu_runs_and_answers),
            cmocka_unit_test(refuses_wrong_descriptors),
        };
        return cmocka_run_group_tests_name("vmm-launch", tests, NULL, NULL);
}
