/* catena vm ...: the life of VMs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/fs.h"
#include "cli/client.h"
#include "cli/list.h"
#include "cli/output.h"

#define MEMORY_MIB_DEFAULT 512
#define MEMORY_MIB_MAX     1048576
#define CONSOLE_MAX        (64U << 20)

struct shown {
        char name[TCB_NAME_MAX + 1];
        char uuid[UUID_STR_LEN];
        char state[33];
        char reason[301];
        char image[TCB_NAME_MAX + 1];
        char accel[17];
        uint32_t memory_mib;
        uint32_t pid;
        uint16_t cpus;
};

static void describe(const struct tcb_vm *vm, struct shown *ret)
{
        *ret = (struct shown){.memory_mib = vm->memory_mib, .pid = vm->pid, .cpus = vm->cpus};
        wire_text_copy(vm->name, ret->name, sizeof(ret->name));
        wire_text_copy(vm->state, ret->state, sizeof(ret->state));
        wire_text_copy(vm->reason, ret->reason, sizeof(ret->reason));
        wire_text_copy(vm->image, ret->image, sizeof(ret->image));
        wire_text_copy(vm->accel, ret->accel, sizeof(ret->accel));
        uuid_unparse_lower(vm->uuid, ret->uuid);
}

static json_t *to_json(const struct shown *shown)
{
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "name", shown->name,
                         "uuid", shown->uuid, "state", shown->state, "reason", shown->reason,
                         "image", shown->image, "accel", shown->accel, "memory_mib",
                         (json_int_t)shown->memory_mib, "cpus", (json_int_t)shown->cpus, "pid",
                         (json_int_t)shown->pid);
}

static int print_one(struct cli *cli, const struct tcb_vm *vm, struct err *err)
{
        struct shown shown;

        describe(vm, &shown);
        if (cli->format == CLI_JSON)
                return cli_print_json(cli, to_json(&shown), err);
        cli_print(cli, "name    %s\nuuid    %s\nstate   %s\n", shown.name, shown.uuid, shown.state);
        if (shown.reason[0] != '\0')
                cli_print(cli, "reason  %s\n", shown.reason);
        cli_print(cli, "image   %s\nmemory  %u MiB\nCPUs    %u\n", shown.image, shown.memory_mib,
                  shown.cpus);
        if (shown.accel[0] != '\0')
                cli_print(cli, "accel   %s\n", shown.accel);
        return 0;
}

static int ask_one(struct cli *cli, uint16_t code, const void *message, struct err *err)
{
        struct client AUTO_CLIENT *client = NULL;
        struct tcb_vm vm;

        if (client_open(cli, &client, err) != 0 ||
            client_call(client, code, message, tcb_vm_code, &vm, sizeof(vm), err) != 0)
                return err->code;
        return print_one(cli, &vm, err);
}

static int run_create(struct cli *cli, struct err *err)
{
        struct tcb_vm_create create = {.name = wire_text(cli_arg(cli, 0)),
                                       .image = wire_text(cli_option(cli, "image"))};
        const char *uuid = cli_option(cli, "uuid");
        uint64_t memory;
        uint64_t cpus;

        if (uuid != NULL && uuid_parse(uuid, create.uuid) != 0)
                return err_set(err, ERR_USAGE, "--uuid %s is no UUID", uuid);
        if (cli_option_number(cli, "memory", 64, MEMORY_MIB_MAX, MEMORY_MIB_DEFAULT, &memory,
                              err) != 0 ||
            cli_option_number(cli, "cpus", 1, 255, 1, &cpus, err) != 0)
                return err->code;
        create.memory_mib = (uint32_t)memory;
        create.cpus = (uint16_t)cpus;
        return ask_one(cli, tcb_vm_create_code, &create, err);
}

static int run_start(struct cli *cli, struct err *err)
{
        const struct tcb_vm_start start = {.name = wire_text(cli_arg(cli, 0))};

        return client_order(cli, tcb_vm_start_code, &start, err);
}

static int run_stop(struct cli *cli, struct err *err)
{
        const struct tcb_vm_stop stop = {.name = wire_text(cli_arg(cli, 0)),
                                         .force = cli_switch(cli, "force")};

        return client_order(cli, tcb_vm_stop_code, &stop, err);
}

static int run_destroy(struct cli *cli, struct err *err)
{
        const struct tcb_vm_destroy destroy = {.name = wire_text(cli_arg(cli, 0))};

        return client_order(cli, tcb_vm_destroy_code, &destroy, err);
}

static int run_show(struct cli *cli, struct err *err)
{
        const struct tcb_vm_show show = {.name = wire_text(cli_arg(cli, 0))};

        return ask_one(cli, tcb_vm_show_code, &show, err);
}

/* What a guest wrote to its console must not reach ours raw. */
static char printable(uint8_t c)
{
        if (c == '\r')
                return ' ';
        return (char)(c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f) ? c : '?');
}

