/* As in interpose-sign.c: libtpms' keys are of this kind. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "engine/rsa-factors.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

#define NUMBER_MAX 512 /* bytes; libtpms has RSA-3072 at most */
#define NUMBERS    8

/* All BIGNUMs of a search; from a BN_CTX, which wipes them when it is freed. */
struct search {
        BN_CTX *ctx;
        const BIGNUM *n;
        BIGNUM *k;
        BIGNUM *phi;
        BIGNUM *sum;
        BIGNUM *square;
        BIGNUM *root;
        BIGNUM *rest;
        BIGNUM *p;
        BIGNUM *q;
};

static bool search_init(struct search *s, const BIGNUM *n)
{
        BIGNUM **const all[] = {&s->k,    &s->phi,  &s->sum, &s->square,
                                &s->root, &s->rest, &s->p,   &s->q};

        *s = (struct search){.ctx = BN_CTX_new(), .n = n};
        if (s->ctx == NULL)
                return false;
        BN_CTX_start(s->ctx);
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                *all[i] = BN_CTX_get(s->ctx);
                if (*all[i] == NULL)
                        return false;
                BN_set_flags(*all[i], BN_FLG_CONSTTIME);
        }
        return true;
}

static void search_done(struct search *s)
{
        if (s->ctx != NULL)
                BN_CTX_end(s->ctx);
        BN_CTX_free(s->ctx);
}

/*
 * e d - 1 = k phi with k < e, and phi is short of n by far less than n / k: so k is the quotient
 * by n, plus one.
 */
static bool find_phi(struct search *s, const BIGNUM *e, const BIGNUM *d)
{
        return BN_mul(s->square, e, d, s->ctx) == 1 && BN_sub_word(s->square, 1) == 1 &&
               BN_div(s->k, NULL, s->square, s->n, s->ctx) == 1 && BN_add_word(s->k, 1) == 1 &&
               BN_div(s->phi, s->rest, s->square, s->k, s->ctx) == 1 && BN_is_zero(s->rest);
}

/* root = the integer part of the square root of square, by Newton's method from above. */
static bool find_root(struct search *s)
{
        int bits = BN_num_bits(s->square) / 2 + 1;

        if (BN_set_word(s->root, 1) != 1 || BN_lshift(s->root, s->root, bits) != 1)
                return false;
        /* Each step halves the distance at least. */
        for (int i = 0; i <= bits; i++) {
                if (BN_div(s->rest, NULL, s->square, s->root, s->ctx) != 1 ||
                    BN_add(s->rest, s->rest, s->root) != 1 || BN_rshift1(s->rest, s->rest) != 1)
                        return false;
                if (BN_cmp(s->rest, s->root) >= 0)
                        return true;
                if (BN_copy(s->root, s->rest) == NULL)
                        return false;
        }
        return false;
}

/* p and q are the roots of x^2 - (n - phi + 1) x + n. */
static bool find_factors(struct search *s)
{
        if (BN_sub(s->sum, s->n, s->phi) != 1 || BN_add_word(s->sum, 1) != 1 ||
            BN_sqr(s->square, s->sum, s->ctx) != 1 || BN_lshift(s->rest, s->n, 2) != 1 ||
            BN_sub(s->square, s->square, s->rest) != 1 || BN_is_negative(s->square) ||
            BN_is_zero(s->square) || !find_root(s))
                return false;
        return BN_add(s->p, s->sum, s->root) == 1 && BN_rshift1(s->p, s->p) == 1 &&
               BN_sub(s->q, s->sum, s->p) == 1 && !BN_is_one(s->q) && !BN_is_negative(s->q) &&
               BN_mul(s->rest, s->p, s->q, s->ctx) == 1 && BN_cmp(s->rest, s->n) == 0;
}

static BIGNUM *secret_new(void)
{
        BIGNUM *number = BN_new();

        if (number != NULL)
                BN_set_flags(number, BN_FLG_CONSTTIME);
        return number;
}

static BIGNUM *secret_copy(const BIGNUM *from)
{
        BIGNUM *copy = BN_dup(from);

        if (copy != NULL)
                BN_set_flags(copy, BN_FLG_CONSTTIME);
        return copy;
}

