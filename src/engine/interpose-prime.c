#include "engine/interpose-prime.h"

#include <openssl/bn.h>
#include <stddef.h>
#include <string.h>

#include "base/macro.h"

#define WORDS       INTERPOSE_PRIME_WORDS
#define WORD_BITS   64
#define FIELD_BITS  16384 /* odd numbers that are sieved at a time */
#define FIELD_START 105   /* 3 * 5 * 7: a field begins with a multiple of it */
#define PRIME_MAX   38891 /* the largest that candidates are divided by */
#define PRIMES_MAX  4200
#define SIDE        2 /* candidates that are tested side by side */

#define RC_FAILURE   0x101 /* TPM 2.0 Part 2, 6.6.3 */
#define RC_NO_RESULT 0x154

/* Internal to libtpms.a; random is its generator, NULL the TPM's own. */
int MillerRabin(struct interpose_number *number, void *random);
int BnGetRandomBits(struct interpose_number *number, size_t bits, void *random);

/* The linker turns libtpms' call of the function into __wrap_..., and ours of __real_... back. */
uint32_t __wrap_PrimeSelectWithSieve(struct interpose_number *number, uint32_t exponent,
                                     void *random);
uint32_t __real_PrimeSelectWithSieve(struct interpose_number *number, uint32_t exponent,
                                     void *random);

/* ---- small primes ---- */

static uint16_t primes[PRIMES_MAX]; /* from 3 on */
static size_t n_primes;

static void find_primes(void)
{
        static bool composite[PRIME_MAX + 1];

        for (uint32_t i = 3; i <= PRIME_MAX; i += 2) {
                if (composite[i])
                        continue;
                primes[n_primes++] = (uint16_t)i;
                for (uint32_t j = i * i; i < 256 && j <= PRIME_MAX; j += 2 * i)
                        composite[j] = true;
        }
}

static uint32_t remainder_of(const struct interpose_number *number, uint32_t divisor)
{
        uint64_t rest = 0;

        for (size_t i = WORDS; i-- > 0;) {
                rest = (rest << 32 | number->words[i] >> 32) % divisor;
                rest = (rest << 32 | (number->words[i] & UINT32_MAX)) % divisor;
        }
        return (uint32_t)rest;
}

/* ---- the field of candidates ---- */

struct search {
        struct interpose_number start;          /* odd */
        uint64_t field[FIELD_BITS / WORD_BITS]; /* bit i: start + 2 i has no small prime factor */
        uint32_t left;                          /* bits that are set */
        uint32_t first;                         /* chooses which is next */
        uint32_t exponent;
};

/* Each odd multiple of a prime, the first of which is reached from start in half its distance. */
static void strike_out(struct search *s, uint32_t prime, uint32_t rest)
{
        uint32_t at = prime - rest;

        if (rest == 0)
                at = 0;
        else if (at % 2 != 0)
                at += prime;
        for (at /= 2; at < FIELD_BITS; at += prime)
                s->field[at / WORD_BITS] &= ~(UINT64_C(1) << at % WORD_BITS);
}

/* One long division for as many primes as fit into a word. */
static void sieve(struct search *s)
{
        memset(s->field, 0xff, sizeof(s->field));
        for (size_t i = 0; i < n_primes;) {
                uint64_t product = primes[i];
                size_t end = i + 1;
                uint32_t rest;

                while (end < n_primes && product * primes[end] <= UINT32_MAX)
                        product *= primes[end++];
                rest = remainder_of(&s->start, (uint32_t)product);
                for (; i < end; i++)
                        strike_out(s, primes[i], rest % primes[i]);
        }
        s->left = 0;
        for (size_t i = 0; i < ARRAY_SIZE(s->field); i++)
                s->left += (uint32_t)__builtin_popcountll(s->field[i]);
}

static void begin(struct search *s, const struct interpose_number *number, uint32_t exponent)
{
        uint32_t back = remainder_of(number, FIELD_START);

        back += back % 2 != 0 ? FIELD_START : 0;
        s->start = *number;
        s->start.allocated = WORDS;
        s->exponent = exponent;
        s->first = (uint32_t)number->words[0] | 0x80000000U;
        for (size_t i = 0, borrow = back; borrow != 0 && i < WORDS; i++) {
                const uint64_t before = s->start.words[i];

                s->start.words[i] = before - borrow;
                borrow = before < borrow;
        }
        sieve(s);
}

/* The nth bit that is set, from 0 on; there are more than n. It is cleared. */
static uint32_t take_bit(struct search *s, uint32_t n)
{
        size_t i = 0;
        uint64_t word;

        for (uint32_t here; here = (uint32_t)__builtin_popcountll(s->field[i]), n >= here; i++)
                n -= here;
        for (word = s->field[i]; n > 0; n--)
                word &= word - 1;
        word &= -word;
        s->field[i] &= ~word;
        s->left--;
        return (uint32_t)(i * WORD_BITS) + (uint32_t)__builtin_ctzll(word);
}

/* 0 != (p - 1) mod e, and e is no factor. False: the field is used up. */
static bool next_candidate(struct search *s, struct interpose_number *ret_number)
{
        while (s->left > 0) {
                const uint32_t at = take_bit(s, s->first % s->left);
                uint64_t carry = 2 * (uint64_t)at;

                *ret_number = s->start;
                for (size_t i = 0; carry != 0 && i < WORDS; i++) {
                        ret_number->words[i] += carry;
                        carry = ret_number->words[i] < carry;
                }
                if (carry == 0 && remainder_of(ret_number, s->exponent) > 1)
                        return true;
        }
        return false;
}

/* ---- Fermat's test ---- */

struct power {
        BIGNUM *modulus;
        BIGNUM *exponent; /* modulus - 1 */
        BIGNUM *base;     /* modulus - 2: of full length, as computing side by side wants it */
        BIGNUM *result;
};

