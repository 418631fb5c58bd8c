/*
 * catena demo: the main job on embedded defaults. Two hosts with software pTPMs, a measured guest
 * in a real QEMU, one verdict; then a tampered boot and a relayed quote, which must be refused.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/appraisal.h"
#include "cli/collect.h"
#include "cli/enrol.h"
#include "cli/golden.h"
#include "cli/local-host.h"
#include "cli/output.h"
#include "cli/program.h"
#include "crypto/ca.h"
#include "image/image.h"
#include "image/kernel.h"
#include "image/predict.h"
#include "verify/report.h"

#define VM           "web1"
#define IMAGE        "web1.img"
#define MEMORY_MIB   512
#define CA_DAYS      3650
#define ENROL_DAYS   365
#define KEEP_POLL_MS 500 /* a signal may come between the question and the sleep */
#define QUOTED_MAX   (4 * PATH_MAX + 3)
#define ROOM_MIB     192 /* three disks, one of them twice for a moment, and the evidence */

struct demo {
        struct cli *cli;
        char dir[PATH_MAX];
        struct local_host a;
        struct local_host b;
        struct prediction *prediction;
        struct evidence *good; /* of the golden boot's second challenge */
        struct verdict_summary {
                const char *what;
                enum verify_tier tier;
        } results[8];
        size_t n_results;
        time_t started;
};

/* Words -----------------------------------------------------------------------------------------
 */

static void say(struct demo *demo, const char *text)
{
        if (demo->cli->format == CLI_JSON)
                return;
        cli_progress_end(demo->cli);
        cli_print(demo->cli, "\n[%3ld s] %s\n", (long)(time(NULL) - demo->started), text);
        (void)fflush(stdout);
}

static void say_more(struct demo *demo, const char *text)
{
        if (demo->cli->format != CLI_JSON)
                cli_print(demo->cli, "        %s\n", text);
        (void)fflush(stdout);
}

static int path_in(const struct demo *demo, const char *name, char ret_path[PATH_MAX],
                   struct err *err)
{
        return fs_join(ret_path, PATH_MAX, demo->dir, name, err);
}

/* Setting up ------------------------------------------------------------------------------------
 */

static int make_ca(struct demo *demo, struct err *err)
{
        struct pkey AUTO_PKEY *verifier = NULL;
        char path[PATH_MAX];

        if (path_in(demo, "ca", path, err) != 0 ||
            ca_create(path, "catena-demo", CA_DAYS, time(NULL), err) != 0 ||
            pkey_generate_ec(PKEY_P256, &verifier, err) != 0 ||
            path_in(demo, "verifier.key", path, err) != 0)
                return err->code;
        return pkey_save_private(verifier, path, err);
}

/* What the kernel or the container refuses is said where the user looks, not in a log alone. */
static int say_sandbox(struct demo *demo, const char *name, struct local_host *host,
                       struct err *err)
{
        const struct tcb_status ask = {0};
        struct tcb_status_is status;
        char sandbox[801];

        if (client_call(host->client, tcb_status_code, &ask, tcb_status_is_code, &status,
                        sizeof(status), err) != 0)
                return err->code;
        if (wire_text_copy(status.sandbox, sandbox, sizeof(sandbox))[0] != '\0')
                cli_note(demo->cli, "%s: warning: the sandbox is degraded: %s", name, sandbox);
        return 0;
}

static int start_host(struct demo *demo, const char *name, struct local_host *host, struct err *err)
{
        char state[PATH_MAX];
        char ca[PATH_MAX];
        struct enrol_result enrolled;

        if (path_in(demo, name, state, err) != 0 || path_in(demo, "ca", ca, err) != 0 ||
            local_host_start(demo->cli, state, name, host, err) != 0 ||
            say_sandbox(demo, name, host, err) != 0)
                return err->code;
        return enrol_host(host->client, &(struct enrol_request){.ca_dir = ca, .days = ENROL_DAYS},
                          &enrolled, err);
}

static void show_build(void *user, const char *what)
{
        cli_progress(user, "%s", what);
}

/* The user's cache, so that a second demo downloads nothing; without one the demo's own. */
static int choose_cache(struct demo *demo, char ret_cache[PATH_MAX], struct err *err)
{
        struct err ignored = {0};

        if (kernel_cache_dir(ret_cache, &ignored) == 0 && access(ret_cache, W_OK) == 0)
                return 0;
        if (path_in(demo, "cache", ret_cache, err) != 0)
                return err->code;
        cli_note(demo->cli, "no home directory to write to: downloads go to %s", ret_cache);
        return fs_make_dir(ret_cache, 0755, err);
}

