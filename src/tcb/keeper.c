#include "tcb/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/log.h"
#include "wire/event.h"
#include "wire/link.h"

struct watched {
        struct table_entry by_pid;
        pid_t pid;
        keeper_ended_fn *ended;
        void *user;
};

struct keeper {
        struct wire_link *link; /* until it is in the loop */
        struct wire_event *event;
        const struct keeper_ops *ops;
        void *user;
        struct table left;
        struct keeper_left *unusable; /* of other kinds of descriptors than their records' */
        struct table watched;
        struct secret *key;
        char why[201];
        char death[201];
        uint64_t last_death;
        uint32_t deaths;
        uint32_t starts;
        int program;
        bool lost; /* the supervisor is gone, and so shall we be */
};

/* What was left -------------------------------------------------------------------------------- */

void keeper_left_free(struct keeper_left *left)
{
        if (left == NULL)
                return;
        for (size_t i = 0; i < left->n_fds; i++)
                fd_close(&left->fds[i]);
        free(left);
}

/* NULL where there is no entry. */
static struct keeper_left *take_out(struct keeper *keeper, struct table_entry *entry)
{
        if (entry == NULL)
                return NULL;
        table_remove(&keeper->left, entry);
        return TABLE_OWNER(entry, struct keeper_left, by_name);
}

struct keeper_left *keeper_take(struct keeper *keeper, const char *name)
{
        if (keeper == NULL)
                return NULL;
        return take_out(keeper, table_find(&keeper->left, name, strlen(name)));
}

struct keeper_left *keeper_take_any(struct keeper *keeper, const char *begin)
{
        struct table_entry *entry = keeper == NULL ? NULL : table_next(&keeper->left, NULL);

        for (; entry != NULL; entry = table_next(&keeper->left, entry)) {
                const struct keeper_left *left = TABLE_OWNER(entry, struct keeper_left, by_name);

                if (strncmp(left->name, begin, strlen(begin)) == 0)
                        break;
        }
        return take_out(keeper, entry);
}

int keeper_left_decode(const struct keeper_left *left, uint16_t code, void *ret_message,
                       size_t ret_size, struct err *err)
{
        if (left->message->code != code)
                return err_set(err, ERR_MALFORMED, "%s is a %s", left->name, left->message->name);
        return wire_decode(left->message, (struct bytes){left->record, left->len}, ret_message,
                           ret_size, err);
}

void keeper_name(const char *kind, const uint8_t uuid[16], char ret_name[SUPERVISOR_NAME_MAX + 1])
{
        char text[UUID_STR_LEN];

        uuid_unparse_lower(uuid, text);
        (void)snprintf(ret_name, SUPERVISOR_NAME_MAX + 1, "%s/%s", kind, text);
}

/* A record of a build that is newer than ours is none that we could go on with. */
static int read_record(struct bytes record, size_t n_fds, const struct wire_message **ret_message,
                       struct bytes *ret_payload, struct err *err)
{
        struct reader r = reader_from_bytes(record);
        const struct wire_message *message = NULL;
        uint16_t code = 0;

        if (reader_get_be16(&r, &code) == 0)
                message = wire_message_find(&wire_kept_protocol, code);
        if (message == NULL || message->n_fds != n_fds ||
            reader_get_bytes(&r, reader_left(&r), ret_payload) != 0)
                return err_set(err, ERR_UNSUPPORTED, "kept by another build: record %u", code);
        *ret_message = message;
        return 0;
}

/* What the descriptors of a record must be: nobody who uses them looks again. */
enum fd_kind { FD_NONE, FD_SOCKET, FD_LISTENER, FD_PROCESS };

static const struct {
        uint16_t code;
        enum fd_kind kinds[SUPERVISOR_FDS_MAX];
} shapes[] = {
    {kept_engine_code, {FD_SOCKET, FD_PROCESS}},
    {kept_parked_code, {FD_SOCKET, FD_SOCKET}},
    {kept_qemu_code, {FD_PROCESS, FD_SOCKET, FD_SOCKET}},
    {kept_first_code, {FD_SOCKET}},
    {kept_second_code, {FD_SOCKET, FD_SOCKET, FD_PROCESS}},
    {kept_socket_code, {FD_LISTENER}},
    {kept_server_code, {FD_LISTENER}},
};

