#include "swtpm/state-file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "lib/faultwrite.h"
#include "lib/test.h"

#define FILE_LEN (8192 + 2 * STATE_BODY_MAX)

static char path[4096];

static struct state_place place_of(const char *name)
{
        (void)snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
        return (struct state_place){.file = path, .mode = 0600, .uuid = {1, 2, 3}};
}

static struct secret *make_key(const char *words)
{
        struct secret *key = NULL;
        struct err err = {0};

        assert_ok(secret_new_copy(words, strlen(words), &key, &err), &err);
        return key;
}

static int try_open(const struct state_place *place, const struct secret *key,
                    enum state_expect expect, struct err *err)
{
        struct state_file *state = NULL;
        int rc = state_file_open(place, key, expect, &state, err);

        state_file_close(state);
        return rc;
}

/* Saves this number of times; the content names the save. */
static void save(const struct state_place *place, const struct secret *key, unsigned n)
{
        struct state_file AUTO_STATE_FILE *state = NULL;
        struct err err = {0};

        assert_ok(state_file_open(place, key, STATE_ANY, &state, &err), &err);
        for (unsigned i = 0; i < n; i++) {
                struct state_content *content = state_file_content(state);

                content->lineage++;
                content->used = true;
                content->permanent_len =
                    (size_t)snprintf((char *)content->permanent, 32, "the TPM of save %u",
                                     (unsigned)content->lineage);
                assert_ok(state_file_save(state, &err), &err);
        }
}

static void check(const struct state_place *place, const struct secret *key, unsigned lineage)
{
        struct state_file AUTO_STATE_FILE *state = NULL;
        struct state_content *content;
        struct err err = {0};
        char words[32];

        assert_ok(state_file_open(place, key, STATE_THERE, &state, &err), &err);
        content = state_file_content(state);
        assert_int_equal(content->lineage, lineage);
        (void)snprintf(words, sizeof(words), "the TPM of save %u", lineage);
        assert_int_equal(content->permanent_len, strlen(words));
        assert_memory_equal(content->permanent, words, strlen(words));
        assert_true(content->used && !content->has_saved);
        assert_int_equal(state_file_is_sealed(state), key != NULL);
}

/* Whether these bytes stand anywhere in the file. */
static bool has_bytes(const char *words)
{
        uint8_t AUTO_FREE *data = NULL;
        struct err err = {0};
        size_t len = 0;

        assert_ok(fs_read_file(path, FILE_LEN, &data, &len, &err), &err);
        return memmem(data, len, words, strlen(words)) != NULL;
}

static void test_saves_are_kept(void **state)
{
        struct secret AUTO_SECRET *key = make_key("pass");

        (void)state;
        for (unsigned n = 1; n < 6; n++) {
                char name[16];
                struct state_place place;

                (void)snprintf(name, sizeof(name), "kept-%u", n);
                place = place_of(name);
                save(&place, n % 2 == 0 ? key : NULL, n);
                check(&place, n % 2 == 0 ? key : NULL, n);
                save(&place, n % 2 == 0 ? key : NULL, 1);
                check(&place, n % 2 == 0 ? key : NULL, n + 1);
                assert_int_equal(has_bytes("the TPM of save"), n % 2 != 0);
        }
}

static int try_save(struct state_file *state, unsigned lineage, struct err *err)
{
        struct state_content *content = state_file_content(state);

        content->lineage = lineage;
        content->used = true;
        content->permanent_len =
            (size_t)snprintf((char *)content->permanent, 32, "the TPM of save %u", lineage);
        return state_file_save(state, err);
}

/* What another program finds now: this save, or the one before where that is allowed. */
static void check_either(const struct state_place *place, unsigned least, unsigned most)
{
        struct state_file AUTO_STATE_FILE *state = NULL;
        struct err err = {0};
        unsigned found;

        assert_ok(state_file_open(place, NULL, STATE_THERE, &state, &err), &err);
        found = (unsigned)state_file_content(state)->lineage;
        assert_in_range(found, least, most);
        state_file_close(TAKE(state));
        check(place, NULL, found);
}

