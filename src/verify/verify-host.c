/* The host's part of the verdict: certificate, CEK, quote over the tree, log of its software. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "tpmwire/pubkey.h"
#include "tpmwire/signature.h"
#include "verify/jwt.h"
#include "verify/verify-private.h"

#define ABOUT_MAX 4096 /* bytes of about.json */

static struct reasons *host_reasons(struct verify_run *run)
{
        return &run->result->host->reasons;
}

/* Exactly one line of text equal to the host that was asked. */
static void check_name(struct verify_run *run)
{
        const char *asked = run->result->challenge.host;
        struct bytes name;

        if (!verify_get(run, run->result->host, "host", "name", &name))
                return;
        while (name.len > 0 && name.data[name.len - 1] == '\n')
                name.len--;
        if (!bytes_equal(name, (struct bytes){(const uint8_t *)asked, strlen(asked)}))
                reasons_add(host_reasons(run), "bind.host", REASON_FAIL,
                            "another host answered than %s", asked);
}

static int check_certificate(struct verify_run *run, struct bytes pem, struct err *err)
{
        struct x509_list AUTO_X509_LIST list = {.n = 0};
        struct x509_check check = {.roots = run->request->roots,
                                   .profile = X509_AK,
                                   .key = quote_key_pkey(run->ak),
                                   .now = run->request->now};
        struct x509_info info;
        int rc = x509_list_from_pem(pem, &list, err);

        if (rc != 0)
                return rc;
        check.leaf = list.certs[0];
        check.others = &list;
        rc = x509_verify(&check, err);
        if (rc == 0)
                rc = x509_describe(list.certs[0], &info, err);
        if (rc == 0 && strcmp(info.common_name, run->result->challenge.host) != 0)
                return err_set(err, ERR_NOT_TRUSTED, "certificate: made for another host");
        if (rc == 0)
                run->result->ek_certified = info.residency;
        return rc;
}

static void check_ak(struct verify_run *run)
{
        struct bytes public, pem;
        struct err err = {0};

        if (!verify_get(run, run->result->host, "host", "ak.pub", &public))
                return;
        run->ak = quote_key_new(public, host_reasons(run));
        if (run->ak == NULL || !verify_get(run, run->result->host, "host", "ak.crt", &pem))
                return;
        if (quote_key_name(run->ak) == NULL) {
                reasons_add(host_reasons(run), "key.malformed", REASON_FAIL,
                            "host/ak.pub is no public area of a TPM");
                return;
        }
        if (check_certificate(run, pem, &err) == 0)
                run->result->host->identity = VERIFY_OK;
        else
                reasons_add(host_reasons(run), "cert.ak", REASON_FAIL, "host/ak.crt: %s", err.text);
}

/* TPM2_Certify (Part 3, 18.2): the AK says that a key of this name is in its TPM. */
static int check_certify(const struct verify_run *run, const struct tpm_name *cek,
                         struct bytes attest_bytes, struct bytes signature_bytes, struct err *err)
{
        struct tpm_name name = *quote_key_name(run->ak);
        struct tpm_signature signature;
        struct attest attest;
        uint8_t qualifying[QUALIFY_SIZE];
        int rc = attest_parse(attest_bytes, &attest, err);

        if (rc == 0)
                rc = tpm_signature_parse(signature_bytes, &signature, err);
        if (rc == 0)
                rc = pubkey_verify(quote_key_pkey(run->ak), &signature, attest_bytes, err);
        if (rc == 0)
                rc = qualify_enrol(tpm_name_bytes(&name), tpm_name_bytes(cek), qualifying, err);
        if (rc != 0)
                return rc;
        if (attest.magic != TPM_GENERATED || attest.type != TPM_ST_ATTEST_CERTIFY)
                return err_set(err, ERR_NOT_TRUSTED, "it is no certification by a TPM");
        if (!bytes_equal(attest.certify.name, tpm_name_bytes(cek)))
                return err_set(err, ERR_NOT_TRUSTED, "another key was certified");
        if (!bytes_equal(attest.extra_data, (struct bytes){qualifying, sizeof(qualifying)}))
                return err_set(err, ERR_NOT_TRUSTED, "it was not made for this enrolment");
        return 0;
}

