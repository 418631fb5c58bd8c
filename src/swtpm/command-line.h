/*
 * The command lines that libvirt, Proxmox and Incus give swtpm, swtpm_setup and swtpm_ioctl, as
 * tables and structures (options.h). Nothing here acts.
 */
#ifndef SWTPM_COMMAND_LINE_H
#define SWTPM_COMMAND_LINE_H

#include <limits.h>

#include "swtpm/options.h"

#define COMMAND_SOCKET_PATH_MAX 107
#define COMMAND_URI_MAX         (PATH_MAX + 16)

/* Where a passphrase or a key comes from; at most one of the four. */
struct command_key {
        char file[PATH_MAX]; /* 32 bytes of a key, or their 64 hexadecimal digits */
        char pwdfile[PATH_MAX];
        int fd; /* -1: none; like file */
        int pwdfd;
        char format[8]; /* of a key: "hex" or "binary" */
        char mode[12];
        bool remove; /* the file when it has been read */
};

struct command_log {
        char file[PATH_MAX]; /* "-": none at all */
        int fd;
        int level;
        bool truncate;
};

struct command_socket {
        struct {
                char type[8];
                char path[COMMAND_SOCKET_PATH_MAX + 1];
                int fd; /* a listening socket, or -1 */
                unsigned mode;
                int uid; /* -1: ours */
                int gid;
        } ctrl;
        struct {
                char dir[PATH_MAX];
                char uri[COMMAND_URI_MAX];
                unsigned mode;
        } tpmstate;
        struct command_log log;
        struct command_key key;
        struct command_key migration_key;
        struct {
                char file[PATH_MAX];
                int fd;
        } pid;
        char runas[64];
        char seccomp[8];
        bool terminate;
        bool daemon;
        bool tpm2;
        bool print_capabilities;
        bool version;
        bool help;
};

struct command_setup {
        char state[COMMAND_URI_MAX]; /* a directory, dir://… or file://… */
        char logfile[PATH_MAX];
        char vmid[256];
        char pcr_banks[64];
        char pwdfile[PATH_MAX];
        char keyfile[PATH_MAX];
        char cipher[16];
        char runas[64];
        char config[PATH_MAX];
        char tpm[PATH_MAX];
        int pwdfile_fd; /* -1: none */
        int keyfile_fd;
        bool tpm2;
        bool createek;
        bool create_ek_cert;
        bool create_platform_cert;
        bool lock_nvram;
        bool ecc;
        bool overwrite;
        bool not_overwrite;
        bool reconfigure;
        bool print_capabilities;
        bool version;
        bool help;
};

struct command_ioctl {
        char unix_path[COMMAND_SOCKET_PATH_MAX + 1];
        bool capabilities;
        bool init;
        bool stop;
        bool shutdown;
        bool established;
        bool config;
        bool cancel;
        int locality; /* -1: not asked for */
        int reset_established;
        int buffer_size;
        int info;
        char save[12]; /* "permanent" and so on */
        char load[12];
        char file[PATH_MAX]; /* of save or load */
        bool version;
        bool help;
};

extern const struct options_table command_socket_table;
extern const struct options_table command_setup_table;
extern const struct options_table command_ioctl_table;

/* What holds without any option. */
void command_socket_defaults(struct command_socket *ret);
void command_setup_defaults(struct command_setup *ret);
void command_ioctl_defaults(struct command_ioctl *ret);

/*
 * The whole command lines behind the program's name, with the rules that no single option can
 * check. Errors: ERR_USAGE, in words.
 */
int command_socket_parse(int argc, char *const *argv, struct command_socket *ret,
                         struct options_notes *ret_notes, struct err *err) MUST_CHECK;
int command_setup_parse(int argc, char *const *argv, struct command_setup *ret,
                        struct options_notes *ret_notes, struct err *err) MUST_CHECK;

/* save and load have their file as a further argument. */
int command_ioctl_parse(int argc, char *const *argv, struct command_ioctl *ret,
                        struct err *err) MUST_CHECK;

#endif
