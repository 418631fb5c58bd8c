/* catena vtpm create and import: alone, or with a socket for a QEMU that the operator starts. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/vtpm-view.h"
#include "tpmwire/ek.h"
#include "tpmwire/swtpm-state.h"

/* Who may connect ----------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint32_t *ret)
{
        char *end;
        unsigned long number = strtoul(text, &end, 10);

        if (text[0] < '0' || text[0] > '9' || *end != '\0' || number >= UINT32_MAX)
                return false;
        *ret = (uint32_t)number;
        return true;
}

static int choose_owner(struct cli *cli, struct tcb_vtpm_listen *listen, struct err *err)
{
        const char *owner = cli_option(cli, "owner");
        const char *group = cli_option(cli, "group");
        const struct passwd *user = NULL;
        const struct group *found = NULL;

        listen->uid = getuid();
        listen->gid = getgid();
        listen->mode = group == NULL ? 0600 : 0660;
        if (owner != NULL && !parse_number(owner, &listen->uid)) {
                user = getpwnam(owner);
                if (user == NULL)
                        return err_set(err, ERR_USAGE, "--owner %s: no such user", owner);
                listen->uid = user->pw_uid;
                listen->gid = user->pw_gid;
        }
        if (group != NULL && !parse_number(group, &listen->gid)) {
                found = getgrnam(group);
                if (found == NULL)
                        return err_set(err, ERR_USAGE, "--group %s: no such group", group);
                listen->gid = found->gr_gid;
        }
        return 0;
}

/* What to paste -------------------------------------------------------------------------------- */

static json_t *qemu_arguments(const char *path)
{
        return json_pack("[s, o, s, s, s, s]", "-chardev",
                         json_sprintf("socket,id=chr-vtpm,path=%s", path), "-tpmdev",
                         "emulator,id=vtpm,chardev=chr-vtpm", "-device", "tpm-crb,tpmdev=vtpm");
}

static json_t *libvirt_xml(const char *path)
{
        return json_sprintf("<tpm model='tpm-crb'>\n"
                            "  <backend type='external'>\n"
                            "    <source type='unix' mode='connect' path='%s'/>\n"
                            "  </backend>\n"
                            "</tpm>\n",
                            path);
}

static void print_words(struct cli *cli, const json_t *arguments, const json_t *xml)
{
        if (cli_switch(cli, "libvirt")) {
                cli_print(cli, "\nInto <devices> of the domain:\n\n%s", json_string_value(xml));
                return;
        }
        cli_print(cli, "\nQEMU's arguments:\n\n");
        for (size_t i = 0; i + 1 < json_array_size(arguments); i += 2)
                cli_print(cli, "  %s %s%s\n", json_string_value(json_array_get(arguments, i)),
                          json_string_value(json_array_get(arguments, i + 1)),
                          i + 2 < json_array_size(arguments) ? " \\" : "");
}

static int print_bound(struct cli *cli, const struct tcb_vtpm *vtpm, struct err *err)
{
        struct vtpm_view view;
        json_t *arguments;
        json_t *xml;
        json_t *extra;
        int rc = vtpm_view(vtpm, &view, err);

        if (rc != 0)
                return rc;
        arguments = qemu_arguments(view.socket);
        xml = libvirt_xml(view.socket);
        extra = json_pack("{s:O, s:O}", "qemu_arguments", arguments, "libvirt_xml", xml);
        rc = vtpm_view_print(cli, &view, extra, err);
        if (rc == 0 && cli->format != CLI_JSON)
                print_words(cli, arguments, xml);
        json_decref(arguments);
        json_decref(xml);
        return rc;
}

/* The requests ----------------------------------------------------------------------------------
 */

static int print_plain(struct cli *cli, const struct tcb_vtpm *vtpm, struct err *err)
{
        struct vtpm_view view;
        int rc = vtpm_view(vtpm, &view, err);

        return rc != 0 ? rc : vtpm_view_print(cli, &view, NULL, err);
}

/* One that was made here and cannot have its socket goes again. */
static void take_back(struct client *client, const char *name)
{
        const struct tcb_vtpm_delete delete = {.name = wire_text(name)};
        struct tcb_done done;
        struct err err = {0};

        (void)!client_call(client, tcb_vtpm_delete_code, &delete, tcb_done_code, &done,
                           sizeof(done), &err);
}

static int listen_too(struct cli *cli, struct client *client, struct err *err)
{
        struct tcb_vtpm_listen listen = {.name = wire_text(cli_arg(cli, 0)),
                                         .path = wire_text(cli_option(cli, "socket"))};
        struct tcb_vtpm vtpm;
        int rc = choose_owner(cli, &listen, err);

        if (rc == 0)
                rc = client_call(client, tcb_vtpm_listen_code, &listen, tcb_vtpm_code, &vtpm,
                                 sizeof(vtpm), err);
        if (rc == 0)
                return print_bound(cli, &vtpm, err);
        take_back(client, cli_arg(cli, 0));
        return rc;
}

