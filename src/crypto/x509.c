#include "crypto/x509.h"

#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/hex.h"
#include "crypto/pkey-evp.h"
#include "crypto/x509-cert.h"

DEFINE_CLEANUP(BIGNUM *, BN_free)

int x509_wrap(X509 *x, struct x509_cert **ret_cert, struct err *err)
{
        struct x509_cert *cert;

        if (x == NULL)
                return pkey_openssl_error(err, ERR_MALFORMED, "certificate");
        cert = calloc(1, sizeof(*cert));
        if (cert == NULL) {
                X509_free(x);
                return err_set(err, ERR_NO_MEMORY, "certificate");
        }
        cert->x = x;
        *ret_cert = cert;
        return 0;
}

void x509_free(struct x509_cert *cert)
{
        if (cert == NULL)
                return;
        X509_free(cert->x);
        free(cert);
}

void x509_list_done(struct x509_list *list)
{
        for (size_t i = 0; i < list->n; i++)
                x509_free(list->certs[i]);
        list->n = 0;
}

/* Decodes the certificate at the start of der; *ret_used is how long it was. */
static int decode_first(struct bytes der, struct x509_cert **ret_cert, size_t *ret_used,
                        struct err *err)
{
        const uint8_t *p = der.data;
        int rc;

        if (der.len == 0 || der.len > X509_DER_MAX)
                return err_set(err, ERR_MALFORMED, "certificate of %zu bytes", der.len);
        rc = x509_wrap(d2i_X509(NULL, &p, (long)der.len), ret_cert, err);
        if (rc == 0)
                *ret_used = (size_t)(p - der.data);
        return rc;
}

int x509_from_der(struct bytes der, struct x509_cert **ret_cert, struct err *err)
{
        struct x509_cert AUTO_X509 *cert = NULL;
        size_t used = 0;
        int rc = decode_first(der, &cert, &used, err);

        if (rc == 0 && used != der.len)
                return err_set(err, ERR_MALFORMED, "bytes after the certificate");
        if (rc == 0)
                *ret_cert = TAKE(cert);
        return rc;
}

int x509_from_padded_der(struct bytes der, struct x509_cert **ret_cert, struct err *err)
{
        struct x509_cert AUTO_X509 *cert = NULL;
        size_t used = 0;
        int rc = decode_first(der, &cert, &used, err);

        if (rc != 0)
                return rc;
        for (size_t i = used; i < der.len; i++)
                if ((der.data[i] != 0x00 && der.data[i] != 0xff) || der.data[i] != der.data[used])
                        return err_set(err, ERR_MALFORMED,
                                       "after the certificate stands more than padding");
        *ret_cert = TAKE(cert);
        return 0;
}

static const char pem_begin[] = "-----BEGIN CERTIFICATE-----";
static const char pem_end[] = "-----END CERTIFICATE-----";

static size_t skip_space(struct bytes text, size_t at)
{
        while (at < text.len && memchr(" \t\r\n", text.data[at], 4) != NULL)
                at++;
        return at;
}

/* One certificate of the list: from its BEGIN line to the end of its END line. */
static int next_pem(struct bytes pem, size_t *at, struct x509_cert **ret_cert, struct err *err)
{
        BIO CLEANUP(BIO_free_p) *bio = NULL;
        const uint8_t *start = pem.data + *at;
        size_t left = pem.len - *at;
        const uint8_t *end;

        if (left < sizeof(pem_begin) || memcmp(start, pem_begin, sizeof(pem_begin) - 1) != 0)
                return err_set(err, ERR_MALFORMED, "no certificate in PEM at offset %zu", *at);
        end = memmem(start, left, pem_end, sizeof(pem_end) - 1);
        if (end == NULL)
                return err_set(err, ERR_MALFORMED, "PEM at offset %zu has no end", *at);
        end += sizeof(pem_end) - 1;
        bio = BIO_new_mem_buf(start, (int)(end - start));
        if (bio == NULL)
                return pkey_openssl_error(err, ERR_NO_MEMORY, "PEM");
        *at += (size_t)(end - start);
        return x509_wrap(PEM_read_bio_X509(bio, NULL, NULL, NULL), ret_cert, err);
}

int x509_list_from_pem(struct bytes pem, struct x509_list *ret_list, struct err *err)
{
        struct x509_list AUTO_X509_LIST list = {.n = 0};
        size_t at = skip_space(pem, 0);

        if (pem.len > X509_PEM_MAX)
                return err_set(err, ERR_LIMIT, "PEM of %zu bytes", pem.len);
        do {
                int rc;

                if (list.n == X509_CERTS_MAX)
                        return err_set(err, ERR_LIMIT, "more than %d certificates", X509_CERTS_MAX);
                rc = next_pem(pem, &at, &list.certs[list.n], err);
                if (rc != 0)
                        return rc;
                list.n++;
                at = skip_space(pem, at);
        } while (at < pem.len);
        *ret_list = list;
        list.n = 0;
        return 0;
}

int x509_key(const struct x509_cert *cert, struct pkey **ret_key, struct err *err)
{
        return pkey_from_evp(X509_get_pubkey(cert->x), false, ret_key, err);
}

