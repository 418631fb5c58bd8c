#include "swtpm/state-file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/writer.h"
#include "crypto/passphrase.h"
#include "store/sealed.h"

#define HEADER_AT(slot) ((off_t)(slot)*4096)
#define BODY_AT(slot)   (8192 + (off_t)(slot)*STATE_BODY_MAX)
#define KIND            1 /* of the sealed context */
#define LABEL           "catena swtpm state"

struct state_file {
        int fd;
        struct state_header newest;
        unsigned slot;         /* of the newest */
        struct sealer *sealer; /* NULL: in clear */
        struct state_content content;
};

/* Slots -------------------------------------------------------------------------------------- */

/* Bytes read, fewer at the end of the file; or negative. */
static int read_at(int fd, void *data, size_t len, off_t at, size_t *ret_len, struct err *err)
{
        size_t have = 0;

        while (have < len) {
                ssize_t k = pread(fd, (uint8_t *)data + have, len - have, at + (off_t)have);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return err_set_errno(err, errno, "read");
                if (k == 0)
                        break;
                have += (size_t)k;
        }
        *ret_len = have;
        return 0;
}

static int write_at(int fd, const void *data, size_t len, off_t at, struct err *err)
{
        size_t done = 0;

        while (done < len) {
                ssize_t k = pwrite(fd, (const uint8_t *)data + done, len - done, at + (off_t)done);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return err_set_errno(err, k < 0 ? errno : EIO, "write");
                done += (size_t)k;
        }
        return fdatasync(fd) < 0 ? err_set_errno(err, errno, "sync") : 0;
}

static int read_headers(struct state_file *state, struct err *err)
{
        for (unsigned slot = 0; slot < 2; slot++) {
                uint8_t data[STATE_HEADER_LEN] = {0};
                struct state_header header;
                size_t len = 0;
                int rc = read_at(state->fd, data, sizeof(data), HEADER_AT(slot), &len, err);

                if (rc == 0)
                        rc = state_header_decode(data, &header, err);
                if (rc != 0)
                        return rc;
                if (header.generation > state->newest.generation) {
                        state->newest = header;
                        state->slot = slot;
                }
        }
        return 0;
}

/* Bodies --------------------------------------------------------------------------------------- */

static struct sealed_context context_of(const struct state_header *header)
{
        static const uint8_t no_configuration[32];

        return (struct sealed_context){.uuid = header->uuid,
                                       .sequence = header->generation,
                                       .config_digest = no_configuration,
                                       .kind = KIND};
}

/* body: as it stands on the disk. */
static int open_body(struct state_file *state, struct bytes body, struct err *err)
{
        const struct sealed_context context = context_of(&state->newest);
        uint8_t *plain = NULL;
        size_t len;
        int rc;

        if (state->sealer == NULL)
                return state_body_decode(body, &state->content, err);
        rc = sealer_open(state->sealer, &context, body, &plain, err);
        if (rc == ERR_DAMAGED) {
                (void)err_set(err, ERR_NOT_PERMITTED, "it does not open with this passphrase");
                return err->code;
        }
        if (rc != 0)
                return rc;
        len = body.len - SEALED_OVERHEAD;
        rc = state_body_decode((struct bytes){plain, len}, &state->content, err);
        explicit_bzero(plain, len);
        free(plain);
        return rc;
}

