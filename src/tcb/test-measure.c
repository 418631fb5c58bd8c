/*
 * What the host's software is, with a TPM of words that keeps PCR 13 (lib/ptpm-double.h); and files
 * that are no program (G-GUEST).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "evlog/hostlog.h"
#include "lib/ptpm-double.h"
#include "lib/test.h"
#include "tcb/measure.h"

#define EVENTS "host.events"

static struct tcb_config config;
static unsigned hosts;

static void path_of(const char *name, char ret_path[PATH_MAX])
{
        struct err err = {0};

        assert_ok(tcb_config_path(&config, name, ret_path, &err), &err);
}

static void put(const char *name, const void *data, size_t len)
{
        char path[PATH_MAX];
        struct err err = {0};

        path_of(name, path);
        assert_ok(fs_write_file(path, data, len, 0600, &err), &err);
}

static char *get(const char *name)
{
        uint8_t *data = NULL;
        char path[PATH_MAX];
        struct err err = {0};
        size_t len;

        path_of(name, path);
        assert_ok(fs_read_file(path, 2U << 20, &data, &len, &err), &err);
        return (char *)data;
}

static void drop(const char *name)
{
        char path[PATH_MAX];

        path_of(name, path);
        assert_int_equal(unlink(path), 0);
}

static void new_host(void)
{
        struct err err = {0};

        (void)snprintf(config.state, sizeof(config.state), "%s/host-%u", test_dir(), hosts++);
        (void)snprintf(config.programs, sizeof(config.programs), "%s", config.state);
        assert_ok(fs_make_dir(config.state, 0700, &err), &err);
        assert_int_equal(double_link(config.state, "catena-arbiter"), 0);
        put("catena-vtpm", "engine", 6);
        put("qemu", "qemu", 4);
        put("ovmf", "ovmf", 4);
        path_of("qemu", config.qemu);
        path_of("ovmf", config.ovmf_code);
}

static int measure_under(const char *tcti, int supervisor, struct measurements *ret,
                         struct err *err)
{
        struct ptpm *ptpm = NULL;
        int rc;

        (void)snprintf(config.tcti, sizeof(config.tcti), "%s", tcti);
        assert_ok(ptpm_new(&config, true, &ptpm, err), err);
        rc = measure_host(&config, ptpm, supervisor, ret, err);
        ptpm_free(ptpm);
        return rc;
}

static int measure_with(const char *tcti, struct measurements *ret, struct err *err)
{
        return measure_under(tcti, -1, ret, err);
}

static void measure(void)
{
        struct measurements m = {0};
        struct err err = {0};

        assert_ok(measure_with("good", &m, &err), &err);
        assert_true(m.log.len > 0);
        measurements_done(&m);
}

static void fails(const char *tcti, int code, const char *words)
{
        struct measurements m;
        struct measurements poison;
        struct err err = {0};

        memset(&poison, 0x5a, sizeof(poison));
        memset(&m, 0x5a, sizeof(m));
        if (measure_with(tcti, &m, &err) != code || strstr(err.text, words) == NULL)
                fail_msg("%s: %d: %s", tcti, err.code, err.text);
        assert_non_null(strstr(err.text, "measure the host's software: "));
        assert_memory_equal(&m, &poison, sizeof(m));
}

static size_t count_lines(const char *text)
{
        size_t n = 0;

        for (; *text != '\0'; text++)
                n += *text == '\n';
        return n;
}

/* PCR 13 by the lines, as whoever reads the log computes it. */
static void expect_pcr_of_lines(void)
{
        const struct hash_alg *sha256 = hash_by_tpm_id(HASH_TPM_SHA256);
        char AUTO_FREE *lines = get(EVENTS);
        char AUTO_FREE *pcr = get(PTPM_DOUBLE_PCR13);
        uint8_t value[32] = {0};
        char *rest = lines;
        char *line;

        while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
                uint8_t digest[32];
                struct err err = {0};

                assert_ok(hash_digest(sha256, line, strlen(line), digest, &err), &err);
                assert_ok(hash_extend(sha256, value, digest, &err), &err);
        }
        assert_memory_equal(value, pcr, sizeof(value));
}

static void names_every_component(void **state)
{
        static const char *const words[] = {
            "catena-ptpm swtpm ",          "catena-host catena-tcb 0.",
            "catena-host catena-arbiter ", "catena-host catena-vtpm 0.",
            "catena-host qemu - sha256 ",  "catena-host ovmf - sha256 ",
        };
        struct measurements m = {0};
        struct err err = {0};
        uint8_t digest[32];
        char AUTO_FREE *lines = NULL;

        (void)state;
        new_host();
        assert_ok(measure_with("good", &m, &err), &err);
        assert_ok(hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), "qemu", 4, digest, &err), &err);
        assert_memory_equal(m.qemu, digest, 32);
        assert_ok(hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), "engine", 6, digest, &err), &err);
        assert_memory_equal(m.engine, digest, 32);
        measurements_done(&m);
        lines = get(EVENTS);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strstr(lines, words[i]) == NULL)
                        fail_msg("no %s in %s", words[i], lines);
        assert_int_equal(count_lines(lines), ARRAY_SIZE(words));
        expect_pcr_of_lines();
}

