#include "crypto/pkey.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "crypto/pkey-evp.h"

#define RSA_EXPONENT_MIN 65537

static const struct {
        const char *name;
        size_t size; /* bytes of a coordinate */
} curve_table[PKEY_CURVE_COUNT] = {
    [PKEY_P256] = {SN_X9_62_prime256v1, 32},
    [PKEY_P384] = {SN_secp384r1, 48},
    [PKEY_P521] = {SN_secp521r1, 66},
};

DEFINE_CLEANUP(BIGNUM *, BN_free)
DEFINE_CLEANUP(OSSL_PARAM_BLD *, OSSL_PARAM_BLD_free)
DEFINE_CLEANUP(OSSL_PARAM *, OSSL_PARAM_free)

int pkey_openssl_error(struct err *err, int code, const char *what)
{
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        ERR_clear_error();
        return err_set(err, code, "%s%s%s", what, reason == NULL ? "" : ": ",
                       reason == NULL ? "" : reason);
}

const char *pkey_curve_name(enum pkey_curve curve)
{
        return curve_table[curve].name;
}

size_t pkey_coordinate_size(enum pkey_curve curve)
{
        return curve_table[curve].size;
}

static int check_rsa(EVP_PKEY *evp, struct err *err)
{
        BIGNUM CLEANUP(BN_free_p) *e = NULL;
        int bits = EVP_PKEY_get_bits(evp);

        if (bits < PKEY_RSA_BITS_MIN || bits > PKEY_RSA_BITS_MAX)
                return err_set(err, ERR_UNSUPPORTED, "RSA key of %d bits", bits);
        if (EVP_PKEY_get_bn_param(evp, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
                return pkey_openssl_error(err, ERR_MALFORMED, "RSA key");
        if (!BN_is_odd(e) || (BN_num_bits(e) <= 17 && BN_get_word(e) < RSA_EXPONENT_MIN))
                return err_set(err, ERR_UNSUPPORTED, "RSA key with a weak public exponent");
        return 0;
}

static int check_ec(EVP_PKEY *evp, enum pkey_curve *ret_curve, struct err *err)
{
        char name[32];
        size_t len = 0;

        /* Explicit parameters have no name: nobody then vouches for the generator. */
        if (EVP_PKEY_get_group_name(evp, name, sizeof(name), &len) != 1)
                return pkey_openssl_error(err, ERR_UNSUPPORTED, "elliptic curve without a name");
        for (size_t i = 0; i < ARRAY_SIZE(curve_table); i++) {
                if (strcmp(curve_table[i].name, name) != 0)
                        continue;
                *ret_curve = (enum pkey_curve)i;
                return 0;
        }
        return err_set(err, ERR_UNSUPPORTED, "elliptic curve %s", name);
}

/* The mathematical checks: point on curve and of the right order, modulus composite. */
static int check_valid(EVP_PKEY *evp, struct err *err)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx =
            EVP_PKEY_CTX_new_from_pkey(NULL, evp, NULL);

        if (ctx == NULL)
                return pkey_openssl_error(err, ERR_NO_MEMORY, "key");
        if (EVP_PKEY_public_check(ctx) != 1)
                return pkey_openssl_error(err, ERR_MALFORMED, "public key is not valid");
        return 0;
}

static int check_key(EVP_PKEY *evp, struct pkey *key, struct err *err)
{
        int rc;

        if (EVP_PKEY_is_a(evp, "RSA") == 1) {
                key->type = PKEY_RSA;
                rc = check_rsa(evp, err);
        } else if (EVP_PKEY_is_a(evp, "EC") == 1) {
                key->type = PKEY_EC;
                rc = check_ec(evp, &key->curve, err);
        } else {
                return err_set(err, ERR_UNSUPPORTED, "key is neither RSA nor ECC");
        }
        return rc != 0 ? rc : check_valid(evp, err);
}

int pkey_from_evp(EVP_PKEY *evp, bool is_private, struct pkey **ret_key, struct err *err)
{
        EVP_PKEY CLEANUP(EVP_PKEY_free_p) *owned = evp;
        struct pkey AUTO_FREE *key = NULL;
        int rc;

        if (owned == NULL)
                return pkey_openssl_error(err, ERR_MALFORMED, "key cannot be decoded");
        key = calloc(1, sizeof(*key));
        if (key == NULL)
                return err_set(err, ERR_NO_MEMORY, "key");
        rc = check_key(owned, key, err);
        if (rc != 0)
                return rc;
        key->evp = TAKE(owned);
        key->is_private = is_private;
        atomic_init(&key->refs, 1);
        *ret_key = TAKE(key);
        return 0;
}

struct pkey *pkey_ref(struct pkey *key)
{
        if (key != NULL)
                atomic_fetch_add(&key->refs, 1);
        return key;
}

void pkey_free(struct pkey *key)
{
        if (key == NULL || atomic_fetch_sub(&key->refs, 1) != 1)
                return;
        EVP_PKEY_free(key->evp);
        free(key);
}

enum pkey_type pkey_type(const struct pkey *key)
{
        return key->type;
}

enum pkey_curve pkey_curve(const struct pkey *key)
{
        return key->curve;
}

bool pkey_is_private(const struct pkey *key)
{
        return key->is_private;
}

bool pkey_equal_public(const struct pkey *a, const struct pkey *b)
{
        bool equal = EVP_PKEY_eq(a->evp, b->evp) == 1;

        ERR_clear_error();
        return equal;
}

static EVP_PKEY *evp_from_params(const char *type, OSSL_PARAM *params)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx =
            EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        EVP_PKEY *evp = NULL;

        if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
            EVP_PKEY_fromdata(ctx, &evp, EVP_PKEY_PUBLIC_KEY, params) != 1)
                return NULL;
        return evp;
}

