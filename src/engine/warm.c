#include "engine/warm.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/confine.h"
#include "engine/interpose-prime.h"
#include "engine/interpose-test.h"
#include "engine/pages.h"
#include "engine/vtpm.h"

#define HOLE_MAX  32768 /* the largest first: what is left of them are smaller ones */
#define HOLE_STEP 16    /* sizes of the allocator's */
#define HOLES_MAX 100000

/* The allocator's, as it lays out blocks. */
#define PAGE       4096
#define CHUNK_HEAD 16

#define EMPTY_AUTH 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0

/* What a guest's first seconds use: hashes, PCRs, a P-256 key and its signature. */
static const uint8_t startup[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};
static const uint8_t get_random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16};
static const uint8_t create_key[] = {
    0x80, 2, 0,    0, 0,    67, 0,    0, 1,    0x31, 0x40, 0, 0,    0x0b, EMPTY_AUTH, 0, 4, 0,
    0,    0, 0,    0, 0x1a, 0,  0x23, 0, 0x0b, 0,    3,    0, 0x72, 0,    0,          0, 6, 0,
    0x80, 0, 0x43, 0, 0x10, 0,  3,    0, 0x10, 0,    0,    0, 0,    0,    0,          0, 0, 0};

/* TPM2_EvictControl: every vTPM keeps a key like that. */
static const uint8_t keep_key[] = {0x80, 2, 0,    0, 0, 35, 0,          0,    1, 0x20, 0x40, 0,
                                   0,    1, 0x80, 0, 0, 0,  EMPTY_AUTH, 0x81, 0, 0,    1};

static const struct bytes commands[] = {
    {get_random, sizeof(get_random)},
    {create_key, sizeof(create_key)},
    {keep_key, sizeof(keep_key)},
};

/* TPM2_SelfTest of all that is not tested yet, right after Startup: of everything. */
static const uint8_t self_test[] = {0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, 0};
static const uint8_t success[] = {0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0};

/* The TPM that is nobody's, as if it were parked, for warm_rehearse(). */
static struct {
        uint8_t *permanent;
        size_t permanent_len;
        uint8_t *volatile_state;
        size_t volatile_len;
} nobody;

static void keep(void *context, enum engine_blob_kind kind, struct bytes blob)
{
        uint8_t *copy;

        (void)context;
        if (kind != ENGINE_BLOB_PERMANENT)
                return;
        copy = realloc(nobody.permanent, blob.len);
        if (copy == NULL)
                return;
        memcpy(copy, blob.data, blob.len);
        nobody.permanent = copy;
        nobody.permanent_len = blob.len;
}

static void forget(void *context, enum engine_blob_kind kind, struct bytes blob)
{
        (void)context;
        (void)kind;
        (void)blob;
}

static bool succeeds(struct bytes command)
{
        const struct bytes response = vtpm_process(command);

        return response.len == sizeof(success) &&
               memcmp(response.data, success, sizeof(success)) == 0;
}

/* An algorithm that fails its test makes the TPM fail for good: no copy shall serve with it. */
static int run_tests(struct err *err)
{
        if (!succeeds((struct bytes){startup, sizeof(startup)}) ||
            !succeeds((struct bytes){self_test, sizeof(self_test)}))
                return err_set(err, ERR_TPM, "libtpms fails its own tests");
        interpose_tests_passed();
        return 0;
}

/*
 * What was freed lies scattered between what stays, and a copy that allocated there would make a
 * page its own for each few bytes. So the holes are taken, for good, until every size comes from
 * the heap's end.
 */
static void fill_holes(void)
{
        uintptr_t end;
        size_t holes = 0;

        (void)malloc_trim(0);
        end = (uintptr_t)sbrk(0);
        for (size_t size = HOLE_MAX; !CONFINE_SANITIZED && size > 0; size -= HOLE_STEP) {
                void *got = malloc(size);

                while ((uintptr_t)got < end && got != NULL && holes++ < HOLES_MAX)
                        got = malloc(size);
                free(got);
        }
}

/* What a copy allocates then begins with a page, and most of them need no second one. */
static void align_end(void)
{
        static void *volatile kept; /* else the compiler leaves out what nobody uses */
        size_t used;

        (void)malloc_trim(0); /* joins small blocks that were freed last */
        kept = malloc(1);
        used = ((uintptr_t)kept - CHUNK_HEAD) % PAGE;
        free(kept);
        (void)malloc_trim(0);
        kept = CONFINE_SANITIZED ? NULL : malloc(PAGE - used - CHUNK_HEAD);
}

void warm_settle(void)
{
        fill_holes();
        align_end();
        pages_give_back_variables();
}

int warm_rehearse(struct err *err)
{
        const struct vtpm_setup setup = {
            .permanent = {nobody.permanent, nobody.permanent_len},
            .volatile_state = {nobody.volatile_state, nobody.volatile_len},
            .volatile_kept = true,
            .resume = true,
            .persist = forget,
        };
        uint32_t min;
        uint32_t max;
        int rc;

        if (setup.permanent.len == 0 || setup.volatile_state.len == 0)
                return err_set(err, ERR_FAILED, "nothing to rehearse with");
        rc = vtpm_load(&setup, err);
        if (rc == 0)
                rc = vtpm_power_on(err);
        if (rc == 0)
                (void)vtpm_set_buffer_size(vtpm_set_buffer_size(0, &min, &max), &min, &max);
        if (rc == 0)
                (void)vtpm_process((struct bytes){get_random, sizeof(get_random)});
        vtpm_unload();
        return rc == 0 ? 0 : err_wrap(err, "rehearse");
}

static int use_once(struct err *err)
{
        int rc = vtpm_load(&(struct vtpm_setup){.persist = keep}, err);

        if (rc == 0)
                rc = vtpm_power_on(err);
        if (rc == 0)
                rc = run_tests(err);
        if (rc == 0)
                interpose_prime_warm_up();
        /* What they answer does not matter: what is not warm is only slower. */
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(commands); i++)
                (void)vtpm_process(commands[i]);
        if (rc == 0)
                rc = vtpm_get_volatile(&nobody.volatile_state, &nobody.volatile_len, err);
        vtpm_unload();
        return rc;
}

int warm_up(struct err *err)
{
        int rc = use_once(err);

        if (rc == 0)
                rc = warm_rehearse(err);
        vtpm_rest();
        return rc == 0 ? 0 : err_wrap(err, "warm up");
}