static int open_supervisor(const char *words)
{
        char path[PATH_MAX];
        int fd;

        put("supervisor", words, strlen(words));
        path_of("supervisor", path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void measure_supervised(int supervisor)
{
        struct measurements m = {0};
        struct err err = {0};

        assert_ok(measure_under("good", supervisor, &m, &err), &err);
        measurements_done(&m);
}

/* The supervisor hands the same descriptor to each TCB: each must see the whole program. */
static void what_started_us_is_measured_first(void **state)
{
        int AUTO_FD one = -1;
        int AUTO_FD other = -1;
        char AUTO_FREE *first = NULL;
        char AUTO_FREE *second = NULL;
        char AUTO_FREE *third = NULL;
        uint8_t digest[32];
        char hex[65];
        struct err err = {0};

        (void)state;
        new_host();
        one = open_supervisor("supervisor");
        measure_supervised(one);
        first = get(EVENTS);
        assert_int_equal(lseek(one, 5, SEEK_SET), 5);
        measure_supervised(one);
        second = get(EVENTS);
        assert_string_equal(first, second);
        assert_ok(hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), "supervisor", 10, digest, &err),
                  &err);
        hex_encode(digest, sizeof(digest), hex);
        assert_non_null(strstr(first, "\ncatena-host catena-supervisor - sha256 "));
        assert_non_null(strstr(first, hex));
        assert_true(strstr(first, "catena-supervisor") < strstr(first, "catena-host catena-tcb"));
        expect_pcr_of_lines();
        /* Another one on a TPM that was not reset: both have run. */
        other = open_supervisor("another");
        measure_supervised(other);
        third = get(EVENTS);
        assert_int_equal(count_lines(third), count_lines(first) + 1);
        assert_memory_equal(third, first, strlen(first));
        expect_pcr_of_lines();
}

/* G-GUEST: whoever started us shows what no program is, and nothing is extended for it. */
static void a_supervisor_that_is_no_program(void **state)
{
        static const struct {
                const char *name;
                const char *path; /* NULL: a pipe */
                int flags;
                int code;
        } rows[] = {
            {"without an end", "/dev/zero", O_RDONLY, ERR_MALFORMED},
            {"a directory", "/", O_RDONLY, ERR_MALFORMED},
            {"a pipe", NULL, 0, ERR_MALFORMED},
            {"nothing", "empty", O_RDONLY | O_CREAT, ERR_MALFORMED},
            {"huge", "huge", O_RDWR | O_CREAT, ERR_MALFORMED},
            {"not to be read", "some", O_WRONLY | O_CREAT, ERR_IO},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct measurements m = {0};
                struct err err = {0};
                char path[PATH_MAX];
                int fds[2] = {-1, -1};
                int rc;

                new_host();
                if (rows[i].path == NULL) {
                        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
                } else {
                        (void)snprintf(path, sizeof(path), "%s", rows[i].path);
                        if (path[0] != '/')
                                path_of(rows[i].path, path);
                        fds[0] = open(path, rows[i].flags | O_CLOEXEC, 0600);
                        assert_true(fds[0] >= 0);
                }
                if (strcmp(rows[i].name, "huge") == 0)
                        assert_int_equal(ftruncate(fds[0], (64L << 20) + 1), 0);
                if (strcmp(rows[i].name, "not to be read") == 0)
                        assert_int_equal(write(fds[0], "x", 1), 1);
                rc = measure_under("good", fds[0], &m, &err);
                if (rc != rows[i].code || strstr(err.text, "catena-supervisor") == NULL)
                        fail_msg("%s: %d: %s", rows[i].name, rc, err.text);
                fd_close(&fds[0]);
                fd_close(&fds[1]);
                measure();
                expect_pcr_of_lines();
        }
}

static void a_tpm_that_was_not_reset_goes_on(void **state)
{
        char AUTO_FREE *before = NULL;
        char AUTO_FREE *same = NULL;
        char AUTO_FREE *more = NULL;

        (void)state;
        new_host();
        measure();
        before = get(EVENTS);
        measure();
        same = get(EVENTS);
        assert_string_equal(before, same);
        put("qemu", "another", 7);
        measure();
        more = get(EVENTS);
        assert_int_equal(count_lines(more), count_lines(before) + 1);
        assert_memory_equal(more, before, strlen(before));
        expect_pcr_of_lines();
        /* Back to the first: that is news too, the latest event of it says otherwise. */
        put("qemu", "qemu", 4);
        measure();
        expect_pcr_of_lines();
        free(more);
        more = get(EVENTS);
        assert_int_equal(count_lines(more), count_lines(before) + 2);
}