static int read_body(struct state_file *state, struct err *err)
{
        uint8_t AUTO_FREE *data = malloc(STATE_BODY_MAX);
        uint8_t check[STATE_DIGEST_LEN];
        size_t len = 0;
        int rc;

        if (data == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = read_at(state->fd, data, state->newest.len, BODY_AT(state->slot), &len, err);
        if (rc == 0)
                rc = state_digest(data, len, check, err);
        if (rc == 0 && memcmp(check, state->newest.digest, sizeof(check)) != 0)
                rc = err_set(err, ERR_DAMAGED, "save %llu is damaged",
                             (unsigned long long)state->newest.generation);
        if (rc == 0)
                rc = open_body(state, (struct bytes){data, len}, err);
        explicit_bzero(data, STATE_BODY_MAX);
        return rc;
}

/* A save --------------------------------------------------------------------------------------- */

static int write_slot(struct state_file *state, unsigned slot, const struct state_header *header,
                      struct bytes body, struct err *err)
{
        uint8_t data[STATE_HEADER_LEN];
        int rc = state_header_encode(header, data, err);

        if (rc == 0)
                rc = write_at(state->fd, body.data, body.len, BODY_AT(slot), err);
        return rc != 0 ? rc : write_at(state->fd, data, sizeof(data), HEADER_AT(slot), err);
}

static int seal(struct state_file *state, const struct state_header *header, struct bytes plain,
                uint8_t **ret_sealed, struct bytes *ret_body, struct err *err)
{
        const struct sealed_context context = context_of(header);
        int rc;

        *ret_body = plain;
        if (state->sealer == NULL)
                return 0;
        rc = sealer_seal(state->sealer, &context, plain, ret_sealed, err);
        if (rc == 0)
                *ret_body = (struct bytes){*ret_sealed, plain.len + SEALED_OVERHEAD};
        return rc;
}

int state_file_save(struct state_file *state, struct err *err)
{
        struct writer AUTO_WRITER w = {0};
        uint8_t AUTO_FREE *sealed = NULL;
        const unsigned slot = state->newest.generation == 0 ? 0 : 1 - state->slot;
        struct state_header header = state->newest;
        struct bytes body;
        int rc;

        writer_init(&w, STATE_BODY_MAX - SEALED_OVERHEAD);
        state_body_encode(&state->content, &w);
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "state: too large");
        header.generation++;
        rc = seal(state, &header, writer_bytes(&w), &sealed, &body, err);
        if (rc == 0) {
                header.len = (uint32_t)body.len;
                rc = state_digest(body.data, body.len, header.digest, err);
        }
        if (rc == 0)
                rc = write_slot(state, slot, &header, body, err);
        if (rc != 0)
                return err_wrap(err, "save the TPM's state");
        state->newest = header;
        state->slot = slot;
        return 0;
}

/* Opening -------------------------------------------------------------------------------------- */

static int open_file(const struct state_place *place, enum state_expect expect, int *ret_fd,
                     struct err *err)
{
        char path[PATH_MAX];
        const char *name = place->file;
        const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW;
        int fd;

        if (place->dir != NULL) {
                if (snprintf(path, sizeof(path), "%s/%s", place->dir, STATE_FILE_NAME) >= PATH_MAX)
                        return err_set(err, ERR_USAGE, "path too long");
                name = path;
        }
        /* A link is right for a device (/dev/pve/...), and wrong in a directory. */
        fd = open(name, place->dir != NULL ? flags : flags & ~O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT && expect != STATE_THERE) {
                fd = open(name, flags | O_CREAT | O_EXCL, place->mode);
                /* Never empty from here on: see check_size(). */
                if (fd >= 0 && ftruncate(fd, BODY_AT(0)) < 0) {
                        int rc = err_set_errno(err, errno, "%s", name);

                        (void)close(fd);
                        return rc;
                }
        }
        if (fd < 0)
                return err_set_errno(err, errno, "%s", name);
        *ret_fd = fd;
        return 0;
}

/* A repaired file system leaves such files. To make another TPM in place of one is not ours. */
static int check_size(int fd, const struct state_place *place, enum state_expect expect,
                      struct err *err)
{
        struct stat st;

        if (place->dir == NULL || expect == STATE_REPLACE)
                return 0;
        if (fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "look at it");
        if (st.st_size > 0)
                return 0;
        (void)err_set(err, ERR_DAMAGED, STATE_FILE_NAME " is empty: what it held is lost");
        return err_hint(err, "bring it back from a backup, or remove it for a new TPM");
}

static int lock_file(int fd, struct err *err)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        struct stat st;

        if (fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "look at it");
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return err_set(err, ERR_CONFLICT, "neither a file nor a block device");
        if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
                return 0;
        if (errno == EAGAIN || errno == EACCES)
                return err_set(err, ERR_CONFLICT, "another program uses it");
        return err_set_errno(err, errno, "lock");
}

static int make_sealer(struct state_file *state, const struct secret *passphrase, struct err *err)
{
        struct secret AUTO_SECRET *key = NULL;
        int rc = passphrase_derive(passphrase, state->newest.salt, LABEL, &key, err);

        return rc != 0 ? rc : sealer_new(key, &state->sealer, err);
}

static int start_new(struct state_file *state, const struct state_place *place,
                     const struct secret *passphrase, struct err *err)
{
        memcpy(state->newest.uuid, place->uuid, STATE_UUID_LEN);
        if (passphrase == NULL)
                return 0;
        state->newest.flags = STATE_FLAG_SEALED;
        if (getrandom(state->newest.salt, sizeof(state->newest.salt), 0) !=
            (ssize_t)sizeof(state->newest.salt))
                return err_set_errno(err, errno, "getrandom");
        return make_sealer(state, passphrase, err);
}

