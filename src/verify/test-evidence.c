#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "lib/test.h"
#include "verify/evidence.h"

static struct bytes text(const char *words)
{
        return (struct bytes){(const uint8_t *)words, strlen(words)};
}

static struct evidence *sample(void)
{
        struct evidence *evidence = NULL;
        struct err err = {0};

        assert_ok(evidence_new(&evidence, &err), &err);
        assert_ok(evidence_put(evidence, "vms/web1/leaf", text("leaf one"), &err), &err);
        assert_ok(evidence_put(evidence, "challenge.json", text("{}"), &err), &err);
        assert_ok(evidence_put(evidence, "vms/web1-b/leaf", text("leaf two"), &err), &err);
        assert_ok(evidence_put(evidence, "host/name", text("host-a"), &err), &err);
        assert_ok(evidence_put(evidence, "vms/web1/proof", text(""), &err), &err);
        return evidence;
}

static void assert_same(const struct evidence *a, const struct evidence *b)
{
        assert_int_equal(evidence_count(a), evidence_count(b));
        for (size_t i = 0; i < evidence_count(a); i++) {
                assert_string_equal(evidence_path(a, i), evidence_path(b, i));
                assert_true(bytes_equal(evidence_data(a, i), evidence_data(b, i)));
        }
}

static void set_and_get(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = sample();
        char names[2][EVIDENCE_COMPONENT_MAX + 1];
        struct bytes data;
        struct err err = {0};

        (void)state;
        assert_int_equal(evidence_count(evidence), 5);
        assert_true(evidence_get(evidence, "host/name", &data));
        assert_memory_equal(data.data, "host-a", 6);
        assert_false(evidence_get(evidence, "host", &data));
        assert_int_equal(evidence_put(evidence, "host/name", text("b"), &err), ERR_CONFLICT);
        assert_int_equal(evidence_vms(evidence, names, 2), 2);
        assert_string_equal(names[0], "web1-b");
        assert_string_equal(names[1], "web1");
        assert_int_equal(evidence_vms(evidence, NULL, 0), 2);
        assert_ok(evidence_replace(evidence, "host/name", text("host-b"), &err), &err);
        evidence_remove(evidence, "challenge.json");
        evidence_remove(evidence, "no-such");
        assert_int_equal(evidence_count(evidence), 4);
        assert_true(evidence_get(evidence, "host/name", &data));
        assert_memory_equal(data.data, "host-b", 6);
}

/* E-UUID-INJ: names that leave the directory, hide, or carry control characters. */
static const char *const unsafe[] = {
    "",
    "/",
    "../x",
    "vms/../../etc/passwd",
    "/etc/passwd",
    "host/",
    "host//name",
    ".hidden",
    "a/b/c/d",
    "vms/web1\n/leaf",
    "vms/we b/leaf",
    "vms/\x1b[2J/leaf",
    "vms/web1/..",
    "vms/\xc3\xa9/leaf",
    "host/a\\b",
    "vms/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/leaf",
};

static void unsafe_names(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = sample();
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(unsafe); i++)
                if (evidence_put(evidence, unsafe[i], text("x"), &err) != ERR_MALFORMED)
                        fail_msg("accepted: %s", unsafe[i]);
        assert_int_equal(evidence_count(evidence), 5);
        assert_true(evidence_name_is_safe("web1.example_3-b"));
        assert_false(evidence_name_is_safe("a/b"));
}

static void limits(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        static uint8_t one[1];
        struct err err = {0};
        char path[32];

        (void)state;
        assert_ok(evidence_new(&evidence, &err), &err);
        /* Only the length is looked at before the refusal. */
        assert_int_equal(
            evidence_put(evidence, "x", (struct bytes){one, EVIDENCE_BLOB_MAX + 1}, &err),
            ERR_LIMIT);
        for (int i = 0; i < EVIDENCE_BLOBS_MAX; i++) {
                (void)snprintf(path, sizeof(path), "host/%d", i);
                assert_ok(evidence_put(evidence, path, text(path), &err), &err);
        }
        assert_int_equal(evidence_put(evidence, "one-more", text(""), &err), ERR_LIMIT);
}

