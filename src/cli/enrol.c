#include "cli/enrol.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "crypto/ca.h"
#include "tpmwire/credential.h"
#include "tpmwire/pubkey.h"

/* The identity's views die with the next answer: what is needed later is kept here. */
struct identity {
        char host[64];
        uint8_t ak_pub[1024];
        size_t ak_pub_len;
        struct tpm_name ak_name;
        struct credential credential;
};

static int begin(struct client *client, const struct secret *secret, struct identity *ret,
                 struct err *err)
{
        const struct tcb_enrol_begin ask = {0};
        struct tcb_enrol_identity answer;
        struct tpm_public ek;
        struct tpm_public ak;

        if (client_call(client, tcb_enrol_begin_code, &ask, tcb_enrol_identity_code, &answer,
                        sizeof(answer), err) != 0)
                return err->code;
        wire_text_copy(answer.host, ret->host, sizeof(ret->host));
        ret->ak_pub_len = answer.ak_pub.len;
        memcpy(ret->ak_pub, answer.ak_pub.data, answer.ak_pub.len);
        if (tpm_public_parse(answer.ek_pub, &ek, err) != 0 ||
            tpm_public_parse(answer.ak_pub, &ak, err) != 0 ||
            tpm_name_of_public(&ak, &ret->ak_name, err) != 0)
                return err_wrap(err, "the host's keys");
        return credential_make(&ek, &ret->ak_name, secret, &ret->credential, err);
}

static int prove(struct client *client, const struct identity *identity,
                 const struct secret *secret, struct err *err)
{
        const struct credential *credential = &identity->credential;
        const struct tcb_enrol_activate ask = {
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
        struct ca_request request = {
            .profile = X509_AK, .name = identity->host, .days = days, .now = time(NULL)};

        if (tpm_public_parse((struct bytes){identity->ak_pub, identity->ak_pub_len}, &ak, err) !=
                0 ||
            pubkey_from_tpm(&ak, &key, err) != 0 || ca_open(ca_dir, &ca, err) != 0)
                return err->code;
        request.key = key;
        if (ca_issue(ca, &request, &cert, err) != 0)
                return err->code;
        return x509_to_pem(cert, ret_pem, err);
}

int enrol_host(struct client *client, const char *ca_dir, unsigned days, char ret_host[64],
               struct err *err)
{
        struct secret AUTO_SECRET *secret = NULL;
        struct identity AUTO_FREE *identity = calloc(1, sizeof(*identity));
        struct tcb_enrol_finish finish;
        struct tcb_done done;
        char AUTO_FREE *pem = NULL;

        if (identity == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (secret_new_random(32, &secret, err) != 0 || begin(client, secret, identity, err) != 0 ||
            prove(client, identity, secret, err) != 0 ||
            certify(identity, ca_dir, days, &pem, err) != 0)
                return err_wrap(err, "enrol the host");
        finish.certificate = wire_text(pem);
        if (client_call(client, tcb_enrol_finish_code, &finish, tcb_done_code, &done, sizeof(done),
                        err) != 0)
                return err->code;
        memcpy(ret_host, identity->host, sizeof(identity->host));
        return 0;
}
