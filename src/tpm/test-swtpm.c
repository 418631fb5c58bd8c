#include "tpm/test-swtpm.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tss2/tss2_mu.h>
#include <unistd.h>

#include "base/fd.h"
#include "tpm/esys.h"

static const char swtpm_path[] = "/usr/bin/swtpm";

static void run(int fd, const char *dir)
{
        char fd_text[16];
        char state[PATH_MAX + 8];
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)snprintf(fd_text, sizeof(fd_text), "%d", fd);
        (void)snprintf(state, sizeof(state), "dir=%s", dir);
        (void)fcntl(fd, F_SETFD, 0);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)execl(swtpm_path, "swtpm", "socket", "--tpm2", "--fd", fd_text, "--tpmstate", state,
                    "--flags", "not-need-init,startup-clear", (char *)NULL);
        _exit(127);
}

void test_swtpm_spawn(struct test_swtpm *t, const char *name)
{
        struct err err = {0};
        char dir[PATH_MAX];
        int pair[2];

        *t = (struct test_swtpm){.fd = -1};
        if (access(swtpm_path, X_OK) != 0) {
                print_message("no swtpm here\n");
                skip();
        }
        (void)snprintf(dir, sizeof(dir), "%s/%s", test_dir(), name);
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        t->pid = fork();
        assert_true(t->pid >= 0);
        if (t->pid == 0)
                run(pair[1], dir);
        fd_close(&pair[1]);
        t->fd = pair[0];
}

void test_swtpm_start(struct test_swtpm *t, const char *name)
{
        struct err err = {0};
        struct tpm_fd_options options = {.side_fd = -1};

        test_swtpm_spawn(t, name);
        options.fd = t->fd;
        assert_ok(tpm_open_fd(&options, &t->tpm, &err), &err);
        assert_ok(tpm_startup(t->tpm, &err), &err);
}

void test_swtpm_stop(struct test_swtpm *t)
{
        struct err err = {0};
        unsigned n = 99;

        if (t->tpm != NULL) {
                assert_ok(tpm_count_loaded(t->tpm, &n, &err), &err);
                assert_int_equal(n, 0);
                assert_ok(tpm_shutdown(t->tpm, &err), &err);
        }
        tpm_close(t->tpm);
        fd_close(&t->fd);
        (void)kill(t->pid, SIGTERM);
        assert_int_equal(waitpid(t->pid, NULL, 0), t->pid);
}

static void load_public(struct tpm *tpm, struct bytes public, struct loaded *ret_loaded)
{
        TPM2B_PUBLIC key = {0};
        size_t offset = 0;

        assert_int_equal(Tss2_MU_TPM2B_PUBLIC_Unmarshal(public.data, public.len, &offset, &key), 0);
        assert_int_equal(Esys_LoadExternal(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                           NULL, &key, ESYS_TR_RH_NULL, &ret_loaded->handle),
                         0);
}

void test_swtpm_make_credential(struct test_swtpm *t, struct bytes ek_public,
                                struct bytes key_public, struct test_credential *ret)
{
        ESYS_CONTEXT *esys = t->tpm->esys;
        struct loaded AUTO_LOADED ek = {t->tpm, ESYS_TR_NONE};
        struct loaded AUTO_LOADED key = {t->tpm, ESYS_TR_NONE};
        TPM2B_DIGEST credential = {.size = 32};
        TPM2B_NAME AUTO_ESYS *name = NULL;
        TPM2B_ID_OBJECT AUTO_ESYS *blob = NULL;
        TPM2B_ENCRYPTED_SECRET AUTO_ESYS *secret = NULL;

        memcpy(credential.buffer, TEST_CREDENTIAL, 32);
        load_public(t->tpm, ek_public, &ek);
        load_public(t->tpm, key_public, &key);
        assert_int_equal(Esys_TR_GetName(esys, key.handle, &name), 0);
        assert_int_equal(Esys_MakeCredential(esys, ek.handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                             ESYS_TR_NONE, &credential, name, &blob, &secret),
                         0);
        *ret = (struct test_credential){0};
        assert_int_equal(
            Tss2_MU_TPM2B_ID_OBJECT_Marshal(blob, ret->blob, sizeof(ret->blob), &ret->blob_len), 0);
        assert_int_equal(Tss2_MU_TPM2B_ENCRYPTED_SECRET_Marshal(
                             secret, ret->secret, sizeof(ret->secret), &ret->secret_len),
                         0);
}
