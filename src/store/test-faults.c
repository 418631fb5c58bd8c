/*
 * D-FULL, D-EIO, D-SHORT at every write and sync, and kill -9 at any moment: nothing that was
 * acknowledged is lost, and the store works again when the disk does.
 */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "lib/faultvfs.h"
#include "lib/test.h"
#include "store/store-vfs.h"

#define ROUNDS    6   /* commits in one run */
#define NTH_MAX   400 /* more writes than a run has */
#define KILLS     25
#define STATE_LEN 6000

static const uint8_t uuid_a[BLOCK_UUID_LEN] = {0xaa};
static const uint8_t uuid_b[BLOCK_UUID_LEN] = {0xbb};

static struct secret *new_key(void)
{
        static const uint8_t bytes[STORE_KEY_LEN] = {7};
        struct secret *key = NULL;
        struct err err = {0};

        assert_ok(secret_new_copy(bytes, sizeof(bytes), &key, &err), &err);
        return key;
}

static struct store *open_store(const char *path, const char *vfs)
{
        struct secret AUTO_SECRET *key = new_key();
        struct store *store = NULL;
        struct err err = {0};

        assert_ok(store_open_vfs(path, vfs, &store, &err), &err);
        assert_ok(store_unlock(store, key, &err), &err);
        return store;
}

static void create(struct store *store)
{
        const uint8_t *uuids[] = {uuid_a, uuid_b};
        struct err err = {0};

        assert_ok(store_begin(store, &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(uuids); i++) {
                struct security_block block = {.epoch = 1};

                memcpy(block.uuid, uuids[i], BLOCK_UUID_LEN);
                assert_ok(store_create_instance(store, i == 0 ? "a" : "b", &block, &err), &err);
        }
        assert_ok(store_commit(store, &err), &err);
}

/* A state that is nothing but this number, in the size of a real one. */
static int put(struct store *store, const uint8_t *uuid, uint64_t number, struct err *err)
{
        static uint8_t plain[STATE_LEN];
        struct store_put request = {
            .kind = STORE_KIND_PERMANENT,
            .plain = {plain, sizeof(plain)},
        };

        memcpy(plain, &number, sizeof(number));
        memcpy(request.uuid, uuid, BLOCK_UUID_LEN);
        return store_put_blob(store, &request, err);
}

static uint64_t get(struct store *store, const uint8_t *uuid)
{
        struct store_blob blob = {0};
        struct err err = {0};
        uint64_t number = 0;
        int rc = store_get_blob(store, uuid, STORE_KIND_PERMANENT, &blob, &err);

        if (rc == ERR_NOT_FOUND)
                return 0;
        assert_ok(rc, &err);
        assert_int_equal(blob.len, STATE_LEN);
        memcpy(&number, blob.data, sizeof(number));
        store_blob_free(&blob);
        return number;
}

/* What a machine that lost power now would find: copies of both files, opened elsewhere. */
static void check_crash(const char *path, uint64_t acknowledged)
{
        static const char *const parts[] = {"", "-wal", "-saves"};
        char copy[PATH_MAX];
        struct store *store;
        uint64_t a;

        (void)snprintf(copy, sizeof(copy), "%s/crash", test_dir());
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                char from[PATH_MAX + 8];
                char to[PATH_MAX + 8];
                struct err err = {0};
                uint8_t *data = NULL;
                size_t len = 0;

                (void)snprintf(from, sizeof(from), "%s%s", path, parts[i]);
                (void)snprintf(to, sizeof(to), "%s%s", copy, parts[i]);
                assert_ok(fs_read_file(from, 64U << 20, &data, &len, &err), &err);
                assert_ok(fs_write_file(to, data, len, 0600, &err), &err);
                free(data);
        }
        store = open_store(copy, NULL);
        a = get(store, uuid_a);
        assert_true(a == acknowledged || a == acknowledged + 1);
        assert_int_equal(get(store, uuid_b), a);
        store_close(store);
}

