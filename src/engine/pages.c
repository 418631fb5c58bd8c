#include "engine/pages.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/confine.h"

#define PAGE      4096
#define CHUNK     512
#define BATCH     128           /* pages that are asked for at once */
#define STACK_MAX (128UL << 10) /* below the caller; the kernel keeps a megabyte below it free */

/* Of what is called here. */
#define FRAMES_MAX 1024

/* The linker's: where the variables begin that have no value in the program, and where they end. */
extern uint8_t edata[];
extern uint8_t end[];

static bool is_zero(const uint8_t *data, size_t n)
{
        return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

void pages_wipe(void *data, size_t n)
{
        uint8_t *p = data;

        for (size_t at = 0; at < n; at += CHUNK) {
                const size_t len = n - at < CHUNK ? n - at : CHUNK;

                if (!is_zero(p + at, len))
                        explicit_bzero(p + at, len);
        }
}

static void give_back(const uint8_t *from, const uint8_t *to)
{
        /*
         * With larger pages the kernel would take neighbours along, unseen. What is not mapped at
         * all is not there to be given back; nothing else can be wrong.
         */
        if (to > from && getpagesize() == PAGE)
                (void)madvise((void *)(uintptr_t)from, (size_t)(to - from), MADV_DONTNEED);
}

/* To look at a page that is not there would fetch one of zeros. Not told, it counts as there. */
static void find_present(uint8_t *from, size_t n, uint8_t ret_present[BATCH])
{
        memset(ret_present, 1, BATCH);
        (void)mincore(from, n * PAGE, ret_present);
}

static void give_back_batch(uint8_t *from, size_t n)
{
        uint8_t present[BATCH];
        size_t begin = 0; /* of the pages of zeros before the one that is looked at */

        find_present(from, n, present);
        for (size_t i = 0; i < n; i++) {
                if ((present[i] & 1) != 0 && is_zero(from + i * PAGE, PAGE))
                        continue;
                give_back(from + begin * PAGE, from + i * PAGE);
                begin = i + 1;
        }
        give_back(from + begin * PAGE, from + n * PAGE);
}

void pages_give_back_zeros(void *data, size_t n)
{
        uint8_t *p = data;
        uint8_t *from = p + (-(uintptr_t)p & (PAGE - 1));
        uint8_t *const last = p + n - ((uintptr_t)(p + n) & (PAGE - 1));

        if (CONFINE_SANITIZED)
                return;
        while (from < last) {
                const size_t left = (size_t)(last - from) / PAGE;
                const size_t batch = left < BATCH ? left : BATCH;

                give_back_batch(from, batch);
                from += batch * PAGE;
        }
}

void pages_give_back_variables(void)
{
        pages_give_back_zeros(edata, (uintptr_t)end - (uintptr_t)edata);
}

/* In a frame of its own: inlined, the caller's variables would lie below. */
__attribute__((noinline)) void pages_give_back_stack(void)
{
        uint8_t *const here = (uint8_t *)__builtin_frame_address(0) - FRAMES_MAX;
        uint8_t *const last = here - ((uintptr_t)here & (PAGE - 1));

        if (CONFINE_SANITIZED)
                return;
        give_back(last - STACK_MAX, last);
        pages_wipe(last, (size_t)(here - last));
}
