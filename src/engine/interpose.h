/*
 * What libtpms takes from libcrypto is replaced at link time (-Wl,--wrap=...): its random numbers
 * and its talk; its slow ways to sign in interpose-sign.h. OpenSSL's own draws are the kernel's,
 * too. Only these files of the engine may include OpenSSL's headers.
 */
#ifndef ENGINE_INTERPOSE_H
#define ENGINE_INTERPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define INTERPOSE_SEED_SIZE 48 /* what libtpms 0.9.2 draws, once, while it manufactures */

/*
 * Makes OpenSSL load all it needs now and never look for files: call it before the sandbox. From
 * here on all it draws comes from getrandom(2): its own generators notice a fork by the process'
 * number alone, which copies in namespaces of their own share (PROTOCOLS, Engines), and their state
 * would be five pages of each copy.
 */
void interpose_warm_up(void);

/*
 * From here on, until disarmed, the first draw of exactly INTERPOSE_SEED_SIZE bytes gets the seed.
 * Arm right before the manufacture and disarm right after, whatever its outcome; disarming wipes
 * the seed and tells whether it was used.
 */
void interpose_seed_arm(const uint8_t seed[INTERPOSE_SEED_SIZE]);
bool interpose_seed_disarm(void);

/*
 * libtpms' notion of real time, by which it tells how long a TPM was parked, is a clock that nobody
 * can set: the time since the host's boot, or from here on the TCB's, in milliseconds. So a changed
 * system clock heals no dictionary-attack lockout (PROTOCOLS, Engines).
 */
void interpose_set_clock(uint64_t msec);

/* n bytes from getrandom(2). The process aborts when the kernel gives none (PROTOCOLS, Engines). */
void interpose_random(void *data, size_t n);

#endif
