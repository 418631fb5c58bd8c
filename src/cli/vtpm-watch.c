#include "cli/vtpm-watch.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/vtpm-view.h"

#define EVERY_MSEC 1000
#define HOME_CLEAR "\033[H\033[J"

struct watching {
        struct cli *cli;
        const char *name;
        json_t *seen; /* by UUID, as last printed */
};

/* A vTPM in use changes its memory with every page; that alone is no news. */
static bool is_news(json_t *before, json_t *now)
{
        static const char *const volatile_keys[] = {"rss", "pss", "last_use"};
        json_t *old = json_copy(before);
        json_t *new = json_copy(now);
        bool news;

        for (size_t i = 0; i < ARRAY_SIZE(volatile_keys); i++) {
                (void)json_object_del(old, volatile_keys[i]);
                (void)json_object_del(new, volatile_keys[i]);
        }
        news = json_equal(old, new) == 0;
        json_decref(old);
        json_decref(new);
        return news;
}

static int on_vtpm(void *user, const struct wire_frame *frame, struct err *err)
{
        struct watching *watching = user;
        struct tcb_vtpm vtpm;
        struct vtpm_view view;
        json_t *object;
        json_t *before;
        int rc = wire_frame_decode(frame, &vtpm, sizeof(vtpm), err);

        if (rc == 0)
                rc = vtpm_view(&vtpm, &view, err);
        if (rc != 0 || (watching->name != NULL && strcmp(view.name, watching->name) != 0 &&
                        strcmp(view.uuid, watching->name) != 0))
                return rc;
        object = vtpm_view_json(&view);
        before = json_object_get(watching->seen, view.uuid);
        if (object == NULL || (before != NULL && !is_news(before, object))) {
                json_decref(object);
                return object == NULL ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
        }
        if (json_object_set(watching->seen, view.uuid, object) != 0) {
                json_decref(object);
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        }
        rc = cli_print_json_line(watching->cli, json_deep_copy(object), err);
        json_decref(object);
        (void)fflush(stdout);
        return rc;
}

static int print_changes(struct watching *watching, struct err *err)
{
        const struct tcb_vtpm_list request = {0};
        struct client AUTO_CLIENT *client = NULL;
        int rc = client_open(watching->cli, &client, err);

        return rc != 0 ? rc
                       : client_each(client,
                                     &(struct client_list){tcb_vtpm_list_code, &request,
                                                           tcb_vtpm_code, on_vtpm, watching},
                                     err);
}

/* Until it is time to look again; an error when nobody reads any more. */
static int pause_for_reader(struct err *err)
{
        struct pollfd out = {.fd = STDOUT_FILENO};

        if (fflush(stdout) == 0 && ferror(stdout) == 0 &&
            (poll(&out, 1, EVERY_MSEC) <= 0 || out.revents == 0))
                return 0;
        return err_set(err, ERR_IO, "standard output: nobody reads it any more");
}

int vtpm_watch(struct cli *cli, const char *name, int (*draw)(struct cli *cli, struct err *err),
               struct err *err)
{
        const bool lines = cli->format == CLI_JSON || isatty(STDOUT_FILENO) == 0;
        struct watching watching = {.cli = cli, .name = name, .seen = json_object()};
        int rc = watching.seen == NULL ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;

        while (rc == 0 && !cli_interrupted()) {
                if (!lines)
                        (void)fputs(HOME_CLEAR, stdout);
                rc = lines ? print_changes(&watching, err) : draw(cli, err);
                if (rc == 0)
                        rc = pause_for_reader(err);
        }
        json_decref(watching.seen);
        return rc;
}
