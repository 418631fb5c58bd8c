/* catena host ...: set a host up, show it, find what is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/doctor.h"
#include "cli/enrol.h"
#include "cli/output.h"
#include "verify/challenge.h"
#include "verify/evidence.h"

#define DAYS_DEFAULT 365

/* init ---------------------------------------------------------------------------------------- */

/* Before anything is made: what the TCB would refuse, or take for further lines. */
static int check_init(const struct cli *cli, struct err *err)
{
        const char *name = cli_option(cli, "name");
        const char *tcti = cli_option(cli, "tcti");

        if (name != NULL && !evidence_name_is_safe(name))
                return err_set(err, ERR_USAGE,
                               "--name is of letters, digits, '.', '_' and '-', not '.' first");
        if (tcti != NULL && strpbrk(tcti, "\r\n") != NULL)
                return err_set(err, ERR_USAGE, "--tcti has more than one line");
        return 0;
}

static int write_config(const struct cli *cli, const char *path, struct err *err)
{
        const char *name = cli_option(cli, "name");
        const char *tcti = cli_option(cli, "tcti");
        char text[1024];
        int n = snprintf(text, sizeof(text),
                         "# Configuration of this host's TCB; every key is in catena.conf(5).\n"
                         "[host]\nname = %s\n\n[ptpm]\ntcti = %s\n",
                         name == NULL ? "host-a" : name, tcti == NULL ? "embedded" : tcti);

        if (n < 0 || (size_t)n >= sizeof(text))
                return err_set(err, ERR_USAGE, "--name or --tcti is too long");
        return fs_write_file(path, text, (size_t)n, 0644, err);
}

/* catenad may be started before the TCB, and images copied before either. */
static int make_dirs(const struct cli *cli, struct err *err)
{
        static const char *const dirs[] = {"run", "log", "images"};
        char path[CLI_STATE_MAX + 32];

        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
                if (fs_join(path, sizeof(path), cli->state, dirs[i], err) != 0 ||
                    fs_make_dir(path, 0700, err) != 0)
                        return err->code;
        return 0;
}

static int run_init(struct cli *cli, struct err *err)
{
        char path[CLI_STATE_MAX + 32];

        if (check_init(cli, err) != 0 || fs_make_dir(cli->state, 0700, err) != 0 ||
            fs_join(path, sizeof(path), cli->state, "catena.conf", err) != 0)
                return err->code;
        if (access(path, F_OK) == 0) {
                (void)err_set(err, ERR_CONFLICT, "%s is there already", path);
                return err_hint(err, "edit it, or choose another --state");
        }
        if (write_config(cli, path, err) != 0 || make_dirs(cli, err) != 0)
                return err->code;
        if (cli->format == CLI_JSON)
                return cli_print_json(cli, json_pack("{s:s}", "config", path), err);
        cli_print(cli, "%s\n", path);
        cli_note(cli,
                 "now start catena-supervisor --state %s, then catenad --state %s; then "
                 "catena host enrol",
                 cli->state, cli->state);
        return 0;
}

/* enrol --------------------------------------------------------------------------------------- */

static int print_enrolled(struct cli *cli, const struct enrol_result *result, struct err *err)
{
        if (cli->format == CLI_JSON)
                return cli_print_json(
                    cli,
                    json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "host", result->host, "ptpm",
                              result->ptpm, "manufacturer", result->manufacturer, "vendor",
                              result->vendor, "firmware", result->firmware, "ek_certified",
                              result->ek_certified, "ek_issuer", result->ek_issuer),
                    err);
        cli_print(cli, "%s is enrolled: %s pTPM (%s %s, firmware %s), EK %s%s\n", result->host,
                  result->ptpm, result->manufacturer, result->vendor, result->firmware,
                  result->ek_certified ? "certified by " : "not certified", result->ek_issuer);
        return 0;
}

static int run_enrol(struct cli *cli, struct err *err)
{
        struct client AUTO_CLIENT *client = NULL;
        struct enrol_request request = {.ca_dir = cli_option(cli, "ca-dir"),
                                        .ek_roots = cli_option(cli, "ek-roots")};
        struct enrol_result result;
        char dir[CLI_STATE_MAX + 32];
        uint64_t days;

        if (fs_join(dir, sizeof(dir), cli->state, "ca", err) != 0 ||
            cli_option_number(cli, "days", 1, 3650, DAYS_DEFAULT, &days, err) != 0)
                return err->code;
        request.days = (unsigned)days;
        if (request.ca_dir == NULL)
                request.ca_dir = dir;
        if (client_open(cli, &client, err) != 0 || enrol_host(client, &request, &result, err) != 0)
                return err->code;
        return print_enrolled(cli, &result, err);
}

