#include "base/table.h"

#include <stdbool.h>

#include "lib/test.h"

#define MANY 20000

struct thing {
        char name[16];
        struct table_entry by_name;
};

static struct thing things[MANY];

static void name_things(void)
{
        for (size_t i = 0; i < MANY; i++) {
                memset(&things[i], 0, sizeof(things[i]));
                (void)snprintf(things[i].name, sizeof(things[i].name), "thing-%zu", i);
        }
}

static int add(struct table *table, struct thing *thing, struct err *err)
{
        return table_add(table, &thing->by_name, thing->name, strlen(thing->name), err);
}

static struct thing *find(const struct table *table, const char *name)
{
        struct table_entry *entry = table_find(table, name, strlen(name));

        return entry == NULL ? NULL : TABLE_OWNER(entry, struct thing, by_name);
}

/* The first rows of the reference vectors: key 00 01 .. 0f, data 00 01 02 ... */
static void hashes_as_the_reference_does(void **state)
{
        static const uint64_t secret[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
        static const struct {
                size_t len;
                uint64_t hash;
        } rows[] = {
            {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd}, {2, 0x0d6c8009d9a94f5a},
            {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462}, {9, 0x9e0082df0ba9e4b0},
            {15, 0xa129ca6149be45e5},
        };
        uint8_t data[16];

        (void)state;
        for (uint8_t i = 0; i < sizeof(data); i++)
                data[i] = i;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(table_hash(secret, data, rows[i].len), rows[i].hash);
}

static void finds_what_was_added(void **state)
{
        struct table table;
        struct err err = {0};

        (void)state;
        name_things();
        assert_ok(table_init(&table, &err), &err);
        assert_null(find(&table, "thing-0"));
        for (size_t i = 0; i < MANY; i++)
                assert_ok(add(&table, &things[i], &err), &err);
        assert_int_equal(table.n, MANY);
        for (size_t i = 0; i < MANY; i++)
                assert_ptr_equal(find(&table, things[i].name), &things[i]);
        assert_null(find(&table, "thing-20000"));
        assert_null(find(&table, "thing-1999"
                                 "9x"));
        assert_null(find(&table, ""));
        table_done(&table);
}

/* Also while they are taken out on the way; a table of zeros has none. */
static void goes_through_all(void **state)
{
        static bool seen[MANY];
        struct table_entry *entry;
        struct table table = {.n = 0};
        struct err err = {0};
        size_t n = 0;

        (void)state;
        assert_null(table_next(&table, NULL));
        name_things();
        assert_ok(table_init(&table, &err), &err);
        assert_null(table_next(&table, NULL));
        for (size_t i = 0; i < MANY; i++)
                assert_ok(add(&table, &things[i], &err), &err);
        entry = table_next(&table, NULL);
        while (entry != NULL) {
                const size_t i = (size_t)(TABLE_OWNER(entry, struct thing, by_name) - things);
                struct table_entry *next = table_next(&table, entry);

                assert_false(seen[i]);
                seen[i] = true;
                n++;
                if (i % 2 == 0)
                        table_remove(&table, entry);
                entry = next;
        }
        assert_int_equal(n, MANY);
        assert_int_equal(table.n, MANY / 2);
        table_done(&table);
}

static void removes_and_adds_again(void **state)
{
        struct table table;
        struct err err = {0};

        (void)state;
        name_things();
        assert_ok(table_init(&table, &err), &err);
        for (size_t i = 0; i < MANY; i++)
                assert_ok(add(&table, &things[i], &err), &err);
        for (size_t i = 0; i < MANY; i += 2)
                table_remove(&table, &things[i].by_name);
        table_remove(&table, &things[0].by_name); /* is out already */
        assert_int_equal(table.n, MANY / 2);
        for (size_t i = 0; i < MANY; i++)
                assert_ptr_equal(find(&table, things[i].name), i % 2 == 0 ? NULL : &things[i]);
        assert_ok(add(&table, &things[0], &err), &err);
        assert_ptr_equal(find(&table, "thing-0"), &things[0]);
        table_done(&table);
}

static void refuses_the_same_key(void **state)
{
        struct table table;
        struct thing other = {.name = "thing-7"};
        struct err err = {0};

        (void)state;
        name_things();
        assert_ok(table_init(&table, &err), &err);
        assert_ok(add(&table, &things[7], &err), &err);
        assert_int_equal(add(&table, &other, &err), ERR_CONFLICT);
        assert_null(other.by_name.key);
        assert_ptr_equal(find(&table, "thing-7"), &things[7]);
        table_done(&table);
}

/* Keys are bytes: one with a NUL in it, and the prefix of another. */
static void compares_all_bytes(void **state)
{
        static const uint8_t zeros[16] = {0};
        struct table_entry a = {0};
        struct table_entry b = {0};
        struct table table;
        struct err err = {0};

        (void)state;
        assert_ok(table_init(&table, &err), &err);
        assert_ok(table_add(&table, &a, zeros, 16, &err), &err);
        assert_ok(table_add(&table, &b, zeros, 8, &err), &err);
        assert_ptr_equal(table_find(&table, zeros, 16), &a);
        assert_ptr_equal(table_find(&table, zeros, 8), &b);
        assert_null(table_find(&table, zeros, 15));
        table_done(&table);
}

static void finds_nothing_in_zeros(void **state)
{
        struct table table = {0};

        (void)state;
        assert_null(table_find(&table, "x", 1));
        table_done(&table);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(hashes_as_the_reference_does),
            cmocka_unit_test(finds_what_was_added),
            cmocka_unit_test(goes_through_all),
            cmocka_unit_test(removes_and_adds_again),
            cmocka_unit_test(refuses_the_same_key),
            cmocka_unit_test(compares_all_bytes),
            cmocka_unit_test(finds_nothing_in_zeros),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
