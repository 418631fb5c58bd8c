#include "engine/vtpm.h"

#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_nvfilename.h>
#include <libtpms/tpm_tis.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/interpose-sign.h"
#include "engine/interpose.h"

/* Internal to libtpms.a: mixes fresh entropy into its generator (TPM2_StirRandom's inner half). */
int CryptRandomStir(uint16_t size, uint8_t *data);

struct blob {
        uint8_t *data;
        size_t len;
};

/* The one TPM of this process; see the header. */
static struct {
        struct blob permanent; /* as last persisted */
        struct blob volatile_state;
        bool volatile_kept;
        void (*persist)(void *context, enum engine_blob_kind kind, struct bytes blob);
        void *context;
        uint8_t locality;
        bool on;
        bool registered;
        unsigned char *response; /* libtpms' buffer, reused by each command */
        uint32_t response_len;
        uint32_t response_cap;
} tpm;

static void blob_clear(struct blob *blob)
{
        if (blob->data != NULL)
                explicit_bzero(blob->data, blob->len);
        free(blob->data);
        *blob = (struct blob){0};
}

/* False without memory. */
static bool blob_set(struct blob *blob, const void *data, size_t len)
{
        uint8_t *copy = NULL;

        if (len > 0) {
                copy = malloc(len);
                if (copy == NULL)
                        return false;
                memcpy(copy, data, len);
        }
        blob_clear(blob);
        *blob = (struct blob){.data = copy, .len = len};
        return true;
}

/* ---- libtpms' callbacks ---- */

static enum engine_blob_kind kind_of(const char *name)
{
        static const struct {
                const char *name;
                enum engine_blob_kind kind;
        } names[] = {
            {TPM_PERMANENT_ALL_NAME, ENGINE_BLOB_PERMANENT},
            {TPM_VOLATILESTATE_NAME, ENGINE_BLOB_VOLATILE},
            {TPM_SAVESTATE_NAME, ENGINE_BLOB_SAVESTATE},
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(names[i].name, name) == 0)
                        return names[i].kind;
        return 0;
}

static struct blob *blob_of(enum engine_blob_kind kind)
{
        if (kind == ENGINE_BLOB_PERMANENT)
                return &tpm.permanent;
        return kind == ENGINE_BLOB_VOLATILE ? &tpm.volatile_state : NULL;
}

static TPM_RESULT on_nvram_init(void)
{
        return TPM_SUCCESS;
}

/* TPM_RETRY says that there is nothing; anything else would be taken for damage. */
static TPM_RESULT on_load(unsigned char **data, uint32_t *length, uint32_t number, const char *name)
{
        const struct blob *blob = blob_of(kind_of(name));

        (void)number;
        if (blob == NULL || blob->len == 0)
                return TPM_RETRY;
        *data = malloc(blob->len);
        if (*data == NULL)
                return TPM_SIZE;
        memcpy(*data, blob->data, blob->len);
        *length = (uint32_t)blob->len;
        return TPM_SUCCESS;
}

static TPM_RESULT on_store(const unsigned char *data, uint32_t length, uint32_t number,
                           const char *name)
{
        enum engine_blob_kind kind = kind_of(name);

        (void)number;
        if (kind == 0)
                return TPM_FAIL;
        /* Out of memory here would be a failure of the host's that the guest keeps for good. */
        if (kind == ENGINE_BLOB_PERMANENT && !blob_set(&tpm.permanent, data, length))
                abort();
        tpm.persist(tpm.context, kind, (struct bytes){data, length});
        return TPM_SUCCESS;
}

static TPM_RESULT on_delete(uint32_t number, const char *name, TPM_BOOL must_exist)
{
        enum engine_blob_kind kind = kind_of(name);

        (void)number;
        (void)must_exist;
        if (kind != ENGINE_BLOB_VOLATILE)
                return kind == ENGINE_BLOB_SAVESTATE ? TPM_SUCCESS : TPM_FAIL;
        if (tpm.volatile_state.len > 0) {
                blob_clear(&tpm.volatile_state);
                tpm.persist(tpm.context, kind, (struct bytes){0});
        }
        return TPM_SUCCESS;
}

static TPM_RESULT on_get_locality(TPM_MODIFIER_INDICATOR *locality, uint32_t number)
{
        (void)number;
        *locality = tpm.locality;
        return TPM_SUCCESS;
}

static TPM_RESULT on_get_presence(TPM_BOOL *present, uint32_t number)
{
        (void)number;
        *present = 0;
        return TPM_SUCCESS;
}

