#include "vmm/argv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "crypto/hash.h"

/* A child that QEMU forks or executes, a changed uid, other priorities: all end it. */
#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

static PRINTF_LIKE(2, 3) void put(struct vmm_argv *argv, const char *fmt, ...)
{
        size_t room = sizeof(argv->text) - argv->text_len;
        char *word = argv->text + argv->text_len;
        va_list args;
        int n;

        va_start(args, fmt);
        n = vsnprintf(word, room, fmt, args);
        va_end(args);
        if (n < 0 || (size_t)n >= room || argv->n + 1 >= ARRAY_SIZE(argv->words)) {
                argv->failed = true;
                return;
        }
        argv->words[argv->n++] = word;
        argv->words[argv->n] = NULL;
        argv->text_len += (size_t)n + 1;
}

static int number(enum vmm_fd fd)
{
        return VMM_FD_FIRST + (int)fd;
}

const char *vmm_accel_name(enum vmm_accel accel)
{
        return accel == VMM_ACCEL_KVM ? "kvm" : "tcg";
}

static void put_machine(struct vmm_argv *argv, const struct vmm_config *c, enum vmm_accel accel,
                        bool memory)
{
        const uint8_t *u = c->uuid;

        put(argv, "qemu-system-x86_64");
        put(argv, "-name");
        put(argv, "guest=%s", c->name);
        put(argv, "-uuid");
        put(argv, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0],
            u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
            u[15]);
        put(argv, "-nodefaults");
        put(argv, "-no-user-config");
        put(argv, "-display");
        put(argv, "none");
        put(argv, "-sandbox");
        put(argv, "%s", SANDBOX);
        put(argv, "-machine");
        /* OVMF without Secure Boot needs no SMM, which costs time under TCG. */
        put(argv, "q35,smm=off,pflash0=code,pflash1=vars%s", memory ? ",memory-backend=ram" : "");
        put(argv, "-accel");
        put(argv, "%s", vmm_accel_name(accel));
        put(argv, "-cpu");
        put(argv, "%s", accel == VMM_ACCEL_KVM ? "host" : "max");
        put(argv, "-smp");
        put(argv, "%u", c->cpus);
        put(argv, "-m");
        put(argv, "%uM", c->memory_mib);
        if (!memory)
                return;
        put(argv, "-object");
        put(argv, "memory-backend-file,id=ram,size=%uM,mem-path=/proc/self/fd/%d,share=on",
            c->memory_mib, number(VMM_FD_MEMORY));
}

/* A raw file by descriptor: the fdset has the number of the descriptor. */
static void put_file(struct vmm_argv *argv, const char *name, enum vmm_fd fd, bool read_only)
{
        const char *mode = read_only ? "on" : "off";

        put(argv, "-add-fd");
        put(argv, "fd=%d,set=%d", number(fd), number(fd));
        put(argv, "-blockdev");
        put(argv,
            "driver=file,node-name=%s-file,filename=/dev/fdset/%d,locking=off,read-only=%s,"
            "auto-read-only=off",
            name, number(fd), mode);
        put(argv, "-blockdev");
        put(argv, "driver=raw,node-name=%s,file=%s-file,read-only=%s", name, name, mode);
}

static void put_disk(struct vmm_argv *argv, const struct vmm_config *config)
{
        put_file(argv, "disk", VMM_FD_DISK, config->disk_read_only);
        put(argv, "-device");
        put(argv, "virtio-blk-pci,drive=disk,bootindex=1");
}

static void put_tpm(struct vmm_argv *argv)
{
        put(argv, "-chardev");
        put(argv, "socket,id=tpm,fd=%d", number(VMM_FD_TPM));
        put(argv, "-tpmdev");
        put(argv, "emulator,id=tpm0,chardev=tpm");
        put(argv, "-device");
        put(argv, "tpm-crb,tpmdev=tpm0");
}

static void put_agent(struct vmm_argv *argv)
{
        put(argv, "-device");
        put(argv, "virtio-serial-pci");
        put(argv, "-chardev");
        put(argv, "socket,id=agent,fd=%d", number(VMM_FD_AGENT));
        put(argv, "-device");
        put(argv, "virtserialport,chardev=agent,name=org.catena.agent.0");
}

static void put_qmp(struct vmm_argv *argv)
{
        put(argv, "-chardev");
        put(argv, "socket,id=qmp,fd=%d", number(VMM_FD_QMP));
        put(argv, "-mon");
        put(argv, "chardev=qmp,mode=control");
}

static void put_serial(struct vmm_argv *argv)
{
        put(argv, "-add-fd");
        put(argv, "fd=%d,set=%d", number(VMM_FD_SERIAL), number(VMM_FD_SERIAL));
        put(argv, "-chardev");
        put(argv, "file,id=serial,path=/dev/fdset/%d,append=on", number(VMM_FD_SERIAL));
        put(argv, "-serial");
        put(argv, "chardev:serial");
}

int vmm_argv_build(const struct vmm_config *config, enum vmm_accel accel,
                   const bool has[VMM_FD_COUNT], struct vmm_argv *ret_argv, struct err *err)
{
        struct vmm_argv *argv = ret_argv;
        int rc = vmm_config_check(config, err);

        if (rc != 0)
                return rc;
        if (!has[VMM_FD_CODE] || !has[VMM_FD_VARS] || !has[VMM_FD_QMP])
                return err_set(err, ERR_USAGE, "%s: firmware or QMP channel missing", config->name);
        argv->n = argv->text_len = 0;
        argv->failed = false;
        put_machine(argv, config, accel, has[VMM_FD_MEMORY]);
        put_file(argv, "code", VMM_FD_CODE, true);
        put_file(argv, "vars", VMM_FD_VARS, false);
        if (has[VMM_FD_DISK])
                put_disk(argv, config);
        if (has[VMM_FD_TPM])
                put_tpm(argv);
        if (has[VMM_FD_AGENT])
                put_agent(argv);
        put_qmp(argv);
        if (has[VMM_FD_SERIAL])
                put_serial(argv);
        if (argv->failed)
                return err_set(err, ERR_LIMIT, "%s: too many arguments for QEMU", config->name);
        return 0;
}

int vmm_argv_digest(const struct vmm_argv *argv, uint8_t ret_digest[VMM_DIGEST_LEN],
                    struct err *err)
{
        /* The words stand in text in their order, each with its NUL. */
        return hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), argv->text, argv->text_len, ret_digest,
                           err);
}