static int build_image(struct demo *demo, struct err *err)
{
        const struct image_progress progress = {.say = show_build, .user = demo->cli};
        char out[PATH_MAX];
        char agent[PATH_MAX];
        char cache[PATH_MAX];
        const struct image_request request = {
            .out = out, .agent = agent, .cache = cache, .progress = &progress};
        int rc;

        if (program_path("catena-agent", agent, err) != 0 || path_in(demo, IMAGE, out, err) != 0 ||
            choose_cache(demo, cache, err) != 0)
                return err->code;
        rc = image_build(&request, err);
        cli_progress_end(demo->cli);
        return rc != 0 ? rc : predict_image(out, &demo->prediction, err);
}

/* Puts a disk where host-a's VM finds it: what an administrator can always do. */
static int install_image(struct demo *demo, const char *name, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        char from[PATH_MAX];
        char to[PATH_MAX];
        size_t len;

        if (path_in(demo, name, from, err) != 0 ||
            path_in(demo, "host-a/images/" IMAGE, to, err) != 0 ||
            fs_read_file(from, 256U << 20, &data, &len, err) != 0)
                return err->code;
        return fs_write_file(to, data, len, 0600, err);
}

/* VMs -------------------------------------------------------------------------------------------
 */

static int create_vm(struct demo *demo, struct err *err)
{
        const struct tcb_vm_create create = {
            .name = wire_text(VM), .image = wire_text(IMAGE), .memory_mib = MEMORY_MIB, .cpus = 1};
        struct tcb_vm vm;

        return client_call(demo->a.client, tcb_vm_create_code, &create, tcb_vm_code, &vm,
                           sizeof(vm), err);
}

static int boot_vm(struct demo *demo, struct err *err)
{
        const struct tcb_vm_start start = {.name = wire_text(VM)};
        struct tcb_done done;

        return client_call(demo->a.client, tcb_vm_start_code, &start, tcb_done_code, &done,
                           sizeof(done), err);
}

static int stop_vm(struct demo *demo, struct err *err)
{
        const struct tcb_vm_stop stop = {.name = wire_text(VM)};
        struct tcb_done done;

        return client_call(demo->a.client, tcb_vm_stop_code, &stop, tcb_done_code, &done,
                           sizeof(done), err);
}

static int collect_vm(struct demo *demo, const uint8_t *nonce, struct evidence **ret_evidence,
                      uint8_t *ret_nonce, struct err *err)
{
        const struct collect_request request = {
            .scope = TCB_SCOPE_VM, .vm = VM, .host = "host-a", .nonce = nonce};

        return collect_evidence(demo->a.client, &request, ret_evidence, ret_nonce, err);
}

/* Verdicts --------------------------------------------------------------------------------------
 */

static int show(struct demo *demo, const struct verify_result *result, struct err *err)
{
        struct writer AUTO_WRITER w = {0};

        if (demo->cli->format == CLI_JSON)
                return 0;
        writer_init(&w, REPORT_SIZE_MAX);
        report_put(&w, result);
        writer_put_u8(&w, '\0');
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "the report is too long");
        cli_print(demo->cli, "\n%s", (const char *)w.data);
        return 0;
}

/* Appraises, keeps evidence and verdict under this name, and insists on the expected outcome. */
static int judge(struct demo *demo, const char *name, const struct evidence *evidence,
                 const uint8_t *nonce, bool expect_trust, struct err *err)
{
        struct appraisal_inputs CLEANUP(appraisal_inputs_done) inputs = {.policy = NULL};
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
        char policy[PATH_MAX];
        char ca[PATH_MAX];
        char key[PATH_MAX];
        char all[PATH_MAX];
        char folder[PATH_MAX];
        char token[PATH_MAX];
        bool trusted;

        if (path_in(demo, "policy.json", policy, err) != 0 ||
            path_in(demo, "ca/ca.crt", ca, err) != 0 ||
            path_in(demo, "verifier.key", key, err) != 0 ||
            path_in(demo, "evidence", all, err) != 0 || fs_make_dir(all, 0755, err) != 0 ||
            fs_join(folder, sizeof(folder), all, name, err) != 0)
                return err->code;
        (void)snprintf(token, sizeof(token), "%.*s.ear.jwt", PATH_MAX - 16, folder);
        if (evidence_save(evidence, folder, err) != 0 ||
            appraisal_inputs_load(policy, ca, &inputs, err) != 0 ||
            appraisal_run(evidence, &inputs, nonce, time(NULL), &result, err) != 0 ||
            appraisal_write_ear(result, key, token, err) != 0 || show(demo, result, err) != 0)
                return err->code;
        demo->results[demo->n_results].what = name;
        demo->results[demo->n_results++].tier = result->tier;
        trusted = result->tier == VERIFY_AFFIRMING || result->tier == VERIFY_WARNING;
        if (trusted != expect_trust)
                return err_set(err, ERR_FAILED, "%s: %s, which is wrong", name,
                               verify_tier_name(result->tier));
        return 0;
}

