#include "tcb/tcb.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/fs.h"
#include "base/log.h"
#include "tcb/server.h"
#include "tcb/vm.h"

static int make_dirs(struct tcb *tcb, struct err *err)
{
        static const char *const dirs[] = {"run", "log", "images"};
        char path[PATH_MAX];

        if (fs_make_dir(tcb->config.state, 0700, err) != 0)
                return err->code;
        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
                if (tcb_config_path(&tcb->config, dirs[i], path, err) != 0 ||
                    fs_make_dir(path, 0700, err) != 0)
                        return err->code;
        tcb->images = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return tcb->images < 0 ? err_set_errno(err, errno, "open %s", path) : 0;
}

static void on_ptpm_lost(void *user, const struct err *err)
{
        struct tcb *tcb = user;

        log_error((&(struct log_fields){.err = err}), "the arbiter is gone: no pTPM, no TCB");
        (void)sd_event_exit(tcb->event, EXIT_FAILURE);
}

static int open_platform(struct tcb *tcb, struct err *err)
{
        char path[PATH_MAX];

        if (tcb_config_path(&tcb->config, "tcb.db", path, err) != 0 ||
            store_open(path, &tcb->store, err) != 0 ||
            ptpm_new(&tcb->config, &tcb->ptpm, err) != 0 ||
            host_keys_load(tcb->store, tcb->ptpm, &tcb->keys, err) != 0 ||
            measure_host(&tcb->config, tcb->ptpm, &tcb->measurements, err) != 0)
                return err->code;
        return ptpm_attach(tcb->ptpm, tcb->event, on_ptpm_lost, tcb, err);
}

static int open_instances(struct tcb *tcb, struct err *err)
{
        struct instance_host *host = &tcb->instance_host;

        if (commit_new(tcb->event, tcb->store, &tcb->commit, err) != 0 ||
            tcb_config_program(&tcb->config, "catena-vtpm", host->engine_path, err) != 0)
                return err->code;
        host->event = tcb->event;
        host->store = tcb->store;
        host->commit = tcb->commit;
        host->config = &tcb->config;
        host->measurements = &tcb->measurements;
        if (instances_load(host, &tcb->instances, err) != 0)
                return err->code;
        return vms_load(tcb, err);
}

/* SIGTERM and SIGINT end the loop in order; both must be blocked for the event source. */
static int watch_signals(struct tcb *tcb, struct err *err)
{
        sigset_t mask;
        int rc;

        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGTERM);
        (void)sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return err_set_errno(err, errno, "block signals");
        rc = sd_event_add_signal(tcb->event, NULL, SIGTERM, NULL, NULL);
        if (rc >= 0)
                rc = sd_event_add_signal(tcb->event, NULL, SIGINT, NULL, NULL);
        return rc < 0 ? err_set_errno(err, -rc, "watch signals") : 0;
}

int tcb_open(const struct tcb_config *config, struct tcb **ret_tcb, struct err *err)
{
        struct tcb *tcb = calloc(1, sizeof(*tcb));
        int rc;

        if (tcb == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        tcb->config = *config;
        tcb->images = -1;
        rc = sd_event_new(&tcb->event);
        if (rc < 0)
                rc = err_set_errno(err, -rc, "make event loop");
        if (rc == 0)
                rc = watch_signals(tcb, err);
        if (rc == 0)
                rc = make_dirs(tcb, err);
        if (rc == 0)
                rc = open_platform(tcb, err);
        if (rc == 0)
                rc = open_instances(tcb, err);
        if (rc == 0)
                rc = server_new(tcb, &tcb->server, err);
        if (rc != 0) {
                tcb_close(tcb);
                return rc;
        }
        *ret_tcb = tcb;
        return 0;
}

void tcb_close(struct tcb *tcb)
{
        struct err err = {0};

        if (tcb == NULL)
                return;
        while (tcb->vms != NULL)
                vm_free(tcb->vms);
        for (struct instance *i = tcb->instances; i != NULL; i = i->next)
                instance_stop(i);
        /* Whoever was promised an answer after a commit still gets it. */
        if (tcb->commit != NULL && commit_flush(tcb->commit, &err) != 0)
                log_error((&(struct log_fields){.op = "commit", .err = &err}),
                          "unacknowledged changes are lost");
        server_free(tcb->server);
        while (tcb->instances != NULL) {
                struct instance *next = tcb->instances->next;

                instance_free(tcb->instances);
                tcb->instances = next;
        }
        commit_free(tcb->commit);
        ptpm_free(tcb->ptpm);
        measurements_done(&tcb->measurements);
        host_keys_done(&tcb->keys);
        store_close(tcb->store);
        fd_close(&tcb->images);
        sd_event_unref(tcb->event);
        free(tcb);
}

int tcb_run(struct tcb *tcb, struct err *err)
{
        int rc;

        log_info(NULL, "%s serves at %s, pTPM: %s", tcb->config.host_name, tcb->config.state,
                 ptpm_kind(tcb->ptpm));
        (void)sd_notify(0, "READY=1");
        rc = sd_event_loop(tcb->event);
        (void)sd_notify(0, "STOPPING=1");
        if (rc < 0)
                return err_set_errno(err, -rc, "event loop");
        return rc == 0 ? 0 : err_set(err, ERR_FAILED, "ended by a failure");
}

static bool is_called(const struct store_instance *stored, const char *name)
{
        uuid_t uuid;

        if (strcmp(stored->name, name) == 0)
                return true;
        return uuid_parse(name, uuid) == 0 && memcmp(stored->block.uuid, uuid, sizeof(uuid)) == 0;
}

int tcb_find_instance(struct tcb *tcb, const char *name, struct instance **ret_instance,
                      struct err *err)
{
        for (struct instance *i = tcb->instances; i != NULL; i = i->next)
                if (is_called(&i->stored, name)) {
                        *ret_instance = i;
                        return 0;
                }
        return err_set(err, ERR_NOT_FOUND, "no vTPM %s", name);
}

int tcb_find_vm(struct tcb *tcb, const char *name, struct vm **ret_vm, struct err *err)
{
        for (struct vm *vm = tcb->vms; vm != NULL; vm = vm->next)
                if (is_called(&vm->instance->stored, name)) {
                        *ret_vm = vm;
                        return 0;
                }
        return err_set(err, ERR_NOT_FOUND, "no VM %s", name);
}

void tcb_forget_instance(struct tcb *tcb, struct instance *instance)
{
        struct instance **at = &tcb->instances;

        while (*at != NULL && *at != instance)
                at = &(*at)->next;
        if (*at == instance)
                *at = instance->next;
        instance_free(instance);
}
