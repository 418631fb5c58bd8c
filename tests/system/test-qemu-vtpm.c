/*
 * A real QEMU with a real engine: SeaBIOS starts the TPM and measures; the machine is reset by QMP
 * and measures again. QEMU gets its end of the control channel as an inherited descriptor.
 */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/vtpm.h"

#define QEMU "/usr/bin/qemu-system-x86_64"

/* TPM2_PCR_Read of PCR 0, SHA-256 */
#define PCR0_READ "8001000000140000017e00000001000b03010000"

static struct test_vtpm v;
static struct spawn_child qemu;

static void start_qemu(int qmp)
{
        const char *argv[] = {QEMU,
                              "-accel",
                              "tcg",
                              "-machine",
                              "q35",
                              "-nodefaults",
                              "-display",
                              "none",
                              "-chardev",
                              "socket,id=tpm,fd=5",
                              "-tpmdev",
                              "emulator,id=tpm0,chardev=tpm",
                              "-device",
                              "tpm-crb,tpmdev=tpm0",
                              "-chardev",
                              "socket,id=qmp,fd=6",
                              "-mon",
                              "chardev=qmp,mode=control",
                              "-sandbox",
                              "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                              "resourcecontrol=deny",
                              NULL};
        const struct spawn_fd fds[] = {{2, 2}, {v.control, 5}, {qmp, 6}};
        struct err err = {0};

        assert_ok(
            spawn_start(&(struct spawn_request){.path = QEMU,
                                                .argv = argv,
                                                .fds = fds,
                                                .n_fds = ARRAY_SIZE(fds),
                                                .isolate = SPAWN_ISOLATE_PID | SPAWN_ISOLATE_NET |
                                                           SPAWN_ISOLATE_IPC},
                        &qemu, &err),
            &err);
        fd_close(&v.control);
}

static void await_startup(unsigned n)
{
        while (v.events[ENGINE_EVENT_STARTUP] < n)
                if (!test_vtpm_serve(&v, engine_event_code))
                        fail_msg("the engine ended: %s", v.failed);
}

/* SeaBIOS measures right after it has started the TPM; wait for the first value. */
static void await_measurement(void)
{
        static const uint8_t zero[32];

        for (int i = 0; i < 200; i++) {
                assert_int_equal(test_vtpm_core_command(&v, PCR0_READ), 0);
                if (memcmp(v.response + v.response_len - 32, zero, 32) != 0)
                        return;
                (void)poll(NULL, 0, 50);
        }
        fail_msg("PCR 0 stays empty");
}

static void seabios_measures_and_measures_again_after_a_reset(void **state)
{
        static const char reset[] = "{\"execute\":\"qmp_capabilities\"}\n"
                                    "{\"execute\":\"system_reset\"}\n";
        struct err err = {0};
        uint32_t inits;
        int qmp[2];
        int status = 0;

        (void)state;
        if (access(QEMU, X_OK) != 0) {
                print_message("[  NOTE    ] no " QEMU "\n");
                skip();
        }
        test_vtpm_spawn(&v, true);
        test_vtpm_start(&v, NULL);
        assert_ok(fd_socketpair(SOCK_STREAM, qmp, &err), &err);
        start_qemu(qmp[1]);
        fd_close(&qmp[1]);
        await_startup(1);
        inits = v.init_count;
        assert_in_range(inits, 1, 4);
        await_measurement();
        assert_ok(fd_write_all(qmp[0], reset, sizeof(reset) - 1, &err), &err);
        await_startup(2);
        assert_true(v.init_count > inits);
        await_measurement();
        assert_ok(fd_write_all(qmp[0], "{\"execute\":\"quit\"}\n", 19, &err), &err);
        assert_ok(spawn_wait(&qemu, 20000, &status, &err), &err);
        while (v.events[ENGINE_EVENT_SHUTDOWN] + v.events[ENGINE_EVENT_CLOSED] == 0)
                assert_true(test_vtpm_serve(&v, engine_event_code));
        fd_close(&qmp[0]);
}

static int stop_all(void **state)
{
        (void)state;
        spawn_kill(&qemu);
        test_vtpm_kill(&v);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(seabios_measures_and_measures_again_after_a_reset, stop_all),
        };
        return cmocka_run_group_tests_name("qemu-vtpm", tests, NULL, NULL);
}
