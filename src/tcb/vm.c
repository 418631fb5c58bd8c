#include "tcb/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "tcb/bound.h"
#include "tcb/guest.h"

#define RECORD_FORMAT 1

#define START_SEC 300 /* a cold guest under TCG on a busy host takes a minute */
#define STOP_SEC  60

static const struct sm_state states[] = {
    [VM_OFF] = {"off", SM_TO(VM_STARTING)},
    [VM_STARTING] = {"starting", SM_TO(VM_BOOTING) | SM_TO(VM_OFF)},
    [VM_BOOTING] = {"booting", SM_TO(VM_RUNNING) | SM_TO(VM_STOPPING) | SM_TO(VM_OFF)},
    [VM_RUNNING] = {"running", SM_TO(VM_BOOTING) | SM_TO(VM_STOPPING) | SM_TO(VM_OFF)},
    [VM_STOPPING] = {"stopping", SM_TO(VM_OFF)},
};

const char *vm_state_name(const struct vm *vm)
{
        return sm_name(&vm->sm);
}

/* The stored record: format, QEMU's configuration, the image's name. ------------------------- */

static int encode_record(const struct vm *vm, struct writer *w, struct err *err)
{
        uint8_t config[VMM_CONFIG_LEN_MAX];
        size_t len;

        if (vmm_config_encode(&vm->config, config, &len, err) != 0)
                return err->code;
        writer_put_be16(w, RECORD_FORMAT);
        writer_put_tpm2b(w, (struct bytes){config, len});
        writer_put_tpm2b(w, wire_text(vm->image));
        return writer_check(w) != 0 ? err_set(err, ERR_LIMIT, "configuration too large") : 0;
}

static int decode_record(struct bytes data, struct vm *vm, struct err *err)
{
        struct reader r = reader_from_bytes(data);
        struct bytes config;
        struct bytes image;
        uint16_t format;

        if (reader_get_be16(&r, &format) != 0 || format != RECORD_FORMAT ||
            reader_get_tpm2b(&r, VMM_CONFIG_LEN_MAX, &config) != 0 ||
            reader_get_tpm2b(&r, TCB_NAME_MAX, &image) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_DAMAGED, "VM configuration: at offset %zu",
                               reader_offset(&r));
        wire_text_copy(image, vm->image, sizeof(vm->image));
        return vmm_config_decode(config, &vm->config, err);
}

static struct vm *allocate(struct tcb *tcb, struct instance *instance)
{
        struct vm *vm = calloc(1, sizeof(*vm));

        if (vm == NULL)
                return NULL;
        vm->tcb = tcb;
        vm->instance = instance;
        vm->qemu.pidfd = -1;
        vm->leaving.pidfd = -1;
        vm->control = -1;
        sm_init(&vm->sm, "VM", states, ARRAY_SIZE(states), VM_OFF, NULL);
        return vm;
}

static void add(struct tcb *tcb, struct vm *vm)
{
        vm->next = tcb->vms;
        vm->instance->vm = vm;
        tcb->vms = vm;
}

