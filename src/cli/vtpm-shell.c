/* catena vtpm shell and tcti: a vTPM for tpm2-tools and any other TSS program. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/vtpm-relay.h"

/* The shell ----------------------------------------------------------------------------------- */

/* The programs of the TSS world name their TPM in different variables. */
static const char *const variables[] = {"TPM2TOOLS_TCTI", "TPM2OPENSSL_TCTI", "TPM2_PKCS11_TCTI",
                                        "TSS2_TCTI", "TCTI"};

/* A path between single quotes, for the shell that libtss2-tcti-cmd starts. */
static int check_quotable(const char *path, struct err *err)
{
        if (strchr(path, '\'') != NULL)
                return err_set(err, ERR_UNSUPPORTED, "a quote in the path of this program: %s",
                               path);
        return 0;
}

static int set_environment(const struct vtpm_relay *relay, struct err *err)
{
        char program[PATH_MAX];
        char tcti[PATH_MAX + 160];
        int rc = program_path("catena", program, err);

        if (rc == 0)
                rc = check_quotable(program, err);
        if (rc != 0)
                return rc;
        (void)snprintf(tcti, sizeof(tcti), "cmd:'%s' vtpm tcti --socket %s", program, relay->path);
        for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
                if (setenv(variables[i], tcti, 1) < 0)
                        return err_set_errno(err, errno, "set %s", variables[i]);
        return setenv("CATENA_VTPM", relay->session->name, 1) < 0
                   ? err_set_errno(err, errno, "set CATENA_VTPM")
                   : 0;
}

/* Ctrl-C is for the child; it gets the signals' defaults back. */
static int spawn(char *const *argv, pid_t *ret_pid, struct err *err)
{
        const struct sigaction ignore = {.sa_handler = SIG_IGN};
        posix_spawnattr_t attributes;
        sigset_t defaults;
        int rc;

        (void)sigemptyset(&defaults);
        (void)sigaddset(&defaults, SIGINT);
        (void)sigaddset(&defaults, SIGQUIT);
        (void)sigaddset(&defaults, SIGPIPE);
        (void)sigaction(SIGINT, &ignore, NULL);
        (void)sigaction(SIGQUIT, &ignore, NULL);
        rc = posix_spawnattr_init(&attributes);
        if (rc == 0) {
                (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
                (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
                rc = posix_spawnp(ret_pid, argv[0], NULL, &attributes, argv, environ);
                (void)posix_spawnattr_destroy(&attributes);
        }
        return rc == 0 ? 0 : err_set_errno(err, rc, "start %s", argv[0]);
}

static int reap(pid_t pid, int *ret_status, struct err *err)
{
        int status = 0;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return err_set_errno(err, errno, "wait for the command");
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return 0;
}

static int run_child(struct cli *cli, struct vtpm_relay *relay, char *const *argv, int *ret_status,
                     struct err *err)
{
        int AUTO_FD pidfd = -1;
        pid_t pid = 0;
        int rc = set_environment(relay, err);

        if (rc == 0)
                rc = spawn(argv, &pid, err);
        if (rc != 0)
                return rc;
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        rc = pidfd < 0 ? err_set_errno(err, errno, "watch the command")
                       : vtpm_relay_serve(relay, pidfd, err);
        /* Without its TPM the command ends by itself, and says so. */
        if (rc != 0)
                cli_note(cli, "the vTPM is lost: %s", err->text);
        vtpm_relay_close(relay);
        return reap(pid, ret_status, err);
}

static void fill_argv(struct cli *cli, char *argv[CLI_ARGS_MAX + 1])
{
        static char interactive[] = "-i";
        const char *shell = getenv("SHELL");
        size_t n = 0;

        for (const char *word; (word = cli_arg(cli, n + 1)) != NULL; n++)
                argv[n] = (char *)(uintptr_t)word;
        if (n == 0) {
                argv[n++] = (char *)(uintptr_t)(shell != NULL ? shell : "/bin/sh");
                argv[n++] = interactive;
        }
        argv[n] = NULL;
}

static int run_shell(struct cli *cli, struct err *err)
{
        struct vtpm_session session;
        struct vtpm_relay relay;
        char *argv[CLI_ARGS_MAX + 1];
        int status = 0;
        int rc = vtpm_session_open(cli, cli_arg(cli, 0), &session, err);

        if (rc != 0)
                return rc;
        fill_argv(cli, argv);
        if (cli_arg(cli, 1) == NULL)
                cli_note(cli, "TPM2TOOLS_TCTI is set for vTPM %s; leave with exit", session.name);
        rc = vtpm_relay_open(&session, &relay, err);
        if (rc == 0)
                rc = run_child(cli, &relay, argv, &status, err);
        vtpm_relay_close(&relay);
        vtpm_session_close(&session);
        /* Scripts look at the command's own status, as with env(1); the words are its own, too. */
        if (rc == 0 && status != 0)
                exit(status);
        return rc;
}

/* What TSS programs start -----------------------------------------------------------------------
 */

static int relay_stdin(struct vtpm_session *session, struct err *err)
{
        uint8_t command[VTPM_COMMAND_MAX];
        uint8_t response[VTPM_COMMAND_MAX];
        size_t size = 0;
        size_t len = 0;
        int rc = fd_read_exact(STDIN_FILENO, command, 10, err);

        if (rc == 0)
                rc = vtpm_frame_size((struct bytes){command, 10}, &size, err);
        if (rc == 0 && size > 10)
                rc = fd_read_exact(STDIN_FILENO, command + 10, size - 10, err);
        if (rc == 0)
                rc = vtpm_session_run(session, (struct bytes){command, size}, response, &len, err);
        if (rc == 0)
                rc = fd_write_all(STDOUT_FILENO, response, len, err);
        explicit_bzero(command, sizeof(command));
        explicit_bzero(response, sizeof(response));
        return rc;
}

static int run_tcti(struct cli *cli, struct err *err)
{
        const char *path = cli_option(cli, "socket");
        struct vtpm_session session;
        int rc;

        if ((path == NULL) == (cli_arg(cli, 0) == NULL))
                return err_set(err, ERR_USAGE, "either NAME or --socket PATH");
        if (path != NULL)
                return vtpm_relay_client(path, err);
        rc = vtpm_session_open(cli, cli_arg(cli, 0), &session, err);
        if (rc != 0)
                return rc;
        do
                rc = relay_stdin(&session, err);
        while (rc == 0);
        vtpm_session_close(&session);
        /* The program closed our stdin: done. */
        return rc == ERR_UNREACHABLE ? 0 : rc;
}

static const struct cli_option tcti_options[] = {
    {"socket", 0, "PATH", "join the catena vtpm shell that listens there", 0},
    {0},
};

const struct cli_verb cli_vtpm_shell_verbs[] = {
    {"vtpm", "shell", "NAME -- [COMMAND...]", "run tpm2-tools or any TSS program on a vTPM",
     "Starts the vTPM, runs the command (a shell when there is none) with TPM2TOOLS_TCTI and its "
     "like set, and shuts the vTPM down in order. Several programs can run at once; objects that "
     "the last one left loaded are flushed. The exit status is the command's. A vTPM in use by a "
     "VM is refused.",
     NULL, run_shell},
    {"vtpm", "tcti", "[NAME]", "speak TPM commands on stdin and stdout, for TCTI cmd",
     "For one program that needs a vTPM while it runs: "
     "TPM2TOOLS_TCTI=\"cmd:catena vtpm tcti NAME\". What stays loaded between programs needs "
     "catena vtpm shell.",
     tcti_options, run_tcti},
    {0},
};