static bool is_kind(int fd, enum fd_kind kind)
{
        int listens = 0;
        socklen_t size = sizeof(listens);

        if (kind == FD_PROCESS) /* alive, ended, or not ours to signal */
                return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 || errno != EBADF;
        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 &&
               (listens != 0) == (kind == FD_LISTENER);
}

static bool is_usable(const struct keeper_left *left)
{
        size_t row = 0;

        while (row < ARRAY_SIZE(shapes) && shapes[row].code != left->message->code)
                row++;
        for (size_t i = 0; row < ARRAY_SIZE(shapes) && i < left->n_fds; i++)
                if (!is_kind(left->fds[i], shapes[row].kinds[i]))
                        return false;
        return row < ARRAY_SIZE(shapes);
}

/* One that makes no sense goes to nobody; what there is of it ends when it is dropped. */
static int place(struct keeper *keeper, struct keeper_left *left, struct err *err)
{
        struct keeper_left AUTO_LEFT *owned = left;
        const size_t len = strlen(left->name);
        int rc = 0;

        if (table_find(&keeper->left, left->name, len) != NULL)
                return err_set(err, ERR_MALFORMED, "supervisor: %s twice", left->name);
        if (is_usable(left)) {
                rc = table_add(&keeper->left, &left->by_name, left->name, len, err);
        } else {
                log_warning(NULL, "%s is kept with descriptors of another kind", left->name);
                left->next = keeper->unusable;
                keeper->unusable = left;
        }
        if (rc == 0)
                (void)TAKE(owned);
        return rc;
}

