/* The calls replaced here are deprecated in OpenSSL 3 and are what libtpms uses. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "engine/interpose-sign.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/rsa.h>
#include <stdbool.h>

#include "base/macro.h"
#include "engine/rsa-factors.h"

/* The linker turns libtpms' calls of the functions into __wrap_..., and ours of __real_... back. */
EC_GROUP *__wrap_EC_GROUP_new_curve_GFp(const BIGNUM *p, const BIGNUM *a, const BIGNUM *b,
                                        BN_CTX *ctx);
EC_GROUP *__real_EC_GROUP_new_curve_GFp(const BIGNUM *p, const BIGNUM *a, const BIGNUM *b,
                                        BN_CTX *ctx);
int __wrap_EC_GROUP_set_generator(EC_GROUP *group, const EC_POINT *generator, const BIGNUM *order,
                                  const BIGNUM *cofactor);
int __real_EC_GROUP_set_generator(EC_GROUP *group, const EC_POINT *generator, const BIGNUM *order,
                                  const BIGNUM *cofactor);
EVP_PKEY_CTX *__wrap_EVP_PKEY_CTX_new(EVP_PKEY *pkey, ENGINE *engine);
EVP_PKEY_CTX *__real_EVP_PKEY_CTX_new(EVP_PKEY *pkey, ENGINE *engine);

/* ---- curves ---- */

static struct curve {
        int nid;
        EC_GROUP *group; /* NULL: not built, and then libtpms builds its own */
        BIGNUM *p;
        BIGNUM *a;
        BIGNUM *b;
} curves[] = {
    {.nid = NID_X9_62_prime256v1},
    {.nid = NID_secp384r1},
    {.nid = NID_secp521r1},
};

static bool curves_served;
static bool keys_served;

static void build_curve(struct curve *curve)
{
        EC_GROUP *group = EC_GROUP_new_by_curve_name(curve->nid);

        curve->p = BN_new();
        curve->a = BN_new();
        curve->b = BN_new();
        if (group != NULL && curve->p != NULL && curve->a != NULL && curve->b != NULL &&
            EC_GROUP_get_curve(group, curve->p, curve->a, curve->b, NULL) == 1)
                curve->group = group;
        else
                EC_GROUP_free(group);
}

void interpose_sign_warm_up(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(curves); i++)
                if (curves[i].p == NULL)
                        build_curve(&curves[i]);
}

EC_GROUP *__wrap_EC_GROUP_new_curve_GFp(const BIGNUM *p, const BIGNUM *a, const BIGNUM *b,
                                        BN_CTX *ctx)
{
        for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
                const struct curve *curve = &curves[i];

                if (curve->group != NULL && BN_cmp(curve->p, p) == 0 && BN_cmp(curve->a, a) == 0 &&
                    BN_cmp(curve->b, b) == 0) {
                        curves_served = true;
                        return EC_GROUP_dup(curve->group);
                }
        }
        return __real_EC_GROUP_new_curve_GFp(p, a, b, ctx);
}

/* Only groups from above have a name; setting what they have would compute it once more. */
int __wrap_EC_GROUP_set_generator(EC_GROUP *group, const EC_POINT *generator, const BIGNUM *order,
                                  const BIGNUM *cofactor)
{
        if (EC_GROUP_get_curve_name(group) != NID_undef) {
                if (order != NULL && cofactor != NULL &&
                    BN_cmp(EC_GROUP_get0_order(group), order) == 0 &&
                    BN_cmp(EC_GROUP_get0_cofactor(group), cofactor) == 0 &&
                    EC_POINT_cmp(group, EC_GROUP_get0_generator(group), generator, NULL) == 0)
                        return 1;
                EC_GROUP_set_curve_name(group, NID_undef);
        }
        return __real_EC_GROUP_set_generator(group, generator, order, cofactor);
}

/* ---- RSA keys ---- */

struct cached {
        RSA *rsa; /* as libtpms knows it, and its factors */
        EVP_PKEY *key;
};

static struct {
        struct cached list[INTERPOSE_KEYS_MAX]; /* the one used last comes first */
        size_t n;
} keys;

static void wipe(struct cached *cached)
{
        RSA_free(TAKE(cached->rsa));
        EVP_PKEY_free(TAKE(cached->key));
}

static EVP_PKEY *move_to_front(size_t i)
{
        const struct cached cached = keys.list[i];

        for (; i > 0; i--)
                keys.list[i] = keys.list[i - 1];
        keys.list[0] = cached;
        return cached.key;
}

static bool same_key(const RSA *a, const RSA *b)
{
        return BN_cmp(RSA_get0_n(a), RSA_get0_n(b)) == 0 &&
               BN_cmp(RSA_get0_e(a), RSA_get0_e(b)) == 0 &&
               BN_cmp(RSA_get0_d(a), RSA_get0_d(b)) == 0;
}

static EVP_PKEY *find(const RSA *rsa)
{
        for (size_t i = 0; i < keys.n; i++)
                if (same_key(keys.list[i].rsa, rsa))
                        return move_to_front(i);
        return NULL;
}

/* The same key with its factors; NULL: leave it as it is. */
static EVP_PKEY *complete(const RSA *rsa)
{
        struct cached cached = {.rsa = rsa_factors_complete(rsa)};

        if (cached.rsa != NULL)
                cached.key = rsa_factors_to_key(cached.rsa);
        if (cached.key == NULL) {
                wipe(&cached);
                return NULL;
        }
        if (keys.n == INTERPOSE_KEYS_MAX)
                wipe(&keys.list[--keys.n]);
        keys.list[keys.n] = cached;
        return move_to_front(keys.n++);
}

/* The context holds a reference of its own, so a key may be forgotten while one is in use. */
EVP_PKEY_CTX *__wrap_EVP_PKEY_CTX_new(EVP_PKEY *pkey, ENGINE *engine)
{
        const RSA *rsa =
            EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA ? EVP_PKEY_get0_RSA(pkey) : NULL;
        EVP_PKEY *better = NULL;

        if (rsa != NULL && RSA_get0_d(rsa) != NULL && RSA_get0_p(rsa) == NULL) {
                better = find(rsa);
                if (better == NULL)
                        better = complete(rsa);
                keys_served |= better != NULL;
        }
        return __real_EVP_PKEY_CTX_new(better != NULL ? better : pkey, engine);
}

void interpose_sign_forget(void)
{
        while (keys.n > 0)
                wipe(&keys.list[--keys.n]);
}

size_t interpose_sign_keys(void)
{
        return keys.n;
}

const char *interpose_sign_words(void)
{
        static const char *const words[2][2] = {{"nothing", "RSA keys"},
                                                {"curves", "curves and RSA keys"}};

        return words[curves_served][keys_served];
}
