/*
 * The certificate rows of the attack list (C-*). The certificates are made here, with OpenSSL
 * directly, since most of them are what our CA never issues.
 */
#include <openssl/x509v3.h>

#include "crypto/pkey-evp.h"
#include "crypto/x509-cert.h"
#include "lib/test.h"

#define NOW 1800000000
#define DAY 86400

enum { ROOT, LOOKALIKE, MIDDLE, LEAF, KEYS };
static struct pkey *keys[KEYS];

struct extension {
        int nid;
        const char *value;
};

#define EXTENSIONS_MAX 6

/* A leaf and its path; what is not said is right. */
struct row {
        const char *name;
        int code;
        const char *subject; /* NULL: "leaf"; "": empty */
        struct extension extensions[EXTENSIONS_MAX];
        bool ek; /* checked as an EK, otherwise as an AK */
        bool version_1;
        int64_t leaf_end;         /* 0: a year from now */
        int64_t middle_end;       /* the same for the intermediate */
        const char *middle_basic; /* the intermediate's basic constraints; NULL: a CA */
        bool lookalike;           /* the trusted root is the look-alike */
        bool no_middle;           /* the intermediate is not sent */
        bool other_key;           /* checked against another key */
        bool no_root;
        bool weak_hash; /* the leaf is signed with SHA-1 */
};

#define BASIC                                                                                      \
        {                                                                                          \
                NID_basic_constraints, "critical,CA:FALSE"                                         \
        }
#define USAGE                                                                                      \
        {                                                                                          \
                NID_key_usage, "critical,digitalSignature"                                         \
        }
#define EKU                                                                                        \
        {                                                                                          \
                NID_ext_key_usage, X509_EKU_AK                                                     \
        }
#define GOOD BASIC, USAGE, EKU

/* "dir" and "crit-dir" stand for a SAN that holds a directory name only. */
static const struct row rows[] = {
    {.name = "good", .extensions = {GOOD}},
    {.name = "good EK",
     .ek = true,
     .extensions = {BASIC,
                    {NID_key_usage, "critical,keyAgreement"},
                    {NID_ext_key_usage, X509_EKU_EK}}},
    {.name = "C-SAN-CRIT", .subject = "", .extensions = {GOOD, {NID_subject_alt_name, "crit-dir"}}},
    {.name = "C-SAN-EMPTY",
     .code = ERR_NOT_TRUSTED,
     .subject = "",
     .extensions = {GOOD, {NID_subject_alt_name, "dir"}}},
    {.name = "C-SAN-EMPTY no SAN", .code = ERR_NOT_TRUSTED, .subject = "", .extensions = {GOOD}},
    {.name = "C-EKU missing", .code = ERR_NOT_TRUSTED, .extensions = {BASIC, USAGE}},
    {.name = "C-EKU other",
     .code = ERR_NOT_TRUSTED,
     .extensions = {BASIC, USAGE, {NID_ext_key_usage, "serverAuth"}}},
    {.name = "C-EKU any",
     .code = ERR_NOT_TRUSTED,
     .extensions = {BASIC, USAGE, {NID_ext_key_usage, "anyExtendedKeyUsage"}}},
    {.name = "C-EKU of an EK",
     .code = ERR_NOT_TRUSTED,
     .extensions = {BASIC, USAGE, {NID_ext_key_usage, X509_EKU_EK}}},
    {.name = "C-EKU wrong usage",
     .code = ERR_NOT_TRUSTED,
     .extensions = {BASIC, {NID_key_usage, "critical,keyAgreement"}, EKU}},
    {.name = "C-EKU usage of a CA",
     .code = ERR_NOT_TRUSTED,
     .extensions = {BASIC, {NID_key_usage, "critical,digitalSignature,keyCertSign"}, EKU}},
    {.name = "C-EKU no usage", .code = ERR_NOT_TRUSTED, .extensions = {BASIC, EKU}},
    {.name = "C-EKU CA leaf",
     .code = ERR_NOT_TRUSTED,
     .extensions = {{NID_basic_constraints, "critical,CA:TRUE"}, USAGE, EKU}},
    {.name = "C-EKU v1", .code = ERR_NOT_TRUSTED, .version_1 = true},
    {.name = "C-CHAIN unknown critical",
     .code = ERR_NOT_TRUSTED,
     .extensions = {GOOD, {NID_Domain, "critical,DER:0500"}}},
    {.name = "C-CHAIN extension twice", .code = ERR_NOT_TRUSTED, .extensions = {GOOD, EKU}},
    {.name = "C-CHAIN expired leaf",
     .code = ERR_NOT_TRUSTED,
     .extensions = {GOOD},
     .leaf_end = NOW - 1},
    {.name = "C-CHAIN expired intermediate",
     .code = ERR_NOT_TRUSTED,
     .extensions = {GOOD},
     .middle_end = NOW - 1},
    {.name = "C-CHAIN intermediate is no CA",
     .code = ERR_NOT_TRUSTED,
     .extensions = {GOOD},
     .middle_basic = "critical,CA:FALSE"},
    {.name = "C-CHAIN look-alike root",
     .code = ERR_NOT_TRUSTED,
     .extensions = {GOOD},
     .lookalike = true},
    {.name = "C-CHAIN missing intermediate",
     .code = ERR_NOT_TRUSTED,
     .extensions = {GOOD},
     .no_middle = true},
    {.name = "C-CHAIN no root", .code = ERR_NOT_TRUSTED, .extensions = {GOOD}, .no_root = true},
    {.name = "S-HASH-DOWN certificate",
     .code = ERR_NOT_TRUSTED,
     .extensions = {GOOD},
     .weak_hash = true},
    {.name = "C-KEYDIFF", .code = ERR_NOT_TRUSTED, .extensions = {GOOD}, .other_key = true},
};

