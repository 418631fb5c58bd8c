#include "swtpm/start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hex.h"
#include "base/log.h"

#define KEY_LEN      32
#define KEY_FILE_MAX 1024
#define QUIET_LEVEL  1 /* swtpm's levels count up from 0 */

int start_log(const struct command_log *log, struct err *err)
{
        const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
        int AUTO_FD fd = -1;

        log_init("catena-swtpm", LOG_LEVEL_INFO);
        if (log->fd >= 0) {
                if (dup2(log->fd, STDERR_FILENO) < 0)
                        return err_set_errno(err, errno, "--log fd=%d", log->fd);
                return 0;
        }
        if (log->file[0] == '\0')
                return 0;
        fd = open(strcmp(log->file, "-") == 0 ? "/dev/null" : log->file,
                  flags | (log->truncate ? O_TRUNC : 0), 0640);
        if (fd < 0)
                return err_set_errno(err, errno, "log file %s", log->file);
        /* From here on words go there; nobody reads standard error. */
        if (dup2(fd, STDERR_FILENO) < 0)
                return err_set_errno(err, errno, "log file %s", log->file);
        return 0;
}

void start_log_notes(const struct options_notes *notes)
{
        for (size_t i = 0; i < notes->n; i++)
                log_info(NULL, "%s: %s", notes->rows[i]->name, notes->rows[i]->note);
}

/* User ------------------------------------------------------------------------------------------
 */

static int find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
        const struct passwd *row;
        char *end = NULL;
        unsigned long number;

        errno = 0;
        number = strtoul(user, &end, 10);
        row = *end == '\0' && errno == 0 ? getpwuid((uid_t)number) : getpwnam(user);
        if (row == NULL)
                return err_set(err, ERR_USAGE, "--runas: there is no user %s", user);
        *ret_uid = row->pw_uid;
        *ret_gid = row->pw_gid;
        return 0;
}

int start_run_as(const char *user, struct err *err)
{
        uid_t uid;
        gid_t gid;
        int rc;

        if (user[0] == '\0')
                return 0;
        rc = find_user(user, &uid, &gid, err);
        if (rc != 0 || uid == geteuid())
                return rc;
        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return err_set_errno(err, errno, "--runas %s", user);
        return 0;
}

/* Keys ------------------------------------------------------------------------------------------
 */

static int read_source(const struct command_key *key, uint8_t **ret_data, size_t *ret_len,
                       struct err *err)
{
        const int fd = key->pwdfd >= 0 ? key->pwdfd : key->fd;
        const char *file = key->pwdfile[0] != '\0' ? key->pwdfile : key->file;
        int rc;

        if (fd >= 0) {
                rc = fs_read_fd(fd, KEY_FILE_MAX, ret_data, ret_len, err);
                (void)close(fd);
                return rc;
        }
        rc = fs_read_file(file, KEY_FILE_MAX, ret_data, ret_len, err);
        if (rc == 0 && key->remove && unlink(file) < 0)
                return err_set_errno(err, errno, "remove %s", file);
        return rc;
}

static size_t without_line_end(const uint8_t *data, size_t len)
{
        return len > 0 && data[len - 1] == '\n' ? len - 1 : len;
}

/* A key is used as a passphrase that nobody can guess: one path for both. */
static int check_key(const struct command_key *key, const uint8_t *data, size_t len,
                     struct err *err)
{
        uint8_t decoded[KEY_LEN];
        size_t n = 0;

        if (strcmp(key->format, "binary") == 0)
                return len == KEY_LEN ? 0 : err_set(err, ERR_USAGE, "a key has %d bytes", KEY_LEN);
        if (hex_decode((const char *)data, len, decoded, sizeof(decoded), &n) != 0 || n != KEY_LEN)
                return err_set(err, ERR_USAGE, "a key has %d hexadecimal digits", 2 * KEY_LEN);
        explicit_bzero(decoded, sizeof(decoded));
        return 0;
}

