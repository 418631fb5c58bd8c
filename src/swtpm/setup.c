/*
 * swtpm_setup: makes a vTPM, or changes its PCR banks. --overwrite alone (libvirt, before a VM
 * comes in by migration) leaves a place that the incoming state fills.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "swtpm/authority.h"
#include "swtpm/capabilities.h"
#include "swtpm/engine-link.h"
#include "swtpm/programs.h"
#include "swtpm/setup-command.h"
#include "swtpm/start.h"
#include "tpmwire/command.h"

#define BANKS_DEFAULT "sha256" /* as swtpm_setup's */
#define BANKS_KEEP    "-"
#define STATE_MODE    0600
#define MODEL         "catena-swtpm"

struct setup {
        const struct command_setup *options;
        struct start_place place;
        struct secret *key;
        struct state_file *state;
        struct engine_link link;
        struct ca *ca;
        struct ca_tpm tpm;
};

/* Commands --------------------------------------------------------------------------------------
 */

static int run(struct setup *setup, const char *name, struct writer *w, struct bytes *ret_response,
               struct err *err)
{
        uint32_t code = 0;
        int rc = writer_check(w) != 0 ? err_set(err, ERR_LIMIT, "%s: too long", name) : 0;

        if (rc == 0)
                rc = engine_link_command(&setup->link, writer_bytes(w), ret_response, err);
        if (rc == 0)
                rc = response_code(*ret_response, &code, err);
        if (rc == 0 && code != 0)
                rc = err_set(err, ERR_TPM, "%s: response code 0x%x", name, code);
        w->len = 0;
        return rc;
}

static int run_simple(struct setup *setup, const char *name, void (*put)(struct writer *w),
                      struct err *err)
{
        uint8_t memory[64];
        struct bytes response;
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        put(&w);
        return run(setup, name, &w, &response, err);
}

static int write_nv(struct setup *setup, uint32_t index, struct bytes data, struct err *err)
{
        uint8_t memory[SETUP_NV_CHUNK + 128];
        struct bytes response;
        struct writer w;
        int rc;

        writer_init_fixed(&w, memory, sizeof(memory));
        setup_put_nv_define(&w, index, (uint16_t)data.len, setup->options->lock_nvram);
        rc = run(setup, "TPM2_NV_DefineSpace", &w, &response, err);
        for (size_t at = 0; rc == 0 && at < data.len; at += SETUP_NV_CHUNK) {
                const size_t left = data.len - at;
                const size_t n = left < SETUP_NV_CHUNK ? left : SETUP_NV_CHUNK;

                setup_put_nv_write(&w, index, (struct bytes){data.data + at, n}, (uint16_t)at);
                rc = run(setup, "TPM2_NV_Write", &w, &response, err);
        }
        if (rc != 0 || !setup->options->lock_nvram)
                return rc;
        setup_put_nv_lock(&w, index);
        return run(setup, "TPM2_NV_WriteLock", &w, &response, err);
}

/* What the certificates say of the TPM it says itself. */
static int describe(struct setup *setup, struct err *err)
{
        const struct {
                uint32_t property; /* TPM_PT */
                uint32_t *place;
        } rows[] = {
            {0x101, &setup->tpm.level},
            {0x102, &setup->tpm.revision},
            {0x105, &setup->tpm.manufacturer},
            {0x10b, &setup->tpm.version},
        };
        uint8_t memory[64];
        struct bytes response;
        struct writer w;
        int rc = 0;

        setup->tpm.model = MODEL;
        writer_init_fixed(&w, memory, sizeof(memory));
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(rows); i++) {
                setup_put_get_property(&w, rows[i].property);
                rc = run(setup, "TPM2_GetCapability", &w, &response, err);
                if (rc == 0)
                        rc = setup_get_property(response, rows[i].property, rows[i].place, err);
        }
        return rc;
}

static int certify(struct setup *setup, const struct tpm_ek *ek, struct bytes public,
                   struct err *err)
{
        uint8_t AUTO_FREE *der = NULL;
        size_t len = 0;
        const struct authority_request request = {setup->options->vmid, &setup->tpm, public};
        int rc = authority_certify(setup->ca, &request, &der, &len, err);

        return rc != 0 ? rc : write_nv(setup, ek->cert_index, (struct bytes){der, len}, err);
}

static int make_ek(struct setup *setup, enum tpm_ek_kind kind, struct err *err)
{
        const struct tpm_ek *ek = tpm_ek(kind);
        uint8_t public[TPM_PUBLIC_MAX];
        uint8_t memory[1024];
        struct bytes response;
        struct bytes view;
        struct writer w;
        uint32_t handle = 0;
        int rc;

        writer_init_fixed(&w, memory, sizeof(memory));
        command_put_create_ek(&w, kind);
        rc = run(setup, "TPM2_CreatePrimary", &w, &response, err);
        if (rc == 0)
                rc = response_get_primary(response, &handle, &view, err);
        if (rc != 0)
                return rc;
        if (view.len > sizeof(public))
                return err_set(err, ERR_MALFORMED, "EK of %zu bytes", view.len);
        memcpy(public, view.data, view.len);
        view.data = public;
        command_put_keep(&w, handle, ek->handle);
        rc = run(setup, "TPM2_EvictControl", &w, &response, err);
        command_put_flush(&w, handle);
        if (rc == 0)
                rc = run(setup, "TPM2_FlushContext", &w, &response, err);
        return rc != 0 || setup->ca == NULL ? rc : certify(setup, ek, view, err);
}

