#include "tcb/test-tcb.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#define TURN_USEC UINT64_C(1000000)
#define LONGEST_S 60

struct tcb *test_tcb_open(uint64_t pool)
{
        struct tcb_config config = {.host_name = "host-t",
                                    .tcti = "embedded",
                                    .accel = "auto",
                                    .uid_base = 720000,
                                    .pool = pool};
        struct tcb *tcb = NULL;
        struct err err = {0};

        (void)snprintf(config.state, sizeof(config.state), "%s", test_dir());
        (void)snprintf(config.programs, sizeof(config.programs), "%s", getenv("CATENA_BUILD"));
        /* Any files will do for what is measured and never started. */
        (void)snprintf(config.qemu, sizeof(config.qemu), "/proc/self/exe");
        (void)snprintf(config.ovmf_code, sizeof(config.ovmf_code), "/proc/self/exe");
        assert_ok(tcb_open(&config, &tcb, &err), &err);
        return tcb;
}

void test_tcb_run(struct tcb *tcb, const bool *done)
{
        const time_t start = time(NULL);

        while (!*done) {
                assert_true(sd_event_run(tcb->event, TURN_USEC) >= 0);
                assert_true(time(NULL) - start < LONGEST_S);
        }
}

struct created {
        bool done;
        struct instance *instance;
        struct err failure;
};

static void on_created(void *user, struct instance *instance, const struct err *failure)
{
        struct created *created = user;

        created->done = true;
        created->instance = instance;
        if (failure != NULL)
                created->failure = *failure;
}

struct instance *test_tcb_create(struct tcb *tcb, const char *name, uint8_t eks,
                                 struct err *ret_failure)
{
        static const uint8_t any[BLOCK_UUID_LEN];
        const struct create_request request = {.name = name, .uuid = any, .eks = eks};
        struct created created = {.done = false};
        struct err err = {0};

        if (create_vtpm(tcb, &request, on_created, &created, &err) != 0) {
                *ret_failure = err;
                return NULL;
        }
        test_tcb_run(tcb, &created.done);
        *ret_failure = created.failure;
        return created.instance;
}
