#include "crypto/ca.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/err.h>

#include "base/fs.h"
#include "crypto/ca-tpm.h"
#include "crypto/pkey-evp.h"
#include "crypto/x509-cert.h"

#define DAY         (INT64_C(24) * 60 * 60)
#define CLOCK_SKEW  300 /* seconds before now from which a certificate is valid */
#define SERIAL_BITS 159 /* positive and at most 20 bytes (RFC 5280, 4.1.2.2) */
#define PATH_SIZE   4096

struct ca {
        struct pkey *key;
        struct x509_cert *root;
};

DEFINE_CLEANUP(BIGNUM *, BN_free)
DEFINE_CLEANUP(X509_EXTENSION *, X509_EXTENSION_free)
DEFINE_CLEANUP(CERTIFICATEPOLICIES *, CERTIFICATEPOLICIES_free)

struct extension {
        int nid;
        const char *value; /* as in openssl-x509v3_config(5) */
};

/* What goes into a certificate beside its key. */
struct content {
        const char *name;
        int64_t not_before, not_after;
        const X509 *issuer; /* NULL: self-signed */
        const struct extension *extensions;
        size_t n_extensions;
        const char *policy; /* certificate policy, or NULL */
        const struct ca_tpm *tpm;
};

static bool name_is_good(const char *name)
{
        size_t len = strlen(name);

        return len > 0 && len <= CA_NAME_MAX &&
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                   len;
}

static int set_serial(X509 *x, struct err *err)
{
        BIGNUM CLEANUP(BN_free_p) *serial = BN_new();

        if (serial == NULL ||
            BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
            BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) == NULL)
                return pkey_openssl_error(err, ERR_FAILED, "serial number");
        return 0;
}

static int set_names(X509 *x, const struct content *content, struct err *err)
{
        X509_NAME *subject = X509_get_subject_name(x);
        const X509_NAME *issuer =
            content->issuer == NULL ? subject : X509_get_subject_name(content->issuer);

        if (X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
                                       (const uint8_t *)content->name, -1, -1, 0) != 1 ||
            X509_set_issuer_name(x, issuer) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "names of a certificate");
        return 0;
}

static int add_extensions(X509 *x, const struct content *content, struct err *err)
{
        X509V3_CTX ctx;

        X509V3_set_ctx_nodb(&ctx);
        X509V3_set_ctx(&ctx, content->issuer == NULL ? x : (X509 *)content->issuer, x, NULL, NULL,
                       0);
        for (size_t i = 0; i < content->n_extensions; i++) {
                X509_EXTENSION CLEANUP(X509_EXTENSION_free_p) *extension = X509V3_EXT_conf_nid(
                    NULL, &ctx, content->extensions[i].nid, content->extensions[i].value);

                if (extension == NULL || X509_add_ext(x, extension, -1) != 1)
                        return pkey_openssl_error(err, ERR_FAILED, "extension of a certificate");
        }
        return 0;
}

/* RFC 5280, 4.2.1.4: one policy, no qualifiers. OpenSSL's own words for it need a configuration. */
static int add_policy(X509 *x, const struct content *content, struct err *err)
{
        CERTIFICATEPOLICIES CLEANUP(CERTIFICATEPOLICIES_free_p) *list = NULL;
        POLICYINFO *info;

        if (content->policy == NULL)
                return 0;
        list = CERTIFICATEPOLICIES_new();
        info = POLICYINFO_new();
        if (list == NULL || info == NULL || sk_POLICYINFO_push(list, info) <= 0) {
                POLICYINFO_free(info);
                return pkey_openssl_error(err, ERR_NO_MEMORY, "policy of a certificate");
        }
        info->policyid = OBJ_txt2obj(content->policy, 1);
        if (info->policyid == NULL ||
            X509_add1_ext_i2d(x, NID_certificate_policies, list, 0, X509V3_ADD_DEFAULT) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "policy of a certificate");
        return 0;
}