/* One step that may fail twice, after which the disk is whole again. */
static void insist(const char *path, uint64_t acknowledged, int rc, unsigned *failures,
                   const struct err *err)
{
        if (rc != ERR_IO)
                fail_msg("%d: %s", rc, err->text);
        if (++*failures == 1)
                check_crash(path, acknowledged);
        if (*failures >= 2)
                faultvfs_heal();
        assert_true(*failures < 5);
}

static void save_round(struct store *store, const char *path, uint64_t number)
{
        unsigned failures = 0;
        struct err err = {0};
        int rc;

        while ((rc = store_begin(store, &err)) != 0)
                insist(path, number - 1, rc, &failures, &err);
        while ((rc = put(store, uuid_a, number, &err)) != 0)
                insist(path, number - 1, rc, &failures, &err);
        while ((rc = put(store, uuid_b, number, &err)) != 0)
                insist(path, number - 1, rc, &failures, &err);
        while ((rc = store_commit(store, &err)) != 0)
                insist(path, number - 1, rc, &failures, &err);
        assert_int_equal(get(store, uuid_a), number);
}

/* Returns whether the fault struck. */
static bool run(enum fault_kind kind, unsigned nth, bool stays)
{
        char path[PATH_MAX];
        struct store *store;
        struct err err = {0};
        bool struck;

        (void)snprintf(path, sizeof(path), "%s/fault-saves", test_dir());
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "%s/fault-wal", test_dir());
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "%s/fault", test_dir());
        (void)unlink(path);
        store = open_store(path, FAULTVFS_NAME);
        create(store);
        faultvfs_arm(kind, nth, stays);
        for (uint64_t i = 1; i <= ROUNDS; i++) {
                save_round(store, path, i);
                /* A failed checkpoint loses nothing; the log just goes on. */
                if (i % 2 == 0 && store_checkpoint(store, &err) != 0)
                        assert_int_equal(err.code, ERR_IO);
        }
        struck = faultvfs_has_struck();
        faultvfs_heal();
        store_close(store);
        store = open_store(path, NULL);
        assert_int_equal(get(store, uuid_a), ROUNDS);
        assert_int_equal(get(store, uuid_b), ROUNDS);
        store_close(store);
        return struck;
}

static void survives(enum fault_kind kind)
{
        for (unsigned stays = 0; stays < 2; stays++) {
                unsigned nth = 0;

                while (run(kind, nth, stays != 0))
                        assert_true(++nth < NTH_MAX);
                /* A write for each commit, and several for each of the checkpoints that fold. */
                assert_true(nth > (unsigned)ROUNDS + ROUNDS / 2 * 4);
        }
}

static void d_full(void **state)
{
        (void)state;
        survives(FAULT_FULL);
}

static void d_eio(void **state)
{
        (void)state;
        survives(FAULT_EIO);
}

static void d_short(void **state)
{
        (void)state;
        survives(FAULT_SHORT);
}

/* A failure while the database is made leaves nothing half-made behind. */
static void creation_fails_whole(void **state)
{
        char path[PATH_MAX];
        unsigned nth = 0;
        int rc = ERR_FAILED;

        (void)state;
        for (; rc != 0 || faultvfs_has_struck(); nth++) {
                struct store *store = NULL;
                struct err err = {0};

                (void)snprintf(path, sizeof(path), "%s/create-%u", test_dir(), nth);
                faultvfs_arm(FAULT_FULL, nth, true);
                rc = store_open_vfs(path, FAULTVFS_NAME, &store, &err);
                if (rc != 0)
                        assert_int_equal(rc, ERR_IO);
                faultvfs_heal();
                store_close(store);
                store_close(open_store(path, NULL));
                assert_true(nth < NTH_MAX);
        }
        assert_true(nth > 5);
}

