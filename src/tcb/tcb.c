#include "tcb/tcb.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "tcb/accel-note.h"
#include "tcb/adopt.h"
#include "tcb/bound.h"
#include "tcb/complete.h"
#include "tcb/known-answer.h"
#include "tcb/listing.h"
#include "tcb/making.h"
#include "tcb/parking.h"
#include "tcb/pool.h"
#include "tcb/server.h"
#include "tcb/spares.h"
#include "tcb/vm.h"
#include "vmm/zygote.h"

#define END_USEC UINT64_C(8000000) /* for guests to power off when the TCB ends */

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

/* Another build takes over. */
static void on_leave(void *user)
{
        struct tcb *tcb = user;

        log_info(NULL, "leaves engines and guests to the next trusted core");
        (void)sd_event_exit(tcb->event, 0);
}

static const struct keeper_ops keeper_ops = {on_leave};

static int open_keeper(struct tcb *tcb, struct err *err)
{
        int rc;

        if (!tcb->config.supervised)
                return 0;
        if (fcntl(TCB_SUPERVISOR_FD, F_SETFD, FD_CLOEXEC) < 0)
                return err_set(err, ERR_USAGE, "not started by catena-supervisor");
        rc = keeper_new(TCB_SUPERVISOR_FD, &tcb->keeper, err);
        if (rc == 0 && keeper_why(tcb->keeper)[0] != '\0')
                log_info(NULL, "goes on for one that %s", keeper_why(tcb->keeper));
        return rc;
}

static void open_cgroups(struct tcb *tcb)
{
        const struct cgroup_limits limits = {
            .engines_weight = tcb->config.engines_weight,
            .engines_memory = tcb->config.engines_memory << 20,
            .engines_max = descriptors_vtpms(&tcb->instance_host.descriptors),
        };

        cgroups_open(&limits, &tcb->cgroups);
        if (tcb->cgroups.words[0] != '\0')
                log_warning((&(struct log_fields){.op = "cgroup"}), "%s", tcb->cgroups.words);
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
            ptpm_new(&tcb->config, !host_keys_exist(tcb->store), &tcb->ptpm, err) != 0 ||
            host_keys_load(tcb->store, tcb->ptpm, tcb->keeper, &tcb->keys, err) != 0 ||
            measure_host(&tcb->config, tcb->ptpm, keeper_program(tcb->keeper), &tcb->measurements,
                         err) != 0)
                return err->code;
        return ptpm_attach(tcb->ptpm, tcb->event, on_ptpm_lost, tcb, err);
}

/* Goes on by itself while we serve. */
static int test_manufacture(struct instance_host *host, struct err *err)
{
        const struct engine_host_request request = {.event = host->event,
                                                    .zygote = host->zygote,
                                                    .path = host->engine_path,
                                                    /* Nobody is served yet. */
                                                    .patience_msec = VMM_ZYGOTE_WARM_MSEC,
                                                    .memory_max = host->config->engine_memory << 20,
                                                    .uid = (uid_t)host->config->uid_base + 1};

        return known_answer_start(&request, &profile_known, &host->known_answer, err);
}

static void check_limits(const struct tcb *tcb)
{
        const size_t most = descriptors_vtpms(&tcb->instance_host.descriptors);
        const size_t all = tcb->instances.names.n;

        if (all > most)
                log_warning(NULL,
                            "%zu vTPMs are here and %zu of them can have power at a time: the "
                            "limit of open files is %zu (LimitNOFILE)",
                            all, most, tcb->instance_host.descriptors.limit);
}

/* The saves of one turn are in: they need not wait for the loop to find that nothing else comes. */
static void on_engines_served(void *user)
{
        struct tcb *tcb = user;

        commit_now(tcb->commit);
}

