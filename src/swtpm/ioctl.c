/*
 * swtpm_ioctl: one request to the control socket of swtpm's kind, ours or another's. What it prints
 * is what swtpm's own prints.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/writer.h"
#include "swtpm/capabilities.h"
#include "swtpm/listen.h"
#include "swtpm/package.h"
#include "swtpm/programs.h"
#include "wire/control.h"

#define ANSWER_MAX     (16 + PACKAGE_MAX)
#define FLAG_DECRYPTED 1U
#define FLAG_ENCRYPTED 2U

struct session {
        const struct command_ioctl *options;
        int fd;
        uint32_t code;
        uint8_t *answer;
        size_t len;
};

/* Sends what w holds and reads the answer; a result that is not 0 is an error. */
static int ask(struct session *session, const struct writer *w, struct err *err)
{
        const struct control_shape *shape = control_shape(session->code);
        struct reader r;
        uint32_t result;
        size_t want = 0;
        int rc = fd_write_all(session->fd, w->data, w->len, err);

        session->len = 0;
        while (rc == 0) {
                ssize_t k;

                rc = control_answer_len(shape, (struct bytes){session->answer, session->len},
                                        PACKAGE_MAX, &want, err);
                if (rc < 0 || (rc == 0 && session->len >= want))
                        break;
                rc = 0;
                k = read(session->fd, session->answer + session->len, ANSWER_MAX - session->len);
                if (k <= 0)
                        return err_set(err, ERR_UNREACHABLE, "the TPM closed the connection");
                session->len += (size_t)k;
        }
        r = reader_from(session->answer, session->len);
        if (rc == 0 && reader_get_be32(&r, &result) == 0 && result != 0)
                rc = err_set(err, ERR_TPM, "TPM result 0x%x", result);
        return rc;
}

static int send_code(struct session *session, uint32_t code, const uint32_t *numbers, size_t n,
                     struct err *err)
{
        uint8_t memory[32];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        session->code = code;
        writer_put_be32(&w, code);
        for (size_t i = 0; i < n; i++)
                writer_put_be32(&w, numbers[i]);
        return ask(session, &w, err);
}

/* The be32 at this offset of the answer. */
static uint32_t number_at(const struct session *session, size_t at)
{
        struct reader r = reader_from(session->answer, session->len);
        uint32_t number = 0;

        return reader_skip(&r, at) == 0 && reader_get_be32(&r, &number) == 0 ? number : 0;
}

static int run_capabilities(struct session *session, struct err *err)
{
        const int rc = send_code(session, CONTROL_GET_CAPABILITY, NULL, 0, err);

        if (rc == 0)
                (void)printf("ptm capability is 0x%x\n", number_at(session, 4));
        return rc;
}

static int run_init(struct session *session, struct err *err)
{
        return send_code(session, CONTROL_INIT, (const uint32_t[]){0}, 1, err);
}

static int run_stop(struct session *session, struct err *err)
{
        return send_code(session, CONTROL_STOP, NULL, 0, err);
}

static int run_shutdown(struct session *session, struct err *err)
{
        return send_code(session, CONTROL_SHUTDOWN, NULL, 0, err);
}

static int run_established(struct session *session, struct err *err)
{
        const int rc = send_code(session, CONTROL_GET_ESTABLISHED, NULL, 0, err);

        if (rc == 0)
                (void)printf("tpmEstablished is %u\n", session->answer[4]);
        return rc;
}

static int run_config(struct session *session, struct err *err)
{
        const int rc = send_code(session, CONTROL_GET_CONFIG, NULL, 0, err);

        if (rc == 0)
                (void)printf("ptm configuration flags: 0x%x\n", number_at(session, 4));
        return rc;
}

static int run_cancel(struct session *session, struct err *err)
{
        return send_code(session, CONTROL_CANCEL, NULL, 0, err);
}

/* The locality is the first byte of four. */
static int run_locality(struct session *session, struct err *err)
{
        const uint32_t number = (uint32_t)session->options->locality << 24;

        return send_code(session, CONTROL_SET_LOCALITY, &number, 1, err);
}

static int run_reset(struct session *session, struct err *err)
{
        const uint32_t number = (uint32_t)session->options->reset_established << 24;

        return send_code(session, CONTROL_RESET_ESTABLISHED, &number, 1, err);
}