static void as_bytes(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = sample(), AUTO_EVIDENCE *again = NULL;
        struct evidence AUTO_EVIDENCE *cut_one = NULL;
        uint8_t memory[512];
        struct writer w;
        struct err err = {0};
        size_t whole = 0;

        (void)state;
        writer_init_fixed(&w, memory, sizeof(memory));
        assert_ok(evidence_encode(evidence, &w, &err), &err);
        assert_ok(evidence_decode(writer_bytes(&w), &again, &err), &err);
        assert_same(evidence, again);
        /* A cut between blobs is fewer blobs (the verifier misses them); any other is refused. */
        for (size_t cut = 0; cut < w.len; cut++) {
                if (evidence_decode((struct bytes){memory, cut}, &cut_one, &err) == 0)
                        whole++;
                else
                        assert_true(err.code == ERR_MALFORMED);
                evidence_free(TAKE(cut_one));
        }
        assert_int_equal(whole, 5);
        memory[3] = 2;
        assert_int_equal(evidence_decode(writer_bytes(&w), &cut_one, &err), ERR_UNSUPPORTED);
}

static const struct {
        const char *name;
        const char *bytes;
        size_t len;
        int code;
} bad_bytes[] = {
    {"not evidence", "CEX\1", 4, ERR_MALFORMED},
    {"NUL in a path", "CEV\1\3a\0b\0\0\0\0", 12, ERR_MALFORMED},
    {"empty path", "CEV\1\0\0\0\0\0", 9, ERR_MALFORMED},
    {"path leaves", "CEV\1\4../x\0\0\0\0", 13, ERR_MALFORMED},
    {"same path twice", "CEV\1\1a\0\0\0\0\1a\0\0\0\0", 16, ERR_CONFLICT},
    {"length past the end", "CEV\1\1a\xff\xff\xff\xff", 10, ERR_MALFORMED},
};

static void bad_encodings(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad_bytes); i++) {
                struct evidence *evidence = NULL;
                struct bytes data = {(const uint8_t *)bad_bytes[i].bytes, bad_bytes[i].len};
                struct err err = {0};

                if (evidence_decode(data, &evidence, &err) != bad_bytes[i].code)
                        fail_msg("%s: %d %s", bad_bytes[i].name, err.code, err.text);
                assert_null(evidence);
        }
}

static const char *dir_of(const char *name)
{
        static char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
        return path;
}

static void as_directory(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = sample(), AUTO_EVIDENCE *again = NULL;
        struct err err = {0};
        struct stat st;

        (void)state;
        assert_ok(evidence_save(evidence, dir_of("saved"), &err), &err);
        assert_ok(evidence_load(dir_of("saved"), &again, &err), &err);
        assert_same(evidence, again);
        assert_int_equal(stat(dir_of("saved/vms/web1/leaf"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        /* Once more over what is there. */
        assert_ok(evidence_save(evidence, dir_of("saved"), &err), &err);
        assert_int_equal(evidence_load(dir_of("no-such"), &again, &err), ERR_NOT_FOUND);
}

/* Links out of the directory, special files and unsafe names, in reading and in writing. */
static void hostile_directories(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = sample();
        struct evidence *again = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(evidence_save(evidence, dir_of("link"), &err), &err);
        assert_int_equal(symlink("/etc/passwd", dir_of("link/host/extra")), 0);
        assert_int_equal(evidence_load(dir_of("link"), &again, &err), ERR_MALFORMED);

        assert_ok(evidence_save(evidence, dir_of("fifo"), &err), &err);
        assert_int_equal(mkfifo(dir_of("fifo/host/pipe"), 0600), 0);
        assert_int_equal(evidence_load(dir_of("fifo"), &again, &err), ERR_MALFORMED);

        assert_ok(evidence_save(evidence, dir_of("name"), &err), &err);
        assert_ok(fs_write_file(dir_of("name/host/a b"), "", 0, 0600, &err), &err);
        assert_int_equal(evidence_load(dir_of("name"), &again, &err), ERR_MALFORMED);

        assert_int_equal(mkdir(dir_of("into"), 0700), 0);
        assert_int_equal(mkdir(dir_of("elsewhere"), 0700), 0);
        assert_int_equal(symlink("../elsewhere", dir_of("into/host")), 0);
        assert_int_not_equal(evidence_save(evidence, dir_of("into"), &err), 0);
        assert_int_not_equal(access(dir_of("elsewhere/name"), F_OK), 0);
        assert_int_not_equal(evidence_load(dir_of("into"), &again, &err), 0);
        assert_null(again);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(set_and_get),
            cmocka_unit_test(unsafe_names),
            cmocka_unit_test(limits),
            cmocka_unit_test(as_bytes),
            cmocka_unit_test(bad_encodings),
            cmocka_unit_test(as_directory),
            cmocka_unit_test(hostile_directories),
        };
        return cmocka_run_group_tests_name("verify-evidence", tests, NULL, NULL);
}