static int open_instances(struct tcb *tcb, struct err *err)
{
        struct instance_host *host = &tcb->instance_host;
        int rc;

        if (commit_new(tcb->event, tcb->store, &tcb->commit, err) != 0 ||
            wire_hub_new(tcb->event, on_engines_served, tcb, &host->hub, err) != 0 ||
            tcb_config_program(&tcb->config, "catena-vtpm", host->engine_path, err) != 0 ||
            vmm_zygote_new(host->engine_path, &host->zygote, err) != 0)
                return err->code;
        if (tcb->keeper != NULL)
                vmm_zygote_set_siblings(host->zygote);
        host->all = &tcb->instances;
        host->event = tcb->event;
        host->keeper = tcb->keeper;
        host->store = tcb->store;
        host->commit = tcb->commit;
        host->config = &tcb->config;
        host->uids.base = (uid_t)tcb->config.uid_base;
        host->measurements = &tcb->measurements;
        vmm_zygote_set_cgroup(host->zygote, tcb->cgroups.procs[CGROUP_ENGINES]);
        if (vmm_zygote_warm(host->zygote, err) != 0)
                return err->code;
        if (test_manufacture(host, err) != 0)
                return err->code;
        if (spares_new(host, &host->spares, err) != 0 ||
            parking_new(host, &host->parking, err) != 0 ||
            instance_index_init(&tcb->instances, err) != 0 ||
            instances_load(host, &tcb->instances, err) != 0)
                return err->code;
        check_limits(tcb);
        tcb->accel_memory = accel_note_get(&tcb->config);
        rc = vms_load(tcb, err);
        if (rc == 0)
                rc = bounds_load(tcb, err);
        if (rc == 0)
                rc = adopt_instances(tcb, err);
        return rc != 0 ? rc : complete_new(tcb, &tcb->complete, err);
}

static bool any_vm_on(const struct tcb *tcb)
{
        for (const struct vm *vm = tcb->vms; vm != NULL; vm = vm->next)
                if (vm->sm.state != VM_OFF)
                        return true;
        return false;
}

void tcb_note_off(struct tcb *tcb)
{
        if (tcb->ending && !any_vm_on(tcb))
                (void)sd_event_exit(tcb->event, 0);
}

static int on_end_timer(sd_event_source *source, uint64_t usec, void *user)
{
        struct tcb *tcb = user;

        (void)source;
        (void)usec;
        log_warning(NULL, "guests did not power off in time");
        return sd_event_exit(tcb->event, 0);
}

/* The first signal asks the guests to power off, within limits; the second does not ask. */
static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *user)
{
        struct tcb *tcb = user;

        (void)source;
        (void)si;
        if (tcb->ending)
                return sd_event_exit(tcb->event, 0);
        tcb->ending = true;
        (void)sd_notify(0, "STOPPING=1");
        for (struct vm *vm = tcb->vms; vm != NULL; vm = vm->next)
                vm_end(vm);
        if (!any_vm_on(tcb) ||
            sd_event_add_time_relative(tcb->event, &tcb->end_timer, CLOCK_MONOTONIC, END_USEC, 0,
                                       on_end_timer, tcb) < 0)
                return sd_event_exit(tcb->event, 0);
        return 0;
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
        rc = sd_event_add_signal(tcb->event, NULL, SIGTERM, on_signal, tcb);
        if (rc >= 0)
                rc = sd_event_add_signal(tcb->event, NULL, SIGINT, on_signal, tcb);
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
        cgroups_init(&tcb->cgroups);
        rc = sd_event_new(&tcb->event);
        if (rc < 0)
                rc = err_set_errno(err, -rc, "make event loop");
        if (rc == 0)
                rc = watch_signals(tcb, err);
        if (rc == 0)
                rc = make_dirs(tcb, err);
        /* Before anything is started, so that all of it is where it belongs. */
        descriptors_init(&tcb->instance_host.descriptors);
        if (rc == 0)
                open_cgroups(tcb);
        if (rc == 0)
                rc = open_keeper(tcb, err);
        if (rc == 0)
                rc = open_platform(tcb, err);
        if (rc == 0)
                rc = open_instances(tcb, err);
        if (rc == 0)
                rc = server_new(tcb, &tcb->server, err);
        if (rc == 0)
                rc = keeper_attach(tcb->keeper, tcb->event, &keeper_ops, tcb, err);
        if (rc != 0) {
                tcb_close(tcb);
                return rc;
        }
        *ret_tcb = tcb;
        return 0;
}

