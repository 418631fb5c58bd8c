/* The check of a certificate: path by OpenSSL, profile by the table below. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "crypto/pkey-evp.h"
#include "crypto/x509-cert.h"

#define SECURITY_LEVEL 2 /* 112 bits: RSA-2048, SHA-256; no SHA-1 signatures */

DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)
DEFINE_CLEANUP(EXTENDED_KEY_USAGE *, EXTENDED_KEY_USAGE_free)

static inline void stack_free_p(STACK_OF(X509) * *stack)
{
        sk_X509_free(*stack);
}

struct profile {
        const char *name;
        const char *eku; /* NULL: none is asked for */
        bool is_ca;
        uint32_t usage_any; /* at least one of these */
        uint32_t usage_not; /* none of these */
};

static const struct profile profiles[X509_PROFILES] = {
    /* TCG EK credential profile 2.5, 3.2.12: keyEncipherment for RSA, keyAgreement for ECC. */
    [X509_EK] = {"EK", X509_EKU_EK, false, KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT,
                 KU_KEY_CERT_SIGN | KU_CRL_SIGN | KU_DIGITAL_SIGNATURE},
    [X509_AK] = {"AK", X509_EKU_AK, false, KU_DIGITAL_SIGNATURE,
                 KU_KEY_CERT_SIGN | KU_CRL_SIGN | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT},
    [X509_CA] = {"CA", NULL, true, KU_KEY_CERT_SIGN, KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT},
};

static int refuse(struct err *err, const char *why)
{
        return err_set(err, ERR_NOT_TRUSTED, "certificate: %s", why);
}

static bool has_eku(const X509 *x, const char *oid)
{
        EXTENDED_KEY_USAGE CLEANUP(EXTENDED_KEY_USAGE_free_p) *list =
            X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);

        for (int i = 0; list != NULL && i < sk_ASN1_OBJECT_num(list); i++) {
                char text[64];

                if (OBJ_obj2txt(text, sizeof(text), sk_ASN1_OBJECT_value(list, i), 1) > 0 &&
                    strcmp(text, oid) == 0)
                        return true;
        }
        return false;
}

/*
 * RFC 5280, 4.1.2.6: an empty subject needs a critical SAN. A critical SAN that holds only a
 * directory name is fine: real EK certificates are like that.
 */
static int check_subject(X509 *x, struct err *err)
{
        int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);

        if (X509_NAME_entry_count(X509_get_subject_name(x)) > 0)
                return 0;
        if (at < 0)
                return refuse(err, "neither subject nor alternative name");
        if (X509_EXTENSION_get_critical(X509_get_ext(x, at)) != 1)
                return refuse(err, "empty subject and the alternative name is not critical");
        return 0;
}

static int check_profile(X509 *x, enum x509_profile which, struct err *err)
{
        const struct profile *profile = &profiles[which];
        uint32_t usage = X509_get_key_usage(x);

        if (X509_get_version(x) != X509_VERSION_3)
                return refuse(err, "not version 3");
        if ((X509_get_extension_flags(x) & EXFLAG_INVALID) != 0)
                return refuse(err, "an extension is malformed or there twice");
        if (((X509_get_extension_flags(x) & EXFLAG_CA) != 0) != profile->is_ca)
                return refuse(err, profile->is_ca ? "no CA" : "a CA where a key's own was wanted");
        if ((X509_get_extension_flags(x) & EXFLAG_KUSAGE) == 0)
                return refuse(err, "no key usage");
        if ((usage & profile->usage_any) == 0 || (usage & profile->usage_not) != 0)
                return refuse(err, "wrong key usage");
        if (profile->eku != NULL && !has_eku(x, profile->eku))
                return err_set(err, ERR_NOT_TRUSTED, "certificate: no extended key usage %s (%s)",
                               profile->eku, profile->name);
        return check_subject(x, err);
}

static int check_key(const struct x509_check *check, struct err *err)
{
        struct pkey AUTO_PKEY *key = NULL;
        int rc = x509_key(check->leaf, &key, err);

        if (rc != 0)
                return err_set(err, ERR_NOT_TRUSTED, "certificate: its key is not acceptable");
        if (check->key != NULL && !pkey_equal_public(key, check->key))
                return refuse(err, "made for another key");
        return 0;
}

static X509_STORE *store_of(const struct x509_list *roots)
{
        X509_STORE CLEANUP(X509_STORE_free_p) *store = X509_STORE_new();

        for (size_t i = 0; store != NULL && roots != NULL && i < roots->n; i++)
                if (X509_STORE_add_cert(store, roots->certs[i]->x) != 1)
                        return NULL;
        return TAKE(store);
}

static STACK_OF(X509) * stack_of(const struct x509_list *others)
{
        STACK_OF(X509) *stack = sk_X509_new_null();

        for (size_t i = 0; stack != NULL && others != NULL && i < others->n; i++) {
                if (sk_X509_push(stack, others->certs[i]->x) <= 0) {
                        sk_X509_free(stack);
                        return NULL;
                }
        }
        return stack;
}

static int check_path(const struct x509_check *check, struct err *err)
{
        X509_STORE CLEANUP(X509_STORE_free_p) *store = store_of(check->roots);
        STACK_OF(X509) CLEANUP(stack_free_p) *others = stack_of(check->others);
        X509_STORE_CTX CLEANUP(X509_STORE_CTX_free_p) *ctx = X509_STORE_CTX_new();
        X509_VERIFY_PARAM *param;

        if (store == NULL || others == NULL || ctx == NULL ||
            X509_STORE_CTX_init(ctx, store, check->leaf->x, others) != 1)
                return pkey_openssl_error(err, ERR_NO_MEMORY, "certificate check");
        param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_time(param, check->now);
        X509_VERIFY_PARAM_set_depth(param, X509_PATH_MAX - 2);
        X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
        if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CHECK_SS_SIGNATURE) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "certificate check");
        if (X509_verify_cert(ctx) == 1 && X509_STORE_CTX_get_error(ctx) == X509_V_OK)
                return 0;
        ERR_clear_error();
        return refuse(err, X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
}

int x509_verify(const struct x509_check *check, struct err *err)
{
        int rc;

        if (check->roots == NULL || check->roots->n == 0)
                return refuse(err, "no root is trusted");
        rc = check_path(check, err);
        if (rc == 0)
                rc = check_profile(check->leaf->x, check->profile, err);
        if (rc == 0)
                rc = check_key(check, err);
        return rc;
}
