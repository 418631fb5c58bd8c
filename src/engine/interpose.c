/* Where OpenSSL draws from can only be replaced with a function that it calls deprecated. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "engine/interpose.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "engine/interpose-sign.h"

static struct {
        uint8_t seed[INTERPOSE_SEED_SIZE];
        bool armed;
} diversion;

/* The linker turns libtpms' RAND_bytes() into this name. */
int __wrap_RAND_bytes(unsigned char *buf, int num);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time);
int __real_clock_gettime(clockid_t id, struct timespec *ret_time);
int __wrap_TPMLIB_LogPrintf(const char *format, ...);
void __wrap_TPMLIB_LogPrintfA(unsigned indent, const char *format, ...);

/* ---- OpenSSL's own draws ---- */

static int draw(unsigned char *buf, int num)
{
        if (num < 0)
                return 0;
        interpose_random(buf, (size_t)num);
        return 1;
}

static int always_ready(void)
{
        return 1;
}

static const RAND_METHOD kernel = {.bytes = draw, .pseudorand = draw, .status = always_ready};

void interpose_warm_up(void)
{
        uint8_t byte;

        if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_CIPHERS |
                                    OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                                NULL) != 1 ||
            RAND_set_rand_method(&kernel) != 1 || RAND_priv_bytes(&byte, 1) != 1)
                abort();
        interpose_sign_warm_up();
}

/* ---- libtpms' draws ---- */

void interpose_seed_arm(const uint8_t seed[INTERPOSE_SEED_SIZE])
{
        memcpy(diversion.seed, seed, sizeof(diversion.seed));
        diversion.armed = true;
}

bool interpose_seed_disarm(void)
{
        const bool used = !diversion.armed;

        explicit_bzero(&diversion, sizeof(diversion));
        return used;
}

void interpose_random(void *data, size_t n)
{
        uint8_t *p = data;

        while (n > 0) {
                ssize_t k = getrandom(p, n, 0);

                if (k < 0 && errno == EINTR)
                        continue;
                /* Without this libtpms would fall back to rand(3). */
                if (k <= 0)
                        abort();
                p += k;
                n -= (size_t)k;
        }
}

int __wrap_RAND_bytes(unsigned char *buf, int num)
{
        if (num < 0)
                abort();
        if (diversion.armed && num == INTERPOSE_SEED_SIZE) {
                memcpy(buf, diversion.seed, sizeof(diversion.seed));
                diversion.armed = false;
                return 1;
        }
        interpose_random(buf, (size_t)num);
        return 1;
}

static int64_t clock_ahead; /* of the time since boot, in milliseconds */

static int64_t boot_clock(void)
{
        struct timespec now = {0};

        (void)__real_clock_gettime(CLOCK_BOOTTIME, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void interpose_set_clock(uint64_t msec)
{
        clock_ahead = (int64_t)(msec & INT64_MAX) - boot_clock();
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time)
{
        int64_t msec;

        if (id != CLOCK_REALTIME)
                return __real_clock_gettime(id, ret_time);
        msec = boot_clock() + clock_ahead;
        *ret_time = (struct timespec){.tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000};
        return 0;
}

/* libtpms quotes the command that made it fail, with its authorisation values: not to any log. */
int __wrap_TPMLIB_LogPrintf(const char *format, ...)
{
        (void)format;
        return 0;
}

void __wrap_TPMLIB_LogPrintfA(unsigned indent, const char *format, ...)
{
        (void)indent;
        (void)format;
}
