/*
 * catena ca: the fleet's certificate authority in a directory.
 */
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "cli/output.h"
#include "crypto/ca.h"
#include "tpmwire/pubkey.h"
#include "verify/challenge.h"

#define KEY_SIZE_MAX 4096 /* bytes of a public key file */
#define DIR_SIZE     4096

static const struct cli_option init_options[] = {
    {"dir", 0, "DIR", "where the CA lives (default: ca in the state directory)", 0},
    {"name", 0, "NAME", "common name of the root (default: catena-fleet)", 0},
    {"days", 0, "N", "life of the root in days (default: 3650)", 0},
    {0},
};

static const struct cli_option issue_options[] = {
    {"dir", 0, "DIR", "where the CA lives (default: ca in the state directory)", 0},
    {"key", 'k', "FILE", "the public key: TPM2B_PUBLIC, TPMT_PUBLIC or PEM", CLI_REQUIRED},
    {"profile", 0, "ak|ek", "attestation or endorsement key (default: ak)", 0},
    {"days", 0, "N", "life of the certificate in days (default: 365)", 0},
    {"out", 'o', "FILE", "write the PEM there instead of to standard output", 0},
    {0},
};

static const struct cli_option show_options[] = {
    {"dir", 0, "DIR", "where the CA lives (default: ca in the state directory)", 0},
    {0},
};

static int ca_dir(const struct cli *cli, char ret_dir[DIR_SIZE], struct err *err)
{
        const char *dir = cli_option(cli, "dir");

        if (dir == NULL)
                return fs_join(ret_dir, DIR_SIZE, cli->state, "ca", err);
        if (strlen(dir) >= DIR_SIZE)
                return err_set(err, ERR_USAGE, "--dir is too long");
        memcpy(ret_dir, dir, strlen(dir) + 1);
        return 0;
}

static json_t *info_to_json(const struct x509_info *info)
{
        char from[CHALLENGE_TIME_MAX], to[CHALLENGE_TIME_MAX];

        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "subject", info->subject, "issuer",
                         info->issuer, "serial", info->serial, "fingerprint", info->fingerprint,
                         "not_before", challenge_time_text(info->not_before, from), "not_after",
                         challenge_time_text(info->not_after, to));
}

static int show_root(struct cli *cli, const char *dir, struct err *err)
{
        struct ca AUTO_CA *ca = NULL;
        struct x509_info info;
        char from[CHALLENGE_TIME_MAX], to[CHALLENGE_TIME_MAX];
        int rc = ca_open(dir, &ca, err);

        if (rc == 0)
                rc = x509_describe(ca_root(ca), &info, err);
        if (rc != 0)
                return rc;
        if (cli->format == CLI_JSON)
                return cli_print_json(cli, info_to_json(&info), err);
        cli_print(cli, "subject      %s\nserial       %s\nsha256       %s\nvalid        %s to %s\n",
                  info.subject, info.serial, info.fingerprint,
                  challenge_time_text(info.not_before, from),
                  challenge_time_text(info.not_after, to));
        cli_print(cli, "certificate  %s/%s\n", dir, CA_CERT_FILE);
        return 0;
}

static int run_init(struct cli *cli, struct err *err)
{
        const char *name = cli_option(cli, "name");
        char dir[DIR_SIZE];
        uint64_t days = 0;
        int rc = cli_option_number(cli, "days", 1, CA_DAYS_MAX, CA_DAYS, &days, err);

        if (rc == 0)
                rc = ca_dir(cli, dir, err);
        if (rc == 0)
                rc = ca_create(dir, name == NULL ? "catena-fleet" : name, (unsigned)days,
                               time(NULL), err);
        return rc != 0 ? rc : show_root(cli, dir, err);
}

static int run_show(struct cli *cli, struct err *err)
{
        char dir[DIR_SIZE];
        int rc = ca_dir(cli, dir, err);

        return rc != 0 ? rc : show_root(cli, dir, err);
}