static void a_tpm_that_was_reset_begins_anew(void **state)
{
        char AUTO_FREE *before = NULL;
        char AUTO_FREE *after = NULL;

        (void)state;
        new_host();
        put("qemu", "old", 3);
        measure();
        put("qemu", "qemu", 4);
        measure();
        before = get(EVENTS);
        drop(PTPM_DOUBLE_PCR13);
        measure();
        after = get(EVENTS);
        assert_int_equal(count_lines(after), count_lines(before) - 1);
        expect_pcr_of_lines();
}

/* A crash between the two halves of an event. */
static void a_line_that_was_never_extended_is_dropped(void **state)
{
        static const struct bytes tails[] = {
            {(const uint8_t *)"catena-host never 1 sha256 00\n", 30},
            {(const uint8_t *)"catena-host qemu - sha", 22},
            {(const uint8_t *)"\n", 1},
            {(const uint8_t *)"\0\xff\n", 3},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
                char AUTO_FREE *good = NULL;
                char AUTO_FREE *now = NULL;
                char text[4096];

                new_host();
                measure();
                good = get(EVENTS);
                (void)snprintf(text, sizeof(text), "%s", good);
                memcpy(text + strlen(good), tails[i].data, tails[i].len);
                put(EVENTS, text, strlen(good) + tails[i].len);
                put("qemu", "changed", 7);
                measure();
                expect_pcr_of_lines();
                now = get(EVENTS);
                assert_int_equal(count_lines(now), count_lines(good) + 1);
        }
}

/* PCR 13 that the log does not explain: somebody else extended it, or the log was replaced. */
static void what_the_log_does_not_explain_is_not_trusted(void **state)
{
        static const char other[] = "catena-host other 1 sha256 00\n";
        char AUTO_FREE *good = NULL;
        char AUTO_FREE *pcr = NULL;
        uint8_t foreign[32] = {1};
        struct measurements m = {0};
        struct err err = {0};

        (void)state;
        new_host();
        measure();
        good = get(EVENTS);
        pcr = get(PTPM_DOUBLE_PCR13);
        put(EVENTS, other, sizeof(other) - 1);
        fails("good", ERR_NOT_TRUSTED, "PCR 13");
        drop(EVENTS);
        fails("good", ERR_NOT_TRUSTED, "PCR 13");
        good[10] ^= 1;
        put(EVENTS, good, strlen(good));
        fails("good", ERR_NOT_TRUSTED, "PCR 13");
        good[10] ^= 1;
        put(EVENTS, good, strlen(good) / 2);
        fails("good", ERR_NOT_TRUSTED, "PCR 13");
        put(EVENTS, good, strlen(good));
        put(PTPM_DOUBLE_PCR13, foreign, 32);
        assert_int_equal(measure_with("good", &m, &err), ERR_NOT_TRUSTED);
        assert_non_null(strstr(err.hint, "reboot the host"));
        put(PTPM_DOUBLE_PCR13, pcr, 32);
        measure();
}

static void what_cannot_be_measured_is_named(void **state)
{
        static const char *const files[] = {"catena-vtpm", "qemu", "ovmf"};
        static const struct {
                const char *tcti;
                int code;
                const char *words;
        } rows[] = {
            {"refuse-7", ERR_TPM, "told to refuse"},
            {"wrong-7", ERR_MALFORMED, "arbiter: unexpected"},
            {"refuse-6", ERR_TPM, "told to refuse"},
            {"wrong-6", ERR_MALFORMED, "arbiter: unexpected"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                char path[PATH_MAX];

                new_host();
                drop(files[i]);
                path_of(files[i], path);
                fails("good", ERR_NOT_FOUND, path);
        }
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                new_host();
                fails(rows[i].tcti, rows[i].code, rows[i].words);
                measure(); /* and nothing stands in the way of the next start */
                expect_pcr_of_lines();
        }
}

static void a_log_without_bounds_is_refused(void **state)
{
        char *large = calloc(1, (1U << 20) + 1);

        (void)state;
        assert_non_null(large);
        memset(large, '\n', (1U << 20) + 1);
        new_host();
        put(EVENTS, large, (1U << 20) + 1);
        fails("good", ERR_LIMIT, EVENTS);
        free(large);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(names_every_component),
            cmocka_unit_test(what_started_us_is_measured_first),
            cmocka_unit_test(a_supervisor_that_is_no_program),
            cmocka_unit_test(a_tpm_that_was_not_reset_goes_on),
            cmocka_unit_test(a_tpm_that_was_reset_begins_anew),
            cmocka_unit_test(a_line_that_was_never_extended_is_dropped),
            cmocka_unit_test(what_the_log_does_not_explain_is_not_trusted),
            cmocka_unit_test(what_cannot_be_measured_is_named),
            cmocka_unit_test(a_log_without_bounds_is_refused),
        };

        if (double_is(argc, argv, "catena-arbiter"))
                return ptpm_double();
        return cmocka_run_group_tests_name("tcb-measure", tests, NULL, NULL);
}
