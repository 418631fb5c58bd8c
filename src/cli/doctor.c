#include "cli/doctor.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "cli/client.h"

#define FREE_MIB_MIN 64

static void say(struct doctor_finding *finding, bool ok, const char *result, const char *advice)
{
        finding->ok = ok;
        (void)snprintf(finding->result, sizeof(finding->result), "%.*s",
                       (int)sizeof(finding->result) - 1, result);
        (void)snprintf(finding->advice, sizeof(finding->advice), "%.*s",
                       (int)sizeof(finding->advice) - 1, advice);
}

static void check_qemu(struct cli *cli, struct doctor_finding *finding)
{
        (void)cli;
        say(finding, access("/usr/bin/qemu-system-x86_64", X_OK) == 0,
            "/usr/bin/qemu-system-x86_64", "apt install qemu-system-x86");
}

static void check_ovmf(struct cli *cli, struct doctor_finding *finding)
{
        (void)cli;
        say(finding, access("/usr/share/OVMF/OVMF_CODE_4M.fd", R_OK) == 0,
            "/usr/share/OVMF/OVMF_CODE_4M.fd", "apt install ovmf");
}

static void check_kvm(struct cli *cli, struct doctor_finding *finding)
{
        int AUTO_FD fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

        (void)cli;
        /* Only a guest's start shows whether it works; without it guests run under TCG. */
        say(finding, true,
            fd >= 0 ? "/dev/kvm opens (the first VM shows whether it works)"
                    : "not usable: guests run under TCG, some ten times slower",
            "");
}

static void check_tpm(struct cli *cli, struct doctor_finding *finding)
{
        (void)cli;
        say(finding, true,
            access("/dev/tpmrm0", F_OK) == 0
                ? "/dev/tpmrm0 is there (tcti = device:/dev/tpmrm0)"
                : "no hardware TPM: only the embedded one, for trying and testing",
            "");
}

static void check_landlock(struct cli *cli, struct doctor_finding *finding)
{
        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        char words[64];

        (void)cli;
        (void)snprintf(words, sizeof(words), abi > 0 ? "ABI %ld" : "not available", abi);
        say(finding, abi > 0, words,
            "boot with lsm=landlock,... ; engines run without it meanwhile");
}

static void check_namespaces(struct cli *cli, struct doctor_finding *finding)
{
        int status = 1;
        pid_t pid;

        (void)cli;
        if (geteuid() == 0) {
                say(finding, true, "not needed: root gives every engine a user of its own", "");
                return;
        }
        pid = fork();
        if (pid == 0)
                _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
        if (pid > 0)
                (void)waitpid(pid, &status, 0);
        say(finding, status == 0, status == 0 ? "user namespaces work" : "no user namespaces",
            "sysctl kernel.unprivileged_userns_clone=1, or run as root");
}

static void check_space(struct cli *cli, struct doctor_finding *finding)
{
        struct statvfs fs;
        unsigned long mib;
        char words[100];

        if (statvfs(cli->state, &fs) < 0) {
                say(finding, false, "no state directory", "catena host init");
                return;
        }
        mib = (unsigned long)((uint64_t)fs.f_bavail * fs.f_frsize >> 20);
        (void)snprintf(words, sizeof(words), "%lu MiB free", mib);
        say(finding, mib >= FREE_MIB_MIN, words,
            "make room: guests' TPM writes wait on a full disk");
}

static void check_permissions(struct cli *cli, struct doctor_finding *finding)
{
        say(finding, access(cli->state, R_OK | W_OK | X_OK) == 0, cli->state,
            "run as the user that catena-tcb runs as, or choose another --state");
}

static void check_service(struct cli *cli, struct doctor_finding *finding)
{
        struct client AUTO_CLIENT *client = NULL;
        const struct tcb_status ask = {0};
        struct tcb_status_is status;
        struct err err = {0};
        bool ok = client_open(cli, &client, &err) == 0 &&
                  client_call(client, tcb_status_code, &ask, tcb_status_is_code, &status,
                              sizeof(status), &err) == 0;

        if (!ok) {
                say(finding, false, err.text,
                    "start catena-supervisor and catenad with this --state");
                return;
        }
        say(finding, status.enrolled != 0,
            status.enrolled != 0 ? "serves, enrolled" : "serves, not enrolled",
            "catena ca init; catena host enrol");
}

size_t doctor_examine(struct cli *cli, struct doctor_finding ret_findings[DOCTOR_CHECKS_MAX])
{
        static const struct {
                const char *name;
                void (*check)(struct cli *cli, struct doctor_finding *finding);
        } checks[] = {
            {"QEMU", check_qemu},
            {"OVMF", check_ovmf},
            {"KVM", check_kvm},
            {"TPM", check_tpm},
            {"Landlock", check_landlock},
            {"namespaces", check_namespaces},
            {"state directory", check_permissions},
            {"disk space", check_space},
            {"service", check_service},
        };

        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
                ret_findings[i] = (struct doctor_finding){.check = checks[i].name};
                checks[i].check(cli, &ret_findings[i]);
        }
        return ARRAY_SIZE(checks);
}