static void add_directory_san(X509 *x, bool critical)
{
        GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
        GENERAL_NAME *name = GENERAL_NAME_new();
        X509_NAME *directory = X509_NAME_new();

        assert_int_equal(X509_NAME_add_entry_by_txt(directory, "O", MBSTRING_ASC,
                                                    (const uint8_t *)"TPM maker", -1, -1, 0),
                         1);
        GENERAL_NAME_set0_value(name, GEN_DIRNAME, directory);
        assert_true(sk_GENERAL_NAME_push(names, name) > 0);
        assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, critical, 0), 1);
        GENERAL_NAMES_free(names);
}

static void add_extension(X509 *x, const struct extension *extension)
{
        X509V3_CTX ctx;
        X509_EXTENSION *made;

        if (extension->nid == NID_subject_alt_name) {
                add_directory_san(x, strcmp(extension->value, "crit-dir") == 0);
                return;
        }
        X509V3_set_ctx_nodb(&ctx);
        X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
        made = extension->nid == NID_Domain
                   ? X509V3_EXT_conf(NULL, &ctx, "1.3.6.1.4.1.99999.1", extension->value)
                   : X509V3_EXT_conf_nid(NULL, &ctx, extension->nid, extension->value);
        assert_non_null(made);
        assert_int_equal(X509_add_ext(x, made, -1), 1);
        X509_EXTENSION_free(made);
}

struct plan {
        const char *subject, *issuer;
        int key, signer;
        int version;
        int64_t end;
        const struct extension *extensions;
        const EVP_MD *hash;
};

static void set_name(X509_NAME *name, const char *text)
{
        if (text[0] != '\0')
                assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                            (const uint8_t *)text, -1, -1, 0),
                                 1);
}

static struct x509_cert *make(const struct plan *plan)
{
        X509 *x = X509_new();
        struct x509_cert *cert = NULL;
        struct err err = {0};

        assert_int_equal(X509_set_version(x, plan->version), 1);
        assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1 + plan->key), 1);
        set_name(X509_get_subject_name(x), plan->subject);
        set_name(X509_get_issuer_name(x), plan->issuer);
        assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), NOW - 365 * DAY));
        assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), plan->end));
        assert_int_equal(X509_set_pubkey(x, keys[plan->key]->evp), 1);
        for (size_t i = 0; i < EXTENSIONS_MAX && plan->extensions[i].value != NULL; i++)
                add_extension(x, &plan->extensions[i]);
        assert_true(X509_sign(x, keys[plan->signer]->evp, plan->hash) > 0);
        assert_ok(x509_wrap(x, &cert, &err), &err);
        return cert;
}