static int check_options(struct cli *cli, struct err *err)
{
        const char *path = cli_option(cli, "socket");

        if (path == NULL && (cli_switch(cli, "libvirt") || cli_option(cli, "owner") != NULL ||
                             cli_option(cli, "group") != NULL))
                return err_set(err, ERR_USAGE, "--libvirt, --owner and --group need --socket PATH");
        if (path != NULL && (path[0] != '/' || strlen(path) > TCB_SOCKET_MAX))
                return err_set(err, ERR_USAGE, "--socket %s: an absolute path of at most %d bytes",
                               path, TCB_SOCKET_MAX);
        return 0;
}

static int parse_uuid(struct cli *cli, uint8_t ret_uuid[16], struct err *err)
{
        const char *uuid = cli_option(cli, "uuid");

        if (uuid != NULL && uuid_parse(uuid, ret_uuid) != 0)
                return err_set(err, ERR_USAGE, "--uuid %s is no UUID", uuid);
        return 0;
}

/* Asks for the vTPM, then for its socket where that is wanted, and prints. */
static int make(struct cli *cli, uint16_t code, const void *message, struct err *err)
{
        struct client AUTO_CLIENT *client = NULL;
        struct tcb_vtpm vtpm;
        int rc = client_open(cli, &client, err);

        if (rc == 0)
                rc = client_call(client, code, message, tcb_vtpm_code, &vtpm, sizeof(vtpm), err);
        /* A vTPM and its socket are two requests: who was killed between them left the first. */
        if (rc == ERR_CONFLICT && cli_option(cli, "socket") != NULL && err->hint[0] == '\0')
                return err_hint(err,
                                "look at it with catena vtpm show; one that was cut off before it "
                                "had its socket goes with catena vtpm delete");
        if (rc != 0)
                return rc;
        return cli_option(cli, "socket") != NULL ? listen_too(cli, client, err)
                                                 : print_plain(cli, &vtpm, err);
}

static int run_create(struct cli *cli, struct err *err)
{
        struct tcb_vtpm_create create = {.name = wire_text(cli_arg(cli, 0))};
        const char *eks = cli_option(cli, "ek");
        int rc = check_options(cli, err);

        if (rc == 0)
                rc = parse_uuid(cli, create.uuid, err);
        if (rc == 0 && eks != NULL && tpm_ek_parse_names(eks, &create.eks, err) != 0)
                rc = err_wrap(err, "--ek %s", eks);
        return rc != 0 ? rc : make(cli, tcb_vtpm_create_code, &create, err);
}

/* From swtpm ---------------------------------------------------------------------------------- */

/* swtpm holds a lock on .lock for as long as it runs; two TPMs of one state must never be. */
static int check_unused(int dir, const char *path, struct err *err)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int AUTO_FD fd = openat(dir, ".lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        if (fd < 0)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "%s/.lock", path);
        if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
                return err_set(err, ERR_CONFLICT, "%s is in use by swtpm, process %d", path,
                               (int)lock.l_pid);
        return 0;
}

static int read_state(const char *path, uint8_t **ret_file, size_t *ret_len, struct err *err)
{
        int AUTO_FD dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int rc;

        if (dir < 0)
                return err_set_errno(err, errno, "open %s", path);
        rc = check_unused(dir, path, err);
        if (rc == 0 && faccessat(dir, "tpm2-00.volatilestate", F_OK, 0) == 0)
                rc =
                    err_set(err, ERR_CONFLICT, "%s belongs to a VM that swtpm has suspended", path);
        if (rc == 0 && fs_read_plain_file_at(dir, "tpm2-00.permall", SWTPM_STATE_MAX, ret_file,
                                             ret_len, err) != 0)
                rc = err_wrap(err, "%s", path);
        return rc;
}

static void wipe(uint8_t *data, size_t len)
{
        if (data != NULL)
                explicit_bzero(data, len);
        free(data);
}

/* The passphrase or key of swtpm's; NULL when none is named. The line end does not count. */
static int read_secret(const char *path, struct secret **ret_secret, struct err *err)
{
        uint8_t *text = NULL;
        size_t len = 0;
        int rc;

        if (path == NULL)
                return 0;
        rc = fs_read_file(path, SECRET_LEN_MAX, &text, &len, err);
        if (rc == 0 && len > 0 && text[len - 1] == '\n')
                len--;
        if (rc == 0 && len == 0)
                rc = err_set(err, ERR_USAGE, "%s is empty", path);
        if (rc == 0)
                rc = secret_new_copy(text, len, ret_secret, err);
        wipe(text, len);
        return rc;
}

