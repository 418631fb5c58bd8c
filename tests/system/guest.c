#include "system/guest.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hex.h"
#include "base/spawn.h"
#include "wire/agent.h"
#include "wire/link.h"

#define QEMU         "/usr/bin/qemu-system-x86_64"
#define SWTPM        "/usr/bin/swtpm"
#define CODE         "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define VARS         "/usr/share/OVMF/OVMF_VARS_4M.fd"
#define VARS_MAX     (4U << 20)
#define BOOT_SECONDS 400 /* emulated, on a busy machine */
#define STEP_SECONDS 20
#define WORDS_MAX    64
#define WORD_ROOM    (PATH_MAX + 128)
#define NONCE_SIZE   32

struct machine {
        struct spawn_child tpm;
        struct spawn_child qemu;
        char dir[PATH_MAX];
};

static void machine_done(struct machine *machine)
{
        spawn_kill(&machine->qemu);
        spawn_kill(&machine->tpm);
}

bool guest_can_boot(void)
{
        return access(QEMU, X_OK) == 0 && access(SWTPM, X_OK) == 0 && access(CODE, R_OK) == 0;
}

/* Words apart by spaces; "@" stands for the directory. */
static int start(struct machine *machine, const char *words, const char *image,
                 struct spawn_child *ret_child, struct err *err)
{
        char room[WORDS_MAX][WORD_ROOM];
        const char *argv[WORDS_MAX + 1] = {NULL};
        const struct spawn_fd fds[] = {{STDERR_FILENO, STDERR_FILENO}};
        struct spawn_request request = {.argv = argv, .fds = fds, .n_fds = 1};
        size_t n = 0;

        while (*words != '\0' && n < WORDS_MAX) {
                size_t len = strcspn(words, " ");
                size_t at = strcspn(words, "@!");

                if (at >= len)
                        (void)snprintf(room[n], WORD_ROOM, "%.*s", (int)len, words);
                else
                        (void)snprintf(room[n], WORD_ROOM, "%.*s%s%.*s", (int)at, words,
                                       words[at] == '@' ? machine->dir : image, (int)(len - at - 1),
                                       words + at + 1);
                argv[n] = room[n];
                n++;
                words += len + strspn(words + len, " ");
        }
        request.path = argv[0];
        return spawn_start(&request, ret_child, err);
}

static int connect_to(const char *path, int seconds, int *ret_fd, struct err *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (strlen(path) >= sizeof(address.sun_path))
                return err_set(err, ERR_LIMIT, "%s: too long for a socket", path);
        memcpy(address.sun_path, path, strlen(path) + 1);
        for (int tries = 0; tries < seconds * 20; tries++) {
                AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                const struct timespec pause = {.tv_nsec = 50000000};

                if (fd < 0)
                        return err_set_errno(err, errno, "socket");
                if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
                        *ret_fd = TAKE_FD(fd);
                        return 0;
                }
                (void)nanosleep(&pause, NULL);
        }
        return err_set(err, ERR_TIMEOUT, "%s: nobody listens", path);
}

static int make_vars(const struct machine *machine, struct err *err)
{
        AUTO_FREE uint8_t *vars = NULL;
        char path[PATH_MAX];
        size_t len;
        int rc;

        rc = fs_read_file(VARS, VARS_MAX, &vars, &len, err);
        if (rc == 0)
                rc = fs_join(path, sizeof(path), machine->dir, "vars.fd", err);
        return rc == 0 ? fs_write_file(path, vars, len, 0600, err) : rc;
}

static int wait_for_file(const struct machine *machine, const char *name, struct err *err)
{
        const struct timespec pause = {.tv_nsec = 20000000};
        char path[PATH_MAX];
        int rc = fs_join(path, sizeof(path), machine->dir, name, err);

        for (int tries = 0; rc == 0 && tries < STEP_SECONDS * 50; tries++) {
                if (access(path, F_OK) == 0)
                        return 0;
                (void)nanosleep(&pause, NULL);
        }
        return rc < 0 ? rc : err_set(err, ERR_TIMEOUT, "%s does not appear", path);
}

static int start_machine(struct machine *machine, const char *image, int *ret_fd, struct err *err)
{
        static const char qemu[] =
            QEMU " -machine q35 -accel tcg -m 512 "
                 "-drive if=pflash,format=raw,readonly=on,file=" CODE " "
                 "-drive if=pflash,format=raw,file=@/vars.fd "
                 "-drive file=!,format=raw,if=virtio,snapshot=on "
                 "-chardev socket,id=tpm,path=@/tpm.sock "
                 "-tpmdev emulator,id=tpm0,chardev=tpm -device tpm-crb,tpmdev=tpm0 "
                 "-device virtio-serial-pci "
                 "-chardev socket,id=agent,path=@/agent.sock,server=on,wait=off "
                 "-device virtserialport,chardev=agent,name=" AGENT_PORT_NAME " "
                 "-serial file:@/serial.log -display none -nodefaults -no-reboot";
        char path[PATH_MAX];
        int rc;

        rc = make_vars(machine, err);
        if (rc == 0)
                rc = start(machine,
                           SWTPM
                           " socket --tpm2 --tpmstate dir=@ --ctrl type=unixio,path=@/tpm.sock "
                           "--terminate",
                           image, &machine->tpm, err);
        if (rc == 0)
                rc = wait_for_file(machine, "tpm.sock", err);
        if (rc == 0)
                rc = start(machine, qemu, image, &machine->qemu, err);
        if (rc == 0)
                rc = fs_join(path, sizeof(path), machine->dir, "agent.sock", err);
        return rc == 0 ? connect_to(path, STEP_SECONDS, ret_fd, err) : rc;
}

