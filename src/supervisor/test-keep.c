#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/test.h"
#include "supervisor/keep.h"

static struct keep *new_keep(size_t fds_max)
{
        struct keep *keep = NULL;
        struct err err = {0};

        assert_int_equal(keep_new(fds_max, &keep, &err), 0);
        return keep;
}

static void open_fds(int *fds, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                assert_true(fds[i] >= 0);
        }
}

static int put(struct keep *keep, const char *name, size_t n_fds)
{
        struct err err = {0};
        int fds[SUPERVISOR_FDS_MAX + 1] = {-1, -1, -1, -1};
        int rc;

        open_fds(fds, n_fds);
        rc = keep_put(keep, wire_text(name), wire_text(name), fds, n_fds, &err);
        /* On success they are the keep's, else still ours. */
        for (size_t i = 0; i < n_fds; i++) {
                assert_int_equal(fds[i] < 0, rc == 0);
                fd_close(&fds[i]);
        }
        return rc;
}

static void puts_and_drops(void **state)
{
        struct keep AUTO_KEEP *keep = new_keep(100);
        const struct kept *kept;
        int first;

        (void)state;
        assert_null(keep_next(keep, NULL));
        assert_int_equal(put(keep, "a", 1), 0);
        assert_int_equal(put(keep, "b", 2), 0);
        assert_int_equal(put(keep, "c", 3), 0);
        assert_int_equal(keep_count(keep), 3);
        assert_int_equal(keep_count_fds(keep), 6);
        kept = keep_next(keep, NULL);
        first = kept->fds[0];
        assert_int_equal(kept->len, strlen(kept->name));
        assert_memory_equal(kept->record, kept->name, kept->len);
        /* What was kept under the name before is closed. */
        assert_int_equal(put(keep, kept->name, 1), 0);
        assert_int_equal(keep_count(keep), 3);
        keep_drop(keep, wire_text("nobody"));
        keep_drop(keep, wire_text("a"));
        keep_drop(keep, wire_text("b"));
        keep_drop(keep, wire_text("c"));
        keep_drop(keep, wire_text(""));
        assert_int_equal(keep_count(keep), 0);
        assert_int_equal(keep_count_fds(keep), 0);
        assert_int_equal(fcntl(first, F_GETFD), -1);
}

static void refuses(void **state)
{
        static const char long_name[] =
            "0123456789012345678901234567890123456789012345678901234567890123456789";
        struct keep AUTO_KEEP *keep = new_keep(4);
        uint8_t record[SUPERVISOR_RECORD_MAX + 1] = {0};
        struct err err = {0};
        int fds[1];

        (void)state;
        assert_int_equal(put(keep, "", 1), ERR_MALFORMED);
        assert_int_equal(put(keep, long_name, 1), ERR_MALFORMED);
        assert_int_equal(put(keep, "a", 0), ERR_MALFORMED);
        assert_int_equal(put(keep, "a", SUPERVISOR_FDS_MAX + 1), ERR_MALFORMED);
        open_fds(fds, 1);
        assert_int_equal(
            keep_put(keep, (struct bytes){(const uint8_t *)"a\0b", 3}, wire_text(""), fds, 1, &err),
            ERR_MALFORMED);
        assert_int_equal(
            keep_put(keep, wire_text("a"), (struct bytes){record, sizeof(record)}, fds, 1, &err),
            ERR_MALFORMED);
        assert_true(fds[0] >= 0);
        fd_close(&fds[0]);
        /* Full: what was there stays, and may be replaced by as much. */
        assert_int_equal(put(keep, "a", 3), 0);
        assert_int_equal(put(keep, "b", 2), ERR_LIMIT);
        assert_int_equal(put(keep, "b", 1), 0);
        assert_int_equal(put(keep, "c", 1), ERR_LIMIT);
        assert_int_equal(put(keep, "b", 2), ERR_LIMIT);
        assert_int_equal(keep_count(keep), 2);
        assert_int_equal(put(keep, "a", 3), 0);
        assert_int_equal(put(keep, "a", 1), 0);
        assert_int_equal(put(keep, "b", 3), 0);
}

static void lists_all(void **state)
{
        struct keep AUTO_KEEP *keep = new_keep(1000);
        bool seen[500] = {false};
        size_t n = 0;

        (void)state;
        for (unsigned i = 0; i < 500; i++) {
                char name[16];

                (void)snprintf(name, sizeof(name), "%u", i);
                assert_int_equal(put(keep, name, 1), 0);
        }
        for (const struct kept *kept = keep_next(keep, NULL); kept != NULL;
             kept = keep_next(keep, kept)) {
                unsigned long which = strtoul(kept->name, NULL, 10);

                assert_false(seen[which]);
                seen[which] = true;
                n++;
        }
        assert_int_equal(n, 500);
        keep_clear(keep);
        assert_int_equal(keep_count(keep), 0);
        assert_null(keep_next(keep, NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(puts_and_drops),
            cmocka_unit_test(refuses),
            cmocka_unit_test(lists_all),
        };

        return cmocka_run_group_tests_name("supervisor-keep", tests, NULL, NULL);
}
