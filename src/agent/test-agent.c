/*
 * The agent's main loop in a child process, on a socket pair, with a swtpm behind it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "lib/test.h"
#include "tpm/test-swtpm.h"

#define TCG_LOG "not a real TCG log, but bytes"

struct fixture {
        struct test_swtpm swtpm;
        pid_t agent;
        int host_fd;
        struct wire_link *host;
};

static char tcg_path[256];
static char ima_path[256];
static const struct agent_paths paths = {tcg_path, ima_path, "/proc/cmdline"};

static void write_logs(size_t ima_len)
{
        struct err err = {0};
        uint8_t *ima = calloc(1, ima_len);

        assert_non_null(ima);
        (void)snprintf(tcg_path, sizeof(tcg_path), "%s/tcg", test_dir());
        (void)snprintf(ima_path, sizeof(ima_path), "%s/ima", test_dir());
        assert_ok(fs_write_file(tcg_path, TCG_LOG, strlen(TCG_LOG), 0600, &err), &err);
        assert_ok(fs_write_file(ima_path, ima, ima_len, 0600, &err), &err);
        free(ima);
}

/* The exit status tells how the session ended: 0 asked to stop, else the negated error code. */
static _Noreturn void run_agent(int tpm_fd, int fd)
{
        struct tpm_fd_options options = {.fd = tpm_fd, .side_fd = -1};
        struct agent agent = {0};
        struct serve_actor actor = {.act = agent_act, .user = &agent};
        struct tpm *tpm = NULL;
        struct err err = {0};
        unsigned left = 99;
        int rc;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        log_init("agent-under-test", LOG_LEVEL_ERROR);
        if (tpm_open_fd(&options, &tpm, &err) != 0 || tpm_startup(tpm, &err) != 0 ||
            agent_init(&agent, tpm, &paths, &err) != 0)
                _exit(99);
        rc = serve_host(fd, &actor, &err);
        agent_done(&agent);
        if (tpm_count_loaded(tpm, &left, &err) != 0 || left != 0)
                _exit(98);
        tpm_close(tpm);
        _exit(-rc);
}

static void start(struct fixture *f, const char *name)
{
        struct err err = {0};
        int pair[2];

        *f = (struct fixture){.host_fd = -1};
        write_logs(100000);
        test_swtpm_spawn(&f->swtpm, name);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        f->agent = fork();
        assert_true(f->agent >= 0);
        if (f->agent == 0) {
                (void)close(pair[0]);
                run_agent(f->swtpm.fd, pair[1]);
        }
        fd_close(&pair[1]);
        f->host_fd = pair[0];
}

static void greet(struct fixture *f)
{
        struct err err = {0};
        struct agent_hello hello;
        struct wire_frame frame;

        assert_ok(
            wire_link_new(TAKE_FD(f->host_fd), &wire_agent_protocol, WIRE_CLIENT, &f->host, &err),
            &err);
        assert_ok(wire_link_receive(f->host, &frame, &err), &err);
        assert_int_equal(frame.message->code, agent_hello_code);
        assert_ok(wire_frame_decode(&frame, &hello, sizeof(hello), &err), &err);
        assert_true(bytes_equal(hello.version, wire_text(CATENA_VERSION)));
}

/* Waits for the agent's end and tells its exit status; the TPM is still there. */
static int end_agent(struct fixture *f)
{
        int status = -1;

        assert_int_equal(waitpid(f->agent, &status, 0), f->agent);
        assert_true(WIFEXITED(status));
        wire_link_free(TAKE(f->host));
        fd_close(&f->host_fd);
        return WEXITSTATUS(status);
}

/* Sends a request and gives the answer's frame; its code must be this. */
static struct wire_frame ask(struct fixture *f, uint16_t code, const void *request,
                             uint16_t answer_code)
{
        static uint32_t id;
        struct err err = {0};
        struct wire_frame frame;

        assert_ok(wire_link_send(f->host, code, ++id, 0, request, NULL, &err), &err);
        assert_ok(wire_link_receive(f->host, &frame, &err), &err);
        assert_int_equal(frame.id, id);
        assert_string_equal(frame.message->name,
                            wire_message_find(&wire_agent_protocol, answer_code)->name);
        return frame;
}

static void assert_refused(struct fixture *f, uint16_t code, const void *request, int expected)
{
        struct wire_frame frame = ask(f, code, request, agent_error_code);
        struct agent_error error;
        struct err err = {0};

        assert_ok(wire_frame_decode(&frame, &error, sizeof(error), &err), &err);
        assert_int_equal(err_from_wire(error.code), expected);
        /* E-LEAK: nothing but the public text. */
        assert_true(bytes_equal(error.text, wire_text(err_public_text(expected))));
}

static void answers_identity_and_evidence(void **state)
{
        struct agent_identify identify = {0};
        struct agent_quote quote = {.qualifying = {9, 8, 7}, .pcr_mask = 0x7FF};
        struct agent_identity identity;
        struct agent_evidence evidence;
        struct wire_frame frame;
        struct err err = {0};
        struct fixture f;

        (void)state;
        start(&f, "evidence");
        greet(&f);
        frame = ask(&f, agent_identify_code, &identify, agent_identity_code);
        assert_ok(wire_frame_decode(&frame, &identity, sizeof(identity), &err), &err);
        assert_true(identity.ek_pub.len > 60);
        assert_true(identity.ak_pub.len > 60);
        assert_false(bytes_equal(identity.ek_pub, identity.ak_pub));
        for (unsigned i = 0; i < 3; i++) {
                frame = ask(&f, agent_quote_code, &quote, agent_evidence_code);
                assert_ok(wire_frame_decode(&frame, &evidence, sizeof(evidence), &err), &err);
                assert_memory_equal(evidence.attest.data, "\xffTCG\x80\x18", 6);
                assert_non_null(
                    memmem(evidence.attest.data, evidence.attest.len, quote.qualifying, 32));
                assert_true(bytes_equal(evidence.tcg_log, wire_text(TCG_LOG)));
                assert_int_equal(evidence.ima_log.len, 100000);
                assert_true(evidence.cmdline.len > 0);
        }
        wire_link_free(TAKE(f.host));
        assert_int_equal(end_agent(&f), -ERR_UNREACHABLE);
        test_swtpm_stop(&f.swtpm);
}

