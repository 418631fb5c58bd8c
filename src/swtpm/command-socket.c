/* swtpm socket: what libvirt 9.0, Proxmox and Incus give it, and what goes with that. */
#include <string.h>

#include "swtpm/command-line.h"

#define MODE_DEFAULT 0600

#define CTRL(member)                                                                               \
        offsetof(struct command_socket, ctrl.member) - offsetof(struct command_socket, ctrl)
#define STATE(member)                                                                              \
        offsetof(struct command_socket, tpmstate.member) - offsetof(struct command_socket, tpmstate)
#define PID(member)                                                                                \
        offsetof(struct command_socket, pid.member) - offsetof(struct command_socket, pid)
#define KEY(member)    offsetof(struct command_key, member)
#define LOG(member)    offsetof(struct command_log, member)
#define SOCKET(member) offsetof(struct command_socket, member)

static const struct keyval_key ctrl_keys[] = {
    {"type", KEYVAL_CHOICE, CTRL(type), 8, "unixio"},
    {"path", KEYVAL_TEXT, CTRL(path), COMMAND_SOCKET_PATH_MAX + 1, NULL},
    {"fd", KEYVAL_NUMBER, CTRL(fd), 0, NULL},
    {"mode", KEYVAL_MODE, CTRL(mode), 0, NULL},
    {"uid", KEYVAL_NUMBER, CTRL(uid), 0, NULL},
    {"gid", KEYVAL_NUMBER, CTRL(gid), 0, NULL},
};

static const struct keyval_key state_keys[] = {
    {"dir", KEYVAL_TEXT, STATE(dir), PATH_MAX, NULL},
    {"backend-uri", KEYVAL_TEXT, STATE(uri), COMMAND_URI_MAX, NULL},
    {"mode", KEYVAL_MODE, STATE(mode), 0, NULL},
};

static const struct keyval_key log_keys[] = {
    {"file", KEYVAL_TEXT, LOG(file), PATH_MAX, NULL},
    {"fd", KEYVAL_NUMBER, LOG(fd), 0, NULL},
    {"level", KEYVAL_NUMBER, LOG(level), 0, NULL},
    {"truncate", KEYVAL_FLAG, LOG(truncate), 0, NULL},
};

/* The cipher is AES-256-GCM whatever swtpm would take: the weaker ones are not offered. */
static const struct keyval_key key_keys[] = {
    {"file", KEYVAL_TEXT, KEY(file), PATH_MAX, NULL},
    {"pwdfile", KEYVAL_TEXT, KEY(pwdfile), PATH_MAX, NULL},
    {"fd", KEYVAL_NUMBER, KEY(fd), 0, NULL},
    {"pwdfd", KEYVAL_NUMBER, KEY(pwdfd), 0, NULL},
    {"format", KEYVAL_CHOICE, KEY(format), 8, "hex binary"},
    {"mode", KEYVAL_CHOICE, KEY(mode), 12, "aes-256-cbc"},
    {"remove", KEYVAL_FLAG, KEY(remove), 0, NULL},
};

static const struct keyval_key pid_keys[] = {
    {"file", KEYVAL_TEXT, PID(file), PATH_MAX, NULL},
    {"fd", KEYVAL_NUMBER, PID(fd), 0, NULL},
};

static const struct keyval_key seccomp_keys[] = {
    {"action", KEYVAL_CHOICE, 0, 8, "kill"},
};

#define KEYS(name)                                                                                 \
        static const struct keyval_table name##_table = {name##_keys, ARRAY_SIZE(name##_keys)}

KEYS(ctrl);
KEYS(state);
KEYS(log);
KEYS(key);
KEYS(pid);
KEYS(seccomp);

