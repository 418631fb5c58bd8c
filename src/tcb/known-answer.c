#include "tcb/known-answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "tcb/manufacture.h"

enum outcome { OUTCOME_PENDING, OUTCOME_PASSED, OUTCOME_FAILED };

struct known_answer {
        enum outcome outcome;
        const struct profile *profile;
        struct engine_host *engine;
        int control; /* keeps the engine's control channel open */
        struct manufacture manufacture;
        char words[400]; /* why it failed */
};

static void end(struct known_answer *test, enum outcome outcome)
{
        test->outcome = outcome;
        engine_host_free(TAKE(test->engine));
        fd_close(&test->control);
}

static void fail(struct known_answer *test, const struct err *err)
{
        (void)snprintf(test->words, sizeof(test->words), "%.399s", err->text);
        log_error((&(struct log_fields){.op = "known-answer test", .err = err}),
                  "no vTPM is made from a given seed; those that exist are not affected");
        end(test, OUTCOME_FAILED);
}

static int compare(const struct known_answer *test, struct err *err)
{
        char text[BLOCK_PROFILE_MAX + 1];
        char hex[2 * TPM_NAME_MAX + 1];

        profile_describe(engine_host_libtpms(test->engine), test->manufacture.algorithms, text);
        if (strcmp(text, test->profile->text) != 0)
                return err_set(err, ERR_UNSUPPORTED, "seeds are for \"%s\", this is \"%s\"",
                               test->profile->text, text);
        for (size_t i = 0; i < TPM_EK_COUNT; i++) {
                const struct tpm_name *name = &test->manufacture.eks[i].name;

                if (strcmp(hex_encode(name->data, name->len, hex), test->profile->names[i]) != 0)
                        return err_set(err, ERR_UNSUPPORTED,
                                       "%s makes another key %s from the "
                                       "known seed: %s",
                                       text, tpm_ek((enum tpm_ek_kind)i)->name, hex);
        }
        return 0;
}

static void on_done(void *user, const struct err *failure)
{
        struct known_answer *test = user;
        struct err err = {0};

        if (failure != NULL)
                fail(test, failure);
        else if (compare(test, &err) != 0)
                fail(test, &err);
        else
                end(test, OUTCOME_PASSED);
}

static void on_ready(void *user)
{
        (void)user;
}

/* Nothing of it is stored. */
static int on_persist(void *user, const struct engine_persist *persist, struct err *err)
{
        (void)user;
        (void)persist;
        (void)err;
        return 0;
}

static void on_event(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        (void)user;
        (void)kind;
        (void)init_count;
}

static void on_died(void *user, const struct err *err)
{
        fail(user, err);
}

static int on_ask(void *user, const struct engine_question *question, struct err *err)
{
        (void)user;
        (void)question;
        return err_set(err, ERR_MALFORMED, "engine: asks what it must not");
}

static const struct engine_host_ops ops = {on_ready, on_persist, on_event, on_died, on_ask, NULL};

static int start(struct known_answer *test, const struct engine_host_request *given,
                 struct err *err)
{
        static const uint8_t uuid[BLOCK_UUID_LEN] = "known answer";
        struct engine_host_request request = *given;
        struct secret AUTO_SECRET *base = NULL;
        struct secret AUTO_SECRET *seed = NULL;
        int control[2];
        int rc = secret_new(PROFILE_BASE_SEED_SIZE, &base, err);

        if (rc == 0)
                rc = profile_seed(base, uuid, &seed, err);
        if (rc == 0)
                rc = fd_socketpair(SOCK_STREAM, control, err);
        if (rc != 0)
                return rc;
        test->control = control[0];
        request.uuid = uuid;
        request.seed = (struct bytes){seed->data, seed->len};
        request.control = control[1];
        request.flags = ENGINE_START_DRAFT;
        request.ops = &ops;
        request.user = test;
        rc = engine_host_start(&request, &test->engine, err);
        fd_close(&control[1]);
        if (rc == 0) {
                test->manufacture.engine = test->engine;
                rc = manufacture_start(&test->manufacture, err);
        }
        return rc;
}

int known_answer_start(const struct engine_host_request *request, const struct profile *profile,
                       struct known_answer **ret_test, struct err *err)
{
        struct known_answer *test = calloc(1, sizeof(*test));
        struct err failure = {0};

        if (test == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        test->profile = profile;
        test->control = -1;
        test->manufacture.wanted = (1U << TPM_EK_COUNT) - 1;
        test->manufacture.done = on_done;
        test->manufacture.user = test;
        /* An engine that does not come up is an answer too: existing vTPMs may still do. */
        if (start(test, request, &failure) != 0)
                fail(test, &failure);
        *ret_test = test;
        return 0;
}

int known_answer_check(const struct known_answer *test, struct err *err)
{
        if (test->outcome == OUTCOME_PENDING)
                return err_set(err, ERR_CONFLICT, "the manufacture is still being tested");
        if (test->outcome == OUTCOME_FAILED)
                return err_set(err, ERR_UNSUPPORTED, "known-answer test: %s", test->words);
        return 0;
}

void known_answer_free(struct known_answer *test)
{
        if (test == NULL)
                return;
        end(test, test->outcome);
        free(test);
}
