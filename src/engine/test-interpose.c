/*
 * Entropy is the kernel's or there is none: without it an engine ends (PROTOCOLS, Engines), where
 * libtpms would go on with rand(3) and libcrypto with what it has left. getrandom(2) fails when
 * the test wants it to.
 */
#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/interpose.h"
#include "engine/vtpm.h"
#include "lib/test.h"

/* Their header is the engine's interpose.c's alone. */
int RAND_bytes(unsigned char *buf, int num);
int RAND_priv_bytes(unsigned char *buf, int num);
int RAND_set_rand_method(const void *method);

static int failure; /* errno of getrandom; 0: it works */
static unsigned calls;

ssize_t __real_getrandom(void *buf, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t n, unsigned flags);

ssize_t __wrap_getrandom(void *buf, size_t n, unsigned flags)
{
        calls++;
        /* Each call is interrupted once, and gives less than was asked for. */
        if (failure == EINTR && calls % 2 == 1) {
                errno = EINTR;
                return -1;
        }
        if (failure != 0 && failure != EINTR) {
                errno = failure;
                return -1;
        }
        return __real_getrandom(buf, n > 7 ? 7 : n, flags);
}

static void forget(void *context, enum engine_blob_kind kind, struct bytes blob)
{
        (void)context;
        (void)kind;
        (void)blob;
}

static void manufacture(void)
{
        struct err err = {0};

        (void)!vtpm_load(&(struct vtpm_setup){.persist = forget}, &err);
}

static void draw_as_libtpms(void)
{
        uint8_t bytes[16];

        (void)RAND_bytes(bytes, sizeof(bytes));
}

static void draw_as_libcrypto(void)
{
        uint8_t bytes[16];

        (void)RAND_priv_bytes(bytes, sizeof(bytes));
}

static void draw_ourselves(void)
{
        uint8_t bytes[16];

        interpose_random(bytes, sizeof(bytes));
}

/* The signal that ended a child that does this without entropy; 0 if it went on. */
static int outcome(void (*act)(void), int errnum)
{
        const struct rlimit no_core = {0};
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void)setrlimit(RLIMIT_CORE, &no_core);
                failure = errnum;
                act();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void without_entropy_it_ends(void **state)
{
        static const struct {
                const char *name;
                void (*act)(void);
        } rows[] = {
            {"libtpms", draw_as_libtpms},
            {"libcrypto", draw_as_libcrypto},
            {"engine", draw_ourselves},
            {"manufacture", manufacture},
        };
        static const int failures[] = {ENOSYS, EPERM, EAGAIN};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                for (size_t k = 0; k < ARRAY_SIZE(failures); k++)
                        if (outcome(rows[i].act, failures[k]) != SIGABRT)
                                fail_msg("%s went on without entropy", rows[i].name);
                assert_int_equal(outcome(rows[i].act, 0), 0);
        }
}

static void it_asks_until_it_has_all(void **state)
{
        uint8_t bytes[64] = {0};
        unsigned zeros = 0;

        (void)state;
        failure = EINTR;
        calls = 0;
        interpose_random(bytes, sizeof(bytes));
        failure = 0;
        assert_int_equal(calls, 20); /* ten parts, each asked for twice */
        for (size_t i = 0; i < sizeof(bytes); i++)
                zeros += bytes[i] == 0;
        assert_true(zeros < sizeof(bytes) / 2);
}

static int set_up(void **state)
{
        (void)state;
        interpose_warm_up();
        return 0;
}

/* OpenSSL 3.0 loses 64 bytes at exit(3) if its own generators were never used. */
static int tear_down(void **state)
{
        uint8_t byte;

        (void)state;
        return RAND_set_rand_method(NULL) == 1 && RAND_priv_bytes(&byte, 1) == 1 ? 0 : -1;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(without_entropy_it_ends),
            cmocka_unit_test(it_asks_until_it_has_all),
        };

        return cmocka_run_group_tests_name("engine-interpose", tests, set_up, tear_down);
}