static int read_key(const char *path, struct pkey **ret_key, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        struct tpm_public public;
        struct bytes bytes;
        size_t len = 0;
        int rc = fs_read_file(path, KEY_SIZE_MAX, &data, &len, err);

        if (rc != 0)
                return rc;
        bytes = (struct bytes){data, len};
        if (len > 10 && memcmp(data, "-----BEGIN", 10) == 0) {
                rc = pkey_from_public_pem(bytes, ret_key, err);
        } else {
                rc = tpm_public_parse(bytes, &public, err);
                if (rc == 0)
                        rc = pubkey_from_tpm(&public, ret_key, err);
        }
        return rc != 0 ? err_wrap(err, "%s", path) : 0;
}

static int fill_request(const struct cli *cli, struct ca_request *request, struct err *err)
{
        const char *profile = cli_option(cli, "profile");
        uint64_t days = 0;
        int rc = cli_option_number(cli, "days", 1, CA_DAYS_MAX, CA_ISSUE_DAYS, &days, err);

        if (rc != 0)
                return rc;
        if (profile != NULL && strcmp(profile, "ak") != 0 && strcmp(profile, "ek") != 0)
                return err_set(err, ERR_USAGE, "--profile is ak or ek");
        request->profile = profile != NULL && strcmp(profile, "ek") == 0 ? X509_EK : X509_AK;
        request->name = cli_arg(cli, 0);
        request->days = (unsigned)days;
        request->now = time(NULL);
        return 0;
}

static int print_cert(struct cli *cli, const struct x509_cert *cert, struct err *err)
{
        const char *out = cli_option(cli, "out");
        char AUTO_FREE *pem = NULL;
        struct x509_info info;
        json_t *json;
        int rc = x509_to_pem(cert, &pem, err);

        if (rc == 0 && out != NULL)
                rc = fs_write_file(out, pem, strlen(pem), 0644, err);
        if (rc == 0)
                rc = x509_describe(cert, &info, err);
        if (rc != 0)
                return rc;
        if (cli->format == CLI_JSON) {
                json = info_to_json(&info);
                if (json != NULL && json_object_set_new(json, "pem", json_string(pem)) != 0)
                        return err_set(err, ERR_NO_MEMORY, "certificate");
                return cli_print_json(cli, json, err);
        }
        if (out == NULL)
                cli_print(cli, "%s", pem);
        return 0;
}

static int run_issue(struct cli *cli, struct err *err)
{
        struct ca AUTO_CA *ca = NULL;
        struct pkey AUTO_PKEY *key = NULL;
        struct x509_cert AUTO_X509 *cert = NULL;
        struct ca_request request;
        char dir[DIR_SIZE];
        int rc = fill_request(cli, &request, err);

        if (rc == 0)
                rc = ca_dir(cli, dir, err);
        if (rc == 0)
                rc = read_key(cli_option(cli, "key"), &key, err);
        if (rc == 0)
                rc = ca_open(dir, &ca, err);
        request.key = key;
        if (rc == 0)
                rc = ca_issue(ca, &request, &cert, err);
        return rc != 0 ? rc : print_cert(cli, cert, err);
}

const struct cli_verb cli_ca_verbs[] = {
    {"ca", "init", "", "make the fleet's certificate authority",
     "The key is a P-256 key in DIR/ca.key, readable by its owner only; the root certificate is "
     "DIR/ca.crt. An existing CA is never overwritten.",
     init_options, run_init},
    {"ca", "issue", "NAME", "certify a key of a host or of a VM",
     "Certifies whatever key it is given: enrolment, which proves by credential activation that "
     "the key is in a TPM, calls it after that proof. Use it by hand only for keys that you saw "
     "being made.",
     issue_options, run_issue},
    {"ca", "show", "", "show the root certificate", NULL, show_options, run_show},
    {0},
};
