#include "engine/interpose.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static struct {
        uint8_t seed[INTERPOSE_SEED_SIZE];
        bool armed;
} diversion;

/* The linker turns libtpms' RAND_bytes() into this name. */
int __wrap_RAND_bytes(unsigned char *buf, int num);
int __wrap_TPMLIB_LogPrintf(const char *format, ...);
void __wrap_TPMLIB_LogPrintfA(unsigned indent, const char *format, ...);

void interpose_warm_up(void)
{
        uint8_t byte;

        if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_CIPHERS |
                                    OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                                NULL) != 1 ||
            RAND_priv_bytes(&byte, 1) != 1)
                abort();
}

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