/* The next message, which has to be of this code. */
static int receive(struct wire_link *link, uint16_t code, void *ret_message, size_t size,
                   struct err *err)
{
        struct pollfd fd = {.fd = wire_link_fd(link), .events = POLLIN};
        struct wire_frame frame;
        int rc;

        if (poll(&fd, 1, BOOT_SECONDS * 1000) <= 0)
                return err_set(err, ERR_TIMEOUT, "the agent is silent");
        rc = wire_link_receive(link, &frame, err);
        if (rc != 0)
                return rc < 0 ? rc : err_set(err, ERR_TIMEOUT, "the agent is silent");
        if (frame.message->code != code)
                return err_set(err, ERR_FAILED, "the agent says %s", frame.message->name);
        return wire_frame_decode(&frame, ret_message, size, err);
}

static int save(const char *dir, const char *name, struct bytes data, struct err *err)
{
        char path[PATH_MAX];
        int rc = fs_join(path, sizeof(path), dir, name, err);

        return rc == 0 ? fs_write_file(path, data.data, data.len, 0644, err) : rc;
}

static int save_identity(struct wire_link *link, const char *dir, struct err *err)
{
        struct agent_identify request = {0};
        struct agent_identity identity = {0};
        int rc;

        rc = wire_link_send(link, agent_identify_code, 1, 0, &request, NULL, err);
        if (rc == 0)
                rc = receive(link, agent_identity_code, &identity, sizeof(identity), err);
        if (rc == 0)
                rc = save(dir, "ek.pub", identity.ek_pub, err);
        return rc == 0 ? save(dir, "ak.pub", identity.ak_pub, err) : rc;
}

static int save_evidence(struct wire_link *link, const char *dir, struct err *err)
{
        struct agent_quote request = {.pcr_mask = GUEST_PCR_MASK};
        struct agent_evidence evidence = {0};
        char nonce[2 * NONCE_SIZE + 2];
        int rc;

        if (getrandom(request.qualifying, NONCE_SIZE, 0) != NONCE_SIZE)
                return err_set_errno(err, errno, "getrandom");
        (void)hex_encode(request.qualifying, NONCE_SIZE, nonce);
        nonce[2 * (size_t)NONCE_SIZE] = '\n';
        rc = wire_link_send(link, agent_quote_code, 2, 0, &request, NULL, err);
        if (rc == 0)
                rc = receive(link, agent_evidence_code, &evidence, sizeof(evidence), err);
        if (rc == 0)
                rc = save(dir, "nonce.hex",
                          (struct bytes){(uint8_t *)nonce, 2 * (size_t)NONCE_SIZE + 1}, err);
        if (rc == 0)
                rc = save(dir, "quote.attest", evidence.attest, err);
        if (rc == 0)
                rc = save(dir, "quote.sig", evidence.signature, err);
        if (rc == 0)
                rc = save(dir, "binary_bios_measurements", evidence.tcg_log, err);
        if (rc == 0)
                rc = save(dir, "binary_runtime_measurements", evidence.ima_log, err);
        return rc == 0 ? save(dir, "cmdline", evidence.cmdline, err) : rc;
}

static int talk(struct wire_link *link, const char *dir, struct err *err)
{
        struct agent_poweroff poweroff = {0};
        struct agent_hello hello = {0};
        int rc;

        rc = receive(link, agent_hello_code, &hello, sizeof(hello), err);
        if (rc == 0)
                rc = save_identity(link, dir, err);
        if (rc == 0)
                rc = save_evidence(link, dir, err);
        return rc == 0 ? wire_link_send(link, agent_poweroff_code, 3, 0, &poweroff, NULL, err) : rc;
}

int guest_boot(const char *image, const char *dir, struct err *err)
{
        CLEANUP(machine_done)
        struct machine machine = {.tpm = {.pidfd = -1}, .qemu = {.pidfd = -1}};
        AUTO_LINK struct wire_link *link = NULL;
        int fd = -1;
        int status;
        int rc;

        (void)snprintf(machine.dir, sizeof(machine.dir), "%s", dir);
        rc = fs_make_dir(dir, 0700, err);
        if (rc == 0)
                rc = start_machine(&machine, image, &fd, err);
        if (rc == 0)
                rc = wire_link_new(fd, &wire_agent_protocol, WIRE_CLIENT, &link, err);
        if (rc == 0)
                rc = talk(link, dir, err);
        if (rc == 0)
                rc = spawn_wait(&machine.qemu, STEP_SECONDS * 1000, &status, err);
        return rc < 0 ? err_wrap(err, "boot %s", image) : 0;
}
