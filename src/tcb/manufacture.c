#include "tcb/manufacture.h"

#include <string.h>

#include "crypto/hash.h"
#include "tpmwire/command.h"
#include "tpmwire/public.h"

#define TRANSIENT_FIRST 0x80000000 /* what libtpms gives the only object that is loaded */
#define RC_NV_DEFINED   0x14c      /* TPM 2.0 Part 2, 6.6.3: the handle is taken */

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
        command_put_create_ek(w, m->sent.kind);
}

static void put_keep(const struct manufacture *m, struct writer *w)
{
        command_put_keep(w, TRANSIENT_FIRST, tpm_ek(m->sent.kind)->handle);
}

static void put_flush(const struct manufacture *m, struct writer *w)
{
        (void)m;
        command_put_flush(w, TRANSIENT_FIRST);
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
        struct manufacture_ek *ek = &m->eks[m->answered.kind];
        struct tpm_public public;
        struct tpm_name name;
        struct bytes bytes;
        uint32_t handle;
        int rc = response_get_primary(response, &handle, &bytes, err);

        /* The commands behind this one name it already. */
        if (rc == 0 && handle != TRANSIENT_FIRST)
                rc = err_set(err, ERR_MALFORMED, "EK at the handle 0x%x", handle);
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

/* The next key from this kind on that is wanted, or the shutdown. */
static struct manufacture_at next_key(const struct manufacture *m, unsigned kind)
{
        while (kind < TPM_EK_COUNT && (m->wanted & (1U << kind)) == 0)
                kind++;
        return kind < TPM_EK_COUNT ? (struct manufacture_at){STEP_CREATE, (enum tpm_ek_kind)kind}
                                   : (struct manufacture_at){.step = STEP_SHUTDOWN};
}

static struct manufacture_at next_step(const struct manufacture *m, struct manufacture_at at)
{
        if (at.step == STEP_ALGORITHMS)
                return next_key(m, 0);
        if (at.step == STEP_FLUSH)
                return next_key(m, (unsigned)at.kind + 1);
        at.step += at.step == STEP_CREATE && m->only_read ? 2 : 1;
        return at;
}

static int take_response(struct manufacture *m, struct bytes response, struct err *err)
{
        const unsigned step = m->answered.step;
        uint32_t code;
        int rc = response_code(response, &code, err);

        if (rc != 0)
                return rc;
        if (code != 0 && code != steps[step].also)
                return err_set(err, ERR_TPM, "manufacture: %s: response code 0x%x",
                               steps[step].name, code);
        return code != 0 ? 0 : steps[step].take(m, response, err);
}

static void on_response(void *user, struct bytes response)
{
        struct manufacture *m = user;
        struct err err = {0};

        if (take_response(m, response, &err) != 0) {
                m->done(m->user, &err);
                return;
        }
        if (m->answered.step == STEP_SHUTDOWN)
                m->done(m->user, NULL);
        else
                m->answered = next_step(m, m->answered);
}

static int send_command(struct manufacture *m, struct err *err)
{
        uint8_t memory[512];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        steps[m->sent.step].put(m, &w);
        return writer_check(&w) != 0
                   ? err_set(err, ERR_LIMIT, "command too long")
                   : engine_host_command(m->engine, writer_bytes(&w), on_response, m, err);
}

int manufacture_start(struct manufacture *m, struct err *err)
{
        int rc;

        m->sent = (struct manufacture_at){.step = STEP_STARTUP};
        m->answered = m->sent;
        rc = send_command(m, err);
        while (rc == 0 && m->sent.step != STEP_SHUTDOWN) {
                m->sent = next_step(m, m->sent);
                rc = send_command(m, err);
        }
        return rc;
}