static bool set_key(RSA *whole, const RSA *rsa)
{
        BIGNUM *n = BN_dup(RSA_get0_n(rsa));
        BIGNUM *e = BN_dup(RSA_get0_e(rsa));
        BIGNUM *d = secret_copy(RSA_get0_d(rsa));

        if (n != NULL && e != NULL && d != NULL && RSA_set0_key(whole, n, e, d) == 1)
                return true;
        BN_free(n);
        BN_free(e);
        BN_clear_free(d);
        return false;
}

static bool set_factors(RSA *whole, const struct search *s)
{
        BIGNUM *p = secret_copy(s->p);
        BIGNUM *q = secret_copy(s->q);

        if (p != NULL && q != NULL && RSA_set0_factors(whole, p, q) == 1)
                return true;
        BN_clear_free(p);
        BN_clear_free(q);
        return false;
}

static bool set_remainders(RSA *whole, struct search *s)
{
        const BIGNUM *d = RSA_get0_d(whole);
        BIGNUM *dp = secret_new();
        BIGNUM *dq = secret_new();
        BIGNUM *inverse = NULL;

        if (dp != NULL && dq != NULL && BN_sub(s->rest, s->p, BN_value_one()) == 1 &&
            BN_mod(dp, d, s->rest, s->ctx) == 1 && BN_sub(s->rest, s->q, BN_value_one()) == 1 &&
            BN_mod(dq, d, s->rest, s->ctx) == 1)
                inverse = BN_mod_inverse(NULL, s->q, s->p, s->ctx);
        if (inverse != NULL && RSA_set0_crt_params(whole, dp, dq, inverse) == 1)
                return true;
        BN_clear_free(dp);
        BN_clear_free(dq);
        BN_clear_free(inverse);
        return false;
}

RSA *rsa_factors_complete(const RSA *rsa)
{
        struct search s;
        RSA *whole = RSA_new();
        bool done = search_init(&s, RSA_get0_n(rsa)) && whole != NULL &&
                    find_phi(&s, RSA_get0_e(rsa), RSA_get0_d(rsa)) && find_factors(&s) &&
                    set_key(whole, rsa) && set_factors(whole, &s) && set_remainders(whole, &s);

        search_done(&s);
        if (done)
                return whole;
        RSA_free(whole);
        return NULL;
}

EVP_PKEY *rsa_factors_to_key(const RSA *whole)
{
        const struct {
                const char *name;
                const BIGNUM *number;
        } rows[NUMBERS] = {
            {OSSL_PKEY_PARAM_RSA_N, RSA_get0_n(whole)},
            {OSSL_PKEY_PARAM_RSA_E, RSA_get0_e(whole)},
            {OSSL_PKEY_PARAM_RSA_D, RSA_get0_d(whole)},
            {OSSL_PKEY_PARAM_RSA_FACTOR1, RSA_get0_p(whole)},
            {OSSL_PKEY_PARAM_RSA_FACTOR2, RSA_get0_q(whole)},
            {OSSL_PKEY_PARAM_RSA_EXPONENT1, RSA_get0_dmp1(whole)},
            {OSSL_PKEY_PARAM_RSA_EXPONENT2, RSA_get0_dmq1(whole)},
            {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, RSA_get0_iqmp(whole)},
        };
        uint8_t memory[NUMBERS][NUMBER_MAX];
        OSSL_PARAM params[NUMBERS + 1];
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        EVP_PKEY *key = NULL;
        bool fits = ctx != NULL;

        for (size_t i = 0; i < NUMBERS; i++) {
                const int len = BN_num_bytes(rows[i].number);

                fits = fits && len <= NUMBER_MAX &&
                       BN_bn2nativepad(rows[i].number, memory[i], len) == len;
                params[i] = OSSL_PARAM_construct_BN(rows[i].name, memory[i], (size_t)len);
        }
        params[NUMBERS] = OSSL_PARAM_construct_end();
        if (fits && EVP_PKEY_fromdata_init(ctx) == 1)
                (void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
        OPENSSL_cleanse(memory, sizeof(memory));
        EVP_PKEY_CTX_free(ctx);
        return key;
}