static const struct extension ca_extensions[EXTENSIONS_MAX] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign"},
};

static struct x509_cert *make_root(int key)
{
        return make(&(struct plan){.subject = "root",
                                   .issuer = "root",
                                   .key = key,
                                   .signer = key,
                                   .version = X509_VERSION_3,
                                   .end = NOW + 3650LL * DAY,
                                   .extensions = ca_extensions,
                                   .hash = EVP_sha256()});
}

static struct x509_cert *make_middle(const struct row *row)
{
        struct extension extensions[EXTENSIONS_MAX] = {ca_extensions[0], ca_extensions[1]};

        if (row->middle_basic != NULL)
                extensions[0].value = row->middle_basic;
        return make(&(struct plan){.subject = "middle",
                                   .issuer = "root",
                                   .key = MIDDLE,
                                   .signer = ROOT,
                                   .version = X509_VERSION_3,
                                   .end = row->middle_end != 0 ? row->middle_end : NOW + 365 * DAY,
                                   .extensions = extensions,
                                   .hash = EVP_sha256()});
}

static struct x509_cert *make_leaf(const struct row *row)
{
        return make(&(struct plan){.subject = row->subject == NULL ? "leaf" : row->subject,
                                   .issuer = "middle",
                                   .key = LEAF,
                                   .signer = MIDDLE,
                                   .version = row->version_1 ? X509_VERSION_1 : X509_VERSION_3,
                                   .end = row->leaf_end != 0 ? row->leaf_end : NOW + 365 * DAY,
                                   .extensions = row->extensions,
                                   .hash = row->weak_hash ? EVP_sha1() : EVP_sha256()});
}

static void attack_rows(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct row *row = &rows[i];
                struct x509_list AUTO_X509_LIST roots = {
                    .certs = {make_root(row->lookalike ? LOOKALIKE : ROOT)}, .n = 1};
                struct x509_list AUTO_X509_LIST others = {.certs = {make_middle(row)}, .n = 1};
                struct x509_cert AUTO_X509 *leaf = make_leaf(row);
                struct x509_check check = {.leaf = leaf,
                                           .others = row->no_middle ? NULL : &others,
                                           .roots = row->no_root ? NULL : &roots,
                                           .profile = row->ek ? X509_EK : X509_AK,
                                           .key = keys[row->other_key ? MIDDLE : LEAF],
                                           .now = NOW};
                struct err err = {0};

                if (x509_verify(&check, &err) != row->code)
                        fail_msg("%s: %d %s", row->name, err.code, err.text);
        }
}

/* C-CHAIN loop: two intermediates that certify each other, and no root behind them. */
static void loop(void **state)
{
        struct plan there = {.subject = "one",
                             .issuer = "two",
                             .key = MIDDLE,
                             .signer = ROOT,
                             .version = X509_VERSION_3,
                             .end = NOW + DAY,
                             .extensions = ca_extensions,
                             .hash = EVP_sha256()};
        struct plan back = {.subject = "two",
                            .issuer = "one",
                            .key = ROOT,
                            .signer = MIDDLE,
                            .version = X509_VERSION_3,
                            .end = NOW + DAY,
                            .extensions = ca_extensions,
                            .hash = EVP_sha256()};
        struct x509_list AUTO_X509_LIST others = {.certs = {make(&there), make(&back)}, .n = 2};
        struct x509_list AUTO_X509_LIST roots = {.certs = {make_root(LOOKALIKE)}, .n = 1};
        struct x509_check check = {.leaf = others.certs[0],
                                   .others = &others,
                                   .roots = &roots,
                                   .profile = X509_CA,
                                   .now = NOW};
        struct err err = {0};

        (void)state;
        assert_int_equal(x509_verify(&check, &err), ERR_NOT_TRUSTED);
}