/*
 * The policy: everything that can be computed was, before any boot; the firmware's PCRs are taken
 * from this first boot, and the host's software as it shows itself now.
 */
static int make_policy(struct demo *demo, struct err *err)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct policy AUTO_POLICY *learned = NULL;
        struct policy AUTO_POLICY *policy = NULL;
        const struct golden_request golden = {
            .vm = VM, .name = "demo", .firmware = "ovmf-q35-512mib-1cpu"};
        uint8_t nonce[CHALLENGE_NONCE_SIZE];
        char AUTO_FREE *text = NULL;
        char path[PATH_MAX];
        size_t len;

        if (collect_vm(demo, NULL, &evidence, nonce, err) != 0 ||
            golden_learn(evidence, &golden, &learned, err) != 0 ||
            predict_policy(demo->prediction, "demo", learned, &policy, err) != 0 ||
            golden_add_host(evidence, policy, err) != 0 ||
            policy_to_json(policy, &text, &len, err) != 0 ||
            path_in(demo, "policy.json", path, err) != 0)
                return err->code;
        return fs_write_file(path, text, len, 0644, err);
}

/* Before anything is built: what would only fail minutes later. */
static int check_needs(const struct demo *demo, struct err *err)
{
        static const struct {
                const char *path;
                const char *package;
        } needs[] = {{"/usr/bin/qemu-system-x86_64", "qemu-system-x86"},
                     {"/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"},
                     {"/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf"}};
        struct statvfs fs;

        for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
                if (access(needs[i].path, R_OK) != 0) {
                        (void)err_set(err, ERR_NOT_FOUND, "%s is missing", needs[i].path);
                        return err_hint(err,
                                        "\"make deps\" installs all that is needed; this is in "
                                        "the package %s",
                                        needs[i].package);
                }
        if (statvfs(demo->dir, &fs) == 0 && fs.f_bavail * fs.f_frsize < (uint64_t)ROOM_MIB << 20) {
                (void)err_set(err, ERR_IO, "%s has %llu MiB free, and a demo needs %d", demo->dir,
                              (unsigned long long)(fs.f_bavail * fs.f_frsize >> 20), ROOM_MIB);
                return err_hint(err, "choose another place with --state");
        }
        return image_check_tools("", err);
}

/* The steps -------------------------------------------------------------------------------------
 */

static int step_hosts(struct demo *demo, struct err *err)
{
        say(demo, "A certificate authority, and two hosts with software TPMs, enrolled with it");
        if (make_ca(demo, err) != 0 || start_host(demo, "host-a", &demo->a, err) != 0 ||
            start_host(demo, "host-b", &demo->b, err) != 0)
                return err->code;
        say_more(demo, "each proved by credential activation that its AK is in the TPM of its EK");
        return 0;
}

static int step_image(struct demo *demo, struct err *err)
{
        say(demo, "A measured guest from Debian packages, and what its boot will measure");
        if (build_image(demo, err) != 0 || install_image(demo, IMAGE, err) != 0)
                return err->code;
        say_more(demo, "GRUB, kernel, initrd, command line and programs predicted before any boot");
        return 0;
}

static int step_boot(struct demo *demo, struct err *err)
{
        say(demo, "VM " VM " boots with a TPM of its own");
        if (create_vm(demo, err) != 0 || boot_vm(demo, err) != 0)
                return err->code;
        say_more(demo, "its agent answers; firmware PCRs of this boot become the firmware profile");
        return make_policy(demo, err);
}

static int step_verdict(struct demo *demo, struct err *err)
{
        uint8_t nonce[CHALLENGE_NONCE_SIZE];

        say(demo, "A challenge with a fresh nonce, and one verdict for VM and host");
        if (collect_vm(demo, NULL, &demo->good, nonce, err) != 0)
                return err->code;
        return judge(demo, "good", demo->good, nonce, true, err);
}