static bool register_callbacks(void)
{
        struct libtpms_callbacks callbacks = {
            .sizeOfStruct = sizeof(callbacks),
            .tpm_nvram_init = on_nvram_init,
            .tpm_nvram_loaddata = on_load,
            .tpm_nvram_storedata = on_store,
            .tpm_nvram_deletename = on_delete,
            .tpm_io_init = on_nvram_init,
            .tpm_io_getlocality = on_get_locality,
            .tpm_io_getphysicalpresence = on_get_presence,
        };

        if (!tpm.registered)
                tpm.registered = TPMLIB_ChooseTPMVersion(TPMLIB_TPM_VERSION_2) == TPM_SUCCESS &&
                                 TPMLIB_RegisterCallbacks(&callbacks) == TPM_SUCCESS;
        return tpm.registered;
}

/* ---- life ---- */

static int manufacture(struct bytes seed, struct err *err)
{
        bool used = true;
        TPM_RESULT rc;

        if (seed.len > 0)
                interpose_seed_arm(seed.data);
        rc = TPMLIB_MainInit();
        if (seed.len > 0)
                used = interpose_seed_disarm();
        TPMLIB_Terminate();
        if (rc != TPM_SUCCESS || tpm.permanent.len == 0)
                return err_set(err, ERR_TPM, "manufacture: libtpms error 0x%x", rc);
        if (!used)
                return err_set(err, ERR_TPM, "manufacture: the seed was not drawn");
        return 0;
}

/* A first power-on without the volatile state shows whether the permanent one is whole. */
static int try_permanent(struct err *err)
{
        struct blob kept = tpm.volatile_state;
        TPM_RESULT rc;

        tpm.volatile_state = (struct blob){0};
        rc = TPMLIB_MainInit();
        TPMLIB_Terminate();
        tpm.volatile_state = kept;
        if (rc != TPM_SUCCESS)
                return err_set(err, ERR_DAMAGED, "load the permanent state: libtpms error 0x%x",
                               rc);
        return 0;
}

int vtpm_load(const struct vtpm_setup *setup, struct err *err)
{
        const bool fresh = setup->permanent.len == 0;
        int rc;

        if (!register_callbacks())
                return err_set(err, ERR_TPM, "libtpms does not start");
        if ((setup->seed.len != 0 && setup->seed.len != INTERPOSE_SEED_SIZE) ||
            (fresh ? setup->volatile_state.len != 0 : setup->seed.len != 0))
                return err_set(err, ERR_USAGE, "state and seed do not belong together");
        vtpm_unload();
        tpm.persist = setup->persist;
        tpm.context = setup->context;
        tpm.volatile_kept = setup->volatile_kept;
        if (!blob_set(&tpm.permanent, setup->permanent.data, setup->permanent.len) ||
            !blob_set(&tpm.volatile_state, setup->volatile_state.data, setup->volatile_state.len))
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (setup->resume && !fresh)
                return 0;
        rc = fresh ? manufacture(setup->seed, err) : try_permanent(err);
        if (rc != 0)
                vtpm_unload();
        return rc;
}

void vtpm_unload(void)
{
        vtpm_power_off();
        blob_clear(&tpm.permanent);
        blob_clear(&tpm.volatile_state);
        tpm.locality = 0;
}

bool vtpm_is_loaded(void)
{
        return tpm.permanent.len > 0;
}

int vtpm_get_volatile(uint8_t **ret_data, size_t *ret_len, struct err *err)
{
        unsigned char *data = NULL;
        uint32_t len = 0;
        TPM_RESULT rc = TPMLIB_GetState(TPMLIB_STATE_VOLATILE, &data, &len);

        if (rc != TPM_SUCCESS)
                return err_set(err, ERR_TPM, "save the volatile state: libtpms error 0x%x", rc);
        *ret_data = data;
        *ret_len = len;
        return 0;
}

void vtpm_drop_volatile(void)
{
        blob_clear(&tpm.volatile_state);
}

/*
 * A resumed TPM has the random generator of its last life, and two wakes of one state would draw
 * the same numbers (PROTOCOLS, Engines): fresh entropy goes in before anybody is served, and the
 * state is gone for good.
 */
static int consume_volatile(struct err *err)
{
        uint8_t fresh[INTERPOSE_SEED_SIZE];
        int rc;

        interpose_random(fresh, sizeof(fresh));
        rc = CryptRandomStir(sizeof(fresh), fresh);
        explicit_bzero(fresh, sizeof(fresh));
        if (rc != 0)
                return err_set(err, ERR_TPM, "reseed the resumed TPM: 0x%x", (unsigned)rc);
        blob_clear(&tpm.volatile_state);
        if (!tpm.volatile_kept)
                tpm.persist(tpm.context, ENGINE_BLOB_VOLATILE, (struct bytes){0});
        return 0;
}