/* The console's log comes as a descriptor; its bytes are the guest's and are not interpreted. */
static int copy_out(struct cli *cli, int fd, struct err *err)
{
        char AUTO_FREE *text = NULL;
        uint8_t AUTO_FREE *data = NULL;
        size_t len;

        if (fs_read_fd(fd, CONSOLE_MAX, &data, &len, err) != 0)
                return err->code;
        text = malloc(len + 1);
        if (text == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        for (size_t i = 0; i < len; i++)
                text[i] = printable(data[i]);
        text[len] = '\0';
        if (cli->format == CLI_JSON)
                return cli_print_json(cli, json_pack("{s:s}", "console", text), err);
        cli_print(cli, "%s", text);
        return 0;
}

static int run_console(struct cli *cli, struct err *err)
{
        const struct tcb_vm_console console = {.name = wire_text(cli_arg(cli, 0))};
        struct client AUTO_CLIENT *client = NULL;
        struct wire_frame frame;
        int rc;

        if (client_open(cli, &client, err) != 0 ||
            client_send(client, tcb_vm_console_code, &console, err) != 0 ||
            client_next(client, &frame, err) != 0)
                return err->code;
        if (frame.message->code != tcb_vm_console_is_code)
                rc = err_set(err, ERR_MALFORMED, "the host answers with %s", frame.message->name);
        else
                rc = copy_out(cli, frame.fds[0], err);
        wire_frame_close_fds(&frame);
        return rc;
}

static int add_row(struct list *list, const struct wire_frame *frame, struct err *err)
{
        struct tcb_vm vm;
        struct shown shown;
        char memory[24];
        char cpus[8];
        int rc = wire_frame_decode(frame, &vm, sizeof(vm), err);

        if (rc != 0)
                return rc;
        describe(&vm, &shown);
        (void)snprintf(memory, sizeof(memory), "%u MiB", shown.memory_mib);
        (void)snprintf(cpus, sizeof(cpus), "%u", shown.cpus);
        return list_add(list, to_json(&shown),
                        (const char *const[]){shown.name, shown.uuid, shown.state, memory, cpus,
                                              shown.image, shown.reason},
                        err);
}

static int run_list(struct cli *cli, struct err *err)
{
        static const char *const columns[] = {"NAME", "UUID",  "STATE",  "MEMORY",
                                              "CPUS", "IMAGE", "REASON", NULL};
        const struct tcb_vm_list request = {0};

        return list_run(cli,
                        &(const struct list_kind){"vms", columns, tcb_vm_list_code, &request,
                                                  tcb_vm_code, add_row},
                        err);
}

static const struct cli_option create_options[] = {
    {"image", 'i', "FILE", "its disk: a file in the host's images directory", CLI_REQUIRED},
    {"memory", 'm', "MIB", "memory in MiB (default: 512)", 0},
    {"cpus", 'c', "N", "number of CPUs (default: 1)", 0},
    {"uuid", 0, "UUID", "its UUID (default: a random one)", 0},
    {0},
};
static const struct cli_option stop_options[] = {
    {"force", 0, NULL, "end it at once instead of asking the guest", 0},
    {0},
};

const struct cli_verb cli_vm_verbs[] = {
    {"vm", "create", "NAME", "make a VM with a vTPM of its own",
     "The disk is read-only for the guest and may serve several VMs.", create_options, run_create},
    {"vm", "start", "NAME", "start a VM and wait until the agent in it answers", NULL, NULL,
     run_start},
    {"vm", "stop", "NAME", "ask the guest to power off", NULL, stop_options, run_stop},
    {"vm", "destroy", "NAME", "forget a VM and its vTPM for good", NULL, NULL, run_destroy},
    {"vm", "list", "", "list the VMs of this host", NULL, NULL, run_list},
    {"vm", "show", "NAME", "show one VM", NULL, NULL, run_show},
    {"vm", "console", "NAME", "print what the guest wrote to its serial console",
     "Since its last start. Characters that a terminal could act on are shown as question marks.",
     NULL, run_console},
    {0},
};
