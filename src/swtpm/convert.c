/*
 * catena-swtpm import|export DIR [--pwdfile FILE]: a vTPM of swtpm's becomes one of ours, and back,
 * while its VM is off. The passphrase opens swtpm's state, if that is encrypted, and seals ours.
 * The file that was converted is renamed, so that the two programs never go on with copies of one
 * TPM; a copy that somebody kept is his.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "swtpm/engine-link.h"
#include "swtpm/programs.h"
#include "swtpm/start.h"
#include "swtpm/theirs.h"
#include "tpmwire/swtpm-state.h"

#define STATE_MODE 0600
#define CONVERTED  ".converted"

struct convert {
        char dir[PATH_MAX];
        char pwdfile[PATH_MAX];
};

static const struct options_row rows[] = {
    {.name = "--dir",
     .kind = OPTIONS_TEXT,
     .offset = offsetof(struct convert, dir),
     .size = PATH_MAX},
    {.name = "--pwdfile",
     .kind = OPTIONS_TEXT,
     .offset = offsetof(struct convert, pwdfile),
     .size = PATH_MAX},
};
static const struct options_table table = {rows, ARRAY_SIZE(rows)};

struct job {
        struct start_place place;
        struct theirs swtpm;
        char theirs[PATH_MAX];
        char ours[PATH_MAX];
        struct secret *key;
        struct state_file *state;
};

static int prepare(int argc, char *const *argv, struct job *job, struct err *err)
{
        static struct convert options;
        struct command_key key = {.fd = -1, .pwdfd = -1};
        struct options_notes notes;
        int rc;

        if (argc < 1 || argv[0][0] == '-')
                return err_set(err, ERR_USAGE,
                               "usage: catena-swtpm import|export DIR [--pwdfile FILE]");
        rc = options_parse(&table, argc - 1, argv + 1, &options, &notes, err);
        if (rc == 0)
                rc = start_find_place(argv[0], STATE_MODE, &job->place, err);
        if (rc == 0 && job->place.place.dir == NULL)
                rc = err_set(err, ERR_UNSUPPORTED, "only directories are converted");
        if (rc == 0)
                rc = fs_join(job->theirs, PATH_MAX, job->place.path, STATE_SWTPM_NAME, err);
        if (rc == 0)
                rc = fs_join(job->ours, PATH_MAX, job->place.path, STATE_FILE_NAME, err);
        memcpy(key.pwdfile, options.pwdfile, sizeof(key.pwdfile));
        if (rc == 0)
                rc = start_read_key(&key, &job->key, err);
        return rc != 0 ? rc : theirs_claim(job->place.path, &job->swtpm, err);
}

static void finish(struct job *job)
{
        state_file_close(job->state);
        secret_free(job->key);
        theirs_done(&job->swtpm);
}

static int set_aside(const char *path, struct err *err)
{
        char name[PATH_MAX];

        if (snprintf(name, sizeof(name), "%s" CONVERTED, path) >= PATH_MAX)
                return err_set(err, ERR_USAGE, "path too long");
        if (rename(path, name) < 0)
                return err_set_errno(err, errno, "rename %s", path);
        (void)printf("%s is now %s\n", path, name);
        return 0;
}

/* An engine loads it: what does not load is not imported. */
static int check_loads(struct job *job, struct err *err)
{
        struct engine_link link = {.state = job->state,
                                   .uuid = job->place.place.uuid,
                                   .deferred = true,
                                   .control = -1,
                                   .signals = -1,
                                   .client = -1};
        int rc = engine_link_start(&link, err);

        engine_link_stop(&link);
        return rc;
}

static int take_in(struct job *job, struct bytes permanent, struct err *err)
{
        struct state_content *content;
        int rc;

        if (permanent.len > ENGINE_BLOB_MAX)
                return err_set(err, ERR_LIMIT, "swtpm's state has %zu bytes", permanent.len);
        rc = state_file_open(&job->place.place, job->key, STATE_FRESH, &job->state, err);
        if (rc != 0)
                return rc;
        content = state_file_content(job->state);
        memcpy(content->permanent, permanent.data, permanent.len);
        content->permanent_len = permanent.len;
        content->used = true;
        rc = check_loads(job, err);
        return rc != 0 ? rc : state_file_save(job->state, err);
}

static void wipe(uint8_t *data, size_t len)
{
        if (data != NULL)
                explicit_bzero(data, len);
        free(data);
}

/* A state that was taken in before, and was only not set aside: a crash came between. */
static bool is_taken_in(struct job *job, struct bytes permanent)
{
        const struct state_content *content;
        struct err ignored = {0};

        if (state_file_open(&job->place.place, job->key, STATE_THERE, &job->state, &ignored) != 0)
                return false;
        content = state_file_content(job->state);
        if (content->permanent_len == permanent.len &&
            memcmp(content->permanent, permanent.data, permanent.len) == 0)
                return true;
        state_file_close(TAKE(job->state));
        return false;
}

int program_import(int argc, char *const *argv, struct err *err)
{
        struct job job = {.swtpm = {-1, -1}};
        uint8_t *permanent = NULL;
        size_t len = 0;
        int rc = prepare(argc, argv, &job, err);

        if (rc == 0)
                rc = theirs_read(&job.swtpm, job.key, &permanent, &len, err);
        if (rc == 0 && !is_taken_in(&job, (struct bytes){permanent, len}))
                rc = take_in(&job, (struct bytes){permanent, len}, err);
        if (rc == 0)
                rc = set_aside(job.theirs, err);
        wipe(permanent, len);
        finish(&job);
        return rc;
}

/* What was put out before, and ours only not set aside. */
static bool is_put_out(const struct job *job, const struct state_content *content)
{
        uint8_t *permanent = NULL;
        struct err ignored = {0};
        size_t len = 0;
        bool same = theirs_read(&job->swtpm, NULL, &permanent, &len, &ignored) == 0 &&
                    len == content->permanent_len &&
                    memcmp(permanent, content->permanent, len) == 0;

        wipe(permanent, len);
        return same;
}

static int put_out(struct job *job, struct err *err)
{
        struct writer AUTO_WRITER w = {0};
        const struct state_content *content;
        int rc = state_file_open(&job->place.place, job->key, STATE_THERE, &job->state, err);

        if (rc != 0)
                return rc;
        content = state_file_content(job->state);
        if (content->permanent_len == 0)
                return err_set(err, ERR_NOT_FOUND, "no TPM was made there yet");
        if (is_put_out(job, content))
                return 0;
        if (access(job->theirs, F_OK) == 0)
                return err_set(err, ERR_CONFLICT, "%s is there already", job->theirs);
        writer_init(&w, SWTPM_STATE_MAX);
        swtpm_state_encode((struct bytes){content->permanent, content->permanent_len}, &w);
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "state too large");
        return fs_write_file(job->theirs, w.data, w.len, STATE_MODE, err);
}

int program_export(int argc, char *const *argv, struct err *err)
{
        struct job job = {.swtpm = {-1, -1}};
        int rc = prepare(argc, argv, &job, err);

        if (rc == 0)
                rc = put_out(&job, err);
        if (rc == 0)
                rc = set_aside(job.ours, err);
        finish(&job);
        return rc;
}
