#include <sys/stat.h>

#include "base/fs.h"
#include "crypto/ca.h"
#include "lib/test.h"

#define NOW 1800000000
#define DAY 86400

static struct ca *made;
static struct pkey *key;

static const char *dir_of(const char *name)
{
        static char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
        return path;
}

static int make_ca(void **state)
{
        struct err err = {0};

        (void)state;
        assert_ok(ca_create(dir_of("ca"), "fleet", CA_DAYS, NOW, &err), &err);
        assert_ok(ca_open(dir_of("ca"), &made, &err), &err);
        assert_ok(pkey_generate_ec(PKEY_P256, &key, &err), &err);
        return 0;
}

static int free_ca(void **state)
{
        (void)state;
        ca_free(made);
        pkey_free(key);
        return 0;
}

static struct ca_request good_request(void)
{
        return (struct ca_request){
            .profile = X509_AK, .name = "host-a", .key = key, .days = CA_ISSUE_DAYS, .now = NOW};
}

static void root_is_what_it_says(void **state)
{
        struct x509_list roots = {.certs = {(struct x509_cert *)ca_root(made)}, .n = 1};
        struct x509_check check = {
            .leaf = ca_root(made), .roots = &roots, .profile = X509_CA, .now = NOW};
        struct x509_info info;
        struct err err = {0};
        struct stat st;

        (void)state;
        assert_ok(x509_describe(ca_root(made), &info, &err), &err);
        assert_string_equal(info.common_name, "fleet");
        assert_string_equal(info.subject, "CN=fleet");
        assert_string_equal(info.issuer, info.subject);
        assert_true(info.not_after == NOW + (int64_t)CA_DAYS * DAY);
        assert_ok(x509_verify(&check, &err), &err);
        assert_int_equal(stat(dir_of("ca/ca.key"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(stat(dir_of("ca"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
}

static void never_overwrites(void **state)
{
        struct err err = {0};

        (void)state;
        assert_int_equal(ca_create(dir_of("ca"), "other", 1, NOW, &err), ERR_CONFLICT);
}

static void issues_what_verifies(void **state)
{
        struct x509_list roots = {.certs = {(struct x509_cert *)ca_root(made)}, .n = 1};
        struct ca_request request = good_request();
        struct err err = {0};

        (void)state;
        for (int profile = X509_EK; profile <= X509_AK; profile++) {
                struct x509_cert AUTO_X509 *cert = NULL;
                struct x509_check check = {
                    .roots = &roots, .key = key, .profile = (enum x509_profile)profile, .now = NOW};

                request.profile = (enum x509_profile)profile;
                assert_ok(ca_issue(made, &request, &cert, &err), &err);
                check.leaf = cert;
                assert_ok(x509_verify(&check, &err), &err);
                check.profile = profile == X509_EK ? X509_AK : X509_EK;
                assert_int_equal(x509_verify(&check, &err), ERR_NOT_TRUSTED);
                check.profile = X509_CA;
                assert_int_equal(x509_verify(&check, &err), ERR_NOT_TRUSTED);
        }
}

static void serials_differ(void **state)
{
        struct ca_request request = good_request();
        char seen[32][41];
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
                struct x509_cert AUTO_X509 *cert = NULL;
                struct x509_info info;

                assert_ok(ca_issue(made, &request, &cert, &err), &err);
                assert_ok(x509_describe(cert, &info, &err), &err);
                assert_int_equal(strlen(info.serial), 40);
                memcpy(seen[i], info.serial, sizeof(seen[i]));
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(seen[i], seen[j]);
        }
}

static void never_outlives_the_root(void **state)
{
        struct ca_request request = good_request();
        struct x509_cert AUTO_X509 *cert = NULL, AUTO_X509 *late = NULL;
        struct x509_info info;
        struct err err = {0};

        (void)state;
        request.days = CA_DAYS_MAX;
        assert_ok(ca_issue(made, &request, &cert, &err), &err);
        assert_ok(x509_describe(cert, &info, &err), &err);
        assert_true(info.not_after == NOW + (int64_t)CA_DAYS * DAY);
        request.now = NOW + (int64_t)CA_DAYS * DAY;
        assert_int_equal(ca_issue(made, &request, &late, &err), ERR_FAILED);
        assert_null(late);
}

/* E-UUID-INJ: a name that would say more than a name. */
static const char *const bad_names[] = {
    "",         "a,DNS:b",
    "a\nb",     "../a",
    "a b",      "a/CN=b",
    "\xc3\xa9", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

static void bad_requests(void **state)
{
        struct x509_cert *cert = NULL;
        struct ca_request request = good_request();
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
                request.name = bad_names[i];
                assert_int_equal(ca_issue(made, &request, &cert, &err), ERR_MALFORMED);
        }
        request = good_request();
        request.profile = X509_CA;
        assert_int_equal(ca_issue(made, &request, &cert, &err), ERR_USAGE);
        request = good_request();
        request.days = 0;
        assert_int_equal(ca_issue(made, &request, &cert, &err), ERR_USAGE);
        assert_null(cert);
}

static void damaged_or_missing(void **state)
{
        struct ca *ca = NULL;
        uint8_t AUTO_FREE *pem = NULL;
        size_t len = 0;
        struct err err = {0};

        (void)state;
        assert_int_equal(ca_open(dir_of("none"), &ca, &err), ERR_NOT_FOUND);
        assert_ok(ca_create(dir_of("two"), "two", 1, NOW, &err), &err);
        assert_ok(fs_read_file(dir_of("ca/ca.crt"), X509_PEM_MAX, &pem, &len, &err), &err);
        assert_ok(fs_write_file(dir_of("two/ca.crt"), pem, len, 0644, &err), &err);
        assert_int_equal(ca_open(dir_of("two"), &ca, &err), ERR_DAMAGED);
        assert_ok(fs_write_file(dir_of("two/ca.crt"), "x", 1, 0644, &err), &err);
        assert_int_equal(ca_open(dir_of("two"), &ca, &err), ERR_MALFORMED);
        assert_null(ca);
}

/* Whether a TPM's EK was certified is the CA's word, for AKs alone, and only when it says so. */
static void residency_is_said(void **state)
{
        struct ca_request request = good_request();

        (void)state;
        for (int i = 0; i < 2; i++) {
                struct x509_cert AUTO_X509 *cert = NULL;
                struct x509_info info;
                struct err err = {0};

                request.residency = i == 1;
                assert_ok(ca_issue(made, &request, &cert, &err), &err);
                assert_ok(x509_describe(cert, &info, &err), &err);
                assert_int_equal(info.residency, i == 1);
        }
        request.profile = X509_EK;
        struct x509_cert *none = NULL;
        struct err err = {0};

        assert_int_equal(ca_issue(made, &request, &none, &err), ERR_USAGE);
        assert_null(none);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(root_is_what_it_says),    cmocka_unit_test(never_overwrites),
            cmocka_unit_test(issues_what_verifies),    cmocka_unit_test(serials_differ),
            cmocka_unit_test(never_outlives_the_root), cmocka_unit_test(bad_requests),
            cmocka_unit_test(damaged_or_missing),      cmocka_unit_test(residency_is_said),
        };
        return cmocka_run_group_tests_name("crypto-ca", tests, make_ca, free_ca);
}