/* Host-a's honest VM answers for host-b: same nonce, other host's quote. */
static int step_relay(struct demo *demo, struct err *err)
{
        const struct collect_request ask_b = {.scope = TCB_SCOPE_HOST, .host = "host-b"};
        struct evidence AUTO_EVIDENCE *relayed = NULL;
        struct evidence AUTO_EVIDENCE *honest = NULL;
        struct challenge AUTO_FREE *challenge = calloc(1, sizeof(*challenge));
        uint8_t nonce[CHALLENGE_NONCE_SIZE];
        char AUTO_FREE *text = NULL;
        struct bytes asked;

        say(demo, "Attack: host-b answers a challenge with evidence of host-a's honest VM");
        if (challenge == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (collect_evidence(demo->b.client, &ask_b, &relayed, nonce, err) != 0 ||
            collect_vm(demo, nonce, &honest, nonce, err) != 0)
                return err->code;
        for (size_t i = 0; i < evidence_count(honest); i++)
                if (strncmp(evidence_path(honest, i), "vms/", 4) == 0 &&
                    evidence_put(relayed, evidence_path(honest, i), evidence_data(honest, i),
                                 err) != 0)
                        return err->code;
        if (!evidence_get(relayed, "challenge.json", &asked) ||
            challenge_from_json(asked, challenge, err) != 0)
                return err_wrap(err, "challenge");
        (void)snprintf(challenge->vms[challenge->n_vms++], sizeof(challenge->vms[0]), VM);
        if (challenge_to_json(challenge, &text, err) != 0 ||
            evidence_replace(relayed, "challenge.json", wire_text(text), err) != 0)
                return err->code;
        return judge(demo, "relayed", relayed, nonce, false, err);
}

static int step_replay(struct demo *demo, struct err *err)
{
        struct evidence AUTO_EVIDENCE *fresh = NULL;
        uint8_t nonce[CHALLENGE_NONCE_SIZE];
        struct bytes asked;

        say(demo, "Attack: host-a answers a new challenge with the evidence of the one before");
        if (collect_vm(demo, NULL, &fresh, nonce, err) != 0)
                return err->code;
        /* What was asked is the challenger's own record, so the answer is filed under it. */
        if (!evidence_get(fresh, "challenge.json", &asked))
                return err_set(err, ERR_FAILED, "there is no record of the challenge");
        if (evidence_replace(demo->good, "challenge.json", asked, err) != 0)
                return err->code;
        return judge(demo, "replayed", demo->good, nonce, false, err);
}

static int step_tamper(struct demo *demo, struct err *err)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        uint8_t nonce[CHALLENGE_NONCE_SIZE];
        char good[PATH_MAX];
        char bad[PATH_MAX];

        say(demo, "Attack: one byte of the kernel is changed on the disk, and " VM " boots again");
        if (path_in(demo, IMAGE, good, err) != 0 || path_in(demo, "tampered.img", bad, err) != 0 ||
            stop_vm(demo, err) != 0 || image_tamper(good, bad, IMAGE_TAMPER_KERNEL, err) != 0 ||
            install_image(demo, "tampered.img", err) != 0 || boot_vm(demo, err) != 0 ||
            collect_vm(demo, NULL, &evidence, nonce, err) != 0)
                return err->code;
        return judge(demo, "tampered", evidence, nonce, false, err);
}

/* For a line to paste: in quotes where a space or another sign needs them. */
static const char *quoted(const char *text, char ret_text[QUOTED_MAX])
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "._=,:/+-@%";
        size_t len = 0;

        if (strspn(text, plain) == strlen(text)) {
                (void)snprintf(ret_text, QUOTED_MAX, "%s", text);
                return ret_text;
        }
        ret_text[len++] = '\'';
        for (; *text != '\0' && len + 6 < QUOTED_MAX; text++)
                if (*text == '\'')
                        len += (size_t)snprintf(ret_text + len, 5, "'\\''");
                else
                        ret_text[len++] = *text;
        ret_text[len++] = '\'';
        ret_text[len] = '\0';
        return ret_text;
}

/* The end ---------------------------------------------------------------------------------------
 */

