/* swtpm_ioctl: one request to the control socket. */
#include <string.h>

#include "swtpm/command-line.h"

#define IOCTL(member) offsetof(struct command_ioctl, member)
#define TYPES         "permanent volatile savestate"

static const struct options_row rows[] = {
    {.name = "--unix",
     .kind = OPTIONS_TEXT,
     .offset = IOCTL(unix_path),
     .size = COMMAND_SOCKET_PATH_MAX + 1},
    {.name = "-c", .kind = OPTIONS_FLAG, .offset = IOCTL(capabilities)},
    {.name = "-i", .kind = OPTIONS_FLAG, .offset = IOCTL(init)},
    {.name = "--stop", .kind = OPTIONS_FLAG, .offset = IOCTL(stop)},
    {.name = "-s", .kind = OPTIONS_FLAG, .offset = IOCTL(shutdown)},
    {.name = "-e", .kind = OPTIONS_FLAG, .offset = IOCTL(established)},
    {.name = "-g", .kind = OPTIONS_FLAG, .offset = IOCTL(config)},
    {.name = "-C", .kind = OPTIONS_FLAG, .offset = IOCTL(cancel)},
    {.name = "-l", .kind = OPTIONS_NUMBER, .offset = IOCTL(locality)},
    {.name = "-r", .kind = OPTIONS_NUMBER, .offset = IOCTL(reset_established)},
    {.name = "-b", .kind = OPTIONS_NUMBER, .offset = IOCTL(buffer_size)},
    {.name = "--info", .kind = OPTIONS_NUMBER, .offset = IOCTL(info)},
    {.name = "--save", .kind = OPTIONS_CHOICE, .offset = IOCTL(save), .size = 12, .choices = TYPES},
    {.name = "--load", .kind = OPTIONS_CHOICE, .offset = IOCTL(load), .size = 12, .choices = TYPES},
    {.name = "--version", .kind = OPTIONS_FLAG, .offset = IOCTL(version)},
    {.name = "--help", .kind = OPTIONS_FLAG, .offset = IOCTL(help)},
};

const struct options_table command_ioctl_table = {rows, ARRAY_SIZE(rows)};

void command_ioctl_defaults(struct command_ioctl *ret)
{
        memset(ret, 0, sizeof(*ret));
        ret->locality = -1;
        ret->reset_established = -1;
        ret->buffer_size = -1;
        ret->info = -1;
}

/* "--save TYPE FILE": the file comes last. */
static int take_file(int *argc, char *const *argv, struct command_ioctl *ret, struct err *err)
{
        const char *file = *argc >= 3 ? argv[*argc - 1] : "";
        const char *before = *argc >= 3 ? argv[*argc - 3] : "";

        if (strcmp(before, "--save") != 0 && strcmp(before, "--load") != 0)
                return 0;
        if (file[0] == '\0' || strlen(file) >= sizeof(ret->file))
                return err_set(err, ERR_USAGE, "%s: no good file name", before);
        memcpy(ret->file, file, strlen(file) + 1);
        (*argc)--;
        return 0;
}

static int check(const struct command_ioctl *ioctl, struct err *err)
{
        const int n = ioctl->capabilities + ioctl->init + ioctl->stop + ioctl->shutdown +
                      ioctl->established + ioctl->config + ioctl->cancel + (ioctl->locality >= 0) +
                      (ioctl->reset_established >= 0) + (ioctl->buffer_size >= 0) +
                      (ioctl->info >= 0) + (ioctl->save[0] != '\0') + (ioctl->load[0] != '\0');

        if (ioctl->unix_path[0] == '\0')
                return err_set(err, ERR_USAGE, "--unix PATH is missing");
        if (n != 1)
                return err_set(err, ERR_USAGE, "exactly one request is needed");
        if ((ioctl->save[0] != '\0' || ioctl->load[0] != '\0') && ioctl->file[0] == '\0')
                return err_set(err, ERR_USAGE, "--save and --load need a type and, last, a file");
        return 0;
}

int command_ioctl_parse(int argc, char *const *argv, struct command_ioctl *ret, struct err *err)
{
        struct options_notes notes;
        int rc;

        command_ioctl_defaults(ret);
        rc = take_file(&argc, argv, ret, err);
        if (rc == 0)
                rc = options_parse(&command_ioctl_table, argc, argv, ret, &notes, err);
        if (rc != 0 || ret->version || ret->help)
                return rc;
        return check(ret, err);
}