static int open_state(struct cli *cli, uint8_t **ret_state, size_t *ret_len, struct err *err)
{
        const char *pwdfile = cli_option(cli, "pwdfile");
        struct secret AUTO_SECRET *secret = NULL;
        struct swtpm_state parts;
        uint8_t *file = NULL;
        size_t len = 0;
        int rc = read_secret(pwdfile, &secret, err);

        if (rc == 0)
                rc = read_state(cli_option(cli, "swtpm"), &file, &len, err);
        if (rc == 0)
                rc = swtpm_state_parse((struct bytes){file, len}, &parts, err);
        /* Somebody may have put another one there. */
        if (rc == 0 && secret != NULL && parts.key_len == 0)
                rc = err_set(err, ERR_NOT_PERMITTED,
                             "swtpm's state is not encrypted, and --pwdfile was given");
        if (rc == 0)
                rc = swtpm_state_open(&parts, secret, ret_state, ret_len, err);
        if (rc == ERR_NOT_PERMITTED && pwdfile == NULL)
                (void)err_hint(err, "give --pwdfile FILE, with what swtpm was given as pwdfile");
        wipe(file, len);
        return rc;
}

static int run_import(struct cli *cli, struct err *err)
{
        struct tcb_vtpm_import import = {.name = wire_text(cli_arg(cli, 0))};
        uint8_t *plain = NULL;
        size_t len = 0;
        int rc = check_options(cli, err);

        if (rc == 0)
                rc = parse_uuid(cli, import.uuid, err);
        if (rc == 0)
                rc = open_state(cli, &plain, &len, err);
        import.permanent = (struct bytes){plain, len};
        if (rc == 0)
                rc = make(cli, tcb_vtpm_import_code, &import, err);
        wipe(plain, len);
        if (rc == 0 && cli->format != CLI_JSON)
                cli_note(cli, "never start swtpm on the old directory again: one TPM would be two");
        return rc;
}

#define SOCKET_OPTIONS                                                                             \
        {"uuid", 0, "UUID", "the UUID of the VM that it is for (default: a random one)", 0},       \
            {"socket", 0, "PATH",                                                                  \
             "listen there for a QEMU that you start, and print its arguments", 0},                \
            {"owner", 0, "USER", "who may connect: a user or its number (default: who asks)", 0},  \
            {"group", 0, "GROUP", "a group that may connect as well", 0},                          \
        {                                                                                          \
                "libvirt", 0, NULL, "print libvirt's XML in place of QEMU's arguments", 0          \
        }

static const struct cli_option import_options[] = {
    {"swtpm", 0, "DIR", "the state directory, of a swtpm that does not run", CLI_REQUIRED},
    {"pwdfile", 0, "FILE", "the passphrase that swtpm encrypted it with, or the key in hex", 0},
    SOCKET_OPTIONS,
    {0},
};

static const struct cli_option create_options[] = {
    {"ek", 0, "KEYS",
     "endorsement keys to make now, of p256,rsa2048,p384; p256 is always made "
     "(default: p256, and rsa2048 in the background)",
     0},
    SOCKET_OPTIONS,
    {0},
};

const struct cli_verb cli_vtpm_create_verbs[] = {
    {"vtpm", "create", "NAME", "make a vTPM with endorsement keys of its own",
     "The keys follow the templates of the TCG EK Credential Profile and are kept at its handles. "
     "Without --ek the vTPM can be used as soon as its P-256 key is there; the RSA-2048 key comes "
     "when the host is quiet and the vTPM is off.\n\n"
     "With --socket it is for a VM that you start yourself, with QEMU or through libvirt: the "
     "socket is there whenever the host runs. Such a vTPM is operator-bound: the host vouches for "
     "the TPM, not for how its VM was started. A VM that is saved can be restored once, and not "
     "any more after it went on otherwise, since an old TPM would come back with it.\n\n"
     "The directory of the socket must exist and be one that catena.conf allows, and it and all "
     "above it belong to root or to the "
     "socket's owner; its path is without symbolic links.",
     create_options, run_create},
    {"vtpm", "import", "NAME", "take over the TPM that swtpm kept in a directory",
     "Keys, NV data and counters stay as they are, and so does what swtpm_setup put there. The "
     "P-256 endorsement key of the host's verdicts is made from the TPM's own seed. "
     "The directory is only read. Nobody can see whether a copy of it runs "
     "elsewhere: an import is not proof against clones.",
     import_options, run_import},
    {0},
};
