#include "cli/enrol.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "cli/appraisal.h"
#include "crypto/ca.h"
#include "tpmwire/credential.h"
#include "tpmwire/pubkey.h"

/* The identity's views die with the next answer: what is needed later is kept here. */
struct identity {
        struct enrol_result result;
        uint8_t ek_kind;
        uint8_t ak_pub[1024];
        size_t ak_pub_len;
        struct tpm_name ak_name;
        struct credential credential;
};

/* The EK's certificate, made for the very key that the credential is made for (K-TOCTOU). */
static int check_ek(const struct tcb_enrol_identity *answer, const struct tpm_public *ek,
                    const char *roots_path, struct enrol_result *result, struct err *err)
{
        struct x509_list AUTO_X509_LIST roots = {.n = 0};
        struct x509_cert AUTO_X509 *cert = NULL;
        struct pkey AUTO_PKEY *key = NULL;
        struct x509_check check = {.roots = &roots, .profile = X509_EK, .now = time(NULL)};
        struct x509_info info;

        if (appraisal_read_roots(roots_path, &roots, err) != 0)
                return err->code;
        if (answer->ek_certificate.len == 0) {
                (void)err_set(err, ERR_NOT_TRUSTED, "its TPM has no certificate of its EK");
                return err_hint(err, "without --ek-roots it is enrolled as uncertified");
        }
        if (pubkey_from_tpm(ek, &key, err) != 0 ||
            x509_from_padded_der(answer->ek_certificate, &cert, err) != 0)
                return err_wrap(err, "certificate of its EK");
        check.leaf = cert;
        check.key = key;
        if (x509_verify(&check, err) != 0 || x509_describe(cert, &info, err) != 0)
                return err_wrap(err, "certificate of its EK");
        result->ek_certified = true;
        memcpy(result->ek_issuer, info.issuer, sizeof(result->ek_issuer));
        return 0;
}

static void keep(const struct tcb_enrol_identity *answer, struct identity *identity)
{
        struct enrol_result *result = &identity->result;

        wire_text_copy(answer->host, result->host, sizeof(result->host));
        wire_text_copy(answer->ptpm, result->ptpm, sizeof(result->ptpm));
        wire_text_copy(answer->manufacturer, result->manufacturer, sizeof(result->manufacturer));
        wire_text_copy(answer->vendor, result->vendor, sizeof(result->vendor));
        wire_text_copy(answer->firmware, result->firmware, sizeof(result->firmware));
        identity->ek_kind = answer->ek_kind;
        identity->ak_pub_len = answer->ak_pub.len;
        memcpy(identity->ak_pub, answer->ak_pub.data, answer->ak_pub.len);
}

static int begin(struct client *client, const struct secret *secret, const char *ek_roots,
                 struct identity *ret, struct err *err)
{
        const struct tcb_enrol_begin ask = {0};
        struct tcb_enrol_identity answer;
        struct tpm_public ek;
        struct tpm_public ak;

        if (client_call(client, tcb_enrol_begin_code, &ask, tcb_enrol_identity_code, &answer,
                        sizeof(answer), err) != 0)
                return err->code;
        keep(&answer, ret);
        if (tpm_public_parse(answer.ek_pub, &ek, err) != 0 ||
            tpm_public_parse(answer.ak_pub, &ak, err) != 0 ||
            tpm_name_of_public(&ak, &ret->ak_name, err) != 0)
                return err_wrap(err, "the host's keys");
        if (ek_roots != NULL && check_ek(&answer, &ek, ek_roots, &ret->result, err) != 0)
                return err->code;
        return credential_make(&ek, &ret->ak_name, secret, &ret->credential, err);
}

static int prove(struct client *client, const struct identity *identity,
                 const struct secret *secret, struct err *err)
{
        const struct credential *credential = &identity->credential;
        const struct tcb_enrol_activate ask = {
            .ek_kind = identity->ek_kind,
            .credential_blob = {credential->blob, credential->blob_len},
            .encrypted_secret = {credential->secret, credential->secret_len}};
        struct tcb_enrol_activated answer;

        if (client_call(client, tcb_enrol_activate_code, &ask, tcb_enrol_activated_code, &answer,
                        sizeof(answer), err) != 0)
                return err->code;
        /* Nothing is said of what was expected (CVE-2023-38201). */
        if (answer.credential.len != secret->len ||
            !secret_equal(answer.credential.data, secret->data, secret->len))
                return err_set(err, ERR_NOT_TRUSTED,
                               "the host did not prove that its AK is in the TPM of its EK");
        return 0;
}

static int certify(const struct identity *identity, const char *ca_dir, unsigned days,
                   char **ret_pem, struct err *err)
{
        struct ca AUTO_CA *ca = NULL;
        struct pkey AUTO_PKEY *key = NULL;
        struct x509_cert AUTO_X509 *cert = NULL;
        struct tpm_public ak;
        struct ca_request request = {.profile = X509_AK,
                                     .name = identity->result.host,
                                     .days = days,
                                     .now = time(NULL),
                                     .residency = identity->result.ek_certified};

        if (tpm_public_parse((struct bytes){identity->ak_pub, identity->ak_pub_len}, &ak, err) !=
                0 ||
            pubkey_from_tpm(&ak, &key, err) != 0 || ca_open(ca_dir, &ca, err) != 0)
                return err->code;
        request.key = key;
        if (ca_issue(ca, &request, &cert, err) != 0)
                return err->code;
        return x509_to_pem(cert, ret_pem, err);
}

int enrol_host(struct client *client, const struct enrol_request *request,
               struct enrol_result *ret_result, struct err *err)
{
        struct secret AUTO_SECRET *secret = NULL;
        struct identity AUTO_FREE *identity = calloc(1, sizeof(*identity));
        struct tcb_enrol_finish finish;
        struct tcb_done done;
        char AUTO_FREE *pem = NULL;

        if (identity == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (secret_new_random(32, &secret, err) != 0 ||
            begin(client, secret, request->ek_roots, identity, err) != 0 ||
            prove(client, identity, secret, err) != 0 ||
            certify(identity, request->ca_dir, request->days, &pem, err) != 0)
                return err_wrap(err, "enrol the host");
        finish.certificate = wire_text(pem);
        if (client_call(client, tcb_enrol_finish_code, &finish, tcb_done_code, &done, sizeof(done),
                        err) != 0)
                return err->code;
        *ret_result = identity->result;
        return 0;
}