static int make_cert(const struct content *content, const struct pkey *key,
                     const struct pkey *signer, struct x509_cert **ret_cert, struct err *err)
{
        X509 CLEANUP(X509_free_p) *x = X509_new();
        int rc;

        if (x == NULL || X509_set_version(x, X509_VERSION_3) != 1 ||
            X509_set_pubkey(x, key->evp) != 1 ||
            ASN1_TIME_set(X509_getm_notBefore(x), content->not_before) == NULL ||
            ASN1_TIME_set(X509_getm_notAfter(x), content->not_after) == NULL)
                return pkey_openssl_error(err, ERR_FAILED, "certificate");
        rc = set_serial(x, err);
        if (rc == 0)
                rc = set_names(x, content, err);
        if (rc == 0)
                rc = add_extensions(x, content, err);
        if (rc == 0)
                rc = add_policy(x, content, err);
        if (rc == 0 && content->tpm != NULL)
                rc = ca_tpm_add(x, content->tpm, err);
        if (rc != 0)
                return rc;
        if (X509_sign(x, signer->evp, EVP_sha256()) <= 0)
                return pkey_openssl_error(err, ERR_FAILED, "sign a certificate");
        return x509_wrap(TAKE(x), ret_cert, err);
}

static int write_cert(const char *dir, const struct x509_cert *cert, struct err *err)
{
        char AUTO_FREE *pem = NULL;
        char path[PATH_SIZE];
        int rc = x509_to_pem(cert, &pem, err);

        if (rc == 0)
                rc = fs_join(path, sizeof(path), dir, CA_CERT_FILE, err);
        return rc != 0 ? rc : fs_write_file(path, pem, strlen(pem), 0644, err);
}

static int make_root(const struct pkey *key, const char *name, unsigned days, int64_t now,
                     struct x509_cert **ret_cert, struct err *err)
{
        static const struct extension extensions[] = {
            {NID_basic_constraints, "critical,CA:TRUE,pathlen:1"},
            {NID_key_usage, "critical,keyCertSign,cRLSign"},
            {NID_subject_key_identifier, "hash"},
        };
        struct content content = {
            .name = name,
            .not_before = now - CLOCK_SKEW,
            .not_after = now + (int64_t)days * DAY,
            .extensions = extensions,
            .n_extensions = ARRAY_SIZE(extensions),
        };

        return make_cert(&content, key, key, ret_cert, err);
}

int ca_create(const char *dir, const char *name, unsigned days, int64_t now, struct err *err)
{
        struct pkey AUTO_PKEY *key = NULL;
        struct x509_cert AUTO_X509 *cert = NULL;
        char path[PATH_SIZE];
        int rc;

        if (!name_is_good(name) || days == 0 || days > CA_DAYS_MAX)
                return err_set(err, ERR_MALFORMED, "name or life of the CA");
        rc = fs_make_dir(dir, 0700, err);
        if (rc == 0)
                rc = fs_join(path, sizeof(path), dir, CA_KEY_FILE, err);
        if (rc != 0)
                return rc;
        if (access(path, F_OK) == 0 || errno != ENOENT)
                return err_set(err, ERR_CONFLICT, "there is a CA in %s", dir);
        rc = pkey_generate_ec(PKEY_P256, &key, err);
        if (rc == 0)
                rc = make_root(key, name, days, now, &cert, err);
        /* The certificate first: a key without one would look like a CA after a crash. */
        if (rc == 0)
                rc = write_cert(dir, cert, err);
        if (rc == 0)
                rc = pkey_save_private(key, path, err);
        return rc;
}

static int load_root(const char *dir, struct x509_cert **ret_cert, struct err *err)
{
        struct x509_list AUTO_X509_LIST list = {.n = 0};
        uint8_t AUTO_FREE *pem = NULL;
        char path[PATH_SIZE];
        size_t len = 0;
        int rc = fs_join(path, sizeof(path), dir, CA_CERT_FILE, err);

        if (rc == 0)
                rc = fs_read_file(path, X509_PEM_MAX, &pem, &len, err);
        if (rc == 0)
                rc = x509_list_from_pem((struct bytes){pem, len}, &list, err);
        if (rc != 0)
                return err_wrap(err, "CA %s", dir);
        *ret_cert = TAKE(list.certs[0]);
        return 0;
}

