#include "swtpm/command-line.h"

#include <stdlib.h>

#include "lib/test.h"

#define WORDS_MAX 32

/* Splits a line at its blanks, as the callers' argument lists are. */
static int split(char *line, char *ret_words[WORDS_MAX])
{
        int n = 0;

        while (line != NULL && n < WORDS_MAX)
                ret_words[n++] = strsep(&line, " ");
        return n;
}

#define LIBVIRT_DIR "/var/lib/libvirt/swtpm/a1b2c3d4-0000-4000-8000-000000000001/tpm2"

/* words: NULL for a good line, else what the error says. */
static const struct {
        const char *line;
        const char *words;
} socket_rows[] = {
    /* libvirt 9.0, plain and encrypted. */
    {"--ctrl type=unixio,path=/run/libvirt/qemu/swtpm/1-web-swtpm.sock,mode=0600 --tpmstate "
     "dir=" LIBVIRT_DIR ",mode=0600 --log file=/var/log/swtpm/libvirt/qemu/web-swtpm.log "
     "--terminate --tpm2",
     NULL},
    {"--ctrl type=unixio,path=/run/libvirt/qemu/swtpm/1-web-swtpm.sock,mode=0600 --tpmstate "
     "dir=" LIBVIRT_DIR ",mode=0600 --log file=/var/log/swtpm/libvirt/qemu/web-swtpm.log,level=20 "
     "--terminate --tpm2 --key pwdfd=25,mode=aes-256-cbc --migration-key "
     "pwdfd=26,mode=aes-256-cbc",
     NULL},
    /* Proxmox VE 8. */
    {"--tpmstate backend-uri=file:///dev/pve/vm-100-disk-1,mode=0600 --ctrl "
     "type=unixio,path=/var/run/qemu-server/100.swtpm,mode=0600 --pid "
     "file=/var/run/qemu-server/100.swtpm.pid --terminate --daemon --log "
     "file=/run/qemu-server/100-swtpm.log,level=1 --tpm2",
     NULL},
    /* Incus. */
    {"--tpm2 --tpmstate dir=/var/lib/incus/devices/vm/tpm.vtpm --ctrl "
     "type=unixio,path=swtpm-vtpm.sock",
     NULL},
    /* Others that are known. */
    {"--print-capabilities", NULL},
    {"--tpm2 --ctrl type=unixio,fd=4 --tpmstate=dir=/x -t -d --seccomp action=kill --runas tss",
     NULL},
    {"--tpm2 --ctrl type=unixio,path=/s --tpmstate dir=/x --key file=/k,format=hex,remove=true",
     NULL},
    {"--tpm2 --ctrl type=unixio,path=/s --tpmstate dir=/x --log fd=3,truncate --pid fd=5", NULL},
    /* What is unknown is named. */
    {"--tpm2 --migration incoming", "unknown option --migration"},
    {"--tpm2 --server type=tcp,port=1", "unknown option --server"},
    {"--tpm2 --flags not-need-init", "unknown option --flags"},
    {"--tpm2 --vtpm-proxy", "unknown option --vtpm-proxy"},
    {"--tpm2 -p 2321", "unknown option -p"},
    {"--tpm2 stray", "unknown option stray"},
    {"--print-cap", "unknown option --print-cap"},
    {"--ctrl type=tcp,port=2322 --tpmstate dir=/x --tpm2", "\"tcp\" is no value for type"},
    {"--ctrl type=unixio,path=/s,clientfd=3", "--ctrl: unknown key \"clientfd\""},
    {"--tpmstate dir=/x,lock", "--tpmstate: unknown key \"lock\""},
    {"--key pwdfd=3,kdf=sha512", "--key: unknown key \"kdf\""},
    {"--key pwdfd=3,mode=aes-cbc", "\"aes-cbc\" is no value for mode"},
    {"--seccomp action=none", "\"none\" is no value for action"},
    /* Values that are none. */
    {"--ctrl", "--ctrl needs a value"},
    {"--ctrl type=unixio,path", "path needs a value"},
    {"--ctrl type=unixio,path=", "\"\" is no value for path"},
    {"--ctrl type=unixio,path=/s,mode=0888", "\"0888\" is no value for mode"},
    {"--ctrl type=unixio,path=/s,mode=7777", "\"7777\" is no value for mode"},
    {"--ctrl type=unixio,,path=/s", "unknown key \"\""},
    {"--key pwdfd=-1", "\"-1\" is no value for pwdfd"},
    {"--key pwdfd=99999999999", "\"99999999999\" is no value for pwdfd"},
    {"--key pwdfd=3x", "\"3x\" is no value for pwdfd"},
    {"--terminate=yes", "--terminate takes no value"},
    {"--tpm2 --tpm2", "--tpm2 twice"},
    {"--ctrl type=unixio,path=/a,path=/b", "--ctrl: path twice"},
    /* What does not go together. */
    {"--ctrl type=unixio,path=/s --tpmstate dir=/x", "no TPM 1.2"},
    {"--tpm2 --tpmstate dir=/x", "--ctrl needs a path or a descriptor"},
    {"--tpm2 --ctrl type=unixio,path=/s,fd=3 --tpmstate dir=/x", "--ctrl needs a path"},
    {"--tpm2 --ctrl type=unixio,path=/s", "--tpmstate needs dir or backend-uri"},
    {"--tpm2 --ctrl type=unixio,path=/s --tpmstate dir=/x,backend-uri=file:///y",
     "--tpmstate needs dir or backend-uri"},
    {"--tpm2 --ctrl type=unixio,path=/s --tpmstate dir=/x --key pwdfd=3,file=/k",
     "--key: more than one source"},
    {"--tpm2 --ctrl type=unixio,path=/s --tpmstate dir=/x --migration-key mode=aes-256-cbc",
     "--migration-key: no file"},
    {"--tpm2 --ctrl type=unixio,path=/s --tpmstate dir=/x --key pwdfd=3,format=hex",
     "format is for a key"},
    {"--tpm2 --ctrl type=unixio,path=/s --tpmstate dir=/x --key fd=3,remove",
     "remove is for a file"},
};

