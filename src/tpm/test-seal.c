/*
 * Sealing and credential activation against real swtpms, and the inputs that must not win.
 */
#include "lib/test.h"
#include "tpm/credential.h"
#include "tpm/seal.h"
#include "tpm/test-swtpm.h"
#include "tpmwire/credential.h"

static const struct tpm_seal_policy boot_policy = {.pcrs = {TPM_ALG_ID_SHA256, 0x3FF}};

/* A TPM with its EK and its storage key, protected (salted sessions) or not. */
struct host {
        struct test_swtpm swtpm;
        struct tpm_key *ek;
        struct tpm_key *storage;
        struct tpm_key *ak;
};

static void host_start(struct host *h, const char *name, bool protect)
{
        struct err err = {0};

        *h = (struct host){0};
        test_swtpm_start(&h->swtpm, name);
        assert_ok(tpm_key_create_ek(h->swtpm.tpm, TPM_EK_ECC_P256, &h->ek, &err), &err);
        if (protect)
                tpm_protect(h->swtpm.tpm, h->ek);
        assert_ok(tpm_key_create_storage(h->swtpm.tpm, &h->storage, &err), &err);
}

static void host_make_ak(struct host *h)
{
        struct err err = {0};
        struct tpm_key_blobs blobs;

        tpm_key_free(TAKE(h->storage));
        assert_ok(tpm_key_create_signing(h->ek, NULL, &blobs, &err), &err);
        assert_ok(tpm_key_load(h->ek, &blobs, NULL, &h->ak, &err), &err);
}

static void host_stop(struct host *h)
{
        tpm_key_free(h->ak);
        tpm_key_free(h->storage);
        tpm_key_free(h->ek);
        test_swtpm_stop(&h->swtpm);
}

static struct secret *make_secret(size_t len)
{
        struct err err = {0};
        struct secret *secret = NULL;

        assert_ok(secret_new_random(len, &secret, &err), &err);
        return secret;
}

static void gives_back_what_was_sealed(void **state)
{
        static const size_t lengths[] = {1, 32, TPM_SEAL_MAX};
        struct err err = {0};
        struct host h;

        (void)state;
        for (unsigned protect = 0; protect < 2; protect++) {
                host_start(&h, protect != 0 ? "seal-protected" : "seal", protect != 0);
                for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                        struct secret AUTO_SECRET *in = make_secret(lengths[i]);
                        struct secret AUTO_SECRET *out = NULL;
                        struct tpm_key_blobs sealed;

                        assert_ok(tpm_seal(h.storage, &boot_policy, in, &sealed, &err), &err);
                        assert_ok(tpm_unseal(h.storage, &boot_policy, &sealed, &out, &err), &err);
                        assert_int_equal(out->len, lengths[i]);
                        assert_memory_equal(out->data, in->data, lengths[i]);
                }
                host_stop(&h);
        }
}

/* E-UNINIT: what is sealed is bound to PCRs, always, and to these values. */
static void refuses_after_a_pcr_changed(void **state)
{
        struct err err = {0};
        struct secret AUTO_SECRET *in = make_secret(32);
        struct secret AUTO_SECRET *out = NULL;
        struct secret AUTO_SECRET *large = make_secret(TPM_SEAL_MAX + 1);
        static const struct tpm_seal_policy nothing = {.pcrs = {TPM_ALG_ID_SHA256, 0}};
        static const struct tpm_seal_policy fewer = {.pcrs = {TPM_ALG_ID_SHA256, 0x1FF}};
        struct tpm_key_blobs sealed;
        struct host h;

        (void)state;
        host_start(&h, "changed", true);
        assert_int_equal(tpm_seal(h.storage, &nothing, in, &sealed, &err), ERR_USAGE);
        assert_int_equal(tpm_seal(h.storage, &boot_policy, large, &sealed, &err), ERR_LIMIT);
        assert_ok(tpm_seal(h.storage, &boot_policy, in, &sealed, &err), &err);
        assert_int_equal(tpm_unseal(h.storage, &fewer, &sealed, &out, &err), ERR_NOT_TRUSTED);
        assert_ok(tpm_pcr_event(h.swtpm.tpm, 10, "later", 5, &err), &err);
        assert_ok(tpm_unseal(h.storage, &boot_policy, &sealed, &out, &err), &err);
        secret_free(TAKE(out));
        assert_ok(tpm_pcr_event(h.swtpm.tpm, 9, "another initrd", 14, &err), &err);
        assert_int_equal(tpm_unseal(h.storage, &boot_policy, &sealed, &out, &err), ERR_NOT_TRUSTED);
        assert_non_null(strstr(err.text, "PCRs are not those"));
        assert_null(out);
        host_stop(&h);
}

