/*
 * The policy: reference values that a machine's evidence is compared with. The file format is
 * doc/policy.md. `policy learn` fills one from a golden boot, `policy predict` from files before
 * any boot; both through the functions here, which keep everything sorted and free of doubles, so
 * the same facts give the same bytes whoever found them.
 *
 * An empty policy accepts nothing.
 */
#ifndef EVLOG_POLICY_H
#define EVLOG_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"
#include "crypto/hash.h"

#define POLICY_SCHEMA       1
#define POLICY_SIZE_MAX     (16U << 20) /* bytes of a policy file */
#define POLICY_NAME_MAX     64          /* bytes of a profile's or policy's name with its NUL */
#define POLICY_TEXT_MAX     4096        /* bytes of a path, command or command line with NUL */
#define POLICY_ENTRIES_MAX  65536       /* of one map or list */
#define POLICY_DIGESTS_MAX  64          /* alternatives of one entry */
#define POLICY_PROFILES_MAX 64
#define POLICY_PCR_COUNT    24
#define POLICY_AGE_DEFAULT  300   /* seconds that a verdict may live */
#define POLICY_AGE_MAX      86400 /* one day */

/* PCRs that a firmware profile gives: 0 to 3 and 5 to 7. PCR 4, 8 and 9 are judged by event. */
#define POLICY_FIRMWARE_MASK UINT32_C(0x000000ef)
#define POLICY_REQUIRED_MASK UINT32_C(0x000007ff) /* PCRs 0 to 10: what a guest must quote */

/* What a measured file is for; decides the line of the verdict in which it appears. */
enum policy_component {
        POLICY_BOOT_LOADER, /* GRUB, its modules and its configuration */
        POLICY_KERNEL,
        POLICY_COMMAND_LINE,
        POLICY_INITRD,
        POLICY_COMPONENT_COUNT,
};

/* How a host's physical TPM is made; bits of policy.ptpm. */
enum policy_ptpm {
        POLICY_PTPM_EMBEDDED = 1 << 0,
        POLICY_PTPM_SWTPM = 1 << 1,
        POLICY_PTPM_HARDWARE = 1 << 2,
};

struct policy_digest {
        const struct hash_alg *alg;
        uint8_t data[HASH_SIZE_MAX];
};

/* A name (path, component) and the digests that it may have. */
struct policy_entry {
        char *name;
        enum policy_component component; /* of policy.files only */
        struct policy_digest *digests;   /* sorted */
        size_t count;
};

struct policy_map {
        struct policy_entry *entries; /* sorted by name, bytewise */
        size_t count;
};

struct policy_list {
        char **items;
        size_t count;
};

/* PCR values in the policy's bank. */
struct policy_pcrs {
        uint32_t mask; /* bit n: values[n] is given */
        uint8_t values[POLICY_PCR_COUNT][HASH_SIZE_MAX];
};

/* One configuration of firmware, machine type, memory, CPUs and boot devices. */
struct policy_firmware {
        char name[POLICY_NAME_MAX];
        struct policy_pcrs pcrs; /* mask is POLICY_FIRMWARE_MASK or a part of it */
};

struct policy {
        char name[POLICY_NAME_MAX];
        const struct hash_alg *bank; /* of all PCR values and TCG event digests */
        uint32_t required;           /* PCRs that a quote must cover */
        uint32_t max_age;            /* seconds */
        bool require_safe_clock;     /* refuse clockInfo.safe = NO instead of warning */

        struct policy_firmware *firmware; /* any one of them, sorted by name */
        size_t firmware_count;
        /* EV_EFI_BOOT_SERVICES_APPLICATION in PCR 4: "boot-loader" or "kernel" -> digests */
        struct policy_map applications;
        struct policy_list grub_commands; /* PCR 8, without "grub_cmd: ", in this order */
        struct policy_list command_lines; /* PCR 8, without "kernel_cmdline: ", any one of them */
        struct policy_map files;          /* PCR 9: path or tag as the event says -> digests */
        bool has_ima;                     /* the IMA log must be there and be explained */
        struct policy_map ima;            /* path as the log says -> digests of the file */
        struct policy_pcrs other_pcrs;    /* exact values of further PCRs, 11 and up */