static const struct {
        const char *line;
        const char *words;
} setup_rows[] = {
    {"--tpm2 --tpm-state " LIBVIRT_DIR " --vmid web:a1b2c3d4-0000-4000-8000-000000000001 "
     "--logfile /var/log/swtpm/libvirt/qemu/web-swtpm.log --createek --create-ek-cert "
     "--create-platform-cert --lock-nvram --not-overwrite",
     NULL},
    {"--tpm2 --pwdfile-fd 24 --cipher aes-256-cbc --tpm-state " LIBVIRT_DIR " --vmid web:a "
     "--logfile /l --createek --create-ek-cert --create-platform-cert --lock-nvram "
     "--not-overwrite",
     NULL},
    {"--tpm2 --tpm-state " LIBVIRT_DIR " --logfile /l --pcr-banks sha256 --reconfigure", NULL},
    {"--tpm2 --tpm-state " LIBVIRT_DIR " --overwrite", NULL},
    {"--print-capabilities", NULL},
    /* Proxmox VE 8. */
    {"--tpmstate file:///dev/pve/vm-100-disk-1 --createek --create-ek-cert "
     "--create-platform-cert --lock-nvram --config /etc/swtpm_setup.conf --runas 0 "
     "--not-overwrite --tpm2 --ecc",
     NULL},
    {"--tpm2 --tpm-state /x --take-ownership", "unknown option --take-ownership"},
    {"--tpm2 --tpm-state /x --allow-signing", "unknown option --allow-signing"},
    {"--tpm2 --tpm-state /x --create-spk", "unknown option --create-spk"},
    {"--tpm2 --tpm-state /x --rsa-keysize 3072", "unknown option --rsa-keysize"},
    {"--create-config-files", "unknown option --create-config-files"},
    {"--tpm2 --tpm-state /x --cipher aes-128-cbc", "\"aes-128-cbc\" is no value for --cipher"},
    {"--tpm-state /x", "no TPM 1.2"},
    {"--tpm2", "--tpm-state is missing"},
    {"--tpm2 --tpm-state /x --overwrite --not-overwrite", "exclude each other"},
    {"--tpm2 --tpm-state /x --pwdfile /a --pwdfile-fd 3", "more than one key"},
};

static const struct {
        const char *line;
        const char *words;
} ioctl_rows[] = {
    {"--unix /run/x.sock -s", NULL}, /* libvirt's */
    {"--unix /s -c", NULL},
    {"--unix /s -i", NULL},
    {"--unix /s --stop", NULL},
    {"--unix /s -g", NULL},
    {"--unix /s -e", NULL},
    {"--unix /s -C", NULL},
    {"--unix /s -l 4", NULL},
    {"--unix /s -r 0", NULL},
    {"--unix /s -b 0", NULL},
    {"--unix /s --info 1", NULL},
    {"--unix /s --save permanent /tmp/f", NULL},
    {"--unix /s --load volatile /tmp/f", NULL},
    {"--unix /s --save permanent", "last, a file"},
    {"--unix /s --save both /tmp/f", "\"both\" is no value for --save"},
    {"--unix /s -c -s", "exactly one request"},
    {"--unix /s", "exactly one request"},
    {"-c", "--unix PATH is missing"},
    {"--tcp :6545 -c", "unknown option --tcp"},
    {"--unix /s -v", "unknown option -v"},
    {"--unix /s -h data", "unknown option -h"},
};

