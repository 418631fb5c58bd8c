/* catena vtpm ...: vTPM instances by themselves. */
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/hex.h"
#include "cli/client.h"
#include "cli/list.h"
#include "cli/output.h"
#include "tpmwire/name.h"

#define NAME_HEX_MAX (2 * TPM_NAME_MAX + 1)

/* One vTPM in words. */
struct shown {
        char name[TCB_NAME_MAX + 1];
        char uuid[UUID_STR_LEN];
        char state[33];
        char ek[NAME_HEX_MAX];
        uint32_t pid;
        uint32_t init_count;
        uint64_t sequence;
};

static int describe(const struct tcb_vtpm *vtpm, struct shown *ret, struct err *err)
{
        struct tpm_public public;
        struct tpm_name name;

        *ret = (struct shown){
            .pid = vtpm->pid, .init_count = vtpm->init_count, .sequence = vtpm->sequence};
        wire_text_copy(vtpm->name, ret->name, sizeof(ret->name));
        wire_text_copy(vtpm->state, ret->state, sizeof(ret->state));
        uuid_unparse_lower(vtpm->uuid, ret->uuid);
        if (vtpm->ek_pub.len == 0)
                return 0;
        if (tpm_public_parse(vtpm->ek_pub, &public, err) != 0 ||
            tpm_name_of_public(&public, &name, err) != 0)
                return err_wrap(err, "EK of %s", ret->name);
        (void)hex_encode(name.data, name.len, ret->ek);
        return 0;
}

static json_t *to_json(const struct shown *shown)
{
        return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "name", shown->name, "uuid",
                         shown->uuid, "state", shown->state, "pid", (json_int_t)shown->pid,
                         "init_count", (json_int_t)shown->init_count, "saves",
                         (json_int_t)shown->sequence, "ek_name", shown->ek);
}

static int print_one(struct cli *cli, const struct tcb_vtpm *vtpm, struct err *err)
{
        struct shown shown;

        if (describe(vtpm, &shown, err) != 0)
                return err->code;
        if (cli->format == CLI_JSON)
                return cli_print_json(cli, to_json(&shown), err);
        cli_print(cli,
                  "name     %s\nuuid     %s\nstate    %s\nEK name  %s\nINITs    %u\nsaves    "
                  "%llu\n",
                  shown.name, shown.uuid, shown.state, shown.ek, shown.init_count,
                  (unsigned long long)shown.sequence);
        return 0;
}

static int ask_one(struct cli *cli, uint16_t code, const void *message, struct err *err)
{
        struct client AUTO_CLIENT *client = NULL;
        struct tcb_vtpm vtpm;

        if (client_open(cli, &client, err) != 0 ||
            client_call(client, code, message, tcb_vtpm_code, &vtpm, sizeof(vtpm), err) != 0)
                return err->code;
        return print_one(cli, &vtpm, err);
}

static int run_create(struct cli *cli, struct err *err)
{
        struct tcb_vtpm_create create = {.name = wire_text(cli_arg(cli, 0))};
        const char *uuid = cli_option(cli, "uuid");

        if (uuid != NULL && uuid_parse(uuid, create.uuid) != 0)
                return err_set(err, ERR_USAGE, "--uuid %s is no UUID", uuid);
        return ask_one(cli, tcb_vtpm_create_code, &create, err);
}

static int run_show(struct cli *cli, struct err *err)
{
        const struct tcb_vtpm_show show = {.name = wire_text(cli_arg(cli, 0))};

        return ask_one(cli, tcb_vtpm_show_code, &show, err);
}

static int run_delete(struct cli *cli, struct err *err)
{
        const struct tcb_vtpm_delete delete = {.name = wire_text(cli_arg(cli, 0))};

        return client_order(cli, tcb_vtpm_delete_code, &delete, err);
}

static int add_row(struct list *list, const struct wire_frame *frame, struct err *err)
{
        struct tcb_vtpm vtpm;
        struct shown shown;
        json_t *object;
        char pid[16];
        char saves[24];

        if (wire_frame_decode(frame, &vtpm, sizeof(vtpm), err) != 0 ||
            describe(&vtpm, &shown, err) != 0)
                return err->code;
        (void)snprintf(pid, sizeof(pid), "%u", shown.pid);
        (void)snprintf(saves, sizeof(saves), "%llu", (unsigned long long)shown.sequence);
        object = to_json(&shown);
        shown.ek[20] = '\0';
        return list_add(list, object,
                        (const char *const[]){shown.name, shown.uuid, shown.state,
                                              shown.pid == 0 ? NULL : pid, saves, shown.ek},
                        err);
}

static int run_list(struct cli *cli, struct err *err)
{
        static const char *const columns[] = {"NAME", "UUID", "STATE", "PID", "SAVES", "EK", NULL};
        const struct tcb_vtpm_list request = {0};

        return list_run(cli,
                        &(const struct list_kind){"vtpms", columns, tcb_vtpm_list_code, &request,
                                                  tcb_vtpm_code, add_row},
                        err);
}

static const struct cli_option create_options[] = {
    {"uuid", 0, "UUID", "the UUID of the VM that it is for (default: a random one)", 0},
    {0},
};

const struct cli_verb cli_vtpm_verbs[] = {
    {"vtpm", "create", "NAME", "make a vTPM with an endorsement key of its own", NULL,
     create_options, run_create},
    {"vtpm", "list", "", "list the vTPMs of this host", NULL, NULL, run_list},
    {"vtpm", "show", "NAME", "show one vTPM", NULL, NULL, run_show},
    {"vtpm", "delete", "NAME", "delete a vTPM and all its state for good",
     "The keys that its state is sealed under are forgotten, so copies of the database are of no "
     "use either. A vTPM that belongs to a VM goes with the VM: catena vm destroy.",
     NULL, run_delete},
    {0},
};