/* An abandoned commit does not come back, not even with a later one. */
static void given_up_is_forgotten(void **state)
{
        char path[PATH_MAX];
        struct store *store;
        struct err err = {0};

        (void)state;
        (void)snprintf(path, sizeof(path), "%s/given-up", test_dir());
        store = open_store(path, FAULTVFS_NAME);
        create(store);
        save_round(store, path, 1);
        faultvfs_arm(FAULT_FULL, 0, true);
        assert_ok(store_begin(store, &err), &err);
        assert_ok(put(store, uuid_a, 2, &err), &err);
        assert_int_equal(store_commit(store, &err), ERR_IO);
        assert_true(store_in_transaction(store));
        store_rollback(store);
        faultvfs_heal();
        assert_int_equal(get(store, uuid_a), 1);
        assert_ok(store_begin(store, &err), &err);
        assert_ok(put(store, uuid_b, 2, &err), &err);
        assert_ok(store_commit(store, &err), &err);
        store_close(store);
        store = open_store(path, NULL);
        assert_int_equal(get(store, uuid_a), 1);
        assert_int_equal(get(store, uuid_b), 2);
        store_close(store);
}

/* --- kill -9 -----------------------------------------------------------------------------------
 */

/* The child: commits as fast as it can and reports each on standard output. */
static int write_for_ever(const char *path)
{
        struct store *store = open_store(path, NULL);
        struct err err = {0};

        for (uint64_t number = get(store, uuid_a) + 1;; number++) {
                if (store_begin(store, &err) != 0 || put(store, uuid_a, number, &err) != 0 ||
                    put(store, uuid_b, number, &err) != 0 || store_commit(store, &err) != 0 ||
                    write(STDOUT_FILENO, &number, sizeof(number)) != sizeof(number))
                        return 1;
                if (number % 16 == 0 && store_checkpoint(store, &err) != 0)
                        return 1;
        }
}

/* Forks and executes: the pages of keys are not there in a forked child. */
static pid_t start_writer(const char *path, int out)
{
        pid_t pid = fork();

        if (pid == 0) {
                (void)dup2(out, STDOUT_FILENO);
                (void)execl("/proc/self/exe", "test-store-faults", "--writer", path, (char *)NULL);
                _exit(127);
        }
        assert_true(pid > 0);
        return pid;
}

/* Kills the writer some time after its first report; returns the last one. */
static uint64_t kill_writer(const char *path, unsigned ms)
{
        struct timespec wait = {0, (long)ms * 1000000};
        uint64_t number = 0;
        uint64_t last = 0;
        int status = 0;
        int fds[2];
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = start_writer(path, fds[1]);
        (void)close(fds[1]);
        assert_int_equal(read(fds[0], &last, sizeof(last)), sizeof(last));
        (void)nanosleep(&wait, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (read(fds[0], &number, sizeof(number)) == sizeof(number))
                last = number;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        (void)close(fds[0]);
        return last;
}

static void killed_at_any_moment(void **state)
{
        char path[PATH_MAX];
        struct store *store;
        unsigned seed = 12345;

        (void)state;
        (void)snprintf(path, sizeof(path), "%s/killed", test_dir());
        store = open_store(path, NULL);
        create(store);
        store_close(store);
        for (int i = 0; i < KILLS; i++) {
                uint64_t last = kill_writer(path, (seed = seed * 1103515245 + 12345) >> 16 & 31);
                uint64_t found;

                store = open_store(path, NULL);
                found = get(store, uuid_a);
                if (found != last && found != last + 1)
                        fail_msg("acknowledged %llu, found %llu", (unsigned long long)last,
                                 (unsigned long long)found);
                assert_int_equal(get(store, uuid_b), found);
                store_close(store);
        }
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(d_full),
            cmocka_unit_test(d_eio),
            cmocka_unit_test(d_short),
            cmocka_unit_test(creation_fails_whole),
            cmocka_unit_test(given_up_is_forgotten),
            cmocka_unit_test(killed_at_any_moment),
        };

        if (argc == 3 && strcmp(argv[1], "--writer") == 0)
                return write_for_ever(argv[2]);
        /* Hundreds of small databases: what fails here is simulated, so memory will do. */
        if (access("/dev/shm", W_OK) == 0)
                (void)setenv("TMPDIR", "/dev/shm", 0);
        if (faultvfs_register() != 0)
                return 1;
        return cmocka_run_group_tests_name("store-faults", tests, NULL, NULL);
}
