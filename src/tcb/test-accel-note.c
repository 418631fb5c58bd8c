/* What is known about KVM holds for one boot of the host; anything else in the file is nothing. */
#include "base/fs.h"
#include "lib/test.h"
#include "tcb/accel-note.h"

static struct tcb_config config;

static void put_text(const char *text)
{
        char path[PATH_MAX];
        struct err err = {0};

        assert_ok(tcb_config_path(&config, "run/accel", path, &err), &err);
        assert_ok(fs_write_file(path, text, strlen(text), 0600, &err), &err);
}

static void keeps_what_was_found(void **state)
{
        static const enum accel_memory found[] = {ACCEL_KVM_WORKS, ACCEL_KVM_FAILS};

        (void)state;
        assert_int_equal(accel_note_get(&config), ACCEL_UNKNOWN);
        for (size_t i = 0; i < ARRAY_SIZE(found); i++) {
                accel_note_put(&config, found[i]);
                assert_int_equal(accel_note_get(&config), found[i]);
        }
        accel_note_put(&config, ACCEL_UNKNOWN); /* is not worth a note */
        assert_int_equal(accel_note_get(&config), ACCEL_KVM_FAILS);
}

static void another_boot_or_nonsense_is_nothing(void **state)
{
        static char long_note[400];
        static const char *const rows[] = {"", "\n", "kvm\n",
                                           "00000000-0000-4000-8000-000000000000 kvm\n", long_note};

        (void)state;
        memset(long_note, 'x', sizeof(long_note) - 1); /* longer than any note */
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                put_text(rows[i]);
                assert_int_equal(accel_note_get(&config), ACCEL_UNKNOWN);
        }
}

static int make_dirs(void **state)
{
        char path[PATH_MAX];
        struct err err = {0};

        (void)state;
        (void)snprintf(config.state, sizeof(config.state), "%s", test_dir());
        return tcb_config_path(&config, "run", path, &err) != 0 ? -1
                                                                : fs_make_dir(path, 0700, &err);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(keeps_what_was_found),
            cmocka_unit_test(another_boot_or_nonsense_is_nothing),
        };
        return cmocka_run_group_tests_name("tcb-accel-note", tests, make_dirs, NULL);
}
