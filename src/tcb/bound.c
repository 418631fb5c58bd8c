#include "tcb/bound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "tcb/bound-private.h"

#define RECORD_FORMAT  0x0101 /* VMs' records count from 1 */
#define RECORD_MAX     256
#define CONNECTS_PER_S 32

/* The stored record: format, path, owner, group, mode. --------------------------------------- */

static int encode_record(const struct socket_path *socket, struct writer *w, struct err *err)
{
        writer_put_be16(w, RECORD_FORMAT);
        writer_put_tpm2b(w, wire_text(socket->path));
        writer_put_be32(w, socket->uid);
        writer_put_be32(w, socket->gid);
        writer_put_be32(w, socket->mode);
        return writer_check(w) != 0 ? err_set(err, ERR_LIMIT, "socket configuration too large") : 0;
}

static int decode_record(struct bytes data, struct socket_path *ret_socket, struct err *err)
{
        struct reader r = reader_from_bytes(data);
        struct socket_path socket = {.path = ""};
        struct bytes path;
        uint16_t format;
        uint32_t mode;

        if (reader_get_be16(&r, &format) != 0 || format != RECORD_FORMAT ||
            reader_get_tpm2b(&r, SOCKET_PATH_MAX, &path) != 0 ||
            reader_get_be32(&r, &socket.uid) != 0 || reader_get_be32(&r, &socket.gid) != 0 ||
            reader_get_be32(&r, &mode) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_DAMAGED, "socket configuration: at offset %zu",
                               reader_offset(&r));
        socket.mode = (mode_t)mode;
        wire_text_copy(path, socket.path, sizeof(socket.path));
        *ret_socket = socket;
        return 0;
}

bool bound_is_record(struct bytes config)
{
        struct reader r = reader_from_bytes(config);
        uint16_t format;

        return reader_get_be16(&r, &format) == 0 && format == RECORD_FORMAT;
}

/* The socket ----------------------------------------------------------------------------------- */

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        int peer;

        (void)source;
        (void)revents;
        /* First: from here until it is kept the connection ends with us, if we die. */
        bound_reap_gone(user);
        peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (peer >= 0)
                bound_welcome(user, peer);
        return 0;
}

static void name_of(const struct bound *bound, char ret_name[SUPERVISOR_NAME_MAX + 1])
{
        keeper_name("socket", bound->instance->stored.block.uuid, ret_name);
}

/* The socket that the TCB before us made: who connected meanwhile waits in it. */
static bool take_over_socket(struct bound *bound)
{
        struct keeper_left AUTO_LEFT *left = NULL;
        char name[SUPERVISOR_NAME_MAX + 1];
        struct err err = {0};

        name_of(bound, name);
        left = keeper_take(bound->tcb->keeper, name);
        if (left == NULL || left->message->code != kept_socket_code ||
            socket_path_find(&bound->socket, &bound->place, &err) != 0)
                return false;
        bound->listener = TAKE_FD(left->fds[0]);
        return true;
}

static void keep_socket(const struct bound *bound)
{
        char name[SUPERVISOR_NAME_MAX + 1];

        name_of(bound, name);
        keeper_put(bound->tcb->keeper, name, kept_socket_code, &(const struct kept_socket){0},
                   &bound->listener);
}

static int make_socket(struct bound *bound, struct err *err)
{
        int rc = socket_path_listen(&bound->socket, &bound->place, &bound->listener, err);

        if (rc == 0)
                keep_socket(bound);
        return rc;
}

static int listen_at(struct bound *bound, struct err *err)
{
        int rc = take_over_socket(bound) ? 0 : make_socket(bound, err);

        if (rc != 0)
                return rc;
        rc = sd_event_add_io(bound->tcb->event, &bound->source, bound->listener, EPOLLIN,
                             on_connection, bound);
        /* A connection that cannot be taken (no descriptors left) stays ready: not a busy loop. */
        if (rc >= 0)
                rc = sd_event_source_set_ratelimit(bound->source, 1000000, CONNECTS_PER_S);
        return rc < 0 ? err_set_errno(err, -rc, "watch %s", bound->socket.path) : 0;
}

static struct bound *allocate(struct tcb *tcb, struct instance *instance,
                              const struct socket_path *socket)
{
        struct bound *bound = calloc(1, sizeof(*bound));

        if (bound == NULL)
                return NULL;
        bound->tcb = tcb;
        bound->instance = instance;
        bound->socket = *socket;
        bound->listener = -1;
        return bound;
}

static void remove_socket(struct bound *bound)
{
        char name[SUPERVISOR_NAME_MAX + 1];

        socket_path_remove(&bound->socket, &bound->place);
        name_of(bound, name);
        keeper_drop(bound->tcb->keeper, name);
}