int vtpm_power_on(struct err *err)
{
        TPM_RESULT rc;

        vtpm_power_off();
        if (tpm.permanent.len == 0)
                return err_set(err, ERR_USAGE, "no TPM is loaded");
        rc = TPMLIB_MainInit();
        if (rc != TPM_SUCCESS) {
                TPMLIB_Terminate();
                return err_set(err, ERR_DAMAGED, "power on: libtpms error 0x%x", rc);
        }
        tpm.on = true;
        return tpm.volatile_state.len > 0 ? consume_volatile(err) : 0;
}

void vtpm_power_off(void)
{
        if (tpm.on)
                TPMLIB_Terminate();
        tpm.on = false;
        interpose_sign_forget();
}

bool vtpm_is_on(void)
{
        return tpm.on;
}

/* ---- use ---- */

void vtpm_set_locality(uint8_t locality)
{
        tpm.locality = locality;
}

/* What takes keys away takes the cached ones along; a key that is still there is cached anew. */
static void forget_with(struct bytes command)
{
        static const uint32_t codes[] = {0x120 /* EvictControl */, 0x121 /* HierarchyControl */,
                                         0x124 /* ChangeEPS */,    0x125 /* ChangePPS */,
                                         0x126 /* Clear */,        0x165 /* FlushContext */};
        struct reader r = reader_from_bytes(command);
        uint32_t code;

        if (reader_skip(&r, 6) != 0 || reader_get_be32(&r, &code) != 0)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                if (codes[i] == code)
                        interpose_sign_forget();
}

struct bytes vtpm_process(struct bytes command)
{
        TPM_RESULT rc =
            TPMLIB_Process(&tpm.response, &tpm.response_len, &tpm.response_cap,
                           (unsigned char *)(uintptr_t)command.data, (uint32_t)command.len);

        forget_with(command);
        if (rc != TPM_SUCCESS || tpm.response_len < VTPM_HEADER_SIZE ||
            tpm.response_len > ENGINE_COMMAND_MAX)
                return vtpm_error_response(VTPM_RC_FAILURE);
        return (struct bytes){tpm.response, tpm.response_len};
}

void vtpm_rest(void)
{
        if (tpm.response != NULL)
                explicit_bzero(tpm.response, tpm.response_cap);
        free(tpm.response);
        tpm.response = NULL;
        tpm.response_len = 0;
        tpm.response_cap = 0;
        (void)malloc_trim(0);
        /* Down to where the blocks of the last command were. Without memory it stays. */
        (void)blob_set(&tpm.permanent, tpm.permanent.data, tpm.permanent.len);
        (void)malloc_trim(0);
}

struct bytes vtpm_error_response(uint32_t code)
{
        static uint8_t response[VTPM_HEADER_SIZE];
        struct writer w;

        writer_init_fixed(&w, response, sizeof(response));
        writer_put_be16(&w, 0x8001);
        writer_put_be32(&w, sizeof(response));
        writer_put_be32(&w, code);
        return writer_bytes(&w);
}

uint32_t vtpm_hash_start(void)
{
        return TPM_IO_Hash_Start();
}

uint32_t vtpm_hash_data(struct bytes data)
{
        return TPM_IO_Hash_Data(data.data, (uint32_t)data.len);
}

uint32_t vtpm_hash_end(void)
{
        return TPM_IO_Hash_End();
}

uint32_t vtpm_get_established(bool *ret_established)
{
        TPM_BOOL established = 0;
        TPM_RESULT rc = TPM_IO_TpmEstablished_Get(&established);

        if (rc == TPM_SUCCESS)
                *ret_established = established != 0;
        return rc;
}

uint32_t vtpm_reset_established(uint8_t locality)
{
        const uint8_t before = tpm.locality;
        TPM_RESULT rc;

        tpm.locality = locality;
        rc = TPM_IO_TpmEstablished_Reset();
        tpm.locality = before;
        return rc;
}

uint32_t vtpm_set_buffer_size(uint32_t wanted, uint32_t *ret_min, uint32_t *ret_max)
{
        return TPMLIB_SetBufferSize(wanted, ret_min, ret_max);
}

char *vtpm_info(uint32_t flags)
{
        return TPMLIB_GetInfo(flags);
}

const char *vtpm_library_version(void)
{
        static char text[16];
        uint32_t version = TPMLIB_GetVersion();

        (void)snprintf(text, sizeof(text), "%u.%u.%u", version >> 16 & 0xff, version >> 8 & 0xff,
                       version & 0xff);
        return text;
}
