/*
 * The TCTI on a socket against a scripted peer: framing, limits, timeouts, the side descriptor.
 */
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/test.h"
#include "tpm/tpm.h"

#define OK_RESPONSE "\x80\x01\0\0\0\x0a\0\0\0\0"

struct peer {
        int fds[2]; /* ours, the TPM's */
        int side[2];
        unsigned served;
        int side_code;    /* what the side handler returns */
        const char *rest; /* what the TPM says after it was served */
        size_t rest_len;
};

static int serve(void *arg, struct err *err)
{
        struct peer *peer = arg;
        char request;

        if (peer->side_code != 0)
                return err_set(err, peer->side_code, "disk full");
        assert_ok(fd_read_exact(peer->side[0], &request, 1, err), err);
        assert_ok(fd_write_all(peer->fds[1], peer->rest, peer->rest_len, err), err);
        peer->served++;
        return 0;
}

static struct tpm *open_peer(struct peer *peer, int timeout_msec)
{
        struct err err = {0};
        struct tpm *tpm = NULL;
        struct tpm_fd_options options = {.timeout_msec = timeout_msec, .side = serve, .arg = peer};

        *peer = (struct peer){.rest = ""};
        assert_ok(fd_socketpair(SOCK_STREAM, peer->fds, &err), &err);
        assert_ok(fd_socketpair(SOCK_STREAM, peer->side, &err), &err);
        options.fd = peer->fds[0];
        options.side_fd = peer->side[0];
        assert_ok(tpm_open_fd(&options, &tpm, &err), &err);
        return tpm;
}

static void close_peer(struct peer *peer, struct tpm *tpm)
{
        tpm_close(tpm);
        for (int i = 0; i < 2; i++) {
                fd_close(&peer->fds[i]);
                fd_close(&peer->side[i]);
        }
}

/* What the TPM sends, whether it closes then, and what the caller is told: now and the next time.
 */
static void judges_responses(void **state)
{
        static const struct {
                const char *name;
                const char *data;
                size_t len;
                bool closes;
                int code;
                const char *words;
        } rows[] = {
            {"good", OK_RESPONSE, 10, false, 0, NULL},
            {"a TPM error", "\x80\x01\0\0\0\x0a\0\0\x01\x01", 10, false, ERR_TPM, "failure"},
            {"closed at once", "", 0, true, ERR_UNREACHABLE, "closed"},
            {"closed in the header", OK_RESPONSE, 6, true, ERR_UNREACHABLE, "closed"},
            {"closed in the body", "\x80\x01\0\0\0\x0c\0\0\0\0\0", 11, true, ERR_UNREACHABLE,
             "closed"},
            {"silent", "", 0, false, ERR_TIMEOUT, "in time"},
            {"stops in the header", OK_RESPONSE, 9, false, ERR_TIMEOUT, "in time"},
            {"size 0", "\x80\x01\0\0\0\0\0\0\0\0", 10, false, ERR_MALFORMED, "size"},
            {"size 9", "\x80\x01\0\0\0\x09\0\0\0\0", 10, false, ERR_MALFORMED, "size"},
            {"size 4097", "\x80\x01\0\0\x10\x01\0\0\0\0", 10, false, ERR_MALFORMED, "size"},
            {"size 2^32-1", "\x80\x01\xff\xff\xff\xff\0\0\0\0", 10, false, ERR_MALFORMED, "size"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                struct peer peer;
                struct tpm *tpm = open_peer(&peer, 30);

                print_message("row: %s\n", rows[i].name);
                assert_ok(fd_write_all(peer.fds[1], rows[i].data, rows[i].len, &err), &err);
                if (rows[i].closes)
                        assert_int_equal(shutdown(peer.fds[1], SHUT_WR), 0);
                assert_int_equal(tpm_shutdown(tpm, &err), rows[i].code);
                if (rows[i].words != NULL)
                        assert_non_null(strstr(err.text, rows[i].words));
                if (rows[i].code != 0 && rows[i].code != ERR_TPM) {
                        /* The framing is lost: a good answer later is nobody's answer. */
                        (void)send(peer.fds[1], OK_RESPONSE, 10, MSG_NOSIGNAL);
                        assert_int_equal(tpm_shutdown(tpm, &err), rows[i].code);
                }
                close_peer(&peer, tpm);
        }
}

static void serves_the_side_while_it_waits(void **state)
{
        struct err err = {0};
        struct peer peer;
        struct tpm *tpm = open_peer(&peer, 5000);

        (void)state;
        for (unsigned split = 0; split <= 10; split++) {
                peer.rest = &OK_RESPONSE[split];
                peer.rest_len = 10 - split;
                assert_ok(fd_write_all(peer.fds[1], OK_RESPONSE, split, &err), &err);
                assert_ok(fd_write_all(peer.side[1], "p", 1, &err), &err);
                assert_ok(tpm_shutdown(tpm, &err), &err);
                /* An answer that was there whole may overtake the side's request. */
                if (split == 10 && peer.served == 10)
                        continue;
                assert_int_equal(peer.served, split + 1);
        }
        close_peer(&peer, tpm);
}

static void fails_when_the_side_fails(void **state)
{
        struct err err = {0};
        struct peer peer;
        struct tpm *tpm = open_peer(&peer, 5000);

        (void)state;
        peer.side_code = ERR_IO;
        assert_ok(fd_write_all(peer.side[1], "p", 1, &err), &err);
        assert_int_equal(tpm_shutdown(tpm, &err), ERR_IO);
        assert_non_null(strstr(err.text, "disk full"));
        assert_int_equal(tpm_shutdown(tpm, &err), ERR_IO);
        close_peer(&peer, tpm);
}

static void names_what_it_cannot_open(void **state)
{
        static const char *const names[] = {"nonsense", "device:/nonexistent", "nonsense:x",
                                            "swtpm:host=127.0.0.1,port=1"};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct err err = {0};
                struct tpm *tpm = (struct tpm *)(uintptr_t)0xA5;

                assert_int_equal(tpm_open(names[i], &tpm, &err), ERR_UNREACHABLE);
                assert_non_null(strstr(err.text, names[i]));
                assert_ptr_equal(tpm, (void *)(uintptr_t)0xA5);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(judges_responses),
            cmocka_unit_test(serves_the_side_while_it_waits),
            cmocka_unit_test(fails_when_the_side_fails),
            cmocka_unit_test(names_what_it_cannot_open),
        };
        return cmocka_run_group_tests_name("tpm-tcti-fd", tests, NULL, NULL);
}
