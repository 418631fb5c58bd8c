#include "tcb/create.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uuid/uuid.h>

#include "base/log.h"
#include "tcb/complete.h"
#include "tpmwire/ek.h"

#define CREATIONS_MAX 64 /* engines that manufacture at a time */

struct creation {
        struct tcb *tcb;
        struct instance *instance;
        create_fn *done;
        void *user;
};

static void on_started(void *user, const struct err *failure)
{
        struct creation *creation = user;
        struct instance *instance = creation->instance;

        creation->tcb->creations--;
        creation->done(creation->user, failure == NULL ? instance : NULL, failure);
        if (failure != NULL)
                tcb_forget_instance(creation->tcb, instance);
        free(creation);
}

static const struct instance_user creation_ops = {.started = on_started};

static int choose_uuid(const uint8_t wanted[16], uint8_t ret_uuid[16], struct err *err)
{
        static const uint8_t nil[16] = {0};

        memcpy(ret_uuid, wanted, 16);
        if (memcmp(wanted, nil, 16) != 0)
                return 0;
        if (getrandom(ret_uuid, 16, 0) != 16)
                return err_set_errno(err, errno, "getrandom");
        ret_uuid[6] = (uint8_t)((ret_uuid[6] & 0x0f) | 0x40);
        ret_uuid[8] = (uint8_t)((ret_uuid[8] & 0x3f) | 0x80);
        return 0;
}

/* The store does not know it yet, or not any more. */
static int check_changing(const struct instance *instance, struct err *err)
{
        if (instance == NULL)
                return 0;
        if (instance->sm.state == INSTANCE_MANUFACTURING)
                return err_set(err, ERR_CONFLICT, "vTPM %s is being made", instance->stored.name);
        if (instance->sm.state == INSTANCE_GONE)
                return err_set(err, ERR_CONFLICT, "vTPM %s is being deleted",
                               instance->stored.name);
        return 0;
}

/* "." is also of the pool's names, and of none that evidence can be filed under. */
static int check_name(const struct create_request *request, struct err *err)
{
        const char *name = request->name;
        uuid_t uuid;

        if (!store_name_is_valid(name) || name[0] == '.' || name[0] == '-')
                return err_set(err, ERR_USAGE,
                               "a name has 1 to %d of a-z 0-9 . _ -, . and - not first",
                               TCB_NAME_MAX);
        /* Whoever asks for that UUID would find this one instead. */
        if (uuid_parse(name, uuid) == 0 && memcmp(uuid, request->uuid, sizeof(uuid)) != 0)
                return err_set(err, ERR_USAGE, "a name that is a UUID must be its own UUID");
        return 0;
}

static int check_room(const struct tcb *tcb, const struct create_request *request, struct err *err)
{
        const struct instance_index *index = &tcb->instances;

        if (tcb->ending)
                return err_set(err, ERR_UNREACHABLE, "the trusted core ends");
        if (check_changing(instance_index_find_name(index, request->name), err) != 0 ||
            check_changing(instance_index_find_uuid(index, request->uuid), err) != 0)
                return err->code;
        if (tcb->creations >= CREATIONS_MAX)
                return err_set(err, ERR_LIMIT, "%zu vTPMs are being made already", tcb->creations);
        if (request->eks >> TPM_EK_COUNT != 0)
                return err_set(err, ERR_USAGE, "unknown endorsement keys");
        return check_name(request, err);
}

/* Nothing else has its name and UUID: check_room() and the store said so. */
static int add(struct creation *creation, struct err *err)
{
        struct tcb *tcb = creation->tcb;
        int rc = instance_index_add(&tcb->instances, creation->instance, err);

        if (rc == 0)
                return 0;
        tcb->creations--;
        instance_free(creation->instance);
        free(creation);
        return rc;
}

int create_vtpm(struct tcb *tcb, const struct create_request *request, create_fn *done, void *user,
                struct err *err)
{
        struct creation *creation;
        uint8_t chosen[16];
        const struct instance_request wanted = {
            .name = request->name,
            .uuid = chosen,
            .permanent = request->permanent,
            .eks = request->eks,
            .later = request->eks == 0 ? 1U << TPM_EK_RSA2048 : 0,
        };

        if (check_room(tcb, request, err) != 0 || choose_uuid(request->uuid, chosen, err) != 0)
                return err->code;
        complete_postpone(tcb->complete);
        creation = calloc(1, sizeof(*creation));
        if (creation == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        *creation = (struct creation){.tcb = tcb, .done = done, .user = user};
        if (instance_create(&tcb->instance_host, &wanted, &creation_ops, creation,
                            &creation->instance, err) != 0) {
                free(creation);
                return err->code;
        }
        tcb->creations++;
        return add(creation, err);
}

struct deletion {
        struct tcb *tcb;
        struct instance *instance;
        struct request *request;
        struct err why; /* code 0: it was asked for; else the request fails with this */
};

static void on_deleted(void *user, uint64_t value)
{
        struct deletion *deletion = user;

        (void)value;
        tcb_forget_instance(deletion->tcb, deletion->instance);
        if (deletion->why.code != 0)
                request_fail(deletion->request, &deletion->why);
        else
                request_done(deletion->request);
        free(deletion);
}

static int delete_because(struct tcb *tcb, struct instance *instance, struct request *request,
                          const struct err *why, struct err *err)
{
        struct deletion *deletion = calloc(1, sizeof(*deletion));

        if (deletion == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        *deletion = (struct deletion){tcb, instance, request, *why};
        if (instance_delete(instance, on_deleted, deletion, err) != 0) {
                free(deletion);
                return err->code;
        }
        return 0;
}

int delete_vtpm(struct tcb *tcb, struct instance *instance, struct request *request,
                struct err *err)
{
        return delete_because(tcb, instance, request, &(struct err){.code = 0}, err);
}

void undo_vtpm(struct tcb *tcb, struct instance *instance, struct request *request,
               const struct err *why)
{
        struct err err = {0};
        struct err both = *why;

        if (delete_because(tcb, instance, request, why, &err) == 0)
                return;
        log_error((&(struct log_fields){.vm = instance->stored.name, .op = "undo", .err = &err}),
                  "a vTPM without a VM is left");
        (void)err_hint(&both, "its vTPM is left: catena vtpm delete %s", instance->stored.name);
        request_fail(request, &both);
}
