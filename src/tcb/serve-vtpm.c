/* Requests about vTPM instances by themselves. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/log.h"
#include "tcb/bound.h"
#include "tcb/create.h"
#include "tcb/listing.h"
#include "tcb/making.h"
#include "tcb/parking.h"
#include "tcb/server.h"
#include "tcb/vm.h"
#include "tcb/vtpm-answer.h"

static int find(struct tcb *tcb, struct bytes text, struct instance **ret, struct err *err)
{
        char name[TCB_NAME_MAX + 1];

        return tcb_find_instance(tcb, wire_text_copy(text, name, sizeof(name)), ret, err);
}

/* Creating ------------------------------------------------------------------------------------ */

static void on_created(void *user, struct instance *instance, const struct err *failure)
{
        struct request *request = user;

        if (failure != NULL)
                request_fail(request, failure);
        else
                vtpm_answer(request, instance);
}

static int serve_create(struct tcb *tcb, const void *message, struct request *request,
                        struct err *err)
{
        const struct tcb_vtpm_create *create = message;
        char name[TCB_NAME_MAX + 1];

        wire_text_copy(create->name, name, sizeof(name));
        return create_vtpm(
            tcb, &(struct create_request){.name = name, .uuid = create->uuid, .eks = create->eks},
            on_created, request, err);
}

static int serve_import(struct tcb *tcb, const void *message, struct request *request,
                        struct err *err)
{
        const struct tcb_vtpm_import *import = message;
        char name[TCB_NAME_MAX + 1];

        /* Empty it would mean "manufacture". */
        if (import->permanent.len == 0)
                return err_set(err, ERR_USAGE, "no state to import");
        wire_text_copy(import->name, name, sizeof(name));
        return create_vtpm(tcb,
                           &(struct create_request){.name = name,
                                                    .uuid = import->uuid,
                                                    .eks = 1U << TPM_EK_P256,
                                                    .permanent = import->permanent},
                           on_created, request, err);
}

/* The rest ------------------------------------------------------------------------------------ */

static int serve_list(struct tcb *tcb, const void *message, struct request *request,
                      struct err *err)
{
        (void)message;
        return listing_start(tcb, request, err);
}

static int serve_show(struct tcb *tcb, const void *message, struct request *request,
                      struct err *err)
{
        const struct tcb_vtpm_show *show = message;
        struct instance *instance;

        if (find(tcb, show->name, &instance, err) != 0)
                return err->code;
        vtpm_answer(request, instance);
        return 0;
}

static int send_key(struct instance *instance, enum tpm_ek_kind kind, struct bytes certificate,
                    struct request *request, struct err *err)
{
        uint8_t AUTO_FREE *public = NULL;
        size_t len = 0;
        int rc = making_get_ek(instance, kind, &public, &len, err);

        if (rc != 0 && rc != ERR_NOT_FOUND)
                return rc;
        if (rc == 0 || certificate.len > 0)
                request_send(request, tcb_vtpm_key_code,
                             &(const struct tcb_vtpm_key){.kind = (uint8_t)kind,
                                                          .public = {public, len},
                                                          .certificate = certificate});
        return 0;
}

/* One key after another, in the order of their kinds. */
static int serve_ek(struct tcb *tcb, const void *message, struct request *request, struct err *err)
{
        const struct tcb_vtpm_ek *wanted = message;
        struct making_certs certs = {.memory = NULL};
        struct instance *instance;
        int rc = find(tcb, wanted->name, &instance, err);

        if (rc == 0 && !instance->created)
                rc = err_set(err, ERR_CONFLICT, "vTPM %s is being made", instance->stored.name);
        if (rc == 0)
                rc = making_get_certs(instance, &certs, err);
        for (unsigned kind = 0; rc == 0 && kind < TPM_EK_COUNT; kind++)
                rc = send_key(instance, (enum tpm_ek_kind)kind, certs.der[kind], request, err);
        free(certs.memory);
        if (rc == 0)
                request_done(request);
        return rc;
}

static int serve_delete(struct tcb *tcb, const void *message, struct request *request,
                        struct err *err)
{
        const struct tcb_vtpm_delete *delete = message;
        struct instance *instance;

        if (find(tcb, delete->name, &instance, err) != 0)
                return err->code;
        if (instance->vm != NULL) {
                (void)err_set(err, ERR_CONFLICT, "vTPM %s belongs to a VM", instance->stored.name);
                return err_hint(err, "catena vm destroy %s", instance->stored.name);
        }
        return delete_vtpm(tcb, instance, request, err);
}

/* Parking ------------------------------------------------------------------------------------- */

static void on_moved(void *user, uint64_t value)
{
        struct request *request = user;
        struct err err = {0};

        if (value == 0) {
                request_done(request);
                return;
        }
        (void)err_set(&err, ERR_CONFLICT, "the vTPM is busy, or ended");
        request_fail(request, &err);
}

static int serve_park(struct tcb *tcb, const void *message, struct request *request,
                      struct err *err)
{
        const struct tcb_vtpm_park *park = message;
        struct instance *instance;

        if (find(tcb, park->name, &instance, err) != 0)
                return err->code;
        return parking_park(instance, false, on_moved, request, err);
}