/* status -------------------------------------------------------------------------------------- */

/* What the relay lacks, by its own word, or "". */
static int ask_relay(struct client *client, char *ret_words, size_t size, struct err *err)
{
        const struct tcb_relay ask = {0};
        struct tcb_relay_is relay;
        char lacks[129];
        int rc = client_call(client, tcb_relay_code, &ask, tcb_relay_is_code, &relay, sizeof(relay),
                             err);

        if (rc != 0)
                return rc;
        ret_words[0] = '\0';
        if (wire_text_copy(relay.sandbox, lacks, sizeof(lacks))[0] != '\0')
                (void)snprintf(ret_words, size, "catenad: no %s", lacks);
        return 0;
}

/* What becomes of guests when the core dies, and how often it did. */
static void describe_core(const struct tcb_status_is *status, char *ret_words, size_t size)
{
        char since[CHALLENGE_TIME_MAX];
        char when[CHALLENGE_TIME_MAX];
        char ended[201];
        int n;

        challenge_time_text((int64_t)status->since, since);
        if (status->starts == 0) {
                (void)snprintf(ret_words, size,
                               "without catena-supervisor since %s: guests end with it", since);
                return;
        }
        n = snprintf(ret_words, size, "under catena-supervisor since %s", since);
        if (status->ended.len > 0)
                n += snprintf(ret_words + n, size - (size_t)n, ": start %u, the one before %s",
                              status->starts, wire_text_copy(status->ended, ended, sizeof(ended)));
        if (status->deaths > 0)
                (void)snprintf(ret_words + n, size - (size_t)n, "; %u died, the last at %s: %s",
                               status->deaths,
                               challenge_time_text((int64_t)status->last_death, when),
                               wire_text_copy(status->death, ended, sizeof(ended)));
}

/* The last of those that nobody asked to end, or null. */
static json_t *death_to_json(const struct tcb_status_is *status)
{
        char why[201];
        char when[CHALLENGE_TIME_MAX];

        if (status->deaths == 0)
                return json_null();
        return json_pack("{s:s, s:s}", "at", challenge_time_text((int64_t)status->last_death, when),
                         "why", wire_text_copy(status->death, why, sizeof(why)));
}

static int print_status(struct cli *cli, const struct tcb_status_is *status, const char *sandbox,
                        struct err *err)
{
        char host[TCB_NAME_MAX + 1];
        char version[65];
        char ptpm[33];
        char accel[17];
        char images[4097];
        char ended[201];
        char since[CHALLENGE_TIME_MAX];
        char core[640];

        wire_text_copy(status->host, host, sizeof(host));
        wire_text_copy(status->version, version, sizeof(version));
        wire_text_copy(status->ptpm, ptpm, sizeof(ptpm));
        wire_text_copy(status->accel, accel, sizeof(accel));
        wire_text_copy(status->images, images, sizeof(images));
        wire_text_copy(status->ended, ended, sizeof(ended));
        describe_core(status, core, sizeof(core));
        if (cli->format == CLI_JSON)
                return cli_print_json(
                    cli,
                    json_pack(
                        "{s:s, s:s, s:b, s:I, s:s, s:s, s:I, s:o, s:s, s:s, s:s, s:b, s:I, s:I, "
                        "s:I, s:s}",
                        "host", host, "version", version, "supervised", status->starts != 0,
                        "starts", (json_int_t)status->starts, "serving_since",
                        challenge_time_text((int64_t)status->since, since), "ended_before", ended,
                        "deaths", (json_int_t)status->deaths, "last_death", death_to_json(status),
                        "ptpm", ptpm, "sandbox_degraded", sandbox, "accel", accel, "enrolled",
                        status->enrolled, "vtpms", (json_int_t)status->vtpms, "pool",
                        (json_int_t)status->pool, "vms_running", (json_int_t)status->vms_running,
                        "images", images),
                    err);
        cli_print(cli,
                  "host      %s\nversion   %s\ncore      %s\npTPM      %s\naccel     %s\n"
                  "enrolled  %s\nvTPMs     %u, and %u in the pool\nVMs on    %u\nimages    %s\n"
                  "sandbox   %s\n",
                  host, version, core, ptpm, accel, status->enrolled != 0 ? "yes" : "no",
                  status->vtpms, status->pool, status->vms_running, images,
                  sandbox[0] == '\0' ? "whole" : sandbox);
        return 0;
}

