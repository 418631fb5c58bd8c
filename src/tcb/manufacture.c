#include "tcb/manufacture.h"

#include <string.h>

#include "crypto/hash.h"
#include "tpmwire/command.h"
#include "tpmwire/public.h"

#define RC_NV_DEFINED 0x14c /* TPM 2.0 Part 2, 6.6.3: the handle is taken */

/* From CREATE to FLUSH for each key. */
enum step { STEP_STARTUP, STEP_ALGORITHMS, STEP_CREATE, STEP_KEEP, STEP_FLUSH, STEP_SHUTDOWN };

static void put_startup(const struct manufacture *m, struct writer *w)
{
        (void)m;
        command_put_startup(w);
}

static void put_algorithms(const struct manufacture *m, struct writer *w)
{
        (void)m;
        command_put_get_algorithms(w);
}

static void put_create(const struct manufacture *m, struct writer *w)
{
        command_put_create_ek(w, m->kind);
}

static void put_keep(const struct manufacture *m, struct writer *w)
{
        command_put_keep(w, m->handle, tpm_ek(m->kind)->handle);
}

static void put_flush(const struct manufacture *m, struct writer *w)
{
        command_put_flush(w, m->handle);
}

static void put_shutdown(const struct manufacture *m, struct writer *w)
{
        (void)m;
        command_put_shutdown(w);
}

static int take_nothing(struct manufacture *m, struct bytes response, struct err *err)
{
        (void)m;
        (void)response;
        (void)err;
        return 0;
}

static int take_algorithms(struct manufacture *m, struct bytes response, struct err *err)
{
        uint8_t digest[HASH_SIZE_MAX];
        int rc =
            hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), response.data, response.len, digest, err);

        if (rc == 0)
                memcpy(m->algorithms, digest, sizeof(m->algorithms));
        return rc;
}

static int take_key(struct manufacture *m, struct bytes response, struct err *err)
{
        struct manufacture_ek *ek = &m->eks[m->kind];
        struct tpm_public public;
        struct tpm_name name;
        struct bytes bytes;
        int rc = response_get_primary(response, &m->handle, &bytes, err);

        if (rc == 0)
                rc = tpm_public_parse(bytes, &public, err);
        if (rc == 0)
                rc = tpm_name_of_public(&public, &name, err);
        if (rc != 0)
                return rc;
        if (bytes.len > sizeof(ek->public))
                return err_set(err, ERR_MALFORMED, "EK of %zu bytes", bytes.len);
        memcpy(ek->public, bytes.data, bytes.len);
        ek->public_len = bytes.len;
        ek->name = name;
        return 0;
}

static const struct {
        const char *name;
        void (*put)(const struct manufacture *m, struct writer *w);
        int (*take)(struct manufacture *m, struct bytes response, struct err *err);
        uint32_t also; /* a response code that is as good as success */
} steps[] = {
    [STEP_STARTUP] = {"startup", put_startup, take_nothing, 0},
    [STEP_ALGORITHMS] = {"algorithms", put_algorithms, take_algorithms, 0},
    [STEP_CREATE] = {"create", put_create, take_key, 0},
    /* Kept already by an attempt that a crash cut short: the same key, from the same seed. */
    [STEP_KEEP] = {"keep", put_keep, take_nothing, RC_NV_DEFINED},
    [STEP_FLUSH] = {"flush", put_flush, take_nothing, 0},
    [STEP_SHUTDOWN] = {"shutdown", put_shutdown, take_nothing, 0},
};

/* The first key that is wanted and not there yet, or the shutdown. */
static enum step next_key(struct manufacture *m)
{
        for (unsigned kind = 0; kind < TPM_EK_COUNT; kind++) {
                if ((m->wanted & (1U << kind)) != 0 && m->eks[kind].public_len == 0) {
                        m->kind = (enum tpm_ek_kind)kind;
                        return STEP_CREATE;
                }
        }
        return STEP_SHUTDOWN;
}

static int take_response(struct manufacture *m, struct bytes response, struct err *err)
{
        uint32_t code;
        int rc = response_code(response, &code, err);

        if (rc != 0)
                return rc;
        if (code != 0 && code != steps[m->step].also)
                return err_set(err, ERR_TPM, "manufacture: %s: response code 0x%x",
                               steps[m->step].name, code);
        return code != 0 ? 0 : steps[m->step].take(m, response, err);
}

static void on_response(void *user, struct bytes response);

static void run_step(struct manufacture *m)
{
        uint8_t memory[512];
        struct writer w;
        struct err err = {0};
        int rc;

        writer_init_fixed(&w, memory, sizeof(memory));
        steps[m->step].put(m, &w);
        rc = writer_check(&w) != 0
                 ? err_set(&err, ERR_LIMIT, "command too long")
                 : engine_host_command(m->engine, writer_bytes(&w), on_response, m, &err);
        if (rc != 0)
                m->done(m->user, &err);
}

static void on_response(void *user, struct bytes response)
{
        struct manufacture *m = user;
        struct err err = {0};

        if (take_response(m, response, &err) != 0) {
                m->done(m->user, &err);
                return;
        }
        if (m->step == STEP_SHUTDOWN) {
                m->done(m->user, NULL);
                return;
        }
        if (m->step == STEP_ALGORITHMS || m->step == STEP_FLUSH)
                m->step = next_key(m);
        else
                m->step += m->step == STEP_CREATE && m->only_read ? 2 : 1;
        run_step(m);
}

void manufacture_run(struct manufacture *m)
{
        m->step = STEP_STARTUP;
        run_step(m);
}