int x509_to_der(const struct x509_cert *cert, uint8_t **ret_der, size_t *ret_len, struct err *err)
{
        uint8_t *memory;
        uint8_t *end;
        const int len = i2d_X509(cert->x, NULL);

        if (len <= 0)
                return pkey_openssl_error(err, ERR_FAILED, "certificate to DER");
        memory = malloc((size_t)len);
        if (memory == NULL)
                return err_set(err, ERR_NO_MEMORY, "certificate");
        end = memory;
        (void)i2d_X509(cert->x, &end);
        *ret_der = memory;
        *ret_len = (size_t)len;
        return 0;
}

int x509_to_pem(const struct x509_cert *cert, char **ret_pem, struct err *err)
{
        BIO CLEANUP(BIO_free_p) *bio = BIO_new(BIO_s_mem());
        char *data = NULL, *pem;
        long len;

        if (bio == NULL || PEM_write_bio_X509(bio, cert->x) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "certificate to PEM");
        len = BIO_get_mem_data(bio, &data);
        pem = len > 0 ? strndup(data, (size_t)len) : NULL;
        if (pem == NULL)
                return err_set(err, ERR_NO_MEMORY, "certificate to PEM");
        *ret_pem = pem;
        return 0;
}

static int name_to_text(const X509_NAME *name, char *ret_text, struct err *err)
{
        BIO CLEANUP(BIO_free_p) *bio = BIO_new(BIO_s_mem());
        char *data = NULL;
        long len;

        if (bio == NULL || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0)
                return pkey_openssl_error(err, ERR_MALFORMED, "name in a certificate");
        len = BIO_get_mem_data(bio, &data);
        if (len < 0 || len >= X509_NAME_MAX)
                return err_set(err, ERR_LIMIT, "name of %ld bytes in a certificate", len);
        if (len > 0)
                memcpy(ret_text, data, (size_t)len);
        ret_text[len] = '\0';
        return 0;
}

static int time_to_seconds(const ASN1_TIME *time, int64_t *ret_seconds, struct err *err)
{
        struct tm tm = {0};

        if (ASN1_TIME_to_tm(time, &tm) != 1)
                return pkey_openssl_error(err, ERR_MALFORMED, "time in a certificate");
        *ret_seconds = timegm(&tm);
        return 0;
}

static int describe_serial(const X509 *x, char *ret_text, struct err *err)
{
        BIGNUM CLEANUP(BN_free_p) *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
        uint8_t bytes[20];
        int n = serial == NULL ? -1 : BN_num_bytes(serial);

        if (n < 0 || n > (int)sizeof(bytes))
                return err_set(err, ERR_MALFORMED, "serial number of a certificate");
        (void)BN_bn2bin(serial, bytes);
        (void)hex_encode(bytes, (size_t)n, ret_text);
        return 0;
}

/* The name must be there once at most and hold no NUL: then text and bytes are one. */
static int describe_common_name(const X509 *x, char *ret_text, struct err *err)
{
        X509_NAME *name = X509_get_subject_name(x);
        int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
        uint8_t *utf8 = NULL;
        int len;

        ret_text[0] = '\0';
        if (at < 0)
                return 0;
        if (X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
                return err_set(err, ERR_MALFORMED, "two common names in a certificate");
        len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
        if (len < 0 || len >= X509_NAME_MAX || memchr(utf8, '\0', (size_t)len) != NULL) {
                OPENSSL_free(utf8);
                return err_set(err, ERR_MALFORMED, "common name of a certificate");
        }
        memcpy(ret_text, utf8, (size_t)len);
        ret_text[len] = '\0';
        OPENSSL_free(utf8);
        return 0;
}

DEFINE_CLEANUP(CERTIFICATEPOLICIES *, CERTIFICATEPOLICIES_free)

static bool has_policy(const X509 *x, const char *oid)
{
        CERTIFICATEPOLICIES CLEANUP(CERTIFICATEPOLICIES_free_p) *list =
            X509_get_ext_d2i(x, NID_certificate_policies, NULL, NULL);

        for (int i = 0; list != NULL && i < sk_POLICYINFO_num(list); i++) {
                char text[64];

                if (OBJ_obj2txt(text, sizeof(text), sk_POLICYINFO_value(list, i)->policyid, 1) >
                        0 &&
                    strcmp(text, oid) == 0)
                        return true;
        }
        return false;
}

int x509_describe(const struct x509_cert *cert, struct x509_info *ret_info, struct err *err)
{
        struct x509_info info = {.not_before = 0};
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        int rc = name_to_text(X509_get_subject_name(cert->x), info.subject, err);

        if (rc == 0)
                rc = name_to_text(X509_get_issuer_name(cert->x), info.issuer, err);
        if (rc == 0)
                rc = describe_common_name(cert->x, info.common_name, err);
        if (rc == 0)
                rc = describe_serial(cert->x, info.serial, err);
        if (rc == 0)
                rc = time_to_seconds(X509_get0_notBefore(cert->x), &info.not_before, err);
        if (rc == 0)
                rc = time_to_seconds(X509_get0_notAfter(cert->x), &info.not_after, err);
        if (rc != 0)
                return rc;
        if (X509_digest(cert->x, EVP_sha256(), digest, &len) != 1 || len != 32)
                return pkey_openssl_error(err, ERR_FAILED, "fingerprint of a certificate");
        (void)hex_encode(digest, len, info.fingerprint);
        info.residency = has_policy(cert->x, X509_POLICY_RESIDENCY);
        *ret_info = info;
        return 0;
}