        struct policy_map host; /* PCR 13 of a host: component -> digests (evlog/hostlog.h) */
        unsigned ptpm;          /* enum policy_ptpm bits that a host may have; 0: none given */
        /* How a host boots: a policy without host, ptpm and host_boot. NULL: not compared. */
        struct policy *host_boot;
};

/* An empty policy in this bank, with the default requirements. */
int policy_new(const char *name, const struct hash_alg *bank, struct policy **ret_policy,
               struct err *err) MUST_CHECK;
void policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, policy_free)
#define AUTO_POLICY CLEANUP(policy_free_p)

/*
 * Adding facts. A fact that is there already is no error; texts are copied. Errors:
 * ERR_MALFORMED (empty or too long a text, control characters in a name, wrong component for
 * this path), ERR_CONFLICT (two firmware profiles of one name that differ), ERR_LIMIT,
 * ERR_NO_MEMORY.
 */
int policy_add_firmware(struct policy *policy, const struct policy_firmware *firmware,
                        struct err *err) MUST_CHECK;
int policy_add_application(struct policy *policy, enum policy_component component,
                           const struct policy_digest *digest, struct err *err) MUST_CHECK;
int policy_add_grub_command(struct policy *policy, const char *command, struct err *err) MUST_CHECK;
int policy_add_command_line(struct policy *policy, const char *command_line,
                            struct err *err) MUST_CHECK;
int policy_add_file(struct policy *policy, const char *path, enum policy_component component,
                    const struct policy_digest *digest, struct err *err) MUST_CHECK;
int policy_add_ima_file(struct policy *policy, const char *path, const struct policy_digest *digest,
                        struct err *err) MUST_CHECK;
int policy_add_host(struct policy *policy, const char *component,
                    const struct policy_digest *digest, struct err *err) MUST_CHECK;

/*
 * Takes over boot as what a host must boot; it replaces an earlier one. ERR_MALFORMED when it
 * speaks of hosts itself or is not of the SHA-256 bank; boot then stays the caller's.
 */
int policy_set_host_boot(struct policy *policy, struct policy *boot, struct err *err) MUST_CHECK;

/*
 * Which component a file is that GRUB loaded into PCR 9, from the commands of PCR 8: the argument
 * of linux, linuxefi or linux16 is the kernel, those of initrd, initrdefi and initrd16 are
 * initrds, everything else belongs to the boot loader. Tags of the kernel's own EFI stub are
 * known by name.
 */
enum policy_component policy_classify_file(const struct policy_list *grub_commands,
                                           const char *path);

/* The entry of this name, or NULL; whether it lists this digest. */
const struct policy_entry *policy_map_find(const struct policy_map *map, const char *name);
bool policy_entry_has(const struct policy_entry *entry, const struct policy_digest *digest);

/* "boot-loader", "kernel", "command-line", "initrd"; the reverse is -1 for an unknown name. */
const char *policy_component_name(enum policy_component component);
int policy_component_from_name(const char *name);

/* "embedded", "swtpm", "hardware" for one bit; 0 for an unknown name. */
const char *policy_ptpm_name(enum policy_ptpm ptpm);
unsigned policy_ptpm_from_name(const char *name);

/* Whether there is nothing in it that a guest, or a host, could be compared with. */
bool policy_is_empty(const struct policy *policy);

/*
 * The file: JSON, keys sorted, one space of indentation, a newline at the end. Reading is strict:
 * unknown or doubled keys, wrong types, digests of a wrong size are ERR_MALFORMED with the place.
 * ret_text is NUL-terminated; free() it.
 */
int policy_to_json(const struct policy *policy, char **ret_text, size_t *ret_len,
                   struct err *err) MUST_CHECK;
int policy_from_json(struct bytes text, struct policy **ret_policy, struct err *err) MUST_CHECK;

#endif
