#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arbiter/state-file.h"
#include "base/fd.h"
#include "base/fs.h"
#include "lib/faultwrite.h"
#include "lib/test.h"

static int open_dir(void)
{
        int dir = open(test_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(dir >= 0);
        return dir;
}

static void comes_back(void **state)
{
        int AUTO_FD dir = open_dir();
        struct state_file file = {.generation = 99};
        struct err err = {0};
        struct stat st;

        (void)state;
        assert_ok(state_file_load(dir, &file, &err), &err);
        assert_true(file.generation == 0 && file.blob == NULL);
        assert_ok(state_file_save(dir, 1, (struct bytes){(const uint8_t *)"old", 3}, &err), &err);
        assert_ok(state_file_save(dir, 2, (struct bytes){(const uint8_t *)"newer", 5}, &err), &err);
        assert_ok(state_file_load(dir, &file, &err), &err);
        assert_true(file.generation == 2);
        assert_int_equal(file.len, 5);
        assert_memory_equal(file.blob, "newer", 5);
        free(file.blob);
        assert_int_equal(fstatat(dir, STATE_FILE_NAME, &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

/* Every cut, every flipped byte and a surplus are damage, never a fresh TPM. */
static void any_damage_is_damage(void **state)
{
        int AUTO_FD dir = open_dir();
        struct state_file file = {.generation = 99};
        uint8_t AUTO_FREE *good = NULL;
        struct err err = {0};
        size_t len;

        (void)state;
        assert_ok(state_file_save(dir, 7, (struct bytes){(const uint8_t *)"state", 5}, &err), &err);
        assert_ok(fs_read_file_at(dir, STATE_FILE_NAME, 1000, &good, &len, &err), &err);
        for (size_t n = 0; n < len; n++) {
                assert_ok(fs_write_file_at(dir, STATE_FILE_NAME, good, n, 0600, &err), &err);
                assert_int_equal(state_file_load(dir, &file, &err), ERR_DAMAGED);
                good[n] ^= 1;
                assert_ok(fs_write_file_at(dir, STATE_FILE_NAME, good, len, 0600, &err), &err);
                assert_int_equal(state_file_load(dir, &file, &err), ERR_DAMAGED);
                good[n] ^= 1;
        }
        assert_ok(fs_write_file_at(dir, STATE_FILE_NAME, good, len + 1, 0600, &err), &err);
        assert_int_equal(state_file_load(dir, &file, &err), ERR_DAMAGED);
        assert_true(file.generation == 99);
}

static unsigned stored_number(int dir)
{
        struct state_file file = {.generation = 99};
        struct err err = {0};
        unsigned number = 0;

        assert_ok(state_file_load(dir, &file, &err), &err);
        assert_int_equal(file.len, sizeof(number));
        memcpy(&number, file.blob, sizeof(number));
        assert_int_equal(file.generation, number);
        free(file.blob);
        return number;
}

static int save_number(int dir, unsigned number, struct err *err)
{
        return state_file_save(dir, number, (struct bytes){(const uint8_t *)&number, 4}, err);
}

/*
 * D-FULL, D-EIO, D-SHORT at every write of a save: it fails, there is the old state or the new,
 * and it is saved when the disk is whole again.
 */
static void a_failing_disk_loses_nothing(void **state)
{
        int AUTO_FD dir = open_dir();
        unsigned number = 1;
        struct err err = {0};

        (void)state;
        assert_ok(save_number(dir, number, &err), &err);
        for (unsigned row = 0; row < 2U * FAULTWRITE_COUNT; row++) {
                bool struck = true;
                unsigned nth = 0;

                while (struck) {
                        int rc;
                        unsigned found;

                        faultwrite_arm((enum faultwrite_kind)(row / 2), ++nth, row % 2 != 0);
                        rc = save_number(dir, number + 1, &err);
                        struck = faultwrite_heal();
                        if (struck != (rc != 0))
                                fail_msg("row %u, write %u: %d", row, nth, rc);
                        found = stored_number(dir);
                        assert_in_range(found, rc == 0 ? number + 1 : number, number + 1);
                        number++;
                        assert_ok(save_number(dir, number, &err), &err);
                        assert_int_equal(stored_number(dir), number);
                }
                /* A write, its sync, the rename and the directory's sync. */
                assert_true(nth > 4);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(comes_back),
            cmocka_unit_test(any_damage_is_damage),
            cmocka_unit_test(a_failing_disk_loses_nothing),
        };
        return cmocka_run_group_tests_name("arbiter-state-file", tests, NULL, NULL);
}