static int add_left(struct keeper *keeper, struct wire_frame *frame, struct err *err)
{
        struct supervisor_keep1 kept; /* all three are alike */
        const struct wire_message *message;
        struct keeper_left *left;
        struct bytes payload;
        int rc = wire_frame_decode(frame, &kept, sizeof(kept), err);

        if (rc == 0)
                rc = read_record(kept.record, frame->message->n_fds, &message, &payload, err);
        if (rc != 0)
                return rc;
        left = calloc(1, sizeof(*left) + payload.len);
        if (left == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        wire_text_copy(kept.name, left->name, sizeof(left->name));
        left->message = message;
        if (payload.len > 0)
                memcpy(left->record, payload.data, payload.len);
        left->len = payload.len;
        for (; left->n_fds < message->n_fds; left->n_fds++)
                left->fds[left->n_fds] = TAKE_FD(frame->fds[left->n_fds]);
        return place(keeper, left, err);
}

/* The channel ------------------------------------------------------------------------------------
 */

static int take_listed(struct keeper *keeper, struct wire_frame *frame, struct err *err)
{
        struct supervisor_listed listed;
        int rc = wire_frame_decode(frame, &listed, sizeof(listed), err);

        if (rc != 0)
                return rc;
        if (listed.key.len != 0 && listed.key.len != SUPERVISOR_KEY_LEN)
                return err_set(err, ERR_MALFORMED, "supervisor: a key of %zu bytes",
                               listed.key.len);
        if (listed.key.len != 0)
                rc = secret_new_copy(listed.key.data, listed.key.len, &keeper->key, err);
        wire_text_copy(listed.why, keeper->why, sizeof(keeper->why));
        keeper->starts = listed.starts;
        keeper->program = TAKE_FD(frame->fds[0]);
        return rc;
}

static int take_deaths(struct keeper *keeper, struct wire_frame *frame, struct err *err)
{
        struct supervisor_deaths deaths;
        int rc = wire_frame_decode(frame, &deaths, sizeof(deaths), err);

        if (rc != 0)
                return rc;
        keeper->deaths = deaths.n;
        keeper->last_death = deaths.last;
        wire_text_copy(deaths.why, keeper->death, sizeof(keeper->death));
        return 0;
}

static bool is_kept(const struct wire_frame *frame)
{
        return frame->message->code == supervisor_keep1_code ||
               frame->message->code == supervisor_keep2_code ||
               frame->message->code == supervisor_keep3_code;
}

/* The descriptor blocks still. */
static int take_list(struct keeper *keeper, struct err *err)
{
        const struct supervisor_list list = {0};
        bool listed = false;
        int rc = wire_link_send(keeper->link, supervisor_list_code, 0, 0, &list, NULL, err);

        while (rc == 0 && !listed) {
                struct wire_frame frame;

                rc = wire_link_receive(keeper->link, &frame, err);
                if (rc != 0)
                        break;
                listed = frame.message->code == supervisor_listed_code;
                if (listed)
                        rc = take_listed(keeper, &frame, err);
                else if (frame.message->code == supervisor_deaths_code)
                        rc = take_deaths(keeper, &frame, err);
                else if (is_kept(&frame))
                        rc = add_left(keeper, &frame, err);
                else
                        rc = err_set(err, ERR_MALFORMED, "supervisor: unexpected %s",
                                     frame.message->name);
                wire_frame_close_fds(&frame);
        }
        /* The storage key came this way. */
        wire_link_rest(keeper->link);
        return rc;
}

/* Before anybody keeps something new under such a name. */
static void drop_unusable(struct keeper *keeper, void (*tell)(struct keeper *, const char *name))
{
        while (keeper->unusable != NULL) {
                struct keeper_left AUTO_LEFT *left = keeper->unusable;

                keeper->unusable = left->next;
                if (tell != NULL)
                        tell(keeper, left->name);
        }
}

int keeper_new(int fd, struct keeper **ret_keeper, struct err *err)
{
        int AUTO_FD owned = fd;
        struct keeper *keeper = calloc(1, sizeof(*keeper));
        int rc;

        if (keeper == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        keeper->program = -1;
        rc = table_init(&keeper->left, err);
        if (rc == 0)
                rc = table_init(&keeper->watched, err);
        if (rc == 0)
                rc = wire_link_new(TAKE_FD(owned), &wire_supervisor_protocol, WIRE_CLIENT,
                                   &keeper->link, err);
        if (rc == 0)
                rc = take_list(keeper, err);
        if (rc != 0) {
                keeper_free(keeper);
                return err_wrap(err, "what the supervisor keeps");
        }
        drop_unusable(keeper, keeper_drop);
        *ret_keeper = keeper;
        return 0;
}

/* All that nobody took, each told; NULL: to nobody. */
static void drop_left(struct keeper *keeper, void (*tell)(struct keeper *, const char *name))
{
        struct table_entry *entry = table_next(&keeper->left, NULL);

        while (entry != NULL) {
                struct table_entry *next = table_next(&keeper->left, entry);
                struct keeper_left AUTO_LEFT *left = take_out(keeper, entry);

                if (tell != NULL) {
                        log_warning(NULL, "%s was kept for nobody", left->name);
                        tell(keeper, left->name);
                }
                entry = next;
        }
}

static void forget(struct keeper *keeper, struct table_entry *entry)
{
        if (entry == NULL)
                return;
        table_remove(&keeper->watched, entry);
        free(TABLE_OWNER(entry, struct watched, by_pid));
}

static void drop_watched(struct keeper *keeper)
{
        struct table_entry *entry = table_next(&keeper->watched, NULL);

        while (entry != NULL) {
                struct table_entry *next = table_next(&keeper->watched, entry);

                forget(keeper, entry);
                entry = next;
        }
        table_done(&keeper->watched);
}

void keeper_free(struct keeper *keeper)
{
        if (keeper == NULL)
                return;
        drop_left(keeper, NULL);
        drop_unusable(keeper, NULL);
        drop_watched(keeper);
        table_done(&keeper->left);
        wire_event_free(keeper->event);
        wire_link_free(keeper->link);
        secret_free(keeper->key);
        fd_close(&keeper->program);
        free(keeper);
}

/* What has gone out is kept even if we die at once; so nothing waits in a queue of ours. */
static int send_message(struct keeper *keeper, uint16_t code, const void *message, const int *fds,
                        struct err *err)
{
        int rc;

        if (keeper->event == NULL)
                return wire_link_send(keeper->link, code, 0, 0, message, fds, err);
        rc = wire_event_send(keeper->event, code, 0, 0, message, fds, err);
        return rc != 0 ? rc : wire_event_drain(keeper->event, err);
}

/* Putting -------------------------------------------------------------------------------------- */

static int put(struct keeper *keeper, const char *name, const struct wire_message *row,
               const void *message, const int *fds, struct err *err)
{
        static const uint16_t codes[] = {supervisor_keep1_code, supervisor_keep2_code,
                                         supervisor_keep3_code};
        uint8_t memory[SUPERVISOR_RECORD_MAX];
        struct supervisor_keep1 kept = {.name = wire_text(name)};
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_be16(&w, row->code);
        if (wire_encode(row, message, &w, err) != 0)
                return err->code;
        kept.record = writer_bytes(&w);
        return send_message(keeper, codes[row->n_fds - 1], &kept, fds, err);
}

void keeper_put(struct keeper *keeper, const char *name, uint16_t code, const void *message,
                const int *fds)
{
        const struct wire_message *row = wire_message_find(&wire_kept_protocol, code);
        struct err err = {0};

        if (keeper == NULL || keeper->lost)
                return;
        if (row == NULL || row->n_fds == 0 || row->n_fds > SUPERVISOR_FDS_MAX)
                abort(); /* a table of ours that makes no sense */
        if (put(keeper, name, row, message, fds, &err) != 0)
                log_warning((&(struct log_fields){.op = "keep", .err = &err}),
                            "%s will not outlive catena-tcb", name);
}

void keeper_drop(struct keeper *keeper, const char *name)
{
        const struct supervisor_drop drop = {.name = wire_text(name)};
        struct err err = {0};

        if (keeper == NULL || keeper->lost)
                return;
        if (send_message(keeper, supervisor_drop_code, &drop, NULL, &err) != 0)
                log_warning((&(struct log_fields){.op = "drop", .err = &err}), "%s", name);
}

/* Hearing -------------------------------------------------------------------------------------- */

int keeper_watch(struct keeper *keeper, pid_t pid, keeper_ended_fn *ended, void *user,
                 struct err *err)
{
        struct watched *watched = calloc(1, sizeof(*watched));
        int rc;

        if (watched == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        watched->pid = pid;
        watched->ended = ended;
        watched->user = user;
        rc = table_add(&keeper->watched, &watched->by_pid, &watched->pid, sizeof(pid), err);
        if (rc == 0)
                return 0;
        free(watched);
        return err_wrap(err, "watch process %d", (int)pid);
}

void keeper_unwatch(struct keeper *keeper, pid_t pid)
{
        if (keeper != NULL)
                forget(keeper, table_find(&keeper->watched, &pid, sizeof(pid)));
}

static int on_exited(struct keeper *keeper, struct wire_frame *frame, struct err *err)
{
        struct supervisor_exited exited;
        struct table_entry *entry;
        pid_t pid;
        int rc = wire_frame_decode(frame, &exited, sizeof(exited), err);

        if (rc != 0)
                return rc;
        pid = (pid_t)exited.pid;
        entry = table_find(&keeper->watched, &pid, sizeof(pid));
        if (entry != NULL) {
                const struct watched watched = *TABLE_OWNER(entry, struct watched, by_pid);

                forget(keeper, entry);
                watched.ended(watched.user, (int)exited.status);
        }
        return 0;
}

static int on_refused(struct keeper *keeper, struct wire_frame *frame, struct err *err)
{
        struct supervisor_refused refused;
        char name[SUPERVISOR_NAME_MAX + 1];
        int rc = wire_frame_decode(frame, &refused, sizeof(refused), err);

        (void)keeper;
        if (rc == 0)
                log_warning(NULL, "the supervisor is full: %s will not outlive catena-tcb",
                            wire_text_copy(refused.name, name, sizeof(name)));
        return rc;
}

static int on_leave(struct keeper *keeper, struct wire_frame *frame, struct err *err)
{
        (void)frame;
        (void)err;
        keeper->ops->leave(keeper->user);
        return 0;
}

/* From the loop, among all else that it has to do: that is what is asked for. */
static int on_ask(struct keeper *keeper, struct wire_frame *frame, struct err *err)
{
        const struct supervisor_alive alive = {0};

        (void)frame;
        return send_message(keeper, supervisor_alive_code, &alive, NULL, err);
}

static const struct {
        uint16_t code;
        int (*handle)(struct keeper *keeper, struct wire_frame *frame, struct err *err);
} handlers[] = {
    {supervisor_exited_code, on_exited},
    {supervisor_refused_code, on_refused},
    {supervisor_leave_code, on_leave},
    {supervisor_ask_code, on_ask},
};

static int on_frame(void *user, struct wire_frame *frame, struct err *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
                if (handlers[i].code == frame->message->code)
                        return handlers[i].handle(user, frame, err);
        return err_set(err, ERR_MALFORMED, "supervisor: unexpected %s", frame->message->name);
}

/* It dies only with everything else: the kernel's signal for us is on its way. */
static void on_closed(void *user, const struct err *err)
{
        struct keeper *keeper = user;

        keeper->lost = true;
        log_error((&(struct log_fields){.err = err}), "the supervisor is gone");
}

static const struct wire_event_ops link_ops = {on_frame, on_closed};

int keeper_attach(struct keeper *keeper, sd_event *event, const struct keeper_ops *ops, void *user,
                  struct err *err)
{
        int rc;

        if (keeper == NULL)
                return 0;
        keeper->ops = ops;
        keeper->user = user;
        rc = wire_event_take(event, TAKE(keeper->link), &link_ops, keeper, &keeper->event, err);
        return rc;
}

void keeper_serve(struct keeper *keeper)
{
        const struct supervisor_serving serving = {0};
        struct err err = {0};

        if (keeper == NULL)
                return;
        drop_left(keeper, keeper_drop);
        if (send_message(keeper, supervisor_serving_code, &serving, NULL, &err) != 0)
                log_error((&(struct log_fields){.err = &err}), "the supervisor cannot be told");
}

void keeper_end(struct keeper *keeper)
{
        const struct supervisor_done done = {0};
        struct err err = {0};

        if (keeper != NULL && !keeper->lost &&
            send_message(keeper, supervisor_done_code, &done, NULL, &err) != 0)
                log_error((&(struct log_fields){.err = &err}), "the supervisor cannot be told");
}

const struct secret *keeper_key(const struct keeper *keeper)
{
        return keeper == NULL ? NULL : keeper->key;
}

void keeper_put_key(struct keeper *keeper, const struct secret *key)
{
        struct supervisor_key message;
        struct err err = {0};

        if (keeper == NULL || key->len != sizeof(message.key))
                return;
        memcpy(message.key, key->data, sizeof(message.key));
        if (send_message(keeper, supervisor_key_code, &message, NULL, &err) != 0)
                log_warning((&(struct log_fields){.err = &err}), "the storage key is not kept");
        explicit_bzero(&message, sizeof(message));
}

uint32_t keeper_starts(const struct keeper *keeper)
{
        return keeper == NULL ? 0 : keeper->starts;
}

const char *keeper_why(const struct keeper *keeper)
{
        return keeper == NULL ? "" : keeper->why;
}

struct keeper_deaths keeper_deaths(const struct keeper *keeper)
{
        if (keeper == NULL)
                return (struct keeper_deaths){.why = ""};
        return (struct keeper_deaths){
            .n = keeper->deaths, .last = keeper->last_death, .why = keeper->death};
}

int keeper_program(const struct keeper *keeper)
{
        return keeper == NULL ? -1 : keeper->program;
}