static int summarise(struct demo *demo, struct err *err)
{
        json_t *results = json_object();
        char dir[QUOTED_MAX];

        if (demo->cli->format == CLI_JSON) {
                for (size_t i = 0; i < demo->n_results; i++)
                        (void)json_object_set_new(
                            results, demo->results[i].what,
                            json_string(verify_tier_name(demo->results[i].tier)));
                return cli_print_json(demo->cli,
                                      json_pack("{s:s, s:I, s:o}", "directory", demo->dir,
                                                "seconds", (json_int_t)(time(NULL) - demo->started),
                                                "verdicts", results),
                                      err);
        }
        json_decref(results);
        (void)quoted(demo->dir, dir);
        say(demo, "Done. The good boot was trusted, every attack was refused.");
        cli_print(
            demo->cli,
            "\nEvidence and verdicts stay in %s; check one again with\n"
            "  %s evidence verify %s/evidence/good --policy %s/policy.json --ca "
            "%s/ca/ca.crt\n(evidence ages: after five minutes it is said how old it is, and the "
            "token has expired)\n",
            demo->dir, program_invocation_name, dir, dir, dir);
        return 0;
}

static void keep_running(struct demo *demo)
{
        const char *self = program_invocation_name;
        char dir[QUOTED_MAX];

        (void)quoted(demo->dir, dir);
        cli_note(demo->cli,
                 "\nThe hosts keep running; in another terminal, for example:\n"
                 "  %s --state %s/host-a vm list\n"
                 "  %s --state %s/host-a attest " VM " --policy %s/policy.json --ca "
                 "%s/ca/ca.crt\nCtrl-C ends them.",
                 self, dir, self, dir, dir, dir);
        (void)fflush(stdout);
        while (!cli_interrupted())
                (void)poll(NULL, 0, KEEP_POLL_MS);
}

/* One directory holds one demo: an earlier one's keys and evidence are never written over. */
static int take_dir(struct demo *demo, struct err *err)
{
        char path[PATH_MAX];

        (void)snprintf(demo->dir, sizeof(demo->dir), "%s", demo->cli->state);
        if (fs_make_dir(demo->dir, 0700, err) != 0 || path_in(demo, "ca", path, err) != 0)
                return err->code;
        if (access(path, F_OK) != 0)
                return 0;
        (void)err_set(err, ERR_CONFLICT, "%s: there is a demo in it already", demo->dir);
        return err_hint(err, "name another directory with --state, or remove that one");
}

static int choose_dir(struct demo *demo, struct err *err)
{
        const char *base = getenv("TMPDIR");

        if (demo->cli->state_given)
                return take_dir(demo, err);
        (void)snprintf(demo->dir, sizeof(demo->dir), "%s/catena-demo-XXXXXX",
                       base == NULL || base[0] != '/' ? "/tmp" : base);
        if (mkdtemp(demo->dir) == NULL) {
                (void)err_set_errno(err, errno, "make %s", demo->dir);
                return err_hint(err, "name a directory with --state");
        }
        return 0;
}

static int run_steps(struct demo *demo, struct err *err)
{
        static int (*const steps[])(struct demo * demo, struct err * err) = {
            step_hosts, step_image, step_boot, step_verdict, step_relay, step_replay, step_tamper,
        };

        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                int rc = steps[i](demo, err);

                /* Ctrl-C reaches our children too, and what they die of is not the reason. */
                if (cli_interrupted())
                        return err_set(err, ERR_INTERRUPTED, "interrupted");
                if (rc != 0)
                        return rc;
        }
        return summarise(demo, err);
}

static int run(struct cli *cli, struct err *err)
{
        struct demo demo = {.cli = cli, .started = time(NULL)};
        int rc = choose_dir(&demo, err);

        if (rc != 0)
                return rc;
        rc = check_needs(&demo, err);
        if (rc == 0)
                rc = run_steps(&demo, err);
        if (rc == 0 && cli_switch(cli, "keep"))
                keep_running(&demo);
        local_host_stop(&demo.a);
        local_host_stop(&demo.b);
        evidence_free(demo.good);
        free(demo.prediction);
        return rc == 0 ? 0 : err_wrap(err, "demo (its files are in %s)", demo.dir);
}

static const struct cli_option options[] = {
    {"keep", 'k', NULL, "keep the hosts running until Ctrl-C", 0},
    {0},
};

const struct cli_verb cli_demo_verbs[] = {
    {"demo", "", "", "watch a VM be proved, and tampered ones be refused",
     "Starts two hosts with software TPMs in a directory of its own (--state, or a new one below "
     "TMPDIR), builds a measured guest, boots it in QEMU with a vTPM, gives one verdict for VM and "
     "host, and then shows that a relayed quote, a replayed answer and a changed kernel are "
     "refused. The evidence stays. Nothing needs root.",
     options, run},
    {0},
};
