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

/*
 * What swtpm_setup's certificates have, byte for byte but for the names: a directory name with the
 * TPM's manufacturer, model and version, and the specification that it follows.
 */
static void an_ek_certificate_names_its_tpm(void **state)
{
        static const uint8_t model[] = {0x06, 0x05, 0x67, 0x81, 0x05, 0x02, 0x02,
                                        0x0c, 0x05, 'm',  'o',  'd',  'e',  'l'};
        static const uint8_t manufacturer[] = {0x06, 0x05, 0x67, 0x81, 0x05, 0x02, 0x01,
                                               0x0c, 0x0b, 'i',  'd',  ':',  '0',  '0',
                                               '0',  '0',  '1',  '0',  '1',  '4'};
        static const uint8_t version[] = {0x06, 0x05, 0x67, 0x81, 0x05, 0x02, 0x03,
                                          0x0c, 0x0b, 'i',  'd',  ':',  '2',  '0',
                                          '1',  '9',  '1',  '0',  '2',  '3'};
        static const uint8_t specification[] = {
            0x30, 0x19, 0x30, 0x17, 0x06, 0x05, 0x67, 0x81, 0x05, 0x02, 0x10, 0x31, 0x0e, 0x30,
            0x0c, 0x0c, 0x03, 0x32, 0x2e, 0x30, 0x02, 0x01, 0x00, 0x02, 0x02, 0x00, 0xa4};
        const struct bytes parts[] = {{model, sizeof(model)},
                                      {manufacturer, sizeof(manufacturer)},
                                      {version, sizeof(version)},
                                      {specification, sizeof(specification)}};
        const struct ca_tpm tpm = {0x1014, "model", 0x20191023, 0, 164};
        struct x509_list roots = {.certs = {(struct x509_cert *)ca_root(made)}, .n = 1};
        struct ca_request request = good_request();
        struct x509_cert AUTO_X509 *cert = NULL;
        uint8_t AUTO_FREE *der = NULL;
        struct err err = {0};
        size_t len = 0;

        (void)state;
        request.profile = X509_EK;
        request.tpm = &tpm;
        assert_ok(ca_issue(made, &request, &cert, &err), &err);
        assert_ok(
            x509_verify(
                &(struct x509_check){.leaf = cert, .roots = &roots, .profile = X509_EK, .now = NOW},
                &err),
            &err);
        assert_ok(x509_to_der(cert, &der, &len, &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (memmem(der, len, parts[i].data, parts[i].len) == NULL)
                        fail_msg("part %zu is missing", i);
}

static void names_no_tpm_that_cannot_be(void **state)
{
        static const struct {
                enum x509_profile profile;
                uint32_t level;
                uint32_t revision;
        } rows[] = {{X509_AK, 0, 164}, {X509_EK, 128, 164}, {X509_EK, 0, 127}, {X509_EK, 0, 32768}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct ca_tpm tpm = {0x1014, "model", 1, rows[i].level, rows[i].revision};
                struct ca_request request = good_request();
                struct x509_cert *cert = NULL;
                struct err err = {0};

                request.profile = rows[i].profile;
                request.tpm = &tpm;
                assert_int_equal(ca_issue(made, &request, &cert, &err), ERR_USAGE);
                assert_null(cert);
        }
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
            cmocka_unit_test(root_is_what_it_says),
            cmocka_unit_test(never_overwrites),
            cmocka_unit_test(issues_what_verifies),
            cmocka_unit_test(serials_differ),
            cmocka_unit_test(never_outlives_the_root),
            cmocka_unit_test(bad_requests),
            cmocka_unit_test(damaged_or_missing),
            cmocka_unit_test(residency_is_said),
            cmocka_unit_test(an_ek_certificate_names_its_tpm),
            cmocka_unit_test(names_no_tpm_that_cannot_be),
        };
        return cmocka_run_group_tests_name("crypto-ca", tests, make_ca, free_ca);
}