static size_t good_der(uint8_t *memory, size_t size)
{
        struct x509_cert AUTO_X509 *leaf = make_leaf(&rows[0]);
        uint8_t *p = memory;
        int len = i2d_X509(leaf->x, NULL);

        assert_true(len > 0 && (size_t)len <= size);
        assert_int_equal(i2d_X509(leaf->x, &p), len);
        return (size_t)len;
}

/* C-PAD: padding only, and only where certificates come from an NV index. */
static void padding(void **state)
{
        static const struct {
                const char *name;
                const char *tail;
                size_t len;
                int padded, exact;
        } tails[] = {
            {"none", "", 0, 0, 0},
            {"0xff", "\xff\xff\xff", 3, 0, ERR_MALFORMED},
            {"0x00", "\0\0\0", 3, 0, ERR_MALFORMED},
            {"mixed", "\xff\0\xff", 3, ERR_MALFORMED, ERR_MALFORMED},
            {"other", "\xff\xff\x30", 3, ERR_MALFORMED, ERR_MALFORMED},
        };
        uint8_t der[2048];
        size_t len = good_der(der, sizeof(der));

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
                struct x509_cert AUTO_X509 *one = NULL, AUTO_X509 *two = NULL;
                struct bytes bytes = {der, len + tails[i].len};
                struct err err = {0};

                memcpy(der + len, tails[i].tail, tails[i].len);
                if (x509_from_padded_der(bytes, &one, &err) != tails[i].padded)
                        fail_msg("%s, padded: %s", tails[i].name, err.text);
                if (x509_from_der(bytes, &two, &err) != tails[i].exact)
                        fail_msg("%s, exact: %s", tails[i].name, err.text);
        }
}

static void cut(void **state)
{
        uint8_t der[2048];
        size_t len = good_der(der, sizeof(der));

        (void)state;
        for (size_t n = 0; n < len; n++) {
                struct x509_cert *cert = NULL;
                struct err err = {0};

                assert_int_equal(x509_from_padded_der((struct bytes){der, n}, &cert, &err),
                                 ERR_MALFORMED);
                assert_null(cert);
        }
}

static void pem_lists(void **state)
{
        struct x509_cert AUTO_X509 *leaf = make_leaf(&rows[0]);
        struct x509_list AUTO_X509_LIST list = {.n = 0};
        char AUTO_FREE *pem = NULL;
        char text[8192];
        struct err err = {0};
        int n;

        (void)state;
        assert_ok(x509_to_pem(leaf, &pem, &err), &err);
        n = snprintf(text, sizeof(text), "\n%s\n%s", pem, pem);
        assert_ok(x509_list_from_pem((struct bytes){(uint8_t *)text, (size_t)n}, &list, &err),
                  &err);
        assert_int_equal(list.n, 2);
        n = snprintf(text, sizeof(text), "%sBag Attributes\n%s", pem, pem);
        assert_int_equal(
            x509_list_from_pem((struct bytes){(uint8_t *)text, (size_t)n}, &list, &err),
            ERR_MALFORMED);
        assert_int_equal(
            x509_list_from_pem((struct bytes){(uint8_t *)pem, strlen(pem) - 3}, &list, &err),
            ERR_MALFORMED);
        assert_int_equal(x509_list_from_pem((struct bytes){(uint8_t *)"", 0}, &list, &err),
                         ERR_MALFORMED);
        assert_int_equal(list.n, 2);
}

static int make_keys(void **state)
{
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < KEYS; i++)
                assert_ok(pkey_generate_ec(PKEY_P256, &keys[i], &err), &err);
        return 0;
}

static int free_keys(void **state)
{
        (void)state;
        for (size_t i = 0; i < KEYS; i++)
                pkey_free(keys[i]);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(attack_rows), cmocka_unit_test(loop),      cmocka_unit_test(padding),
            cmocka_unit_test(cut),         cmocka_unit_test(pem_lists),
        };
        return cmocka_run_group_tests_name("crypto-x509", tests, make_keys, free_keys);
}