void bound_free(struct bound *bound)
{
        if (bound == NULL)
                return;
        bound_end_peers(bound);
        sd_event_source_disable_unref(bound->source);
        if (bound->listener >= 0)
                remove_socket(bound);
        fd_close(&bound->listener);
        if (bound->instance->bound == bound)
                bound->instance->bound = NULL;
        free(bound);
}

/* Life ----------------------------------------------------------------------------------------- */

/* An administrator can put right what keeps a socket from its place; the host goes on meanwhile. */
static int load_one(struct tcb *tcb, struct instance *instance, struct err *err)
{
        const uint8_t *uuid = instance->stored.block.uuid;
        uint8_t AUTO_FREE *data = NULL;
        struct socket_path socket;
        struct err trouble = {0};
        size_t len;
        int rc = store_get_config(tcb->store, uuid, &data, &len, err);

        if (rc != 0)
                return rc == ERR_NOT_FOUND ? 0 : rc;
        if (!bound_is_record((struct bytes){data, len}))
                return 0;
        rc = decode_record((struct bytes){data, len}, &socket, err);
        if (rc != 0)
                return rc;
        instance->bound = allocate(tcb, instance, &socket);
        if (instance->bound == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (listen_at(instance->bound, &trouble) != 0) {
                log_error((&(struct log_fields){.vm = instance->stored.name, .err = &trouble}),
                          "its socket cannot be used");
                (void)snprintf(instance->bound->trouble, sizeof(instance->bound->trouble), "%s",
                               trouble.text);
        }
        return snapshot_load(tcb->store, uuid, &instance->bound->saved, err);
}

int bounds_load(struct tcb *tcb, struct err *err)
{
        for (struct instance *i = tcb->instances.first; i != NULL; i = i->next)
                if (load_one(tcb, i, err) != 0)
                        return err_wrap(err, "%s", i->stored.name);
        return 0;
}

int bound_adopt(struct bound *bound, struct keeper_left *left, struct err *err)
{
        int first = bound_adopt_first(bound, left, err);
        int second;

        /* Without its first the second may be the only one. */
        if (first != 0 && first != ERR_NOT_FOUND)
                return first;
        second = bound_adopt_second(bound, err);
        if (second != 0)
                return second;
        return left == NULL ? 0 : first;
}

static int store_record(struct bound *bound, commit_fn *done, void *user, struct err *err)
{
        struct instance *instance = bound->instance;
        struct tcb *tcb = bound->tcb;
        uint8_t memory[RECORD_MAX];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        if (encode_record(&bound->socket, &w, err) != 0 || commit_begin(tcb->commit, err) != 0 ||
            store_put_config(tcb->store, instance->stored.block.uuid, writer_bytes(&w), err) != 0 ||
            store_get_instance(tcb->store, instance->stored.block.uuid, &instance->stored, err) !=
                0)
                return err->code;
        return commit_then(tcb->commit, done, user, 0, err);
}

/* To ask the socket itself would be taken for a QEMU by its vTPM. */
static int check_unused(const struct tcb *tcb, const struct instance *instance,
                        const struct socket_path *socket, struct err *err)
{
        for (const struct instance *i = tcb->instances.first; i != NULL; i = i->next)
                if (i != instance && i->bound != NULL &&
                    strcmp(i->bound->socket.path, socket->path) == 0)
                        return err_set(err, ERR_CONFLICT, "socket %s is that of vTPM %s",
                                       socket->path, i->stored.name);
        return 0;
}

int bound_create(struct tcb *tcb, struct instance *instance, const struct socket_path *socket,
                 commit_fn *done, void *user, struct err *err)
{
        struct bound *bound;
        int rc;

        instance_interrupt_making(instance);
        if (instance->sm.state != INSTANCE_IDLE)
                return err_set(err, ERR_CONFLICT, "vTPM %s is %s", instance->stored.name,
                               sm_name(&instance->sm));
        if (check_unused(tcb, instance, socket, err) != 0)
                return err->code;
        bound = allocate(tcb, instance, socket);
        if (bound == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = listen_at(bound, err);
        if (rc == 0)
                rc = store_record(bound, done, user, err);
        if (rc != 0) {
                bound_free(bound);
                return rc;
        }
        if (instance->bound != NULL)
                bound->saved = instance->bound->saved;
        bound_free(instance->bound);
        instance->bound = bound;
        keep_socket(bound); /* the other one's end took it with it */
        return 0;
}

struct bound_view bound_look(const struct bound *bound)
{
        return (struct bound_view){.socket = &bound->socket,
                                   .trouble = bound->trouble,
                                   .qemu = bound->first == NULL ? 0 : bound->first->pid,
                                   .saved = bound->saved.exists};
}