static bool power_init(struct power *power, const struct interpose_number *number, BN_CTX *ctx)
{
        power->modulus = BN_CTX_get(ctx);
        power->exponent = BN_CTX_get(ctx);
        power->base = BN_CTX_get(ctx);
        power->result = BN_CTX_get(ctx);
        return power->result != NULL &&
               BN_lebin2bn((const uint8_t *)number->words, (int)sizeof(number->words),
                           power->modulus) != NULL &&
               BN_copy(power->exponent, power->modulus) != NULL &&
               BN_sub_word(power->exponent, 1) == 1 &&
               BN_copy(power->base, power->exponent) != NULL && BN_sub_word(power->base, 1) == 1;
}

/* Where libcrypto fails nothing is known to be composite. */
static void test_candidates(const struct interpose_number numbers[SIDE], size_t n, BN_CTX *ctx,
                            bool ret_composite[SIDE])
{
        struct power powers[SIDE] = {0};
        bool done = true;

        BN_CTX_start(ctx);
        for (size_t i = 0; i < n; i++)
                done = done && power_init(&powers[i], &numbers[i], ctx);
        if (done && n == SIDE)
                done = BN_mod_exp_mont_consttime_x2(
                           powers[0].result, powers[0].base, powers[0].exponent, powers[0].modulus,
                           NULL, powers[1].result, powers[1].base, powers[1].exponent,
                           powers[1].modulus, NULL, ctx) == 1;
        else if (done && n > 0)
                done =
                    BN_mod_exp_mont_consttime(powers[0].result, powers[0].base, powers[0].exponent,
                                              powers[0].modulus, ctx, NULL) == 1;
        for (size_t i = 0; i < n; i++)
                ret_composite[i] = done && !BN_is_one(powers[i].result);
        BN_CTX_end(ctx);
}

/* ---- the search ---- */

/* What libtpms' first round of Miller-Rabin, which would find it composite, draws. */
static bool draw_base(const struct interpose_number *number, void *random)
{
        struct interpose_number base = {.allocated = WORDS};
        size_t i;

        do {
                if (BnGetRandomBits(&base, (size_t)WORDS * WORD_BITS, random) == 0)
                        return false;
                for (i = base.size; i < WORDS; i++)
                        base.words[i] = 0;
                for (i = WORDS - 1; i > 0 && base.words[i] == number->words[i]; i--)
                        ;
                /* number - 1 differs in the last bit alone. */
        } while (base.size == 0 || (base.size == 1 && base.words[0] <= 1) ||
                 base.words[i] >= number->words[i] - (i == 0));
        explicit_bzero(&base, sizeof(base));
        return true;
}

static uint32_t search(struct search *s, struct interpose_number *number, BN_CTX *ctx, void *random)
{
        struct interpose_number candidates[SIDE];
        bool composite[SIDE] = {false};
        size_t n;

        do {
                for (n = 0; n < SIDE && next_candidate(s, &candidates[n]); n++)
                        ;
                test_candidates(candidates, n, ctx, composite);
                for (size_t i = 0; i < n; i++) {
                        if (composite[i] && !draw_base(&candidates[i], random))
                                return RC_FAILURE;
                        if (composite[i] || MillerRabin(&candidates[i], random) == 0)
                                continue;
                        memcpy(number->words, candidates[i].words, sizeof(number->words));
                        explicit_bzero(candidates, sizeof(candidates));
                        return 0;
                }
        } while (n == SIDE);
        memcpy(number->words, s->start.words, sizeof(number->words));
        return RC_NO_RESULT;
}

uint32_t interpose_prime_search(struct interpose_number *number, uint32_t exponent, void *random)
{
        struct search s;
        BN_CTX *ctx = BN_CTX_new();
        uint32_t rc;

        if (ctx == NULL)
                return __real_PrimeSelectWithSieve(number, exponent, random);
        if (n_primes == 0)
                find_primes();
        begin(&s, number, exponent);
        rc = search(&s, number, ctx, random);
        BN_CTX_free(ctx);
        explicit_bzero(&s, sizeof(s));
        return rc;
}

/* ---- whether it is the same search ---- */

static enum { UNKNOWN, SAME, OTHER } comparison;

static void compare(void)
{
        /* As many bits as a prime of RSA-2048; the third candidate is the prime. */
        static const struct interpose_number sample = {
            WORDS, WORDS, {[0] = 0x0000000000000001, [WORDS - 1] = 0xc90fdaa22168c234}};
        struct interpose_number ours = sample;
        struct interpose_number theirs = sample;

        comparison = OTHER;
        if (__real_PrimeSelectWithSieve(&theirs, 65537, NULL) == 0 &&
            interpose_prime_search(&ours, 65537, NULL) == 0 && theirs.size == WORDS &&
            memcmp(ours.words, theirs.words, sizeof(ours.words)) == 0)
                comparison = SAME;
}

void interpose_prime_warm_up(void)
{
        if (comparison == UNKNOWN)
                compare();
}

bool interpose_prime_is_used(void)
{
        return comparison == SAME;
}

void interpose_prime_use(bool faster)
{
        comparison = faster ? SAME : OTHER;
}

uint32_t __wrap_PrimeSelectWithSieve(struct interpose_number *number, uint32_t exponent,
                                     void *random)
{
        const bool fits = number->size == WORDS && number->words[WORDS - 1] >> 63 != 0 &&
                          number->words[0] % 2 != 0 && exponent > PRIME_MAX;

        if (fits)
                interpose_prime_warm_up();
        return fits && comparison == SAME ? interpose_prime_search(number, exponent, random)
                                          : __real_PrimeSelectWithSieve(number, exponent, random);
}