static int run_buffer_size(struct session *session, struct err *err)
{
        const uint32_t wanted = (uint32_t)session->options->buffer_size;
        const int rc = send_code(session, CONTROL_SET_BUFFERSIZE, &wanted, 1, err);

        if (rc == 0)
                (void)printf("TPM buffersize: %u\nMin.: %u\nMax.: %u\n", number_at(session, 4),
                             number_at(session, 8), number_at(session, 12));
        return rc;
}

static int run_info(struct session *session, struct err *err)
{
        const uint32_t numbers[] = {0, (uint32_t)session->options->info, 0, 0};
        const int rc = send_code(session, CONTROL_GET_INFO, numbers, ARRAY_SIZE(numbers), err);

        if (rc == 0 && session->len > 12)
                (void)printf("%.*s\n", (int)(session->len - 12),
                             (const char *)session->answer + 12);
        return rc;
}

static uint32_t type_number(const char *name)
{
        return name[0] == 'p' ? 1 : name[0] == 'v' ? 2 : 3;
}

static int run_save(struct session *session, struct err *err)
{
        const uint32_t numbers[] = {FLAG_DECRYPTED, type_number(session->options->save), 0};
        const int rc = send_code(session, CONTROL_GET_STATEBLOB, numbers, ARRAY_SIZE(numbers), err);

        if (rc != 0)
                return rc;
        return fs_write_file(session->options->file, session->answer + 16, session->len - 16, 0600,
                             err);
}

static int run_load(struct session *session, struct err *err)
{
        struct writer AUTO_WRITER w = {0};
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc = fs_read_file(session->options->file, PACKAGE_MAX, &data, &len, err);

        if (rc != 0)
                return rc;
        session->code = CONTROL_SET_STATEBLOB;
        writer_init(&w, 16 + PACKAGE_MAX);
        writer_put_be32(&w, CONTROL_SET_STATEBLOB);
        writer_put_be32(&w, FLAG_DECRYPTED);
        writer_put_be32(&w, type_number(session->options->load));
        writer_put_be32(&w, (uint32_t)len);
        writer_put(&w, data, len);
        return writer_check(&w) != 0 ? err_set(err, ERR_LIMIT, "state too large")
                                     : ask(session, &w, err);
}

static int (*choose(const struct command_ioctl *options))(struct session *session, struct err *err)
{
        const struct {
                bool wanted;
                int (*run)(struct session *session, struct err *err);
        } rows[] = {
            {options->capabilities, run_capabilities},
            {options->init, run_init},
            {options->stop, run_stop},
            {options->shutdown, run_shutdown},
            {options->established, run_established},
            {options->config, run_config},
            {options->cancel, run_cancel},
            {options->locality >= 0, run_locality},
            {options->reset_established >= 0, run_reset},
            {options->buffer_size >= 0, run_buffer_size},
            {options->info >= 0, run_info},
            {options->save[0] != '\0', run_save},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].wanted)
                        return rows[i].run;
        return run_load;
}

static int run(const struct command_ioctl *options, struct err *err)
{
        struct session session = {.options = options, .fd = -1};
        int rc = listen_connect(options->unix_path, &session.fd, err);

        if (rc != 0)
                return rc;
        session.answer = malloc(ANSWER_MAX);
        if (session.answer == NULL)
                rc = err_set(err, ERR_NO_MEMORY, "out of memory");
        else
                rc = choose(options)(&session, err);
        if (session.answer != NULL)
                explicit_bzero(session.answer, ANSWER_MAX);
        free(session.answer);
        fd_close(&session.fd);
        return rc;
}

static const char usage[] =
    "usage: swtpm_ioctl --unix PATH REQUEST\n"
    "requests: -c -i --stop -s -e -g -C, -l LOCALITY, -r LOCALITY, -b SIZE, --info FLAGS,\n"
    "          --save TYPE FILE, --load TYPE FILE (TYPE: permanent, volatile, savestate)\n";

int program_ioctl(int argc, char *const *argv, struct err *err)
{
        static struct command_ioctl options;
        int rc = command_ioctl_parse(argc, argv, &options, err);

        if (rc != 0)
                return rc;
        if (options.version)
                (void)printf("TPM emulator control tool version %s, by Catena %s\n",
                             CAPABILITIES_VERSION, CATENA_VERSION);
        else if (options.help)
                (void)fputs(usage, stdout);
        else
                return run(&options, err);
        return 0;
}
