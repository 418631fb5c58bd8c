/*
 * One TPM 2.0 by libtpms. libtpms keeps its state in process-wide variables and its callbacks carry
 * no user pointer, so this module has one static context: one process is one TPM.
 */
#ifndef ENGINE_VTPM_H
#define ENGINE_VTPM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "wire/engine.h"

#define VTPM_LOCALITY_MAX 4

#define VTPM_RC_INITIALIZE   0x100 /* TPM 2.0 Part 2, 6.6.3 */
#define VTPM_RC_FAILURE      0x101
#define VTPM_RC_COMMAND_SIZE 0x142
#define VTPM_CC_STARTUP      0x144
#define VTPM_HEADER_SIZE     10

struct vtpm_setup {
        struct bytes permanent;      /* empty: manufacture */
        struct bytes volatile_state; /* empty: none; used up by the first power-on */
        bool volatile_kept;          /* power-on uses it, and persist() is not told */
        bool resume;                 /* the power-on that follows tells whether both load */
        struct bytes seed;           /* empty, or ENGINE_SEED_SIZE bytes for the manufacture */
        /*
         * Makes a blob durable; an empty one removes what is stored. Returns only when it is done:
         * libtpms never sees a store fail, since that would put the TPM into failure mode for a
         * reason of the host's.
         */
        void (*persist)(void *context, enum engine_blob_kind kind, struct bytes blob);
        void *context;
};

/*
 * Loads the state, or manufactures a TPM and persists it. The TPM is off afterwards. State that
 * does not load is ERR_DAMAGED and nothing is ever manufactured in its place.
 */
int vtpm_load(const struct vtpm_setup *setup, struct err *err) MUST_CHECK;

/* Forgets everything; another TPM can be loaded. */
void vtpm_unload(void);

/* True once a state was loaded or manufactured, until vtpm_unload(). */
bool vtpm_is_loaded(void);

/* The present volatile state of a TPM that is on; wipe and free() it. */
int vtpm_get_volatile(uint8_t **ret_data, size_t *ret_len, struct err *err) MUST_CHECK;

/* Forgets a volatile state that was loaded and not used: the next power-on is a cold one. */
void vtpm_drop_volatile(void);

/*
 * Power on: _TPM_Init. With a volatile state the TPM goes on where it was: the state is consumed
 * durably and the random generator reseeded from the kernel before this returns. ERR_DAMAGED when
 * the state does not load.
 */
int vtpm_power_on(struct err *err) MUST_CHECK;
void vtpm_power_off(void);
bool vtpm_is_on(void);

/* The locality of the next commands, 0 to VTPM_LOCALITY_MAX. */
void vtpm_set_locality(uint8_t locality);

/* Runs one command. The response is valid until the next one. The TPM must be on. */
struct bytes vtpm_process(struct bytes command);

/* Wipes and frees what the last response was in, and gives what is free in the heap back. */
void vtpm_rest(void);

/* A response that is only a code (tag TPM_ST_NO_SESSIONS), in a static buffer. */
struct bytes vtpm_error_response(uint32_t code);

/* TPM_RESULT codes of libtpms for the small change; 0 is success. The TPM must be on. */
uint32_t vtpm_hash_start(void);
uint32_t vtpm_hash_data(struct bytes data);
uint32_t vtpm_hash_end(void);
uint32_t vtpm_get_established(bool *ret_established);
uint32_t vtpm_reset_established(uint8_t locality);

/* The buffer size in use after asking for wanted (0: only asks); limits into ret_min, ret_max. */
uint32_t vtpm_set_buffer_size(uint32_t wanted, uint32_t *ret_min, uint32_t *ret_max);

/* libtpms' description of itself as JSON; free() it. NULL without memory. */
char *vtpm_info(uint32_t flags);

/* "0.9.2" */
const char *vtpm_library_version(void);

#endif