/* R-SPLICE's neighbours: another TPM's blob, every flipped part, every cut. */
static void refuses_foreign_and_damaged_blobs(void **state)
{
        struct err err = {0};
        struct secret AUTO_SECRET *in = make_secret(32);
        struct secret *out = NULL;
        struct tpm_key_blobs sealed;
        struct tpm_key_blobs bad;
        struct host a;
        struct host b;

        (void)state;
        host_start(&a, "splice-a", false);
        host_start(&b, "splice-b", false);
        assert_ok(tpm_seal(a.storage, &boot_policy, in, &sealed, &err), &err);
        assert_int_equal(tpm_unseal(b.storage, &boot_policy, &sealed, &out, &err), ERR_NOT_TRUSTED);
        for (size_t i = 0; i < sealed.private.len; i += 11) {
                bad = sealed;
                bad.private.data[i] ^= 0x20;
                assert_int_not_equal(tpm_unseal(a.storage, &boot_policy, &bad, &out, &err), 0);
        }
        for (size_t i = 0; i < sealed.public.len; i += 5) {
                bad = sealed;
                bad.public.data[i] ^= 0x20;
                assert_int_not_equal(tpm_unseal(a.storage, &boot_policy, &bad, &out, &err), 0);
                bad = sealed;
                bad.public.len = i;
                assert_int_equal(tpm_unseal(a.storage, &boot_policy, &bad, &out, &err),
                                 ERR_MALFORMED);
        }
        assert_null(out);
        host_stop(&a);
        host_stop(&b);
}

struct made {
        struct test_credential credential;
        struct bytes blob;
        struct bytes secret;
};

static struct bytes public_of(const struct tpm_key *key)
{
        return (struct bytes){tpm_key_public(key)->data, tpm_key_public(key)->len};
}

/* By a third TPM: the reference for what is activated, and those tested have no slots to spare. */
static void make_credential(const struct tpm_key *ek, const struct tpm_key *key, const char *maker,
                            struct made *ret)
{
        struct test_swtpm t;

        test_swtpm_start(&t, maker);
        test_swtpm_make_credential(&t, public_of(ek), public_of(key), &ret->credential);
        test_swtpm_stop(&t);
        ret->blob = (struct bytes){ret->credential.blob, ret->credential.blob_len};
        ret->secret = (struct bytes){ret->credential.secret, ret->credential.secret_len};
}

static void opens_a_credential_made_for_it(void **state)
{
        struct err err = {0};
        struct host h;
        struct made made;

        (void)state;
        for (unsigned protect = 0; protect < 2; protect++) {
                struct secret AUTO_SECRET *opened = NULL;

                host_start(&h, protect != 0 ? "credential-p" : "credential", protect != 0);
                host_make_ak(&h);
                make_credential(h.ek, h.ak, protect != 0 ? "maker-p" : "maker", &made);
                assert_ok(
                    tpm_credential_activate(h.ek, h.ak, made.blob, made.secret, &opened, &err),
                    &err);
                assert_int_equal(opened->len, 32);
                assert_memory_equal(opened->data, TEST_CREDENTIAL, 32);
                host_stop(&h);
        }
}

