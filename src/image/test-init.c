/*
 * A stand-in for the agent in tests: keeps the contract of guest.h, then writes the logs to the
 * console in hexadecimal, "@name" before each and "@end" last, and powers off.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES 256

static void load_module(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
                printf("@failed %s\n", path);
        (void)close(fd);
}

static void run_program(const char *path)
{
        pid_t pid = fork();

        if (pid == 0) {
                (void)execl(path, path, (char *)NULL);
                _exit(127);
        }
        (void)waitpid(pid, NULL, 0);
}

static void for_each_line(const char *list, void (*act)(const char *path))
{
        char line[LINE_MAX_BYTES];
        FILE *f = fopen(list, "re");

        while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
                line[strcspn(line, "\n")] = '\0';
                act(line);
        }
        if (f != NULL)
                (void)fclose(f);
}

static void dump(const char *name, const char *path)
{
        unsigned char data[64];
        FILE *f = fopen(path, "re");
        size_t n;

        printf("@%s\n", name);
        while (f != NULL && (n = fread(data, 1, sizeof(data), f)) > 0) {
                for (size_t i = 0; i < n; i++)
                        printf("%02x", data[i]);
                printf("\n");
        }
        if (f != NULL)
                (void)fclose(f);
}

int main(void)
{
        (void)mount("proc", "/proc", "proc", 0, NULL);
        (void)mount("sys", "/sys", "sysfs", 0, NULL);
        (void)mount("dev", "/dev", "devtmpfs", 0, NULL);
        (void)mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
        for_each_line("/etc/catena/modules", load_module);
        for_each_line("/etc/catena/programs", run_program);
        dump("binary_bios_measurements", "/sys/kernel/security/tpm0/binary_bios_measurements");
        dump("binary_runtime_measurements", "/sys/kernel/security/ima/binary_runtime_measurements");
        dump("cmdline", "/proc/cmdline");
        for (int i = 0; i < 24; i++) {
                char path[64];

                (void)snprintf(path, sizeof(path), "/sys/class/tpm/tpm0/pcr-sha256/%d", i);
                dump("pcr", path);
        }
        printf("@end\n");
        (void)fflush(stdout);
        (void)reboot(RB_POWER_OFF);
        return 0;
}
