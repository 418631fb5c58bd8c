#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#define SLOT_SIZE  SECRET_LEN_MAX
#define ARENA_SIZE ((size_t)SLOT_SIZE * SECRET_COUNT_MAX)

static struct {
        uint8_t *memory;
        struct secret slots[SECRET_COUNT_MAX];
        bool used[SECRET_COUNT_MAX];
        bool locked;
} arena;

/* The descriptor is closed at once: afterwards not even root can read the pages through it. */
static void *map_hidden(void)
{
        int AUTO_FD fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
        void *p;

        if (fd < 0 || ftruncate(fd, ARENA_SIZE) < 0)
                return NULL;
        p = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return p == MAP_FAILED ? NULL : p;
}

static int arena_open(struct err *err)
{
        void *p = map_hidden();

        arena.locked = p != NULL;
        if (p == NULL) {
                p = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0);
                if (p == MAP_FAILED)
                        return err_set_errno(err, errno, "map memory for keys");
                arena.locked = mlock(p, ARENA_SIZE) == 0;
        }
        if (madvise(p, ARENA_SIZE, MADV_DONTDUMP) < 0 ||
            madvise(p, ARENA_SIZE, MADV_DONTFORK) < 0) {
                int saved = errno;

                (void)munmap(p, ARENA_SIZE);
                return err_set_errno(err, saved, "protect memory for keys");
        }
        arena.memory = p;
        return 0;
}

int secret_new(size_t len, struct secret **ret_secret, struct err *err)
{
        int rc;

        if (len == 0 || len > SECRET_LEN_MAX)
                return err_set(err, ERR_LIMIT, "secret of %zu bytes", len);
        rc = arena.memory != NULL ? 0 : arena_open(err);
        if (rc != 0)
                return rc;
        for (size_t i = 0; i < SECRET_COUNT_MAX; i++) {
                if (arena.used[i])
                        continue;
                arena.used[i] = true;
                arena.slots[i].data = arena.memory + i * SLOT_SIZE;
                arena.slots[i].len = len;
                *ret_secret = &arena.slots[i];
                return 0;
        }
        return err_set(err, ERR_LIMIT, "more than %d secrets at once", SECRET_COUNT_MAX);
}

int secret_new_copy(const void *data, size_t len, struct secret **ret_secret, struct err *err)
{
        struct secret *secret = NULL;
        int rc = secret_new(len, &secret, err);

        if (rc != 0)
                return rc;
        memcpy(secret->data, data, len);
        *ret_secret = secret;
        return 0;
}

int secret_new_random(size_t len, struct secret **ret_secret, struct err *err)
{
        struct secret *secret = NULL;
        int rc = secret_new(len, &secret, err);

        if (rc != 0)
                return rc;
        /* Up to 256 bytes come whole and uninterrupted once the pool is ready (getrandom(2)). */
        if (getrandom(secret->data, len, 0) != (ssize_t)len) {
                rc = err_set_errno(err, errno, "getrandom");
                secret_free(secret);
                return rc;
        }
        *ret_secret = secret;
        return 0;
}

void secret_free(struct secret *secret)
{
        if (secret == NULL)
                return;
        explicit_bzero(secret->data, SLOT_SIZE);
        arena.used[secret - arena.slots] = false;
        secret->len = 0;
}

bool secret_equal(const void *a, const void *b, size_t n)
{
        const volatile uint8_t *p = a;
        const volatile uint8_t *q = b;
        uint8_t difference = 0;

        for (size_t i = 0; i < n; i++)
                difference |= (uint8_t)(p[i] ^ q[i]);
        return difference == 0;
}

bool secret_is_locked(void)
{
        return arena.locked;
}
