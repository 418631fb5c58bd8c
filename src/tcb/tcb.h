/*
 * The TCB as a whole: what its modules share. One process, one loop.
 */
#ifndef TCB_TCB_H
#define TCB_TCB_H

#include "base/spawn.h"
#include "tcb/cgroup.h"
#include "tcb/instance-index.h"
#include "tcb/keys.h"
#include "vmm/accel.h"

struct complete;
struct listing;
struct vm;
struct server;

#define TCB_SUPERVISOR_FD 3 /* our end of the supervisor's channel, where there is one */

struct tcb {
        struct tcb_config config;
        sd_event *event;
        struct keeper *keeper; /* NULL: no supervisor */
        struct store *store;
        struct ptpm *ptpm;
        struct measurements measurements;
        struct cgroups cgroups;
        struct host_keys keys;
        struct commit *commit;
        struct instance_host instance_host;
        struct instance_index instances;
        size_t creations; /* vTPMs that are being made for somebody */
        struct complete *complete;
        struct listing *listings; /* being sent */
        struct vm *vms;
        struct server *server;
        char qemu_degraded[SPAWN_WORDS_MAX]; /* what the last QEMU's isolation lacked, or "" */
        enum accel_memory accel_memory;
        size_t attestations; /* challenges being answered */
        uint64_t since;      /* when it began to serve, in seconds since 1970 */
        bool ending;         /* nothing is started any more; guests are on their way down */
        sd_event_source *end_timer;
        int images; /* the directory that VMs' images are in */
};

/* Opens everything in order: store, pTPM, measurements, keys, instances, VMs, socket. */
int tcb_open(const struct tcb_config *config, struct tcb **ret_tcb, struct err *err) MUST_CHECK;

/*
 * Stops every VM and engine, commits, closes. With a supervisor engines and guests are left to the
 * next TCB instead, unless all was asked to end. NULL is allowed.
 */
void tcb_close(struct tcb *tcb);

/* Serves until SIGTERM or SIGINT (0), or until it cannot go on. */
int tcb_run(struct tcb *tcb, struct err *err) MUST_CHECK;

/* A VM went off: the last one lets an end that waits for it come. */
void tcb_note_off(struct tcb *tcb);

/* The instance or VM with this name or UUID text; ERR_NOT_FOUND otherwise. */
int tcb_find_instance(struct tcb *tcb, const char *name, struct instance **ret_instance,
                      struct err *err) MUST_CHECK;
int tcb_find_vm(struct tcb *tcb, const char *name, struct vm **ret_vm, struct err *err) MUST_CHECK;

/* Takes an instance out of the index and frees it. */
void tcb_forget_instance(struct tcb *tcb, struct instance *instance);

#endif