static int make_secret(const struct command_key *key, const uint8_t *data, size_t len,
                       struct secret **ret_secret, struct err *err)
{
        const bool is_key = key->fd >= 0 || key->file[0] != '\0';
        int rc = 0;

        if (!is_key || strcmp(key->format, "binary") != 0)
                len = without_line_end(data, len);
        if (is_key)
                rc = check_key(key, data, len, err);
        else if (len == 0 || len > SECRET_LEN_MAX)
                rc = err_set(err, ERR_USAGE, "a passphrase has 1 to %d bytes", SECRET_LEN_MAX);
        return rc != 0 ? rc : secret_new_copy(data, len, ret_secret, err);
}

int start_read_key(const struct command_key *key, struct secret **ret_secret, struct err *err)
{
        uint8_t *data = NULL;
        size_t len = 0;
        int rc;

        *ret_secret = NULL;
        if (key->fd < 0 && key->pwdfd < 0 && key->file[0] == '\0' && key->pwdfile[0] == '\0')
                return 0;
        rc = read_source(key, &data, &len, err);
        if (rc == 0)
                rc = make_secret(key, data, len, ret_secret, err);
        if (data != NULL)
                explicit_bzero(data, len);
        free(data);
        return rc != 0 ? err_wrap(err, "key or passphrase") : 0;
}

/* Places ----------------------------------------------------------------------------------------
 */

/* Sets ret_uuid from the last component of path that is a UUID. */
static void find_uuid(const char *path, uint8_t ret_uuid[STATE_UUID_LEN])
{
        char word[UUID_STR_LEN];
        uuid_t uuid;

        while (*path != '\0') {
                const size_t len = strcspn(path, "/");

                if (len == UUID_STR_LEN - 1) {
                        memcpy(word, path, len);
                        word[len] = '\0';
                        if (uuid_parse(word, uuid) == 0)
                                memcpy(ret_uuid, uuid, STATE_UUID_LEN);
                }
                path += len;
                path += strspn(path, "/");
        }
}

int start_find_place(const char *where, unsigned mode, struct start_place *ret_place,
                     struct err *err)
{
        static const char dir[] = "dir://";
        static const char file[] = "file://";
        const bool is_file = strncmp(where, file, strlen(file)) == 0;
        struct state_place *place = &ret_place->place;

        if (is_file)
                where += strlen(file);
        else if (strncmp(where, dir, strlen(dir)) == 0)
                where += strlen(dir);
        if (where[0] == '\0' || strlen(where) >= PATH_MAX || strstr(where, "://") != NULL)
                return err_set(err, ERR_USAGE, "no place for a TPM's state: \"%.200s\"", where);
        memset(ret_place, 0, sizeof(*ret_place));
        memcpy(ret_place->path, where, strlen(where) + 1);
        place->dir = is_file ? NULL : ret_place->path;
        place->file = is_file ? ret_place->path : NULL;
        place->mode = mode;
        find_uuid(where, place->uuid);
        return 0;
}

int start_check_foreign(const struct state_place *place, const struct state_file *state,
                        struct err *err)
{
        char theirs[PATH_MAX];
        int rc;

        if (place->dir == NULL)
                return 0;
        rc = fs_join(theirs, sizeof(theirs), place->dir, STATE_SWTPM_NAME, err);
        if (rc != 0 || access(theirs, F_OK) != 0)
                return rc;
        if (state_file_exists(state)) {
                (void)err_set(err, ERR_CONFLICT,
                              "%s holds a state of swtpm's beside this one, and one TPM would be "
                              "two",
                              place->dir);
                return err_hint(err, "move away the one that is older; where an import or export "
                                     "was cut off, repeat it");
        }
        (void)err_set(err, ERR_CONFLICT, "%s holds swtpm's state, which nobody imported",
                      place->dir);
        return err_hint(err, "run as its user: catena-swtpm import %s", place->dir);
}