static int make_eks(struct setup *setup, struct err *err)
{
        /* What swtpm_setup makes, and where software looks for it. */
        static const enum tpm_ek_kind kinds[] = {TPM_EK_RSA2048, TPM_EK_P384};
        const struct command_setup *options = setup->options;
        const bool certified = options->create_ek_cert || options->create_platform_cert;
        int rc = 0;

        if (!options->createek && !certified)
                return 0;
        if (certified)
                rc = authority_open(&setup->place.place, &setup->ca, err);
        if (rc == 0 && certified)
                rc = describe(setup, err);
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(kinds); i++)
                rc = make_ek(setup, kinds[i], err);
        return rc;
}

static int choose_banks(struct setup *setup, const char *fallback, struct err *err)
{
        const char *banks = setup->options->pcr_banks;
        uint8_t memory[128];
        struct bytes response;
        struct writer w;
        unsigned mask = 0;
        int rc;

        if (banks[0] == '\0')
                banks = fallback;
        if (strcmp(banks, BANKS_KEEP) == 0)
                return 0;
        rc = setup_parse_banks(banks, &mask, err);
        if (rc != 0)
                return rc;
        writer_init_fixed(&w, memory, sizeof(memory));
        setup_put_allocate(&w, mask);
        return run(setup, "TPM2_PCR_Allocate", &w, &response, err);
}

/* Between power on and an orderly power off. */
static int work(struct setup *setup, struct err *err)
{
        const bool again = setup->options->reconfigure;
        int rc = run_simple(setup, "TPM2_Startup", command_put_startup, err);

        if (rc == 0)
                rc = choose_banks(setup, again ? BANKS_KEEP : BANKS_DEFAULT, err);
        if (rc == 0 && !again)
                rc = make_eks(setup, err);
        if (rc == 0)
                rc = run_simple(setup, "TPM2_Shutdown", command_put_shutdown, err);
        return rc;
}

/* State -----------------------------------------------------------------------------------------
 */

static int read_key(const struct command_setup *options, struct secret **ret_key, struct err *err)
{
        struct command_key key = {.fd = options->keyfile_fd, .pwdfd = options->pwdfile_fd};

        memcpy(key.file, options->keyfile, sizeof(key.file));
        memcpy(key.pwdfile, options->pwdfile, sizeof(key.pwdfile));
        return start_read_key(&key, ret_key, err);
}

/* For an incoming VM: nothing but the place, so that any state may come in. */
static bool wants_place_only(const struct command_setup *options)
{
        return options->overwrite && !options->createek && !options->create_ek_cert &&
               !options->create_platform_cert && options->pcr_banks[0] == '\0';
}

static int make(struct setup *setup, struct err *err)
{
        int rc;

        if (wants_place_only(setup->options))
                return state_file_save(setup->state, err);
        setup->link.state = setup->state;
        setup->link.uuid = setup->place.place.uuid;
        setup->link.deferred = true;
        rc = engine_link_start(&setup->link, err);
        if (rc == 0)
                rc = work(setup, err);
        /* All of it or nothing: half a set-up would pass for a TPM that is there already. */
        if (rc == 0)
                rc = state_file_save(setup->state, err);
        return rc;
}

static int open_and_make(struct setup *setup, struct err *err)
{
        const struct command_setup *options = setup->options;
        enum state_expect expect = STATE_FRESH;
        int rc = read_key(options, &setup->key, err);

        if (options->overwrite)
                expect = STATE_REPLACE;
        if (options->reconfigure)
                expect = STATE_THERE;
        if (rc == 0)
                rc = state_file_open(&setup->place.place, setup->key, expect, &setup->state, err);
        if (rc == ERR_CONFLICT && options->not_overwrite) {
                log_info(NULL, "%s: nothing is done", err->text);
                return 0;
        }
        if (rc == 0 && !options->overwrite)
                rc = start_check_foreign(&setup->place.place, setup->state, err);
        return rc != 0 ? rc : make(setup, err);
}

static void done(struct setup *setup)
{
        engine_link_stop(&setup->link);
        state_file_close(setup->state);
        secret_free(setup->key);
        ca_free(setup->ca);
}

static int set_up(const struct command_setup *options, const struct options_notes *notes,
                  struct err *err)
{
        struct setup setup = {.options = options,
                              .link = {.control = -1, .signals = -1, .client = -1}};
        struct command_log log = {.fd = -1};
        int rc;

        memcpy(log.file, options->logfile, sizeof(log.file));
        rc = start_log(&log, err);
        start_log_notes(notes);
        if (rc == 0)
                rc = start_run_as(options->runas, err);
        if (rc == 0)
                rc = start_find_place(options->state, STATE_MODE, &setup.place, err);
        if (rc == 0)
                rc = open_and_make(&setup, err);
        done(&setup);
        return rc;
}

static const char usage[] =
    "usage: swtpm_setup --tpm2 --tpm-state DIR [--createek --create-ek-cert ...]\n"
    "The options are these of swtpm_setup(8), see catena-swtpm(8); no other is known:\n";

static int print_usage(void)
{
        (void)fputs(usage, stdout);
        options_print(&command_setup_table, stdout);
        return 0;
}

int program_setup(int argc, char *const *argv, struct err *err)
{
        static struct command_setup options;
        struct options_notes notes;
        int rc = command_setup_parse(argc, argv, &options, &notes, err);

        if (rc != 0)
                return rc;
        if (options.help)
                return print_usage();
        if (options.version)
                (void)printf("TPM emulator setup tool version %s, by Catena %s\n",
                             CAPABILITIES_VERSION, CATENA_VERSION);
        else if (options.print_capabilities)
                (void)fputs(capabilities_setup, stdout);
        else
                return set_up(&options, &notes, err);
        return 0;
}
