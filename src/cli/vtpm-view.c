#include "cli/vtpm-view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "cli/output.h"
#include "tpmwire/public.h"
#include "wire/leaf.h"

static int view_ek(struct bytes ek_pub, struct vtpm_view *view, struct err *err)
{
        struct tpm_public public;
        struct tpm_name name;

        if (ek_pub.len == 0)
                return 0;
        if (tpm_public_parse(ek_pub, &public, err) != 0 ||
            tpm_name_of_public(&public, &name, err) != 0)
                return err_wrap(err, "EK of %s", view->name);
        (void)hex_encode(name.data, name.len, view->ek);
        (void)snprintf(view->key, sizeof(view->key), "%s",
                       public.type == TPM_ALG_RSA ? "RSA" : "ECC P-256");
        return 0;
}

/* What it costs the host: shared pages divided among their users, where that was measured. */
static void view_memory(const struct tcb_vtpm *vtpm, struct vtpm_view *view)
{
        uint64_t bytes = vtpm->pss != 0 ? vtpm->pss : vtpm->rss;

        if (bytes != 0)
                (void)snprintf(view->memory, sizeof(view->memory), "%llu kB",
                               (unsigned long long)(bytes / 1024));
}

static void view_used(uint64_t seconds, struct vtpm_view *view)
{
        const time_t when = (time_t)seconds;
        struct tm tm;

        if (seconds == 0 || gmtime_r(&when, &tm) == NULL)
                return;
        if (strftime(view->used, sizeof(view->used), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                view->used[0] = '\0';
}

/* "p256,p384" */
static void names_of(unsigned mask, char ret_names[TPM_EK_NAMES_MAX])
{
        struct writer w;

        writer_init_fixed(&w, (uint8_t *)ret_names, TPM_EK_NAMES_MAX);
        for (unsigned kind = 0; kind < TPM_EK_COUNT; kind++) {
                const char *name = tpm_ek((enum tpm_ek_kind)kind)->name;

                if ((mask & (1U << kind)) == 0)
                        continue;
                if (w.len > 0)
                        writer_put_u8(&w, ',');
                writer_put(&w, name, strlen(name));
        }
        writer_put_u8(&w, '\0');
}

static const char *bound_word(uint8_t launch)
{
        if (launch == LEAF_LAUNCH_OPERATOR)
                return "operator-bound";
        return launch == LEAF_LAUNCH_TCB ? "vm" : "";
}

int vtpm_view(const struct tcb_vtpm *vtpm, struct vtpm_view *ret_view, struct err *err)
{
        struct vtpm_view view = {.vtpm = vtpm, .bound = bound_word(vtpm->launch)};
        int rc;

        wire_text_copy(vtpm->name, view.name, sizeof(view.name));
        wire_text_copy(vtpm->state, view.state, sizeof(view.state));
        wire_text_copy(vtpm->socket, view.socket, sizeof(view.socket));
        wire_text_copy(vtpm->trouble, view.trouble, sizeof(view.trouble));
        uuid_unparse_lower(vtpm->uuid, view.uuid);
        wire_text_copy(vtpm->profile, view.profile, sizeof(view.profile));
        names_of(vtpm->later, view.later);
        names_of(vtpm->certified, view.certified);
        view_memory(vtpm, &view);
        view_used(vtpm->last_use, &view);
        rc = view_ek(vtpm->ek_pub, &view, err);
        if (rc == 0)
                *ret_view = view;
        return rc;
}

json_t *vtpm_view_json(const struct vtpm_view *view)
{
        const struct tcb_vtpm *vtpm = view->vtpm;

        return json_pack(
            "{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:I, s:I, s:s, "
            "s:s, s:s, s:s}",
            "name", view->name, "uuid", view->uuid, "state", view->state, "pid",
            (json_int_t)vtpm->pid, "init_count", (json_int_t)vtpm->init_count, "saves",
            (json_int_t)vtpm->sequence, "ek_name", view->ek, "ek_key", view->key, "bound",
            view->bound, "socket", view->socket, "trouble", view->trouble, "qemu",
            (json_int_t)vtpm->qemu, "saved", vtpm->saved != 0, "rss", (json_int_t)vtpm->rss, "pss",
            (json_int_t)vtpm->pss, "last_use", view->used, "profile", view->profile, "eks_later",
            view->later, "eks_certified", view->certified);
}

static void print_bound(struct cli *cli, const struct vtpm_view *view)
{
        if (view->bound[0] != '\0')
                cli_print(cli, "bound    %s\n", view->bound);
        if (view->socket[0] != '\0')
                cli_print(cli, "socket   %s%s%s\n", view->socket,
                          view->trouble[0] != '\0' ? "  NOT LISTENING: " : "", view->trouble);
        if (view->vtpm->qemu != 0)
                cli_print(cli, "QEMU     process %u\n", view->vtpm->qemu);
        if (view->vtpm->saved != 0)
                cli_print(cli, "saved    a saved VM can be restored once\n");
}

static void print_page(struct cli *cli, const struct vtpm_view *view)
{
        cli_print(cli, "name     %s\nuuid     %s\nstate    %s\n", view->name, view->uuid,
                  view->state);
        print_bound(cli, view);
        cli_print(cli, "EK       %s\nEK name  %s\nINITs    %u\nsaves    %llu\n", view->key,
                  view->ek, view->vtpm->init_count, (unsigned long long)view->vtpm->sequence);
        cli_print(cli, "profile  %s\n", view->profile[0] != '\0' ? view->profile : "not recorded");
        if (view->later[0] != '\0')
                cli_print(cli, "EK later %s\n", view->later);
        cli_print(cli, "certs    %s\n",
                  view->certified[0] != '\0' ? view->certified : "none in the TPM");
        if (view->memory[0] != '\0')
                cli_print(cli, "memory   %s in process %u\n", view->memory, view->vtpm->pid);
        if (view->used[0] != '\0')
                cli_print(cli, "used     %s\n", view->used);
}

int vtpm_view_print(struct cli *cli, const struct vtpm_view *view, json_t *extra, struct err *err)
{
        json_t *object;
        int rc = 0;

        if (cli->format != CLI_JSON) {
                json_decref(extra);
                print_page(cli, view);
                return 0;
        }
        object = vtpm_view_json(view);
        if (object != NULL && extra != NULL)
                rc = json_object_update(object, extra);
        json_decref(extra);
        if (rc == 0)
                return cli_print_json(cli, object, err);
        json_decref(object);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
}
