#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "lib/test.h"
#include "tcb/config.h"

static struct tcb_config config;

static const char *put(const char *text)
{
        static char path[PATH_MAX];
        struct err err = {0};

        assert_ok(fs_join(path, sizeof(path), test_dir(), "catena.conf", &err), &err);
        assert_ok(fs_write_file(path, text, strlen(text), 0600, &err), &err);
        return path;
}

static void a_missing_file_gives_what_the_manual_says(void **state)
{
        struct err err = {0};

        (void)state;
        (void)snprintf(config.state, sizeof(config.state), "/state");
        assert_ok(tcb_config_load("/nonexistent/catena.conf", &config, &err), &err);
        assert_string_equal(config.host_name, "host-a");
        assert_string_equal(config.tcti, "embedded");
        assert_string_equal(config.event_log, "");
        assert_string_equal(config.accel, "auto");
        assert_string_equal(config.qemu, "/usr/bin/qemu-system-x86_64");
        assert_true(config.uid_base == 720000);
        assert_string_equal(config.sockets, "/run/catena");
        /* Who starts the TCB sets it, not the file. */
        assert_string_equal(config.state, "/state");
}

static void every_key_lands_in_its_own_field(void **state)
{
        struct err err = {0};

        (void)state;
        assert_ok(tcb_config_load(put("[host]\nname = h\n[ptpm]\ntcti = device:/dev/tpmrm0\n"
                                      "event_log = /e\nima_log = /i\n[vm]\naccel = tcg\n"
                                      "qemu = /q\novmf_code = /c\novmf_vars = /v\n"
                                      "[sandbox]\nuid_base = 1000\n[vtpm]\nsockets = /s /t\n"),
                                  &config, &err),
                  &err);
        assert_string_equal(config.host_name, "h");
        assert_string_equal(config.tcti, "device:/dev/tpmrm0");
        assert_string_equal(config.event_log, "/e");
        assert_string_equal(config.ima_log, "/i");
        assert_string_equal(config.accel, "tcg");
        assert_string_equal(config.qemu, "/q");
        assert_string_equal(config.ovmf_code, "/c");
        assert_string_equal(config.ovmf_vars, "/v");
        assert_true(config.uid_base == 1000);
        assert_string_equal(config.sockets, "/s /t");
}

static void names_the_line_and_the_key(void **state)
{
        static const struct {
                const char *text;
                const char *words;
        } rows[] = {
            {"[host]\n\nstate = /tmp\n", "catena.conf:3: unknown key host.state"},
            {"[tpm]\ntcti = x\n", "catena.conf:2: unknown key tpm.tcti"},
            {"[vm]\naccel = hvf\n", "catena.conf:2: vm.accel: 'hvf' is none of: auto kvm tcg"},
            {"[sandbox]\nuid_base = 999\n", "catena.conf:2: sandbox.uid_base: '999' is not"},
            {"[sandbox]\nuid_base = 4000000001\n", "catena.conf:2: sandbox.uid_base: '40"},
            {"[sandbox]\nuid_base = 0x1000\n", "catena.conf:2: sandbox.uid_base: '0x1000' is not"},
            {"[host]\nname = 0123456789012345678901234567890123456789012345678901234567890123\n",
             "catena.conf:2: host.name: longer than 63 bytes"},
            {"[host\nname = x\n", "catena.conf:1: "},
            {"[host]\nname = ../x\n", "catena.conf: host.name: '../x' is not of letters"},
            {"[host]\nname = .x\n", "host.name: '.x'"},
            {"[host]\nname = \n", "host.name: ''"},
            {"[host]\nname = a b\n", "host.name: 'a b'"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};

                assert_int_equal(tcb_config_load(put(rows[i].text), &config, &err), ERR_USAGE);
                if (strstr(err.text, rows[i].words) == NULL)
                        fail_msg("row %zu: %s", i, err.text);
        }
}

/* A file that is there and cannot be read is no missing file: its settings would be lost. */
static void what_is_no_file_is_an_error(void **state)
{
        struct err err = {0};

        (void)state;
        assert_true(tcb_config_load(test_dir(), &config, &err) < 0);
        assert_non_null(strstr(err.text, test_dir()));
}

/* What the table says without a file, a file may say too. */
static void every_fallback_is_a_value(void **state)
{
        (void)state;
        for (size_t i = 0; i < tcb_config_n_keys; i++) {
                const struct conf_key *key = &tcb_config_keys[i];
                char text[512];
                struct err err = {0};

                (void)snprintf(text, sizeof(text), "[%s]\n%s = %s\n", key->section, key->name,
                               key->fallback);
                assert_ok(tcb_config_load(put(text), &config, &err), &err);
                assert_true(key->doc[0] != '\0' && key->doc[strlen(key->doc) - 1] == '.');
        }
}

static void paths_are_never_cut(void **state)
{
        char path[PATH_MAX] = "poison";
        struct err err = {0};

        (void)state;
        (void)snprintf(config.state, sizeof(config.state), "/state");
        (void)snprintf(config.programs, sizeof(config.programs), "/programs");
        assert_ok(tcb_config_path(&config, "run/tcb.sock", path, &err), &err);
        assert_string_equal(path, "/state/run/tcb.sock");
        assert_ok(tcb_config_program(&config, "catena-vtpm", path, &err), &err);
        assert_string_equal(path, "/programs/catena-vtpm");
        memset(config.state, 'x', sizeof(config.state) - 1);
        assert_int_equal(tcb_config_path(&config, "tcb.db", path, &err), ERR_LIMIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_missing_file_gives_what_the_manual_says),
            cmocka_unit_test(every_key_lands_in_its_own_field),
            cmocka_unit_test(names_the_line_and_the_key),
            cmocka_unit_test(what_is_no_file_is_an_error),
            cmocka_unit_test(every_fallback_is_a_value),
            cmocka_unit_test(paths_are_never_cut),
        };
        return cmocka_run_group_tests_name("tcb-config", tests, NULL, NULL);
}