static bool has_uuid(const uint8_t uuid[STATE_UUID_LEN])
{
        static const uint8_t none[STATE_UUID_LEN];

        return memcmp(uuid, none, sizeof(none)) != 0;
}

static int check_old(const struct state_file *state, const struct state_place *place,
                     const struct secret *passphrase, struct err *err)
{
        const bool sealed = (state->newest.flags & STATE_FLAG_SEALED) != 0;

        if ((state->newest.flags & ~STATE_FLAG_SEALED) != 0)
                return err_set(err, ERR_UNSUPPORTED, "written by a newer version");
        if (sealed && passphrase == NULL)
                return err_set(err, ERR_NOT_PERMITTED, "it is sealed: a passphrase is needed");
        if (!sealed && passphrase != NULL)
                return err_set(err, ERR_NOT_PERMITTED,
                               "it is not sealed, and a passphrase was given: not the state "
                               "that was kept under it");
        if (has_uuid(place->uuid) && has_uuid(state->newest.uuid) &&
            memcmp(place->uuid, state->newest.uuid, STATE_UUID_LEN) != 0)
                return err_set(err, ERR_ROLLBACK, "it is the TPM of another VM");
        return 0;
}

static int load_old(struct state_file *state, const struct state_place *place,
                    const struct secret *passphrase, struct err *err)
{
        int rc = check_old(state, place, passphrase, err);

        if (rc == 0 && passphrase != NULL)
                rc = make_sealer(state, passphrase, err);
        return rc != 0 ? rc : read_body(state, err);
}

/*
 * Forgets what is there; where it can be read, it stays until the first save is durable. rc is what
 * reading said.
 */
static int replace(struct state_file *state, const struct state_place *place,
                   const struct secret *passphrase, int rc, struct err *err)
{
        static const uint8_t nothing[HEADER_AT(1) + STATE_HEADER_LEN];
        const uint64_t generation = state->newest.generation;

        if (rc != 0 && rc != ERR_CONFLICT && rc != ERR_DAMAGED)
                return rc;
        memset(&state->newest, 0, sizeof(state->newest));
        if (rc == 0)
                state->newest.generation = generation;
        else if (write_at(state->fd, nothing, sizeof(nothing), 0, err) != 0)
                return err->code;
        return start_new(state, place, passphrase, err);
}

static int load(struct state_file *state, const struct state_place *place,
                const struct secret *passphrase, enum state_expect expect, struct err *err)
{
        int rc = read_headers(state, err);

        if (expect == STATE_REPLACE)
                return replace(state, place, passphrase, rc, err);
        if (rc != 0)
                return rc;
        if (state->newest.generation != 0 && expect == STATE_FRESH)
                return err_set(err, ERR_CONFLICT, "there is a TPM already");
        if (state->newest.generation != 0)
                return load_old(state, place, passphrase, err);
        if (expect == STATE_THERE)
                return err_set(err, ERR_NOT_FOUND, "no TPM was made there yet");
        return start_new(state, place, passphrase, err);
}

int state_file_open(const struct state_place *place, const struct secret *passphrase,
                    enum state_expect expect, struct state_file **ret_state, struct err *err)
{
        struct state_file AUTO_STATE_FILE *state = calloc(1, sizeof(*state));
        int rc;

        if (state == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        state->fd = -1;
        rc = open_file(place, expect, &state->fd, err);
        if (rc == 0)
                rc = lock_file(state->fd, err);
        if (rc == 0)
                rc = check_size(state->fd, place, expect, err);
        if (rc == 0)
                rc = load(state, place, passphrase, expect, err);
        if (rc != 0)
                return err_wrap(err, "TPM state in %s",
                                place->dir != NULL ? place->dir : place->file);
        *ret_state = TAKE(state);
        return 0;
}

void state_file_close(struct state_file *state)
{
        if (state == NULL)
                return;
        fd_close(&state->fd);
        sealer_free(state->sealer);
        explicit_bzero(state, sizeof(*state));
        free(state);
}

struct state_content *state_file_content(struct state_file *state)
{
        return &state->content;
}

int state_file_revert(struct state_file *state, struct err *err)
{
        if (state_file_exists(state))
                return read_body(state, err);
        explicit_bzero(&state->content, sizeof(state->content));
        return 0;
}

bool state_file_exists(const struct state_file *state)
{
        return state->newest.generation != 0;
}

bool state_file_is_sealed(const struct state_file *state)
{
        return state->sealer != NULL;
}
