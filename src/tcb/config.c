#include "tcb/config.h"

#include <string.h>

#include "base/fs.h"
#include "tcb/pool.h"
#include "tcb/spares.h"

#define TEXT(section, name, field, fallback, doc)                                                  \
        {                                                                                          \
                section, name, CONF_TEXT, offsetof(struct tcb_config, field),                      \
                    sizeof(((struct tcb_config *)0)->field), fallback, 0, 0, NULL, doc             \
        }

const struct conf_key tcb_config_keys[] = {
    TEXT("host", "name", host_name, "host-a", "Name of this host in reports."),
    TEXT("ptpm", "tcti", tcti, "embedded",
         "The host's TPM: a TCTI string such as device:/dev/tpmrm0, or embedded for a software "
         "TPM that is good for trying and testing."),
    {"ptpm", "timeout", CONF_NUMBER, offsetof(struct tcb_config, ptpm_timeout), 0, "120", 1, 3600,
     NULL,
     "Seconds that one request to the TPM may take while the TCB starts; then the start fails."},
    TEXT("ptpm", "event_log", event_log, "",
         "The event log of the firmware that measured into this TPM. Empty: the kernel's, where "
         "the TPM is hardware, and otherwise none."),
    TEXT("ptpm", "ima_log", ima_log, "",
         "The binary IMA log that belongs to it. Empty: the kernel's, where the TPM is hardware, "
         "and otherwise none."),
    {"vtpm", "pool", CONF_NUMBER, offsetof(struct tcb_config, pool), 0, "2", 0, POOL_MAX, NULL,
     "vTPMs to make in advance with all endorsement keys while the host is quiet, for requests "
     "that "
     "want RSA-2048 at once."},
    TEXT("vtpm", "sockets", sockets, "/run/catena",
         "Directories, with blanks between them, in or beneath which a socket for a QEMU of the "
         "operator's may be made (catena vtpm create --socket). The directory run of the state is "
         "always one of them; / allows any. Whoever may ask for vTPMs can take a free name there. "
         "Sockets that were made before stay."),
    {"vm", "accel", CONF_CHOICE, offsetof(struct tcb_config, accel),
     sizeof(((struct tcb_config *)0)->accel), "auto", 0, 0, "auto kvm tcg",
     "Virtualisation: auto uses KVM where a guest really starts on it, and TCG otherwise."},
    TEXT("vm", "qemu", qemu, "/usr/bin/qemu-system-x86_64", "The QEMU program."),
    TEXT("vm", "ovmf_code", ovmf_code, "/usr/share/OVMF/OVMF_CODE_4M.fd", "Guests' firmware."),
    TEXT("vm", "ovmf_vars", ovmf_vars, "/usr/share/OVMF/OVMF_VARS_4M.fd",
         "Template of guests' UEFI variables."),
    {"vtpm", "park_after", CONF_NUMBER, offsetof(struct tcb_config, park_after), 0, "300", 0,
     31536000, NULL,
     "Seconds after which an idle vTPM is parked: its engine ends, its state is sealed in the "
     "store, and the first byte of its guest's next command wakes it. 0: never."},
    {"vtpm", "park_below", CONF_NUMBER, offsetof(struct tcb_config, park_below), 0, "10", 0, 90,
     NULL,
     "Percent of the host's memory: while less than this is available, vTPMs that were idle for a "
     "few seconds are parked. 0: never."},
    {"vtpm", "spares", CONF_NUMBER, offsetof(struct tcb_config, spares), 0, "8", 0, SPARES_MAX,
     NULL,
     "Engines to start in advance, without any vTPM's state, for vTPMs that wake or are made."},
    {"vtpm", "nice", CONF_NUMBER, offsetof(struct tcb_config, engine_nice), 0, "0", 0, 19, NULL,
     "How far engines give way to other processes, as in nice(1)."},
    {"vtpm", "memory", CONF_NUMBER, offsetof(struct tcb_config, engine_memory), 0, "32", 8, 1024,
     NULL, "MiB of private memory that one engine may have; they use less than 2."},
    {"vtpm", "memory_all", CONF_NUMBER, offsetof(struct tcb_config, engines_memory), 0, "0", 0,
     1U << 24, NULL,
     "MiB of memory that all engines together may have, the kernel's for them included, where the "
     "TCB has a delegated control group. The kernel ends engines that go over it, and with them "
     "their VMs. 0: no limit."},
    {"vtpm", "cpu_weight", CONF_NUMBER, offsetof(struct tcb_config, engines_weight), 0, "100", 1,
     10000, NULL,
     "Share of the CPU of all engines together when it is short, where the TCB has a delegated "
     "control group: guests' is 100, the TCB's own 1000."},
    {"sandbox", "uid_base", CONF_NUMBER, offsetof(struct tcb_config, uid_base), 0, "720000", 1000,
     4000000000U, NULL,
     "First of the user ids that engines and guests run under when the TCB is root."},
};
const size_t tcb_config_n_keys = ARRAY_SIZE(tcb_config_keys);

/* What the CA certifies and what evidence takes as a name. */
static bool host_name_is_good(const char *name)
{
        size_t len = strlen(name);

        return len > 0 && name[0] != '.' &&
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                   len;
}

int tcb_config_load(const char *file, struct tcb_config *ret_config, struct err *err)
{
        int rc = conf_load(file, tcb_config_keys, tcb_config_n_keys, ret_config, err);

        if (rc == 0 && !host_name_is_good(ret_config->host_name))
                return err_set(err, ERR_USAGE,
                               "%s: host.name: '%s' is not of letters, digits, '.', '_' and '-'",
                               file, ret_config->host_name);
        return rc;
}

int tcb_config_path(const struct tcb_config *config, const char *name, char ret_path[PATH_MAX],
                    struct err *err)
{
        return fs_join(ret_path, PATH_MAX, config->state, name, err);
}

int tcb_config_program(const struct tcb_config *config, const char *name, char ret_path[PATH_MAX],
                       struct err *err)
{
        return fs_join(ret_path, PATH_MAX, config->programs, name, err);
}