static const struct options_row rows[] = {
    {.name = "--ctrl", .kind = OPTIONS_KEYS, .offset = SOCKET(ctrl), .keys = &ctrl_table},
    {.name = "--tpmstate", .kind = OPTIONS_KEYS, .offset = SOCKET(tpmstate), .keys = &state_table},
    {.name = "--log", .kind = OPTIONS_KEYS, .offset = SOCKET(log), .keys = &log_table},
    {.name = "--key", .kind = OPTIONS_KEYS, .offset = SOCKET(key), .keys = &key_table},
    {.name = "--migration-key",
     .kind = OPTIONS_KEYS,
     .offset = SOCKET(migration_key),
     .keys = &key_table},
    {.name = "--pid", .kind = OPTIONS_KEYS, .offset = SOCKET(pid), .keys = &pid_table},
    {.name = "--terminate", .kind = OPTIONS_FLAG, .offset = SOCKET(terminate), .letters = "-t"},
    {.name = "--daemon", .kind = OPTIONS_FLAG, .offset = SOCKET(daemon), .letters = "-d"},
    {.name = "--tpm2", .kind = OPTIONS_FLAG, .offset = SOCKET(tpm2)},
    {.name = "--seccomp",
     .kind = OPTIONS_KEYS,
     .offset = SOCKET(seccomp),
     .keys = &seccomp_table,
     .note = "the engine's sandbox is always on"},
    {.name = "--runas", .kind = OPTIONS_TEXT, .offset = SOCKET(runas), .size = 64, .letters = "-r"},
    {.name = "--print-capabilities", .kind = OPTIONS_FLAG, .offset = SOCKET(print_capabilities)},
    {.name = "--version", .kind = OPTIONS_FLAG, .offset = SOCKET(version), .letters = "-v"},
    {.name = "--help", .kind = OPTIONS_FLAG, .offset = SOCKET(help), .letters = "-h"},
};

const struct options_table command_socket_table = {rows, ARRAY_SIZE(rows)};

static void no_key(struct command_key *ret)
{
        memset(ret, 0, sizeof(*ret));
        ret->fd = -1;
        ret->pwdfd = -1;
}

void command_socket_defaults(struct command_socket *ret)
{
        memset(ret, 0, sizeof(*ret));
        no_key(&ret->key);
        no_key(&ret->migration_key);
        ret->ctrl.fd = -1;
        ret->ctrl.uid = -1;
        ret->ctrl.gid = -1;
        ret->ctrl.mode = MODE_DEFAULT;
        ret->tpmstate.mode = MODE_DEFAULT;
        ret->log.fd = -1;
        ret->pid.fd = -1;
}

static int check_key(const char *option, const struct command_key *key, struct err *err)
{
        const int n =
            (key->file[0] != '\0') + (key->pwdfile[0] != '\0') + (key->fd >= 0) + (key->pwdfd >= 0);
        const bool is_key = key->file[0] != '\0' || key->fd >= 0;

        if (n > 1)
                return err_set(err, ERR_USAGE, "%s: more than one source", option);
        if (n == 0 && (key->mode[0] != '\0' || key->format[0] != '\0' || key->remove))
                return err_set(err, ERR_USAGE, "%s: no file or descriptor", option);
        if (key->format[0] != '\0' && !is_key)
                return err_set(err, ERR_USAGE, "%s: format is for a key, not for a passphrase",
                               option);
        if (key->remove && key->file[0] == '\0' && key->pwdfile[0] == '\0')
                return err_set(err, ERR_USAGE, "%s: remove is for a file", option);
        return 0;
}

static int check(const struct command_socket *socket, struct err *err)
{
        int rc;

        if (!socket->tpm2)
                return err_set(err, ERR_USAGE, "--tpm2 is missing: there is no TPM 1.2 here");
        if ((socket->ctrl.path[0] == '\0') == (socket->ctrl.fd < 0))
                return err_set(err, ERR_USAGE, "--ctrl needs a path or a descriptor");
        if ((socket->tpmstate.dir[0] == '\0') == (socket->tpmstate.uri[0] == '\0'))
                return err_set(err, ERR_USAGE, "--tpmstate needs dir or backend-uri");
        rc = check_key("--key", &socket->key, err);
        return rc != 0 ? rc : check_key("--migration-key", &socket->migration_key, err);
}

int command_socket_parse(int argc, char *const *argv, struct command_socket *ret,
                         struct options_notes *ret_notes, struct err *err)
{
        int rc;

        command_socket_defaults(ret);
        rc = options_parse(&command_socket_table, argc, argv, ret, ret_notes, err);
        if (rc != 0 || ret->print_capabilities || ret->version || ret->help)
                return rc;
        return check(ret, err);
}