/* The verifier's side in software and ours agree, for both templates of EKs. */
static void opens_a_credential_made_in_software(void **state)
{
        static const enum tpm_ek_kind kinds[] = {TPM_EK_ECC_P256, TPM_EK_RSA_2048};
        struct err err = {0};
        struct secret AUTO_SECRET *value = make_secret(32);
        struct test_swtpm t;

        (void)state;
        test_swtpm_start(&t, "software");
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                struct tpm_key AUTO_TPM_KEY *ek = NULL;
                struct tpm_key AUTO_TPM_KEY *ak = NULL;
                struct secret AUTO_SECRET *opened = NULL;
                struct tpm_key_blobs blobs;
                struct tpm_public ek_public;
                struct tpm_public ak_public;
                struct tpm_name name;
                struct credential made;

                assert_ok(tpm_key_create_ek(t.tpm, kinds[i], &ek, &err), &err);
                assert_ok(tpm_key_create_signing(ek, NULL, &blobs, &err), &err);
                assert_ok(tpm_key_load(ek, &blobs, NULL, &ak, &err), &err);
                assert_ok(tpm_public_parse(public_of(ek), &ek_public, &err), &err);
                assert_ok(tpm_public_parse(public_of(ak), &ak_public, &err), &err);
                assert_ok(tpm_name_of_public(&ak_public, &name, &err), &err);
                assert_int_equal(name.len, tpm_key_name(ak)->len);
                assert_memory_equal(name.data, tpm_key_name(ak)->data, name.len);
                assert_ok(credential_make(&ek_public, &name, value, &made, &err), &err);
                assert_ok(tpm_credential_activate(ek, ak, (struct bytes){made.blob, made.blob_len},
                                                  (struct bytes){made.secret, made.secret_len},
                                                  &opened, &err),
                          &err);
                assert_int_equal(opened->len, 32);
                assert_memory_equal(opened->data, value->data, 32);
        }
        test_swtpm_stop(&t);
}

/* E-ACT-REPLAY: a credential for TPM A answered by B; for another key of A; cut and flipped. */
static void refuses_credentials_of_others(void **state)
{
        struct err err = {0};
        struct secret *opened = NULL;
        struct tpm_key_blobs blobs;
        struct tpm_key *other = NULL;
        struct host a;
        struct host b;
        struct made made;

        (void)state;
        host_start(&a, "act-a", false);
        host_start(&b, "act-b", false);
        host_make_ak(&a);
        host_make_ak(&b);
        make_credential(a.ek, a.ak, "act-maker", &made);
        assert_int_equal(tpm_credential_activate(b.ek, b.ak, made.blob, made.secret, &opened, &err),
                         ERR_NOT_TRUSTED);
        assert_ok(tpm_key_create_signing(a.ek, NULL, &blobs, &err), &err);
        assert_ok(tpm_key_load(a.ek, &blobs, NULL, &other, &err), &err);
        assert_int_equal(
            tpm_credential_activate(a.ek, other, made.blob, made.secret, &opened, &err),
            ERR_NOT_TRUSTED);
        for (size_t len = 0; len < made.blob.len; len += 9) {
                struct bytes cut = {made.blob.data, len};

                assert_int_equal(
                    tpm_credential_activate(a.ek, a.ak, cut, made.secret, &opened, &err),
                    ERR_MALFORMED);
                made.credential.blob[len] ^= 1;
                assert_int_not_equal(
                    tpm_credential_activate(a.ek, a.ak, made.blob, made.secret, &opened, &err), 0);
                made.credential.blob[len] ^= 1;
        }
        assert_null(opened);
        assert_ok(tpm_credential_activate(a.ek, a.ak, made.blob, made.secret, &opened, &err), &err);
        secret_free(opened);
        tpm_key_free(other);
        host_stop(&a);
        host_stop(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(gives_back_what_was_sealed),
            cmocka_unit_test(refuses_after_a_pcr_changed),
            cmocka_unit_test(refuses_foreign_and_damaged_blobs),
            cmocka_unit_test(opens_a_credential_made_for_it),
            cmocka_unit_test(opens_a_credential_made_in_software),
            cmocka_unit_test(refuses_credentials_of_others),
        };
        return cmocka_run_group_tests_name("tpm-seal", tests, NULL, NULL);
}
