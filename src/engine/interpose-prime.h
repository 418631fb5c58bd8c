/*
 * libtpms 0.9.2 spends nearly all of the time of an RSA-2048 key on the search for its primes: it
 * divides by each small prime through libcrypto's general numbers, and tests one candidate at a
 * time. Here the same search is made faster: the same candidates in the same order, sieved with
 * machine words and tested two at a time by Fermat's test, which libcrypto computes side by side
 * where the processor can. Only what passes is left to libtpms' own Miller-Rabin test, which has
 * the last word. The random numbers that libtpms would draw for each candidate are drawn, so the
 * same seed makes the same keys.
 *
 * Before its first use, and in a zygote before the first copy, the two searches are compared: with
 * a libtpms that searches otherwise this one switches itself off for good.
 */
#ifndef ENGINE_INTERPOSE_PRIME_H
#define ENGINE_INTERPOSE_PRIME_H

#include <stdbool.h>
#include <stdint.h>

#define INTERPOSE_PRIME_WORDS 16 /* of the primes of RSA-2048, the only ones searched here */

/* libtpms' numbers: the least significant word first. */
struct interpose_number {
        uint64_t allocated; /* words */
        uint64_t size;      /* words in use, the last of them not 0 */
        uint64_t words[INTERPOSE_PRIME_WORDS];
};

/* Computes its tables and compares now: before a fork that shall share both. A TPM must be on. */
void interpose_prime_warm_up(void);

/* Whether the faster search is in use; and, for tests, which one is. */
bool interpose_prime_is_used(void);
void interpose_prime_use(bool faster);

/*
 * The faster search alone, for an odd number of the full size: 0 and *number a prime, or libtpms'
 * code that there is none near. random is libtpms' generator, NULL the TPM's own.
 */
uint32_t interpose_prime_search(struct interpose_number *number, uint32_t exponent, void *random);

#endif