/* What was to be manufactured is forgotten, and whoever waits for it is told. */
static void end_instances(struct tcb *tcb)
{
        struct instance *next;
        struct err err = {0};

        (void)err_set(&err, ERR_UNREACHABLE, "the trusted core ends");
        for (struct instance *i = tcb->instances.first; i != NULL; i = next) {
                next = i->next;
                bound_free(i->bound);
                if (i->sm.state == INSTANCE_MANUFACTURING)
                        making_fail(i, &err); /* frees it */
                else
                        instance_stop(i);
        }
}

/*
 * What nobody may lose is closed in order. All else is left as it is: this process ends, and to end
 * an engine would end a guest.
 */
static void leave(struct tcb *tcb)
{
        struct err err = {0};

        if (tcb->commit != NULL && commit_flush(tcb->commit, &err) != 0)
                log_error((&(struct log_fields){.op = "commit", .err = &err}),
                          "what was not acknowledged is left to the next trusted core");
        ptpm_free(tcb->ptpm);
        store_close(tcb->store);
}

void tcb_close(struct tcb *tcb)
{
        struct err err = {0};

        if (tcb == NULL)
                return;
        if (tcb->keeper != NULL && !tcb->ending) {
                leave(tcb);
                return;
        }
        sd_event_source_disable_unref(tcb->end_timer);
        while (tcb->vms != NULL)
                vm_free(tcb->vms);
        end_instances(tcb);
        /* Whoever was promised an answer after a commit still gets it. */
        if (tcb->commit != NULL && commit_flush(tcb->commit, &err) != 0)
                log_error((&(struct log_fields){.op = "commit", .err = &err}),
                          "unacknowledged changes are lost");
        listings_free(tcb);
        server_free(tcb->server);
        while (tcb->instances.first != NULL) {
                struct instance *instance = tcb->instances.first;

                instance_index_remove(&tcb->instances, instance);
                instance_free(instance);
        }
        instance_index_done(&tcb->instances);
        complete_free(tcb->complete);
        pool_free(&tcb->instance_host);
        known_answer_free(tcb->instance_host.known_answer);
        parking_free(tcb->instance_host.parking);
        spares_free(tcb->instance_host.spares);
        vmm_zygote_free(tcb->instance_host.zygote);
        cgroups_done(&tcb->cgroups);
        wire_hub_free(tcb->instance_host.hub);
        commit_free(tcb->commit);
        ptpm_free(tcb->ptpm);
        measurements_done(&tcb->measurements);
        host_keys_done(&tcb->keys);
        store_close(tcb->store);
        fd_close(&tcb->images);
        keeper_end(tcb->keeper);
        keeper_free(tcb->keeper);
        sd_event_unref(tcb->event);
        free(tcb);
}

int tcb_run(struct tcb *tcb, struct err *err)
{
        int rc;

        log_info(NULL, "%s serves at %s, pTPM: %s", tcb->config.host_name, tcb->config.state,
                 ptpm_kind(tcb->ptpm));
        tcb->since = (uint64_t)time(NULL);
        keeper_serve(tcb->keeper);
        (void)sd_notify(0, "READY=1");
        rc = sd_event_loop(tcb->event);
        if (rc < 0)
                return err_set_errno(err, -rc, "event loop");
        return rc == 0 ? 0 : err_set(err, ERR_FAILED, "ended by a failure");
}

int tcb_find_instance(struct tcb *tcb, const char *name, struct instance **ret_instance,
                      struct err *err)
{
        struct instance *instance = instance_index_find(&tcb->instances, name);

        if (instance == NULL)
                return err_set(err, ERR_NOT_FOUND, "no vTPM %s", name);
        *ret_instance = instance;
        return 0;
}

int tcb_find_vm(struct tcb *tcb, const char *name, struct vm **ret_vm, struct err *err)
{
        const struct instance *instance = instance_index_find(&tcb->instances, name);

        if (instance == NULL || instance->vm == NULL || !instance->vm->stored)
                return err_set(err, ERR_NOT_FOUND, "no VM %s", name);
        *ret_vm = instance->vm;
        return 0;
}

void tcb_forget_instance(struct tcb *tcb, struct instance *instance)
{
        bound_free(instance->bound);
        listings_forget(tcb, instance);
        instance_index_remove(&tcb->instances, instance);
        instance_free(instance);
}