/* One save whose nth write fails, and the next one. Returns whether it failed. */
static bool fail_once(const struct state_place *place, unsigned row, unsigned nth,
                      unsigned *lineage)
{
        struct state_file *state = NULL;
        struct err err = {0};
        bool struck;
        int rc;

        assert_ok(state_file_open(place, NULL, STATE_THERE, &state, &err), &err);
        faultwrite_arm((enum faultwrite_kind)(row / 2), nth, row % 2 != 0);
        rc = try_save(state, *lineage + 1, &err);
        struck = faultwrite_heal();
        if (struck != (rc != 0))
                fail_msg("row %u, write %u: %d", row, nth, rc);
        if (nth % 2 == 0) {
                /* Killed there, or tried again. */
                state_file_close(TAKE(state));
                check_either(place, rc == 0 ? *lineage + 1 : *lineage, *lineage + 1);
                assert_ok(state_file_open(place, NULL, STATE_THERE, &state, &err), &err);
        }
        *lineage += 2;
        assert_ok(try_save(state, *lineage, &err), &err);
        state_file_close(state);
        check(place, NULL, *lineage);
        return struck;
}

/* D-FULL, D-EIO, D-SHORT at every write of a save: the old state or the new, and no damage. */
static void test_failing_disk(void **state)
{
        const struct state_place place = place_of("failing");
        unsigned lineage = 3;

        (void)state;
        save(&place, NULL, lineage);
        for (unsigned row = 0; row < 2U * FAULTWRITE_COUNT; row++) {
                unsigned nth = 1;

                while (fail_once(&place, row, nth, &lineage))
                        nth++;
                assert_true(nth > 4); /* the body and its sync, the header and its sync */
        }
}

static void test_expectations(void **state)
{
        struct state_place place = place_of("expect");
        struct err err = {0};

        (void)state;
        assert_int_equal(try_open(&place, NULL, STATE_THERE, &err), ERR_NOT_FOUND);
        assert_int_equal(try_open(&place, NULL, STATE_FRESH, &err), 0);
        assert_int_equal(try_open(&place, NULL, STATE_THERE, &err), ERR_NOT_FOUND);
        save(&place, NULL, 1);
        assert_int_equal(try_open(&place, NULL, STATE_FRESH, &err), ERR_CONFLICT);
        assert_int_equal(try_open(&place, NULL, STATE_REPLACE, &err), 0);
        check(&place, NULL, 1); /* as long as the new one is not saved */
}

static void test_replace(void **state)
{
        struct state_place place = place_of("replace");
        struct secret AUTO_SECRET *key = make_key("pass");
        struct state_file *file = NULL;
        struct err err = {0};

        (void)state;
        save(&place, NULL, 3);
        assert_ok(state_file_open(&place, key, STATE_REPLACE, &file, &err), &err);
        assert_int_equal(state_file_content(file)->permanent_len, 0);
        assert_ok(state_file_save(file, &err), &err);
        state_file_close(file);
        assert_int_equal(try_open(&place, NULL, STATE_THERE, &err), ERR_NOT_PERMITTED);
        save(&place, key, 1);
        check(&place, key, 1);
}

static void test_keys_and_names(void **state)
{
        struct state_place sealed = place_of("sealed");
        struct secret AUTO_SECRET *key = make_key("pass");
        struct secret AUTO_SECRET *other = make_key("Pass");
        struct state_place place;
        struct err err = {0};

        (void)state;
        save(&sealed, key, 2);
        assert_int_equal(try_open(&sealed, NULL, STATE_ANY, &err), ERR_NOT_PERMITTED);
        assert_int_equal(try_open(&sealed, other, STATE_ANY, &err), ERR_NOT_PERMITTED);
        sealed.uuid[0] = 9;
        assert_int_equal(try_open(&sealed, key, STATE_ANY, &err), ERR_ROLLBACK);
        memset(sealed.uuid, 0, sizeof(sealed.uuid)); /* not known: as it says itself */
        check(&sealed, key, 2);
        place = place_of("clear");
        save(&place, NULL, 1);
        assert_int_equal(try_open(&place, key, STATE_ANY, &err), ERR_NOT_PERMITTED);
}

static void test_two_programs(void **state)
{
        struct state_place place = place_of("two");
        struct state_file AUTO_STATE_FILE *first = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(state_file_open(&place, NULL, STATE_ANY, &first, &err), &err);
        assert_int_equal(try_open(&place, NULL, STATE_ANY, &err), ERR_CONFLICT);
        assert_int_equal(try_open(&place, NULL, STATE_REPLACE, &err), ERR_CONFLICT);
}

static void put(off_t at, const void *data, size_t len)
{
        int AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, data, len, at), len);
}

