/*
 * What is given back holds the same afterwards, and is the kernel's; what holds anything stays.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/confine.h"
#include "engine/pages.h"
#include "engine/stream.h"
#include "lib/test.h"

#define PAGE    ((size_t)4096)
#define N_PAGES 8

static uint8_t variables[N_PAGES * PAGE] __attribute__((aligned(PAGE)));

/* Whether the page at this address is the process' own: the page of zeros is everybody's. */
static bool is_own(const void *address)
{
        const uint64_t present = 1ULL << 63;
        const uint64_t exclusive = 1ULL << 56;
        int AUTO_FD fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        uint64_t entry = 0;

        assert_true(fd >= 0);
        assert_int_equal(
            pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)address / PAGE * sizeof(entry))),
            sizeof(entry));
        return (entry & present) != 0 && (entry & exclusive) != 0;
}

static void all_are(const uint8_t *data, size_t n, uint8_t value)
{
        for (size_t i = 0; i < n; i++)
                assert_int_equal(data[i], value);
}

static uint8_t *map_pages(void)
{
        void *data =
            mmap(NULL, N_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        assert_ptr_not_equal(data, MAP_FAILED);
        return data;
}

static void unmap_pages(uint8_t *data)
{
        assert_int_equal(munmap(data, N_PAGES * PAGE), 0);
}

static void wiping_touches_only_what_is_used(void **state)
{
        uint8_t *data = map_pages();

        (void)state;
        data[PAGE + 1] = 1;
        data[N_PAGES * PAGE - 1] = 1;
        pages_wipe(data, N_PAGES * PAGE);
        all_are(data, N_PAGES * PAGE, 0);
        assert_true(is_own(data + PAGE));
        assert_false(is_own(data));
        assert_false(is_own(data + 2 * PAGE));
        pages_wipe(data, 0);
        unmap_pages(data);
}

static void wiping_keeps_to_its_bounds(void **state)
{
        uint8_t *data = map_pages();

        (void)state;
        memset(data, 7, N_PAGES * PAGE);
        pages_wipe(data + 100, 2 * PAGE + 1);
        all_are(data, 100, 7);
        all_are(data + 100, 2 * PAGE + 1, 0);
        all_are(data + 100 + 2 * PAGE + 1, PAGE, 7);
        unmap_pages(data);
}

static void pages_of_zeros_are_given_back_and_others_kept(void **state)
{
        uint8_t *data = map_pages();

        (void)state;
        memset(data, 0, N_PAGES * PAGE);
        for (size_t i = 0; i < N_PAGES; i++)
                assert_true(CONFINE_SANITIZED || is_own(data + i * PAGE));
        data[2 * PAGE] = 1;
        data[6 * PAGE - 1] = 2;
        pages_give_back_zeros(data, N_PAGES * PAGE);
        for (size_t i = 0; !CONFINE_SANITIZED && i < N_PAGES; i++)
                assert_int_equal(is_own(data + i * PAGE), i == 2 || i == 5);
        assert_int_equal(data[2 * PAGE], 1);
        assert_int_equal(data[6 * PAGE - 1], 2);
        data[2 * PAGE] = 0;
        data[6 * PAGE - 1] = 0;
        all_are(data, N_PAGES * PAGE, 0);
        unmap_pages(data);
}

/* Of a page that is only partly its own it knows nothing. */
static void pages_at_the_edges_stay(void **state)
{
        uint8_t *data = map_pages();

        (void)state;
        memset(data, 0, N_PAGES * PAGE);
        data[0] = 3;
        data[4 * PAGE - 1] = 4;
        pages_give_back_zeros(data + 1, 4 * PAGE - 2);
        assert_int_equal(data[0], 3);
        assert_int_equal(data[4 * PAGE - 1], 4);
        assert_true(is_own(data) && is_own(data + 3 * PAGE));
        assert_true(CONFINE_SANITIZED || (!is_own(data + PAGE) && !is_own(data + 2 * PAGE)));
        pages_give_back_zeros(data + 10, 20);
        pages_give_back_zeros(data, 0);
        assert_int_equal(data[0], 3);
        unmap_pages(data);
}

static void variables_keep_their_values(void **state)
{
        (void)state;
        memset(variables, 0, sizeof(variables));
        for (size_t i = 0; i < N_PAGES; i += 2)
                variables[i * PAGE + i] = (uint8_t)(i + 1);
        pages_give_back_variables();
        for (size_t i = 0; i < N_PAGES; i++) {
                assert_true(CONFINE_SANITIZED || is_own(variables + i * PAGE) == (i % 2 == 0));
                assert_int_equal(variables[i * PAGE + i], i % 2 == 0 ? i + 1 : 0);
        }
}

#define DEEP  (16 * PAGE)
#define FRESH 2048 /* right below the caller are the frames of whatever was called last */

static volatile uintptr_t deepest;

/* Leaves a secret far down the stack and says where. */
static __attribute__((noinline)) void use_stack(void)
{
        volatile uint8_t deep[DEEP];

        for (size_t i = 0; i < sizeof(deep); i++)
                deep[i] = 0xa5;
        deepest = (uintptr_t)deep;
}

static size_t count_left(uintptr_t from, size_t n)
{
        const volatile uint8_t *p = (const volatile uint8_t *)from;
        size_t count = 0;

        for (size_t i = 0; i < n; i++)
                count += p[i] != 0;
        return count;
}

static void what_returned_leaves_nothing_on_the_stack(void **state)
{
        uint8_t mine[2 * PAGE];
        uintptr_t deep;

        (void)state;
        memset(mine, 9, sizeof(mine));
        use_stack();
        deep = deepest;
        if (CONFINE_SANITIZED)
                skip();
        assert_true(is_own((const void *)(deep + PAGE)));
        pages_give_back_stack();
        assert_false(is_own((const void *)(deep + PAGE)));
        assert_int_equal(count_left(deep, DEEP - FRESH), 0);
        all_are(mine, sizeof(mine), 9);
}

/* What is still to be read or sent outlasts a rest, what is not does not. */
static void streams_keep_what_waits(void **state)
{
        static struct stream_buffers buffers;
        struct stream stream = {.fd = -1};

        (void)state;
        stream_set_up(&stream, &buffers);
        memset(&buffers, 5, sizeof(buffers));
        stream.in_len = 3;
        stream.out_len = 10;
        stream.out_sent = 9;
        stream_rest(&stream);
        all_are(buffers.in, 3, 5);
        all_are(buffers.in + 3, sizeof(buffers.in) - 3, 0);
        all_are(buffers.out, sizeof(buffers.out), 5);
        stream.out_sent = 10;
        stream_rest(&stream);
        all_are(buffers.out, sizeof(buffers.out), 0);
        all_are(buffers.in, 3, 5);
        stream_close(&stream);
        all_are(buffers.in, 3, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(wiping_touches_only_what_is_used),
            cmocka_unit_test(wiping_keeps_to_its_bounds),
            cmocka_unit_test(pages_of_zeros_are_given_back_and_others_kept),
            cmocka_unit_test(pages_at_the_edges_stay),
            cmocka_unit_test(variables_keep_their_values),
            cmocka_unit_test(what_returned_leaves_nothing_on_the_stack),
            cmocka_unit_test(streams_keep_what_waits),
        };
        return cmocka_run_group_tests_name("engine-pages", tests, NULL, NULL);
}