static void check_cek(struct verify_run *run)
{
        struct verify_machine *host = run->result->host;
        struct quote_key AUTO_QUOTE_KEY *cek = NULL;
        struct bytes public, attest, signature;
        struct err err = {0};

        if (!verify_get(run, host, "host", "cek.pub", &public) ||
            !verify_get(run, host, "host", "cek.attest", &attest) ||
            !verify_get(run, host, "host", "cek.sig", &signature))
                return;
        cek = quote_key_new(public, &host->reasons);
        if (cek == NULL || run->ak == NULL || quote_key_name(run->ak) == NULL)
                return;
        if (quote_key_name(cek) == NULL)
                reasons_add(&host->reasons, "bind.cek", REASON_FAIL,
                            "host/cek.pub is no public area of a TPM");
        else if (bytes_equal(tpm_name_bytes(quote_key_name(cek)),
                             tpm_name_bytes(quote_key_name(run->ak))))
                reasons_add(&host->reasons, "bind.cek", REASON_FAIL,
                            "the host's CEK is its AK: one key must not do both");
        else if (check_certify(run, quote_key_name(cek), attest, signature, &err) != 0)
                reasons_add(&host->reasons, "bind.cek", REASON_FAIL,
                            "the host's CEK is not certified by its AK: %s", err.text);
        else
                run->cek_name = *quote_key_name(cek);
}

static void read_quote(struct verify_run *run)
{
        struct attest attest;
        struct bytes bytes;
        struct err err = {0};

        /* Judged later; here only what the leaves are compared with. */
        if (evidence_get(run->request->evidence, "host/quote.attest", &bytes) &&
            attest_parse(bytes, &attest, &err) == 0)
                run->host_extra = attest.extra_data;
}

static void copy_member(const json_t *about, const char *name, char *ret_text, size_t size)
{
        const char *text = json_string_value(json_object_get(about, name));

        /* What the host says of itself is shown, so it may hold nothing but a plain word. */
        if (text != NULL && strlen(text) < size && evidence_name_is_safe(text))
                (void)snprintf(ret_text, size, "%s", text);
}

static void read_about(struct verify_run *run)
{
        struct verify_result *result = run->result;
        json_t AUTO_JSON *about = NULL;
        json_error_t where;
        struct bytes text;

        if (!verify_get(run, result->host, "host", "about.json", &text))
                return;
        if (text.len <= ABOUT_MAX)
                about =
                    json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &where);
        if (!json_is_object(about)) {
                reasons_add(&result->host->reasons, "bind.host", REASON_FAIL,
                            "host/about.json is malformed");
                return;
        }
        copy_member(about, "ptpm", result->ptpm, sizeof(result->ptpm));
        copy_member(about, "tcb_version", result->tcb_version, sizeof(result->tcb_version));
        copy_member(about, "measured_by", result->measured_by, sizeof(result->measured_by));
}

static void read_ek(struct verify_run *run)
{
        struct verify_machine *host = run->result->host;
        struct tpm_public public;
        struct tpm_name name;
        struct bytes bytes;
        struct err err = {0};

        if (!verify_get(run, host, "host", "ek.pub", &bytes))
                return;
        if (tpm_public_parse(bytes, &public, &err) != 0 ||
            tpm_name_of_public(&public, &name, &err) != 0 ||
            quote_endorsement_name(&public, &run->ek_qualified, &err) != 0) {
                reasons_add(&host->reasons, "bind.ek", REASON_FAIL, "host/ek.pub: %s", err.text);
                return;
        }
        run->ek_name = name;
        (void)hex_encode(name.data, name.len, host->id);
}

void verify_host_keys(struct verify_run *run)
{
        check_name(run);
        read_about(run);
        read_ek(run);
        check_ak(run);
        check_cek(run);
        read_quote(run);
}