static void flip(off_t at)
{
        int AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t byte = 0;

        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* Damage is reported, and never made good by the save before. */
static void test_damage(void **state)
{
        /* After two saves the second one is in slot B. */
        static const struct {
                const char *what;
                off_t at;
                int rc;
        } rows[] = {
            {"newest header", 4096 + 20, ERR_DAMAGED},
            {"newest header's digest", 4096 + 120, ERR_DAMAGED},
            {"newest body", 8192 + STATE_BODY_MAX + 5, ERR_DAMAGED},
            {"older header", 20, ERR_DAMAGED},
            {"older body", 8192 + 5, 0},
            {"magic", 4096, ERR_CONFLICT},
        };
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char name[16];
                struct state_place place;

                (void)snprintf(name, sizeof(name), "damage-%zu", i);
                place = place_of(name);
                save(&place, NULL, 2);
                flip(rows[i].at);
                if (try_open(&place, NULL, STATE_ANY, &err) != rows[i].rc)
                        fail_msg("%s: %s", rows[i].what, err.text);
        }
}

/* A state that is lost is not one that was never made: no other TPM takes its place unasked. */
static void test_nothing_is_left(void **state)
{
        static char dir_path[4200];
        struct state_place dir = {.dir = dir_path, .mode = 0600};
        struct err err = {0};
        char file[4300];

        (void)state;
        (void)snprintf(dir_path, sizeof(dir_path), "%s/left", test_dir());
        (void)snprintf(file, sizeof(file), "%s/" STATE_FILE_NAME, dir_path);
        assert_ok(fs_make_dir(dir_path, 0700, &err), &err);
        assert_int_equal(try_open(&dir, NULL, STATE_ANY, &err), 0); /* a start that was cut off */
        assert_int_equal(try_open(&dir, NULL, STATE_ANY, &err), 0);
        save(&dir, NULL, 1);
        assert_int_equal(truncate(file, 0), 0);
        assert_int_equal(try_open(&dir, NULL, STATE_ANY, &err), ERR_DAMAGED);
        assert_int_equal(try_open(&dir, NULL, STATE_FRESH, &err), ERR_DAMAGED);
        assert_int_equal(try_open(&dir, NULL, STATE_THERE, &err), ERR_DAMAGED);
        assert_int_equal(try_open(&dir, NULL, STATE_REPLACE, &err), 0); /* as somebody asked */
        assert_int_equal(unlink(file), 0);
        save(&dir, NULL, 1);
        check(&dir, NULL, 1);
}

/* A crash while the body of the third save was written (over the first): the second stands. */
static void test_crash(void **state)
{
        struct state_place place = place_of("crash");
        static uint8_t junk[1000];

        (void)state;
        memset(junk, 0xa5, sizeof(junk));
        save(&place, NULL, 2);
        put(8192, junk, sizeof(junk));
        check(&place, NULL, 2);
        save(&place, NULL, 1);
        check(&place, NULL, 3);
}

static void test_foreign_files(void **state)
{
        struct state_place place = place_of("foreign");
        struct state_place dir = {.dir = test_dir(), .mode = 0640};
        struct err err = {0};
        struct stat st;
        char link[4200];

        (void)state;
        assert_ok(fs_write_file(path, "a disk's content", 16, 0600, &err), &err);
        assert_int_equal(try_open(&place, NULL, STATE_ANY, &err), ERR_CONFLICT);
        assert_int_equal(try_open(&place, NULL, STATE_REPLACE, &err), 0);
        /* In a directory a link is not followed. */
        (void)snprintf(link, sizeof(link), "%s/" STATE_FILE_NAME, test_dir());
        assert_int_equal(symlink(path, link), 0);
        assert_true(try_open(&dir, NULL, STATE_ANY, &err) != 0);
        assert_int_equal(unlink(link), 0);
        (void)umask(0);
        assert_int_equal(try_open(&dir, NULL, STATE_ANY, &err), 0);
        assert_int_equal(stat(link, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_failing_disk),   cmocka_unit_test(test_saves_are_kept),
            cmocka_unit_test(test_expectations),   cmocka_unit_test(test_replace),
            cmocka_unit_test(test_keys_and_names), cmocka_unit_test(test_two_programs),
            cmocka_unit_test(test_damage),         cmocka_unit_test(test_crash),
            cmocka_unit_test(test_foreign_files),  cmocka_unit_test(test_nothing_is_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
