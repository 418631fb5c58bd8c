/* catena vtpm ek: a vTPM's endorsement keys and their certificates. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "cli/list.h"
#include "crypto/x509.h"
#include "tpmwire/ek.h"
#include "tpmwire/name.h"
#include "tpmwire/pubkey.h"

#define TIME_SIZE 24 /* "2026-01-01T00:00:00Z" */

static void put_time(int64_t seconds, char ret_text[TIME_SIZE])
{
        const time_t when = (time_t)seconds;
        struct tm tm;

        if (gmtime_r(&when, &tm) == NULL ||
            strftime(ret_text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                ret_text[0] = '\0';
}

/* True, false, or null where the key itself was not read. */
static json_t *is_for_key(const struct x509_cert *cert, const struct tpm_public *public)
{
        struct pkey AUTO_PKEY *certified = NULL;
        struct pkey AUTO_PKEY *key = NULL;
        struct err ignored = {0};

        if (public == NULL)
                return json_null();
        return json_boolean(x509_key(cert, &certified, &ignored) == 0 &&
                            pubkey_from_tpm(public, &key, &ignored) == 0 &&
                            pkey_equal_public(certified, key));
}

/* What stands in NV is the guest's or its old host's word: it is shown, and checked by nobody. */
static json_t *certificate_json(const struct x509_cert *cert, const struct tpm_public *public,
                                const struct x509_info *info)
{
        char before[TIME_SIZE];
        char after[TIME_SIZE];
        struct err ignored = {0};
        char *pem = NULL;
        json_t *object;

        put_time(info->not_before, before);
        put_time(info->not_after, after);
        if (x509_to_pem(cert, &pem, &ignored) != 0)
                return NULL;
        object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "subject", info->subject,
                           "issuer", info->issuer, "serial", info->serial, "not_before", before,
                           "not_after", after, "sha256", info->fingerprint, "for_this_key",
                           is_for_key(cert, public), "pem", pem);
        free(pem);
        return object;
}

/* "until 2035-01-01, by CN=..." into words; null without a certificate. */
static json_t *view_certificate(struct bytes der, const struct tpm_public *public, char *ret_words,
                                size_t size)
{
        struct x509_cert AUTO_X509 *cert = NULL;
        struct x509_info info;
        struct err err = {0};
        char after[TIME_SIZE];

        (void)snprintf(ret_words, size, "%s", der.len == 0 ? "none" : "not readable");
        if (der.len == 0)
                return json_null();
        if (x509_from_padded_der(der, &cert, &err) != 0 || x509_describe(cert, &info, &err) != 0)
                return json_pack("{s:s}", "error", err.text);
        put_time(info.not_after, after);
        (void)snprintf(ret_words, size, "until %.10s, by %s", after, info.issuer);
        return certificate_json(cert, public, &info);
}

static int parse_public(struct bytes bytes, struct tpm_public *ret_public, char *ret_name_hex,
                        struct err *err)
{
        struct tpm_name name;
        int rc = tpm_public_parse(bytes, ret_public, err);

        if (rc == 0)
                rc = tpm_name_of_public(ret_public, &name, err);
        if (rc == 0)
                (void)hex_encode(name.data, name.len, ret_name_hex);
        return rc;
}

static int add_key(struct list *list, const struct wire_frame *frame, struct err *err)
{
        struct tcb_vtpm_key key;
        struct tpm_public public;
        char name[2 * TPM_NAME_MAX + 1] = "";
        char public_hex[2 * TPM_PUBLIC_MAX + 1];
        char words[X509_NAME_MAX + 32];
        char handle[16];
        char index[16];
        const struct tpm_ek *ek;
        json_t *certificate;

        if (wire_frame_decode(frame, &key, sizeof(key), err) != 0)
                return err->code;
        if (key.kind >= TPM_EK_COUNT || key.public.len > TPM_PUBLIC_MAX)
                return err_set(err, ERR_MALFORMED, "endorsement key of kind %u", key.kind);
        if (key.public.len > 0 && parse_public(key.public, &public, name, err) != 0)
                return err->code;
        ek = tpm_ek((enum tpm_ek_kind)key.kind);
        (void)snprintf(handle, sizeof(handle), "0x%08x", ek->handle);
        (void)snprintf(index, sizeof(index), "0x%08x", ek->cert_index);
        certificate = view_certificate(key.certificate, key.public.len > 0 ? &public : NULL, words,
                                       sizeof(words));
        return list_add(list,
                        json_pack("{s:s, s:s, s:s, s:o, s:s, s:s}", "kind", ek->name, "handle",
                                  handle, "certificate_index", index, "certificate", certificate,
                                  "name", name, "public",
                                  hex_encode(key.public.data, key.public.len, public_hex)),
                        (const char *const[]){ek->name, handle, index, words, name}, err);
}

static int run_ek(struct cli *cli, struct err *err)
{
        static const char *const columns[] = {"KEY",         "HANDLE", "NV INDEX",
                                              "CERTIFICATE", "NAME",   NULL};
        const struct tcb_vtpm_ek request = {.name = wire_text(cli_arg(cli, 0))};

        return list_run(cli,
                        &(const struct list_kind){"eks", columns, tcb_vtpm_ek_code, &request,
                                                  tcb_vtpm_key_code, add_key},
                        err);
}

const struct cli_verb cli_vtpm_ek_verbs[] = {
    {"vtpm", "ek", "NAME", "show a vTPM's endorsement keys and their certificates",
     "In JSON with their public areas (TPM2B_PUBLIC) and certificates. NV INDEX is where the "
     "profile wants the key's certificate. Only vTPMs whose state was imported bring "
     "certificates, as they stood there then; who issued them is shown and not checked. Hosts "
     "issue none yet: they vouch for the key in the evidence of each challenge.",
     NULL, run_ek},
    {0},
};
