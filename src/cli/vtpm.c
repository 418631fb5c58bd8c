/* catena vtpm ...: vTPM instances by themselves. */
#include <stdio.h>

#include "cli/client.h"
#include "cli/list.h"
#include "cli/output.h"
#include "cli/vtpm-view.h"
#include "cli/vtpm-watch.h"

static int ask_one(struct cli *cli, uint16_t code, const void *message, struct err *err)
{
        struct client AUTO_CLIENT *client = NULL;
        struct vtpm_view view;
        struct tcb_vtpm vtpm;
        int rc;

        if (client_open(cli, &client, err) != 0 ||
            client_call(client, code, message, tcb_vtpm_code, &vtpm, sizeof(vtpm), err) != 0)
                return err->code;
        rc = vtpm_view(&vtpm, &view, err);
        return rc != 0 ? rc : vtpm_view_print(cli, &view, NULL, err);
}

static int show_once(struct cli *cli, struct err *err)
{
        const struct tcb_vtpm_show show = {.name = wire_text(cli_arg(cli, 0))};

        return ask_one(cli, tcb_vtpm_show_code, &show, err);
}

static int run_delete(struct cli *cli, struct err *err)
{
        const struct tcb_vtpm_delete delete = {.name = wire_text(cli_arg(cli, 0))};

        return client_order(cli, tcb_vtpm_delete_code, &delete, err);
}

static int run_park(struct cli *cli, struct err *err)
{
        const struct tcb_vtpm_park park = {.name = wire_text(cli_arg(cli, 0))};

        return client_order(cli, tcb_vtpm_park_code, &park, err);
}

static int run_wake(struct cli *cli, struct err *err)
{
        const struct tcb_vtpm_wake wake = {.name = wire_text(cli_arg(cli, 0))};

        return client_order(cli, tcb_vtpm_wake_code, &wake, err);
}

/* An empty cell prints as a dash. */
static const char *word(const char *text)
{
        return text[0] == '\0' ? NULL : text;
}

static int add_row(struct list *list, const struct wire_frame *frame, struct err *err)
{
        struct tcb_vtpm vtpm;
        struct vtpm_view view;
        json_t *object;
        char saves[24];

        if (wire_frame_decode(frame, &vtpm, sizeof(vtpm), err) != 0 ||
            vtpm_view(&vtpm, &view, err) != 0)
                return err->code;
        (void)snprintf(saves, sizeof(saves), "%llu", (unsigned long long)vtpm.sequence);
        object = vtpm_view_json(&view);
        view.ek[20] = '\0';
        return list_add(list, object,
                        (const char *const[]){view.name, view.uuid, view.state, word(view.bound),
                                              word(view.memory), saves, view.ek,
                                              word(view.certified), word(view.used)},
                        err);
}

static int list_once(struct cli *cli, struct err *err)
{
        static const char *const columns[] = {"NAME",  "UUID", "STATE", "BOUND", "MEMORY",
                                              "SAVES", "EK",   "CERTS", "USED",  NULL};
        const struct tcb_vtpm_list request = {0};

        return list_run(cli,
                        &(const struct list_kind){"vtpms", columns, tcb_vtpm_list_code, &request,
                                                  tcb_vtpm_code, add_row},
                        err);
}

static int run_show(struct cli *cli, struct err *err)
{
        return cli_switch(cli, "watch") ? vtpm_watch(cli, cli_arg(cli, 0), show_once, err)
                                        : show_once(cli, err);
}

static int run_list(struct cli *cli, struct err *err)
{
        return cli_switch(cli, "watch") ? vtpm_watch(cli, NULL, list_once, err)
                                        : list_once(cli, err);
}

static const struct cli_option watch_options[] = {
    {"watch", 0, NULL, "go on: refresh on a terminal, else a line of JSON for each change", 0},
    {0},
};

const struct cli_verb cli_vtpm_verbs[] = {
    {"vtpm", "list", "", "list the vTPMs of this host", NULL, watch_options, run_list},
    {"vtpm", "show", "NAME", "show one vTPM", NULL, watch_options, run_show},
    {"vtpm", "park", "NAME", "end the engine of a vTPM whose guest is idle",
     "Its state is sealed in the store and its guest notices nothing: the first byte of the next "
     "command wakes it. Idle ones are parked by themselves; see park_after and park_below in "
     "catena.conf(5).",
     NULL, run_park},
    {"vtpm", "wake", "NAME", "start the engine of a parked vTPM", NULL, NULL, run_wake},
    {"vtpm", "delete", "NAME", "delete a vTPM and all its state for good",
     "The keys that its state is sealed under are forgotten, so copies of the database are of no "
     "use either. A vTPM that belongs to a VM goes with the VM: catena vm destroy.",
     NULL, run_delete},
    {0},
};