static int serve_wake(struct tcb *tcb, const void *message, struct request *request,
                      struct err *err)
{
        const struct tcb_vtpm_wake *wake = message;
        struct instance *instance;

        if (find(tcb, wake->name, &instance, err) != 0)
                return err->code;
        return parking_wake(instance, on_moved, request, err);
}

/* An engine for a client's own VM: the client gets the control socket, as QEMU would. ---------- */

static void on_engine_event(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        struct instance *instance = user;

        (void)init_count;
        /* The client has closed its end: the power is off. */
        if (kind == ENGINE_EVENT_CLOSED)
                instance_stop(instance);
}

static void on_engine_died(void *user, const struct err *err)
{
        struct instance *instance = user;

        log_warning((&(struct log_fields){.vm = instance->stored.name, .err = err}),
                    "its engine ended");
}

static void on_engine_started(void *user, const struct err *err)
{
        if (err != NULL)
                on_engine_died(user, err);
}

static const struct instance_user open_ops = {.started = on_engine_started,
                                              .event = on_engine_event,
                                              .died = on_engine_died,
                                              .kept = KEPT_USER_CLIENT};

int vtpm_adopt_opened(struct instance *instance, struct keeper_left *left, struct err *err)
{
        return instance_adopt(instance, left, &open_ops, instance, err);
}

/* The socket can be used at once; what comes before the engine is ready waits in it. */
static int serve_open(struct tcb *tcb, const void *message, struct request *request,
                      struct err *err)
{
        const struct tcb_vtpm_open *open = message;
        const struct tcb_vtpm_opened opened = {0};
        struct instance *instance;
        int pair[2];
        int rc;

        if (find(tcb, open->name, &instance, err) != 0)
                return err->code;
        if (instance->vm != NULL)
                return err_set(err, ERR_CONFLICT, "vTPM %s belongs to a VM of this host",
                               instance->stored.name);
        if (instance->bound != NULL && bound_look(instance->bound).saved) {
                (void)err_set(err, ERR_CONFLICT, "vTPM %s belongs to a saved VM",
                              instance->stored.name);
                return err_hint(err, "restore the VM, or start it anew, which gives the saved one "
                                     "up");
        }
        if (fd_socketpair(SOCK_STREAM, pair, err) != 0)
                return err->code;
        rc = instance_start(instance, pair[1], &open_ops, instance, err);
        fd_close(&pair[1]);
        if (rc == 0)
                request_answer(request, tcb_vtpm_opened_code, &opened, &pair[0]);
        fd_close(&pair[0]);
        return rc;
}

/* A socket for an operator's QEMU. --------------------------------------------------------------
 */

struct listening {
        struct instance *instance;
        struct request *request;
};

static void on_listening(void *user, uint64_t value)
{
        struct listening *listening = user;

        (void)value;
        vtpm_answer(listening->request, listening->instance);
        free(listening);
}

/* The relay asks for it, which is nobody's to trust: so not just anywhere. */
static int check_place(const struct tcb *tcb, const struct socket_path *socket, struct err *err)
{
        char run[PATH_MAX];
        char own[PATH_MAX];
        int rc = socket_path_check(socket, err);

        if (rc == 0)
                rc = tcb_config_path(&tcb->config, "run", run, err);
        if (rc != 0 || socket_path_is_in(socket, tcb->config.sockets))
                return rc;
        /* Sockets' paths have neither links nor blanks. */
        if (realpath(run, own) != NULL && strchr(own, ' ') == NULL &&
            socket_path_is_in(socket, own))
                return 0;
        (void)err_set(err, ERR_NOT_PERMITTED, "socket %s: sockets are not made there",
                      socket->path);
        return err_hint(err, "name its directory in [vtpm] sockets of catena.conf");
}

static int serve_listen(struct tcb *tcb, const void *message, struct request *request,
                        struct err *err)
{
        const struct tcb_vtpm_listen *listen = message;
        struct socket_path socket = {
            .uid = listen->uid, .gid = listen->gid, .mode = (mode_t)listen->mode};
        struct listening *listening;
        struct instance *instance;
        int rc = find(tcb, listen->name, &instance, err);

        if (rc != 0)
                return rc;
        if (instance->vm != NULL)
                return err_set(err, ERR_CONFLICT, "vTPM %s belongs to a VM of this host",
                               instance->stored.name);
        wire_text_copy(listen->path, socket.path, sizeof(socket.path));
        rc = check_place(tcb, &socket, err);
        if (rc != 0)
                return rc;
        listening = malloc(sizeof(*listening));
        if (listening == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        *listening = (struct listening){instance, request};
        rc = bound_create(tcb, instance, &socket, on_listening, listening, err);
        if (rc != 0)
                free(listening);
        return rc;
}

const struct server_row server_rows_vtpm[] = {
    {tcb_vtpm_create_code, serve_create},
    {tcb_vtpm_list_code, serve_list},
    {tcb_vtpm_show_code, serve_show},
    {tcb_vtpm_delete_code, serve_delete},
    {tcb_vtpm_open_code, serve_open},
    {tcb_vtpm_listen_code, serve_listen},
    {tcb_vtpm_ek_code, serve_ek},
    {tcb_vtpm_park_code, serve_park},
    {tcb_vtpm_wake_code, serve_wake},
    {tcb_vtpm_import_code, serve_import},
    {0, NULL},
};