int pkey_new_rsa(struct bytes n, uint32_t e, struct pkey **ret_key, struct err *err)
{
        OSSL_PARAM_BLD CLEANUP(OSSL_PARAM_BLD_free_p) *builder = OSSL_PARAM_BLD_new();
        OSSL_PARAM CLEANUP(OSSL_PARAM_free_p) *params = NULL;
        BIGNUM CLEANUP(BN_free_p) *modulus = NULL;

        if (n.len == 0 || n.len > PKEY_RSA_SIZE_MAX)
                return err_set(err, ERR_UNSUPPORTED, "RSA modulus of %zu bytes", n.len);
        modulus = BN_bin2bn(n.data, (int)n.len, NULL);
        if (builder == NULL || modulus == NULL ||
            OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) != 1 ||
            OSSL_PARAM_BLD_push_uint32(builder, OSSL_PKEY_PARAM_RSA_E, e) != 1)
                return pkey_openssl_error(err, ERR_NO_MEMORY, "RSA key");
        params = OSSL_PARAM_BLD_to_param(builder);
        if (params == NULL)
                return pkey_openssl_error(err, ERR_NO_MEMORY, "RSA key");
        return pkey_from_evp(evp_from_params("RSA", params), false, ret_key, err);
}

/* Puts a number right-aligned into size bytes; false if it needs more. */
static bool put_padded(uint8_t *ret, size_t size, struct bytes number)
{
        while (number.len > size && number.data[0] == 0) {
                number.data++;
                number.len--;
        }
        if (number.len > size)
                return false;
        memset(ret, 0, size);
        if (number.len > 0)
                memcpy(ret + size - number.len, number.data, number.len);
        return true;
}

int pkey_new_ec(enum pkey_curve curve, struct bytes x, struct bytes y, struct pkey **ret_key,
                struct err *err)
{
        size_t size = pkey_coordinate_size(curve);
        uint8_t point[1 + 2 * PKEY_COORDINATE_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
        char name[32];
        OSSL_PARAM params[3];

        if (!put_padded(point + 1, size, x) || !put_padded(point + 1 + size, size, y))
                return err_set(err, ERR_MALFORMED, "coordinate is longer than the curve's");
        (void)snprintf(name, sizeof(name), "%s", pkey_curve_name(curve));
        params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0);
        params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size);
        params[2] = OSSL_PARAM_construct_end();
        return pkey_from_evp(evp_from_params("EC", params), false, ret_key, err);
}

int pkey_generate_ec(enum pkey_curve curve, struct pkey **ret_key, struct err *err)
{
        return pkey_from_evp(EVP_EC_gen(pkey_curve_name(curve)), true, ret_key, err);
}

int pkey_generate_rsa(unsigned bits, struct pkey **ret_key, struct err *err)
{
        if (bits < PKEY_RSA_BITS_MIN || bits > PKEY_RSA_BITS_MAX)
                return err_set(err, ERR_UNSUPPORTED, "RSA of %u bits", bits);
        return pkey_from_evp(EVP_RSA_gen(bits), true, ret_key, err);
}

int pkey_get_point(const struct pkey *key, struct pkey_point *ret_point, struct err *err)
{
        BIGNUM CLEANUP(BN_free_p) *x = NULL;
        BIGNUM CLEANUP(BN_free_p) *y = NULL;
        struct pkey_point point = {0};

        if (key->type != PKEY_EC)
                return err_set(err, ERR_USAGE, "an RSA key has no point");
        point.size = pkey_coordinate_size(key->curve);
        if (EVP_PKEY_get_bn_param(key->evp, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 ||
            EVP_PKEY_get_bn_param(key->evp, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1 ||
            BN_bn2binpad(x, point.x, (int)point.size) < 0 ||
            BN_bn2binpad(y, point.y, (int)point.size) < 0)
                return pkey_openssl_error(err, ERR_FAILED, "public point");
        *ret_point = point;
        return 0;
}