static void activates_and_refuses(void **state)
{
        struct agent_identify identify = {0};
        struct agent_identity identity;
        struct agent_activate activate;
        struct agent_activated activated;
        struct agent_quote no_pcrs = {.pcr_mask = 0};
        struct agent_poweroff poweroff = {0};
        struct test_swtpm other;
        struct wire_frame frame;
        struct err err = {0};
        struct fixture f;
        struct test_credential made;

        (void)state;
        start(&f, "activate");
        greet(&f);
        test_swtpm_start(&other, "activate-maker");
        frame = ask(&f, agent_identify_code, &identify, agent_identity_code);
        assert_ok(wire_frame_decode(&frame, &identity, sizeof(identity), &err), &err);
        test_swtpm_make_credential(&other, identity.ek_pub, identity.ak_pub, &made);
        activate.credential_blob = (struct bytes){made.blob, made.blob_len};
        activate.encrypted_secret = (struct bytes){made.secret, made.secret_len};
        frame = ask(&f, agent_activate_code, &activate, agent_activated_code);
        assert_ok(wire_frame_decode(&frame, &activated, sizeof(activated), &err), &err);
        assert_int_equal(activated.credential.len, 32);
        assert_memory_equal(activated.credential.data, TEST_CREDENTIAL, 32);
        made.blob[10] ^= 1;
        assert_refused(&f, agent_activate_code, &activate, ERR_NOT_TRUSTED);
        activate.credential_blob.len = 3;
        assert_refused(&f, agent_activate_code, &activate, ERR_MALFORMED);
        assert_refused(&f, agent_quote_code, &no_pcrs, ERR_USAGE); /* Q-SEL-EMPTY */
        write_logs(AGENT_IMA_LOG_MAX + 1);
        no_pcrs.pcr_mask = 1;
        assert_refused(&f, agent_quote_code, &no_pcrs, ERR_LIMIT);
        (void)unlink(ima_path);
        (void)ask(&f, agent_quote_code, &no_pcrs, agent_evidence_code);
        assert_ok(wire_link_send(f.host, agent_poweroff_code, 1, 0, &poweroff, NULL, &err), &err);
        assert_int_equal(wire_link_receive(f.host, &frame, &err), ERR_UNREACHABLE);
        assert_int_equal(end_agent(&f), 0);
        test_swtpm_stop(&other);
        test_swtpm_stop(&f.swtpm);
}

#define HELLO                                                                                      \
        "\0\0\0\x10\0\0\0\0\0\0\0\0\0\1\0\x0c"                                                     \
        "catena-agent"

/* Each cuts the link, leaves nothing loaded in the TPM and ends with this code. */
static void cuts_off_malformed_hosts(void **state)
{
        static const struct {
                const char *name;
                const char *data;
                size_t len;
                int code;
        } rows[] = {
            {"no hello", "\0\0\0\0\0\1\0\0\0\0\0\1", 12, ERR_MALFORMED},
            {"another protocol", "GET / HTTP/1.0\r\n\r\n", 18, ERR_MALFORMED},
            {"version 2",
             "\0\0\0\x10\0\0\0\0\0\0\0\0\0\2\0\x0c"
             "catena-agent",
             28, ERR_UNSUPPORTED},
            {"unknown request", HELLO "\0\0\0\0\0\x63\0\0\0\0\0\1", 40, ERR_MALFORMED},
            {"our own message", HELLO "\0\0\0\0\0\x10\0\0\0\0\0\1", 40, ERR_MALFORMED},
            {"huge frame", HELLO "\xff\xff\xff\xff\0\1\0\0\0\0\0\1", 40, ERR_MALFORMED},
            {"identify with a tail", HELLO "\0\0\0\1\0\1\0\0\0\0\0\1x", 41, ERR_MALFORMED},
            {"quote too short", HELLO "\0\0\0\4\0\3\0\0\0\0\0\1abcd", 44, ERR_MALFORMED},
            {"blob length", HELLO "\0\0\0\4\0\2\0\0\0\0\0\1\xff\xff\xff\xff", 44, ERR_MALFORMED},
            {"gone in mid-frame", HELLO "\0\0\0\x24\0\3\0\0\0\0\0\1abcd", 44, ERR_UNREACHABLE},
            {"gone at once", "", 0, ERR_UNREACHABLE},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                struct fixture f;

                print_message("row: %s\n", rows[i].name);
                start(&f, rows[i].name);
                assert_ok(fd_write_all(f.host_fd, rows[i].data, rows[i].len, &err), &err);
                assert_int_equal(shutdown(f.host_fd, SHUT_WR), 0);
                assert_int_equal(end_agent(&f), -rows[i].code);
                test_swtpm_stop(&f.swtpm);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(answers_identity_and_evidence),
            cmocka_unit_test(activates_and_refuses),
            cmocka_unit_test(cuts_off_malformed_hosts),
        };
        return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