static int run_status(struct cli *cli, struct err *err)
{
        const struct tcb_status ask = {0};
        struct client AUTO_CLIENT *client = NULL;
        struct tcb_status_is status;
        char sandbox[1024];
        char relay[160] = "";
        size_t len;
        int rc = client_open(cli, &client, err);

        if (rc == 0)
                rc = ask_relay(client, relay, sizeof(relay), err);
        if (rc == 0)
                rc = client_call(client, tcb_status_code, &ask, tcb_status_is_code, &status,
                                 sizeof(status), err);
        if (rc != 0)
                return rc;
        len = strlen(wire_text_copy(status.sandbox, sandbox, sizeof(sandbox)));
        (void)snprintf(sandbox + len, sizeof(sandbox) - len, "%s%s",
                       len == 0 || relay[0] == '\0' ? "" : "; ", relay);
        return print_status(cli, &status, sandbox, err);
}

/* doctor -------------------------------------------------------------------------------------- */

static int print_findings(struct cli *cli, const struct doctor_finding *findings, size_t n,
                          struct err *err)
{
        static const char *const columns[] = {"CHECK", "RESULT", "WHAT TO DO", NULL};
        struct cli_table AUTO_CLI_TABLE *table = NULL;
        json_t *rows;

        if (cli->format == CLI_JSON) {
                rows = json_array();
                for (size_t i = 0; i < n; i++)
                        (void)json_array_append_new(
                            rows, json_pack("{s:s, s:b, s:s, s:s}", "check", findings[i].check,
                                            "ok", findings[i].ok, "result", findings[i].result,
                                            "advice", findings[i].advice));
                return cli_print_json(cli, json_pack("{s:o}", "findings", rows), err);
        }
        table = cli_table_new(columns);
        if (table == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        for (size_t i = 0; i < n; i++) {
                const char *const cells[] = {findings[i].check, findings[i].result,
                                             findings[i].ok ? "" : findings[i].advice};

                if (cli_table_add(table, cells, err) != 0)
                        return err->code;
        }
        return cli_table_print(cli, table, err);
}

static int run_doctor(struct cli *cli, struct err *err)
{
        struct doctor_finding findings[DOCTOR_CHECKS_MAX];
        size_t n = doctor_examine(cli, findings);
        size_t bad = 0;

        for (size_t i = 0; i < n; i++)
                bad += !findings[i].ok;
        if (print_findings(cli, findings, n, err) != 0)
                return err->code;
        return bad == 0 ? 0 : err_set(err, ERR_FAILED, "%zu of %zu checks failed", bad, n);
}

static const struct cli_option init_options[] = {
    {"name", 'n', "NAME", "name of the host (default: host-a)", 0},
    {"tcti", 't', "TCTI", "the host's TPM, such as device:/dev/tpmrm0 (default: embedded)", 0},
    {0},
};
static const struct cli_option enrol_options[] = {
    {"ca-dir", 0, "DIR", "the fleet's CA (default: STATE/ca)", 0},
    {"days", 0, "N", "how long the certificate is good (default: 365)", 0},
    {"ek-roots", 0, "FILE",
     "CAs of TPM manufacturers in PEM, with those between: refuse a host whose EK none certified",
     0},
    {0},
};

const struct cli_verb cli_host_verbs[] = {
    {"host", "init", "", "write a host's configuration", NULL, init_options, run_init},
    {"host", "enrol", "", "prove the host's keys to the CA and have its AK certified",
     "The CA makes a credential that only the TPM with the host's EK can open, and only while it "
     "holds this AK; then it issues the certificate that verifiers ask for. With --ek-roots it "
     "also "
     "checks the certificate that the TPM's manufacturer left in the TPM, and says so in its own: "
     "only then can a verdict be affirming.",
     enrol_options, run_enrol},
    {"host", "status", "", "show what the host is and does",
     "Among it since when the trusted core serves, and, under catena-supervisor, how often one "
     "ended "
     "that nobody asked to (deaths), when the last one did and how: it crashed, was killed, or did "
     "not answer for too long. Guests waited meanwhile and lost nothing; the core's log says why.",
     NULL, run_status},
    {"host", "doctor", "", "find what is wrong with this host and say what to do", NULL, NULL,
     run_doctor},
    {0},
};
