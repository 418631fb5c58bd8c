#include "tcb/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "crypto/hash.h"
#include "evlog/hostlog.h"

#define EVENTS_FILE     "host.events"
#define EVENTS_FILE_MAX (1U << 20)
#define BLOCK           (1U << 16)
#define SUPERVISOR_MAX  (64 << 20) /* bytes of a program that keeps descriptors */

/* The events so far, one text a line, as they are kept on disk. */
struct events {
        struct writer text;
};

/* By offset: the position of what a supervisor hands over is shared with all TCBs that come. */
static int digest_fd(int fd, const char *path, uint8_t ret_digest[32], struct err *err)
{
        struct hash AUTO_HASH *hash = NULL;
        uint8_t AUTO_FREE *block = malloc(BLOCK);
        off_t offset = 0;

        if (block == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (hash_new(hash_by_tpm_id(HASH_TPM_SHA256), &hash, err) != 0)
                return err->code;
        for (;;) {
                ssize_t n = pread(fd, block, BLOCK, offset);

                if (n < 0)
                        return err_set_errno(err, errno, "measure %s", path);
                if (n == 0)
                        return hash_final(hash, ret_digest, err);
                if (hash_update(hash, block, (size_t)n, err) != 0)
                        return err->code;
                offset += n;
        }
}

static int digest_file(const char *path, uint8_t ret_digest[32], struct err *err)
{
        int AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return err_set_errno(err, errno, "measure %s", path);
        return digest_fd(fd, path, ret_digest, err);
}

int measure_open(const char *path, const uint8_t measured[32], int *ret_fd, struct err *err)
{
        int AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
        uint8_t digest[32];

        if (fd < 0)
                return err_set_errno(err, errno, "open %s", path);
        if (digest_fd(fd, path, digest, err) != 0)
                return err->code;
        if (memcmp(digest, measured, sizeof(digest)) != 0)
                return err_set(err, ERR_NOT_TRUSTED,
                               "%s is not the file that was measured when the TCB started; was it "
                               "upgraded? reload or restart catena-tcb to have it measured",
                               path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* PCR value after an event: H(pcr || H(text)). */
static int extend_copy(uint8_t pcr[32], struct bytes text, struct err *err)
{
        const struct hash_alg *sha256 = hash_by_tpm_id(HASH_TPM_SHA256);
        uint8_t digest[32];

        if (hash_digest(sha256, text.data, text.len, digest, err) != 0)
                return err->code;
        return hash_extend(sha256, pcr, digest, err);
}

/*
 * Keeps the longest start of the stored lines that explains the PCR: the last line may have been
 * stored just before a crash and never extended.
 */
static int adopt_events(struct bytes stored, const uint8_t pcr[32], struct events *events,
                        struct err *err)
{
        uint8_t value[32] = {0};
        size_t start = 0;
        size_t good = 0;
        bool found = memcmp(value, pcr, 32) == 0;

        for (size_t i = 0; i < stored.len; i++) {
                if (stored.data[i] != '\n')
                        continue;
                if (extend_copy(value, (struct bytes){stored.data + start, i - start}, err) != 0)
                        return err->code;
                start = i + 1;
                if (memcmp(value, pcr, 32) == 0) {
                        found = true;
                        good = start;
                }
        }
        if (!found) {
                (void)err_set(err, ERR_NOT_TRUSTED,
                              "PCR %d of the host's TPM is not explained by its log", HOSTLOG_PCR);
                return err_hint(err, "something else extended PCR %d; reboot the host",
                                HOSTLOG_PCR);
        }
        writer_put(&events->text, stored.data, good);
        return 0;
}

static int load_events(const struct tcb_config *config, struct ptpm *ptpm, struct events *events,
                       struct err *err)
{
        const struct ptpm_read_pcrs read = {0};
        struct ptpm_pcrs pcrs;
        const struct ptpm_answer answer = {ptpm_pcrs_code, &pcrs, sizeof(pcrs)};
        uint8_t AUTO_FREE *data = NULL;
        char path[PATH_MAX];
        size_t len = 0;
        int rc;

        if (tcb_config_path(config, EVENTS_FILE, path, err) != 0)
                return err->code;
        rc = fs_read_file(path, EVENTS_FILE_MAX, &data, &len, err);
        if (rc != 0 && rc != ERR_NOT_FOUND)
                return rc;
        if (ptpm_call(ptpm, ptpm_read_pcrs_code, &read, &answer, err) != 0)
                return err->code;
        return adopt_events((struct bytes){data, len}, pcrs.values + 32L * HOSTLOG_PCR, events,
                            err);
}

/*
 * Whether the last event that begins with these words says the same: a TCB that starts again on a
 * TPM that was not reset adds what changed, and its log does not grow with every start.
 */
static bool is_latest(const struct events *events, const char *begin, const char *text)
{
        struct bytes latest = {(const uint8_t *)"", 0};
        size_t start = 0;
        size_t len = strlen(begin);

        for (size_t i = 0; i < events->text.len; i++) {
                struct bytes line = {events->text.data + start, i - start};

                if (events->text.data[i] != '\n')
                        continue;
                if (line.len >= len && memcmp(line.data, begin, len) == 0)
                        latest = line;
                start = i + 1;
        }
        return bytes_equal(latest, (struct bytes){(const uint8_t *)text, strlen(text)});
}

/* Stores first, extends then: a crash in between leaves a line too many, which adopt drops. */
static int add_event(const struct tcb_config *config, struct ptpm *ptpm, struct events *events,
                     const char *text, struct err *err)
{
        struct ptpm_done done;
        const struct ptpm_answer answer = {ptpm_done_code, &done, sizeof(done)};
        struct ptpm_extend extend = {.pcr = HOSTLOG_PCR, .event = wire_text(text)};
        char path[PATH_MAX];

        if (tcb_config_path(config, EVENTS_FILE, path, err) != 0)
                return err->code;
        writer_put_text(&events->text, text);
        writer_put_u8(&events->text, '\n');
        if (writer_check(&events->text) != 0)
                return err_set(err, ERR_LIMIT, "the host's log is full; reboot the host");
        if (fs_write_file(path, events->text.data, events->text.len, 0600, err) != 0)
                return err->code;
        return ptpm_call(ptpm, ptpm_extend_code, &extend, &answer, err);
}

static int add_component(const struct tcb_config *config, struct ptpm *ptpm, struct events *events,
                         const struct hostlog_component *component, struct err *err)
{
        char text[HOSTLOG_TEXT_MAX];
        char begin[sizeof("catena-host  ") + HOSTLOG_NAME_MAX];

        if (hostlog_text(component, text, err) != 0)
                return err->code;
        (void)snprintf(begin, sizeof(begin), "catena-host %s ", component->name);
        return is_latest(events, begin, text) ? 0 : add_event(config, ptpm, events, text, err);
}

/* Which TPM this is, so that nobody can say later that it was another kind. */
static int measure_ptpm(const struct tcb_config *config, struct ptpm *ptpm, struct events *events,
                        struct err *err)
{
        struct hostlog_ptpm about = {.by = MEASURE_BY};
        char text[HOSTLOG_TEXT_MAX];

        (void)snprintf(about.kind, sizeof(about.kind), "%s", ptpm_kind(ptpm));
        (void)snprintf(about.manufacturer, sizeof(about.manufacturer), "%s",
                       ptpm_manufacturer(ptpm));
        (void)snprintf(about.vendor, sizeof(about.vendor), "%s", ptpm_vendor(ptpm));
        (void)snprintf(about.firmware, sizeof(about.firmware), "%s", ptpm_firmware(ptpm));
        if (hostlog_ptpm_text(&about, text, err) != 0)
                return err->code;
        return is_latest(events, "catena-ptpm ", text) ? 0
                                                       : add_event(config, ptpm, events, text, err);
}

static struct hostlog_component component_of(const char *name, const char *version,
                                             const uint8_t digest[32])
{
        struct hostlog_component component = {.name = ""};

        (void)snprintf(component.name, sizeof(component.name), "%s", name);
        (void)snprintf(component.version, sizeof(component.version), "%s", version);
        memcpy(component.digest, digest, sizeof(component.digest));
        return component;
}

/*
 * It is of whatever build: its version is not ours to say. It gives us the descriptor, so this must
 * be a file that has an end.
 */
static int measure_supervisor(const struct tcb_config *config, struct ptpm *ptpm, int program,
                              struct events *events, struct err *err)
{
        static const char name[] = "catena-supervisor";
        struct hostlog_component component;
        uint8_t digest[32];
        struct stat about;
        int rc;

        if (program < 0)
                return 0;
        if (fstat(program, &about) < 0)
                return err_set_errno(err, errno, "measure %s", name);
        if (!S_ISREG(about.st_mode) || about.st_size == 0 || about.st_size > SUPERVISOR_MAX)
                return err_set(err, ERR_MALFORMED, "%s: what it shows is no program", name);
        rc = digest_fd(program, name, digest, err);
        if (rc != 0)
                return rc;
        component = component_of(name, "-", digest);
        return add_component(config, ptpm, events, &component, err);
}

static int measure_components(const struct tcb_config *config, struct ptpm *ptpm,
                              struct events *events, struct measurements *m, struct err *err)
{
        uint8_t arbiter[32];
        const struct {
                const char *name;
                const char *program; /* of ours, or NULL */
                const char *path;
                const char *version;
                uint8_t *digest;
        } rows[] = {
            /* What runs, not what lies at its path by now. */
            {"catena-tcb", NULL, "/proc/self/exe", CATENA_VERSION, m->tcb},
            {"catena-arbiter", "catena-arbiter", NULL, CATENA_VERSION, arbiter},
            {"catena-vtpm", "catena-vtpm", NULL, CATENA_VERSION, m->engine},
            {"qemu", NULL, config->qemu, "-", m->qemu},
            {"ovmf", NULL, config->ovmf_code, "-", m->ovmf},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct hostlog_component component;
                char path[PATH_MAX];
                int rc;

                if (rows[i].program != NULL &&
                    tcb_config_program(config, rows[i].program, path, err) != 0)
                        return err->code;
                if (digest_file(rows[i].program != NULL ? path : rows[i].path, rows[i].digest,
                                err) != 0)
                        return err->code;
                component = component_of(rows[i].name, rows[i].version, rows[i].digest);
                rc = add_component(config, ptpm, events, &component, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int make_log(const struct events *events, struct writer *log, struct err *err)
{
        size_t start = 0;

        hostlog_put_header(log);
        for (size_t i = 0; i < events->text.len; i++) {
                struct bytes line = {events->text.data + start, i - start};

                if (events->text.data[i] != '\n')
                        continue;
                if (hostlog_put_event(log, line, err) != 0)
                        return err->code;
                start = i + 1;
        }
        return 0;
}

int measure_host(const struct tcb_config *config, struct ptpm *ptpm, int supervisor,
                 struct measurements *ret_measurements, struct err *err)
{
        struct measurements m = {.log = {0}};
        struct events events;
        int rc;

        writer_init(&events.text, EVENTS_FILE_MAX);
        writer_init(&m.log, HOSTLOG_LOG_MAX);
        rc = load_events(config, ptpm, &events, err);
        if (rc == 0)
                rc = measure_ptpm(config, ptpm, &events, err);
        if (rc == 0)
                rc = measure_supervisor(config, ptpm, supervisor, &events, err);
        if (rc == 0)
                rc = measure_components(config, ptpm, &events, &m, err);
        if (rc == 0)
                rc = make_log(&events, &m.log, err);
        writer_done(&events.text);
        if (rc != 0) {
                measurements_done(&m);
                return err_wrap(err, "measure the host's software");
        }
        *ret_measurements = m;
        return 0;
}

void measurements_done(struct measurements *measurements)
{
        writer_done(&measurements->log);
}
