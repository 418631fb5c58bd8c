#include "tcb/manufacture.h"

#include <string.h>

#include "crypto/hash.h"
#include "tpmwire/command.h"
#include "tpmwire/public.h"

#define TRANSIENT_FIRST 0x80000000 /* what libtpms gives the only object that is loaded */
#define RC_NV_DEFINED   0x14c      /* TPM 2.0 Part 2, 6.6.3: the handle is taken */

#define NV_READ_MAX 1024 /* bytes that one TPM2_NV_Read gives */

/* From LOOK or CREATE to FLUSH for each key, then the others for each certificate. */
enum step {
        STEP_STARTUP,
        STEP_ALGORITHMS,
        STEP_LOOK,
        STEP_CREATE,
        STEP_KEEP,
        STEP_FLUSH,
        STEP_CERT_SIZE,
        STEP_CERT_READ,
        STEP_SHUTDOWN,
};

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

static void put_look(const struct manufacture *m, struct writer *w)
{
        command_put_read_public(w, tpm_ek(m->sent.kind)->handle);
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

static void put_cert_size(const struct manufacture *m, struct writer *w)
{
        command_put_nv_read_public(w, tpm_ek(m->sent.kind)->cert_index);
}

static void put_cert_read(const struct manufacture *m, struct writer *w)
{
        const struct manufacture_cert *cert = &m->certs[m->sent.kind];
        const size_t left = cert->size - cert->len;

        command_put_nv_read(w, tpm_ek(m->sent.kind)->cert_index,
                            (uint16_t)(left < NV_READ_MAX ? left : NV_READ_MAX),
                            (uint16_t)cert->len);
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

/*
 * Something is kept where this key belongs. What it is its guest chose: the key itself follows from
 * the TPM's seed and its template.
 */
static int take_look(struct manufacture *m, struct bytes response, struct err *err)
{
        (void)response;
        (void)err;
        m->wanted |= (uint8_t)(1U << m->answered.kind);
        return 0;
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

static int take_cert_size(struct manufacture *m, struct bytes response, struct err *err)
{
        uint16_t size;
        int rc = response_get_nv_size(response, &size, err);

        if (rc == 0 && size <= MANUFACTURE_CERT_MAX)
                m->certs[m->answered.kind].size = size;
        return rc;
}

static int take_cert(struct manufacture *m, struct bytes response, struct err *err)
{
        struct manufacture_cert *cert = &m->certs[m->answered.kind];
        struct bytes data;
        int rc = response_get_nv_data(response, &data, err);

        if (rc != 0)
                return rc;
        if (data.len == 0 || data.len > cert->size - cert->len)
                return err_set(err, ERR_MALFORMED, "certificate of an EK: %zu bytes", data.len);
        memcpy(cert->data + cert->len, data.data, data.len);
        cert->len += data.len;
        return 0;
}

static const struct {
        const char *name;
        void (*put)(const struct manufacture *m, struct writer *w);
        int (*take)(struct manufacture *m, struct bytes response, struct err *err);
        uint32_t also; /* a response code that is as good as success */
        bool optional; /* any of them is */
        bool waits;    /* for the answer to the one before, which says how it goes on */
} steps[] = {
    [STEP_STARTUP] = {"startup", put_startup, take_nothing, 0, false, false},
    [STEP_ALGORITHMS] = {"algorithms", put_algorithms, take_algorithms, 0, false, false},
    [STEP_LOOK] = {"look", put_look, take_look, 0, true, true},
    [STEP_CREATE] = {"create", put_create, take_key, 0, false, false},
    /* Kept already by an attempt that a crash cut short: the same key, from the same seed. */
    [STEP_KEEP] = {"keep", put_keep, take_nothing, RC_NV_DEFINED, false, false},
    [STEP_FLUSH] = {"flush", put_flush, take_nothing, 0, false, false},
    /* There is none, or whoever made it lets nobody read it. */
    [STEP_CERT_SIZE] = {"certificate", put_cert_size, take_cert_size, 0, true, true},
    [STEP_CERT_READ] = {"certificate", put_cert_read, take_cert, 0, true, true},
    [STEP_SHUTDOWN] = {"shutdown", put_shutdown, take_nothing, 0, false, false},
};

/* The next certificate from this kind on that is wanted, or the shutdown. */
static struct manufacture_at next_cert(const struct manufacture *m, unsigned kind)
{
        return m->only_read && kind < TPM_EK_COUNT
                   ? (struct manufacture_at){STEP_CERT_SIZE, (enum tpm_ek_kind)kind}
                   : (struct manufacture_at){.step = STEP_SHUTDOWN};
}

static bool is_wanted(const struct manufacture *m, unsigned kind)
{
        return (m->wanted & (1U << kind)) != 0;
}

/* The same for keys, or whether there is one; the certificates come behind them. */
static struct manufacture_at next_key(const struct manufacture *m, unsigned kind)
{
        while (kind < TPM_EK_COUNT && !m->only_read && !is_wanted(m, kind))
                kind++;
        if (kind == TPM_EK_COUNT)
                return next_cert(m, 0);
        return (struct manufacture_at){is_wanted(m, kind) ? STEP_CREATE : STEP_LOOK,
                                       (enum tpm_ek_kind)kind};
}

static struct manufacture_at next_step(const struct manufacture *m, struct manufacture_at at)
{
        const struct manufacture_cert *cert = &m->certs[at.kind];

        switch (at.step) {
        case STEP_ALGORITHMS:
                return next_key(m, 0);
        case STEP_LOOK:
                return next_key(m, (unsigned)at.kind + (is_wanted(m, at.kind) ? 0 : 1));
        case STEP_FLUSH:
                return next_key(m, (unsigned)at.kind + 1);
        case STEP_CERT_SIZE:
        case STEP_CERT_READ:
                if (cert->len >= cert->size)
                        return next_cert(m, (unsigned)at.kind + 1);
                return (struct manufacture_at){STEP_CERT_READ, at.kind};
        case STEP_CREATE:
                at.step = m->only_read ? STEP_FLUSH : STEP_KEEP;
                return at;
        default:
                at.step++;
                return at;
        }
}

static int take_response(struct manufacture *m, struct bytes response, struct err *err)
{
        const unsigned step = m->answered.step;
        uint32_t code;
        int rc = response_code(response, &code, err);

        if (rc != 0)
                return rc;
        if (code == 0)
                return steps[step].take(m, response, err);
        if (steps[step].optional)
                m->certs[m->answered.kind].size = m->certs[m->answered.kind].len = 0;
        else if (code != steps[step].also)
                return err_set(err, ERR_TPM, "manufacture: %s: response code 0x%x",
                               steps[step].name, code);
        return 0;
}

static void on_response(void *user, struct bytes response);

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

/*
 * From the one that was sent last: as far as it goes without an answer. An engine that has ended
 * meanwhile says why to its owner.
 */
static int send_more(struct manufacture *m, struct err *err)
{
        int rc = 0;

        while (rc == 0 && m->sent.step != STEP_SHUTDOWN) {
                const struct manufacture_at next = next_step(m, m->sent);
                const bool open = steps[m->sent.step].waits || steps[next.step].waits;

                if (open && m->unanswered > 0)
                        break;
                m->sent = next;
                m->unanswered++;
                rc = send_command(m, err);
        }
        return rc == ERR_UNREACHABLE ? 0 : rc;
}

static void on_response(void *user, struct bytes response)
{
        struct manufacture *m = user;
        struct err err = {0};
        int rc = take_response(m, response, &err);

        if (rc == 0 && m->answered.step == STEP_SHUTDOWN) {
                m->done(m->user, NULL);
                return;
        }
        m->unanswered--;
        m->answered = next_step(m, m->answered);
        if (rc == 0)
                rc = send_more(m, &err);
        if (rc != 0)
                m->done(m->user, &err);
}

int manufacture_start(struct manufacture *m, struct err *err)
{
        int rc;

        m->sent = (struct manufacture_at){.step = STEP_STARTUP};
        m->answered = m->sent;
        m->unanswered = 1;
        rc = send_command(m, err);
        if (rc == ERR_UNREACHABLE)
                return 0;
        return rc != 0 ? rc : send_more(m, err);
}
