/* Requests about VMs. */
#include <stdlib.h>
#include <string.h>

#include "tcb/create.h"
#include "tcb/guest.h"
#include "tcb/server.h"
#include "tcb/vm.h"

static void fill(const struct vm *vm, struct tcb_vm *ret)
{
        *ret = (struct tcb_vm){
            .name = wire_text(vm->config.name),
            .state = wire_text(vm_state_name(vm)),
            .image = wire_text(vm->image),
            .memory_mib = vm->config.memory_mib,
            .cpus = (uint16_t)vm->config.cpus,
            .accel = wire_text(vm->sm.state == VM_OFF ? "" : vmm_accel_name(vm->accelerator)),
            .pid = (uint32_t)vm->qemu.pid};
        memcpy(ret->uuid, vm->config.uuid, sizeof(ret->uuid));
}

/* The reason may quote anybody: it is made fit in a copy that lives as long as the message. */
static void send_vm(struct request *request, const struct vm *vm, bool last)
{
        char reason[sizeof(vm->reason)];
        struct tcb_vm message;

        fill(vm, &message);
        memcpy(reason, vm->reason, sizeof(reason));
        message.reason = wire_text_fit(reason, sizeof(reason) - 1);
        if (last)
                request_answer(request, tcb_vm_code, &message, NULL);
        else
                request_send(request, tcb_vm_code, &message);
}

static int find(struct tcb *tcb, struct bytes text, struct vm **ret, struct err *err)
{
        char name[TCB_NAME_MAX + 1];

        return tcb_find_vm(tcb, wire_text_copy(text, name, sizeof(name)), ret, err);
}

/* Creating: first the vTPM, then the VM that it belongs to. -------------------------------------
 */

struct creation {
        struct tcb *tcb;
        struct request *request;
        struct vm_request vm;
        struct vm *made;
};

static void on_stored(void *user, uint64_t value)
{
        struct creation *creation = user;

        (void)value;
        creation->made->stored = true;
        send_vm(creation->request, creation->made, true);
        free(creation);
}

static void on_vtpm(void *user, struct instance *instance, const struct err *failure)
{
        struct creation *creation = user;
        struct err err = {0};

        if (failure == NULL) {
                creation->vm.instance = instance;
                memcpy(creation->vm.config.uuid, instance->stored.block.uuid,
                       sizeof(creation->vm.config.uuid));
                if (vm_create(creation->tcb, &creation->vm, on_stored, creation, &creation->made,
                              &err) == 0)
                        return;
                undo_vtpm(creation->tcb, instance, creation->request, &err);
        } else {
                request_fail(creation->request, failure);
        }
        free(creation);
}

static int check_config(const struct tcb_vm_create *create, struct tcb *tcb, struct vm_request *vm,
                        struct err *err)
{
        *vm = (struct vm_request){.config = {.memory_mib = create->memory_mib,
                                             .cpus = create->cpus,
                                             .disk_read_only = true}};
        wire_text_copy(create->name, vm->config.name, sizeof(vm->config.name));
        wire_text_copy(create->image, vm->image, sizeof(vm->image));
        if (vmm_config_check(&vm->config, err) != 0)
                return err->code;
        return vm_check_image(tcb, vm->image, err);
}

static int serve_create(struct tcb *tcb, const void *message, struct request *request,
                        struct err *err)
{
        const struct tcb_vm_create *create = message;
        struct creation *creation = calloc(1, sizeof(*creation));

        if (creation == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        creation->tcb = tcb;
        creation->request = request;
        if (check_config(create, tcb, &creation->vm, err) != 0 ||
            create_vtpm(
                tcb,
                &(struct create_request){.name = creation->vm.config.name, .uuid = create->uuid},
                on_vtpm, creation, err) != 0) {
                free(creation);
                return err->code;
        }
        return 0;
}

/* The rest --------------------------------------------------------------------------------------
 */

static int serve_start(struct tcb *tcb, const void *message, struct request *request,
                       struct err *err)
{
        const struct tcb_vm_start *start = message;
        struct vm *vm;

        if (find(tcb, start->name, &vm, err) != 0)
                return err->code;
        return vm_start(vm, request, err);
}

static int serve_stop(struct tcb *tcb, const void *message, struct request *request,
                      struct err *err)
{
        const struct tcb_vm_stop *stop = message;
        struct vm *vm;

        if (find(tcb, stop->name, &vm, err) != 0)
                return err->code;
        return vm_stop(vm, stop->force != 0, request, err);
}

static int serve_destroy(struct tcb *tcb, const void *message, struct request *request,
                         struct err *err)
{
        const struct tcb_vm_destroy *destroy = message;
        struct instance *instance;
        struct vm *vm;

        if (find(tcb, destroy->name, &vm, err) != 0)
                return err->code;
        if (vm->sm.state != VM_OFF) {
                (void)err_set(err, ERR_CONFLICT, "%s is %s", vm->config.name, vm_state_name(vm));
                return err_hint(err, "catena vm stop %s", vm->config.name);
        }
        instance = vm->instance;
        if (delete_vtpm(tcb, instance, request, err) != 0)
                return err->code;
        vm_free(vm);
        return 0;
}

static int serve_list(struct tcb *tcb, const void *message, struct request *request,
                      struct err *err)
{
        (void)message;
        (void)err;
        for (const struct vm *vm = tcb->vms; vm != NULL; vm = vm->next)
                send_vm(request, vm, false);
        request_done(request);
        return 0;
}

static int serve_show(struct tcb *tcb, const void *message, struct request *request,
                      struct err *err)
{
        const struct tcb_vm_show *show = message;
        struct vm *vm;

        if (find(tcb, show->name, &vm, err) != 0)
                return err->code;
        send_vm(request, vm, true);
        return 0;
}

static int serve_console(struct tcb *tcb, const void *message, struct request *request,
                         struct err *err)
{
        const struct tcb_vm_console *console = message;
        const struct tcb_vm_console_is answer = {0};
        int AUTO_FD fd = -1;
        struct vm *vm;

        if (find(tcb, console->name, &vm, err) != 0)
                return err->code;
        if (guest_open_console(vm, &fd, err) == ERR_NOT_FOUND)
                return err_set(err, ERR_NOT_FOUND, "%s was never started", vm->config.name);
        if (fd < 0)
                return err->code;
        request_answer(request, tcb_vm_console_is_code, &answer, &fd);
        return 0;
}

const struct server_row server_rows_vm[] = {
    {tcb_vm_create_code, serve_create},   {tcb_vm_start_code, serve_start},
    {tcb_vm_stop_code, serve_stop},       {tcb_vm_destroy_code, serve_destroy},
    {tcb_vm_list_code, serve_list},       {tcb_vm_show_code, serve_show},
    {tcb_vm_console_code, serve_console}, {0, NULL},
};
