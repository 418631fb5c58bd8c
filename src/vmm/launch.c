#include "vmm/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define KVM          "/dev/kvm"
#define MEMORY_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define ANY_MODE     (-1)

static const struct {
        const char *name;
        int mode;
} kinds[VMM_FD_COUNT] = {
    [VMM_FD_CODE] = {"firmware", O_RDONLY},     [VMM_FD_VARS] = {"UEFI variables", O_RDWR},
    [VMM_FD_DISK] = {"disk", ANY_MODE},         [VMM_FD_TPM] = {"TPM socket", O_RDWR},
    [VMM_FD_AGENT] = {"agent channel", O_RDWR}, [VMM_FD_QMP] = {"QMP socket", O_RDWR},
    [VMM_FD_SERIAL] = {"serial log", O_WRONLY}, [VMM_FD_MEMORY] = {"memory", O_RDWR},
};

static int check_memory(const struct vmm_launch *launch, struct err *err)
{
        int fd = launch->fds[VMM_FD_MEMORY];
        struct stat st;

        if (fd < 0)
                return 0;
        if (fstat(fd, &st) < 0 ||
            st.st_size != (off_t)launch->config->memory_mib * (off_t)(1 << 20))
                return err_set(err, ERR_USAGE, "memory is not of %u MiB",
                               launch->config->memory_mib);
        if (fcntl(fd, F_GET_SEALS) != MEMORY_SEALS)
                return err_set(err, ERR_USAGE, "memory is not sealed");
        return 0;
}

/* QEMU takes from an fdset only a descriptor with exactly the access mode it wants. */
static int check_fds(const struct vmm_launch *launch, struct err *err)
{
        for (int i = 0; i < VMM_FD_COUNT; i++) {
                int mode = kinds[i].mode;
                int flags;

                if (launch->fds[i] < 0)
                        continue;
                if (i == VMM_FD_DISK)
                        mode = launch->config->disk_read_only ? O_RDONLY : O_RDWR;
                flags = fcntl(launch->fds[i], F_GETFL);
                if (flags < 0 || (flags & O_ACCMODE) != mode)
                        return err_set(err, ERR_USAGE, "%s: descriptor with the wrong access mode",
                                       kinds[i].name);
        }
        return check_memory(launch, err);
}

static size_t map_fds(const struct vmm_launch *launch, struct spawn_fd *ret_map,
                      bool ret_has[VMM_FD_COUNT])
{
        size_t n = 0;

        for (int i = 0; i < VMM_FD_COUNT; i++) {
                ret_has[i] = launch->fds[i] >= 0;
                if (ret_has[i])
                        ret_map[n++] = (struct spawn_fd){launch->fds[i], VMM_FD_FIRST + i};
        }
        for (int target = 1; target <= 2 && launch->log >= 0; target++)
                ret_map[n++] = (struct spawn_fd){launch->log, target};
        return n;
}

/* An own uid is not in the group that may use KVM, so it gets that group as its only one. */
static gid_t choose_gid(const struct vmm_launch *launch)
{
        struct stat st;

        if (launch->uid == 0 || launch->gid != 0)
                return launch->gid;
        if (launch->accel == VMM_ACCEL_KVM && stat(KVM, &st) == 0)
                return st.st_gid;
        return (gid_t)launch->uid;
}

int vmm_launch(const struct vmm_launch *launch, struct spawn_child *ret_child,
               uint8_t ret_digest[VMM_DIGEST_LEN], struct err *err)
{
        struct spawn_fd map[VMM_FD_COUNT + 2];
        bool has[VMM_FD_COUNT];
        struct vmm_argv argv;
        struct spawn_request request = {
            .path = launch->qemu,
            .program = launch->program,
            .argv = argv.words,
            .fds = map,
            .n_fds = map_fds(launch, map, has),
            .isolate = SPAWN_ISOLATE_USER | SPAWN_ISOLATE_NET | SPAWN_ISOLATE_IPC,
            .uid = launch->uid,
            .gid = choose_gid(launch),
            .sibling = launch->sibling,
            .announce = launch->announce,
            .user = launch->user,
        };
        uint8_t digest[VMM_DIGEST_LEN];

        if (vmm_argv_build(launch->config, launch->accel, has, &argv, err) != 0 ||
            check_fds(launch, err) != 0 || vmm_argv_digest(&argv, digest, err) != 0 ||
            spawn_start(&request, ret_child, err) != 0)
                return err_wrap(err, "launch %s", launch->config->name);
        for (size_t i = 0; i < sizeof(digest); i++)
                ret_digest[i] = digest[i];
        return 0;
}

int vmm_memory_create(uint32_t mib, int *ret_fd, struct err *err)
{
        int AUTO_FD fd = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (mib < VMM_MEMORY_MIN_MIB || mib > VMM_MEMORY_MAX_MIB)
                return err_set(err, ERR_USAGE, "memory of %u MiB", mib);
        if (fd < 0 || ftruncate(fd, (off_t)mib * (off_t)(1 << 20)) < 0 ||
            fcntl(fd, F_ADD_SEALS, MEMORY_SEALS) < 0)
                return err_set_errno(err, errno, "guest memory of %u MiB", mib);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

bool vmm_kvm_usable(void)
{
        int AUTO_FD fd = open(KVM, O_RDWR | O_CLOEXEC);

        return fd >= 0;
}