/* An instance without a record is a vTPM without a VM of ours. */
static int load_one(struct tcb *tcb, struct instance *instance, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        struct vm *vm;
        size_t len;
        int rc = store_get_config(tcb->store, instance->stored.block.uuid, &data, &len, err);

        if (rc != 0)
                return rc == ERR_NOT_FOUND ? 0 : rc;
        if (bound_is_record((struct bytes){data, len}))
                return 0;
        vm = allocate(tcb, instance);
        if (vm == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        add(tcb, vm);
        vm->stored = true;
        if (decode_record((struct bytes){data, len}, vm, err) != 0)
                return err_wrap(err, "%s", instance->stored.name);
        return 0;
}

int vms_load(struct tcb *tcb, struct err *err)
{
        for (struct instance *i = tcb->instances.first; i != NULL; i = i->next)
                if (load_one(tcb, i, err) != 0)
                        return err->code;
        return 0;
}

int vm_create(struct tcb *tcb, const struct vm_request *vm_request, commit_fn *done, void *user,
              struct vm **ret_vm, struct err *err)
{
        struct instance *instance = vm_request->instance;
        struct vm *vm = allocate(tcb, instance);
        struct writer AUTO_WRITER w = {0};

        writer_init(&w, STORE_CONFIG_MAX);
        if (vm == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        vm->config = vm_request->config;
        memcpy(vm->image, vm_request->image, sizeof(vm->image));
        if (encode_record(vm, &w, err) != 0 || commit_begin(tcb->commit, err) != 0 ||
            store_put_config(tcb->store, instance->stored.block.uuid, writer_bytes(&w), err) != 0 ||
            store_get_instance(tcb->store, instance->stored.block.uuid, &instance->stored, err) !=
                0 ||
            commit_then(tcb->commit, done, user, 0, err) != 0) {
                free(vm);
                return err->code;
        }
        add(tcb, vm);
        *ret_vm = vm;
        return 0;
}

void vm_free(struct vm *vm)
{
        struct vm **at = &vm->tcb->vms;

        vm_kill(vm, "");
        fd_close(&vm->leaving.pidfd);
        while (*at != NULL && *at != vm)
                at = &(*at)->next;
        if (*at == vm)
                *at = vm->next;
        if (vm->instance->vm == vm)
                vm->instance->vm = NULL;
        free(vm);
}

/* Off ---------------------------------------------------------------------------------------- */

static void answer_waiters(struct vm *vm)
{
        struct err err = {0};

        if (vm->starter != NULL) {
                (void)err_set(&err, ERR_FAILED, "%s did not start: %s", vm->config.name,
                              vm->reason);
                request_fail(TAKE(vm->starter), &err);
        }
        if (vm->stopper != NULL)
                request_done(TAKE(vm->stopper));
}

/* Nobody waits for ever: the VM goes on as it is, and the client is told. */
static int on_patience(sd_event_source *source, uint64_t usec, void *user)
{
        struct vm *vm = user;
        struct err err = {0};

        (void)source;
        (void)usec;
        if (vm->starter != NULL) {
                (void)err_set(&err, ERR_TIMEOUT, "%s runs, but its agent does not answer",
                              vm->config.name);
                (void)err_hint(&err, "catena vm console %s shows what it does", vm->config.name);
                request_fail(TAKE(vm->starter), &err);
        }
        if (vm->stopper != NULL) {
                (void)err_set(&err, ERR_TIMEOUT, "%s does not power off", vm->config.name);
                (void)err_hint(&err, "catena vm stop --force %s", vm->config.name);
                request_fail(TAKE(vm->stopper), &err);
        }
        return 0;
}

static int wait_for(struct vm *vm, unsigned seconds, struct err *err)
{
        int rc;

        vm->patience = sd_event_source_disable_unref(vm->patience);
        rc = sd_event_add_time_relative(vm->tcb->event, &vm->patience, CLOCK_MONOTONIC,
                                        seconds * UINT64_C(1000000), 0, on_patience, vm);
        return rc < 0 ? err_set_errno(err, -rc, "watch the clock") : 0;
}

void vm_kill(struct vm *vm, const char *reason)
{
        if (vm->sm.state == VM_OFF)
                return;
        (void)snprintf(vm->reason, sizeof(vm->reason), "%s", reason);
        vm->patience = sd_event_source_disable_unref(vm->patience);
        guest_end(vm);
        instance_stop(vm->instance);
        sm_move(&vm->sm, VM_OFF);
        log_info((&(struct log_fields){.vm = vm->config.name}), "off: %s",
                 reason[0] == '\0' ? "-" : reason);
        answer_waiters(vm);
        tcb_note_off(vm->tcb);
}

/* Starting ----------------------------------------------------------------------------------- */

static void on_engine_started(void *user, const struct err *failure)
{
        struct vm *vm = user;
        struct err err = {0};

        if (failure != NULL) {
                vm_kill(vm, failure->text);
                return;
        }
        if (vm->sm.state == VM_STARTING)
                sm_move(&vm->sm, VM_BOOTING);
        if (guest_launch(vm, &err) != 0) {
                vm_kill(vm, err.text);
                return;
        }
        if (vm->starter != NULL) {
                char words[80];

                (void)snprintf(words, sizeof(words), "vTPM is up, QEMU started (%s)",
                               vmm_accel_name(vm->accelerator));
                request_progress(vm->starter, words);
        }
}

static void on_engine_event(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        struct vm *vm = user;

        (void)init_count;
        if (kind == ENGINE_EVENT_STARTUP) {
                if (vm->starter != NULL && !vm->measured)
                        request_progress(vm->starter, "firmware measures into the vTPM");
                if (!vm->measured) {
                        vm->measured = true;
                        guest_keep(vm, &vm->qemu);
                }
                guest_feed_accel(vm, ACCEL_IN_STARTUP);
        }
}

static void on_engine_died(void *user, const struct err *err)
{
        struct vm *vm = user;
        struct err reason = *err;

        (void)err_wrap(&reason, "its vTPM died");
        vm_kill(vm, reason.text);
}

static const struct instance_user instance_ops = {.started = on_engine_started,
                                                  .event = on_engine_event,
                                                  .died = on_engine_died,
                                                  .kept = KEPT_USER_VM};

int vm_start_engine(struct vm *vm, struct err *err)
{
        int AUTO_FD control = -1;

        if (!guest_has_left(vm)) {
                (void)err_set(err, ERR_CONFLICT, "%s: its QEMU was killed and has not ended yet",
                              vm->config.name);
                return err_hint(err, "try again; see whether a disk that it uses answers");
        }
        if (guest_make_control(vm, &control, err) != 0)
                return err->code;
        return instance_start(vm->instance, control, &instance_ops, vm, err);
}

int vm_adopt(struct vm *vm, struct keeper_left *left, struct err *err)
{
        int rc;

        /* Its states are gone through, so that its end is like any other. */
        sm_move(&vm->sm, VM_STARTING);
        sm_move(&vm->sm, VM_BOOTING);
        rc = guest_adopt(vm, err);
        if (rc == 0)
                rc = instance_adopt(vm->instance, left, &instance_ops, vm, err);
        if (rc != 0 && rc != ERR_UNSUPPORTED)
                vm_kill(vm, err->text);
        return rc;
}

int vm_start(struct vm *vm, struct request *request, struct err *err)
{
        struct accel_output output;

        if (!sm_can_move(&vm->sm, VM_STARTING))
                return err_set(err, ERR_CONFLICT, "%s is %s", vm->config.name, vm_state_name(vm));
        if (vm->tcb->ending)
                return err_set(err, ERR_UNREACHABLE, "the trusted core ends");
        if (vm_check_image(vm->tcb, vm->image, err) != 0)
                return err->code;
        output = guest_choose_accel(vm);
        if (output.action != ACCEL_DO_LAUNCH)
                return err_set(err, ERR_UNSUPPORTED, "%s", output.reason);
        if (wait_for(vm, START_SEC, err) != 0 || vm_start_engine(vm, err) != 0) {
                vm->patience = sd_event_source_disable_unref(vm->patience);
                guest_end(vm);
                return err->code;
        }
        sm_move(&vm->sm, VM_STARTING);
        vm->reason[0] = '\0';
        vm->measured = false;
        vm->starter = request;
        request_progress(request, "loading the vTPM");
        return 0;
}

/* Stopping ----------------------------------------------------------------------------------- */

static bool ask_guest_to_stop(struct vm *vm)
{
        const struct agent_poweroff poweroff = {0};
        const struct agent_question question = {.code = agent_poweroff_code, .message = &poweroff};
        struct err err = {0};

        return vm->sm.state == VM_RUNNING && agent_link_ask(vm->agent, &question, &err) == 0;
}

int vm_stop(struct vm *vm, bool force, struct request *request, struct err *err)
{
        if (vm->sm.state == VM_OFF)
                return err_set(err, ERR_CONFLICT, "%s is off", vm->config.name);
        if (vm->stopper != NULL && !force)
                return err_set(err, ERR_CONFLICT, "%s is stopping already", vm->config.name);
        if (!force && ask_guest_to_stop(vm)) {
                if (wait_for(vm, STOP_SEC, err) != 0)
                        return err->code;
                sm_move(&vm->sm, VM_STOPPING);
                vm->stopper = request;
                return 0;
        }
        vm_kill(vm, force ? "stopped by force" : "stopped before its agent answered");
        request_done(request);
        return 0;
}

void vm_end(struct vm *vm)
{
        if (vm->sm.state == VM_OFF || vm->sm.state == VM_STOPPING)
                return;
        if (ask_guest_to_stop(vm))
                sm_move(&vm->sm, VM_STOPPING);
        else
                vm_kill(vm, "the trusted core ended");
}