static void check(int rc, const struct err *err, const char *line, const char *words)
{
        if (words == NULL && rc != 0)
                fail_msg("%s: %s", line, err->text);
        if (words == NULL)
                return;
        if (rc != ERR_USAGE || strstr(err->text, words) == NULL)
                fail_msg("%s: %d, \"%s\" instead of \"%s\"", line, rc, err->text, words);
}

static void test_socket(void **state)
{
        static struct command_socket options;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(socket_rows); i++) {
                char *words[WORDS_MAX];
                char *line = strdup(socket_rows[i].line);
                struct options_notes notes;
                struct err err = {0};
                int n = split(line, words);
                int rc = command_socket_parse(n, words, &options, &notes, &err);

                check(rc, &err, socket_rows[i].line, socket_rows[i].words);
                free(line);
        }
}

static void test_setup(void **state)
{
        static struct command_setup options;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(setup_rows); i++) {
                char *words[WORDS_MAX];
                char *line = strdup(setup_rows[i].line);
                struct options_notes notes;
                struct err err = {0};
                int n = split(line, words);
                int rc = command_setup_parse(n, words, &options, &notes, &err);

                check(rc, &err, setup_rows[i].line, setup_rows[i].words);
                free(line);
        }
}

static void test_ioctl(void **state)
{
        static struct command_ioctl options;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(ioctl_rows); i++) {
                char *words[WORDS_MAX];
                char *line = strdup(ioctl_rows[i].line);
                struct err err = {0};
                int n = split(line, words);
                int rc = command_ioctl_parse(n, words, &options, &err);

                check(rc, &err, ioctl_rows[i].line, ioctl_rows[i].words);
                free(line);
        }
}

static void test_values_arrive(void **state)
{
        static struct command_socket options;
        char *line = strdup(socket_rows[1].line);
        char *words[WORDS_MAX];
        struct options_notes notes;
        struct err err = {0};
        int n = split(line, words);

        (void)state;
        assert_ok(command_socket_parse(n, words, &options, &notes, &err), &err);
        assert_string_equal(options.ctrl.path, "/run/libvirt/qemu/swtpm/1-web-swtpm.sock");
        assert_string_equal(options.tpmstate.dir, LIBVIRT_DIR);
        assert_int_equal(options.tpmstate.mode, 0600);
        assert_int_equal(options.log.level, 20);
        assert_int_equal(options.key.pwdfd, 25);
        assert_int_equal(options.key.fd, -1);
        assert_int_equal(options.migration_key.pwdfd, 26);
        assert_true(options.terminate && options.tpm2 && !options.daemon);
        free(line);
}

/* What is taken and means something else has a note, and only that. */
static void test_notes(void **state)
{
        static struct command_setup options;
        char *line = strdup(setup_rows[5].line);
        char *words[WORDS_MAX];
        struct options_notes notes;
        struct err err = {0};
        int n = split(line, words);

        (void)state;
        assert_ok(command_setup_parse(n, words, &options, &notes, &err), &err);
        assert_int_equal(notes.n, 3);
        assert_string_equal(notes.rows[0]->name, "--create-platform-cert");
        assert_string_equal(notes.rows[1]->name, "--config");
        assert_string_equal(notes.rows[2]->name, "--ecc");
        free(line);
}

/* Whoever asks for help reads every name that is known, with its keys, choices and notes. */
static void test_help(void **state)
{
        static const struct options_table *const tables[] = {&command_socket_table,
                                                             &command_setup_table};
        static const char *const words[] = {
            "\n  --pid file=TEXT,fd=NUMBER\n",
            "\n  --cipher aes-256-cbc\n",
            "\n  --runas, -r TEXT\n",
            "format=hex|binary,",
            "\n      is taken, but the engine's sandbox is always on\n",
        };
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        (void)state;
        assert_non_null(out);
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
                options_print(tables[i], out);
        assert_int_equal(fclose(out), 0);
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
                for (size_t k = 0; k < tables[i]->n; k++)
                        assert_non_null(strstr(text, tables[i]->rows[k].name));
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                assert_non_null(strstr(text, words[i]));
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_socket), cmocka_unit_test(test_setup),
            cmocka_unit_test(test_ioctl),  cmocka_unit_test(test_values_arrive),
            cmocka_unit_test(test_notes),  cmocka_unit_test(test_help),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