int ca_open(const char *dir, struct ca **ret_ca, struct err *err)
{
        struct ca AUTO_CA *ca = calloc(1, sizeof(*ca));
        struct pkey AUTO_PKEY *certified = NULL;
        char path[PATH_SIZE];
        int rc;

        if (ca == NULL)
                return err_set(err, ERR_NO_MEMORY, "CA");
        rc = fs_join(path, sizeof(path), dir, CA_KEY_FILE, err);
        if (rc == 0)
                rc = pkey_load_private(path, &ca->key, err);
        if (rc == 0)
                rc = load_root(dir, &ca->root, err);
        if (rc == 0)
                rc = x509_key(ca->root, &certified, err);
        if (rc != 0)
                return rc;
        if (!pkey_equal_public(certified, ca->key))
                return err_set(err, ERR_DAMAGED, "CA %s: certificate and key differ", dir);
        *ret_ca = TAKE(ca);
        return 0;
}

void ca_free(struct ca *ca)
{
        if (ca == NULL)
                return;
        pkey_free(ca->key);
        x509_free(ca->root);
        free(ca);
}

const struct x509_cert *ca_root(const struct ca *ca)
{
        return ca->root;
}

/* TCG EK credential profile 2.5, 3.2.12: an EK that decrypts, or one that agrees on a secret. */
static const char *usage_of(const struct ca_request *request)
{
        if (request->profile == X509_AK)
                return "critical,digitalSignature";
        return pkey_type(request->key) == PKEY_RSA ? "critical,keyEncipherment"
                                                   : "critical,keyAgreement";
}

/* The end of life that was asked for, or the root's when that comes first. */
static int end_of_life(const struct ca *ca, const struct ca_request *request, int64_t *ret_end,
                       struct err *err)
{
        struct x509_info root;
        int64_t end = request->now + (int64_t)request->days * DAY;
        int rc = x509_describe(ca->root, &root, err);

        if (rc != 0)
                return rc;
        if (request->now >= root.not_after)
                return err_set(err, ERR_FAILED, "the CA has expired");
        *ret_end = end < root.not_after ? end : root.not_after;
        return 0;
}

static int check_request(const struct ca_request *request, struct err *err)
{
        if (request->profile != X509_AK && request->profile != X509_EK)
                return err_set(err, ERR_USAGE, "the CA issues for AK and EK only");
        if (!name_is_good(request->name))
                return err_set(err, ERR_MALFORMED, "name for a certificate");
        if (request->residency && request->profile != X509_AK)
                return err_set(err, ERR_USAGE, "the residency of an AK only is certified");
        if (request->tpm != NULL && request->profile != X509_EK)
                return err_set(err, ERR_USAGE, "only an EK's certificate names a TPM");
        if (request->days == 0 || request->days > CA_DAYS_MAX)
                return err_set(err, ERR_USAGE, "a certificate for %u days", request->days);
        return 0;
}

int ca_issue(const struct ca *ca, const struct ca_request *request, struct x509_cert **ret_cert,
             struct err *err)
{
        char san[sizeof("DNS:") + CA_NAME_MAX];
        const struct extension extensions[] = {
            {NID_basic_constraints, "critical,CA:FALSE"},
            {NID_key_usage, usage_of(request)},
            {NID_ext_key_usage, request->profile == X509_AK ? X509_EKU_AK : X509_EKU_EK},
            {NID_subject_key_identifier, "hash"},
            {NID_authority_key_identifier, "keyid:always"},
            {NID_subject_alt_name, san}, /* the last: a TPM has another one */
        };
        struct content content = {
            .name = request->name,
            .not_before = request->now - CLOCK_SKEW,
            .issuer = ca->root->x,
            .extensions = extensions,
            .n_extensions = ARRAY_SIZE(extensions) - (request->tpm != NULL),
            .policy = request->residency ? X509_POLICY_RESIDENCY : NULL,
            .tpm = request->tpm,
        };
        int rc = check_request(request, err);

        if (rc == 0)
                rc = end_of_life(ca, request, &content.not_after, err);
        if (rc != 0)
                return rc;
        (void)snprintf(san, sizeof(san), "DNS:%s", request->name);
        return make_cert(&content, request->key, ca->key, ret_cert, err);
}
