#include "tcb/instance-index.h"

#include <uuid/uuid.h>

#include "lib/test.h"

#define MANY 2000

static struct instance instances[MANY];

static void name_instances(void)
{
        for (size_t i = 0; i < MANY; i++) {
                struct store_instance *stored = &instances[i].stored;

                memset(&instances[i], 0, sizeof(instances[i]));
                (void)snprintf(stored->name, sizeof(stored->name), "vm-%zu", i);
                stored->block.uuid[0] = (uint8_t)i;
                stored->block.uuid[15] = (uint8_t)(i >> 8);
        }
}

static size_t count(const struct instance_index *index)
{
        const struct instance *before = NULL;
        size_t n = 0;

        for (const struct instance *i = index->first; i != NULL; i = i->next) {
                assert_ptr_equal(i->prev, before);
                before = i;
                n++;
        }
        return n;
}

static struct instance *find_text_of_uuid(const struct instance_index *index, size_t i)
{
        char text[37];

        uuid_unparse(instances[i].stored.block.uuid, text);
        return instance_index_find(index, text);
}

static void finds_by_name_and_uuid(void **state)
{
        struct instance_index index;
        struct err err = {0};

        (void)state;
        name_instances();
        assert_ok(instance_index_init(&index, &err), &err);
        for (size_t i = 0; i < MANY; i++)
                assert_ok(instance_index_add(&index, &instances[i], &err), &err);
        assert_int_equal(count(&index), MANY);
        for (size_t i = 0; i < MANY; i++) {
                assert_ptr_equal(instance_index_find(&index, instances[i].stored.name),
                                 &instances[i]);
                assert_ptr_equal(find_text_of_uuid(&index, i), &instances[i]);
        }
        assert_null(instance_index_find(&index, "vm-2000"));
        assert_null(instance_index_find(&index, ""));
        assert_null(instance_index_find(&index, "ffffffff-0000-0000-0000-0000000000ff"));
        instance_index_done(&index);
}

static void removes_from_both_ends_and_the_middle(void **state)
{
        static const size_t gone[] = {0, MANY / 2, MANY - 1};
        struct instance_index index;
        struct err err = {0};

        (void)state;
        name_instances();
        assert_ok(instance_index_init(&index, &err), &err);
        for (size_t i = 0; i < MANY; i++)
                assert_ok(instance_index_add(&index, &instances[i], &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
                instance_index_remove(&index, &instances[gone[i]]);
                instance_index_remove(&index, &instances[gone[i]]);
                assert_null(instance_index_find(&index, instances[gone[i]].stored.name));
                assert_null(find_text_of_uuid(&index, gone[i]));
        }
        assert_int_equal(count(&index), MANY - ARRAY_SIZE(gone));
        assert_ok(instance_index_add(&index, &instances[0], &err), &err);
        assert_int_equal(count(&index), MANY - ARRAY_SIZE(gone) + 1);
        instance_index_done(&index);
}

/* E-DUP-UUID: and the first one is still found by both. */
static void refuses_a_name_or_uuid_twice(void **state)
{
        struct instance_index index;
        struct instance other = {.next = NULL};
        struct err err = {0};

        (void)state;
        name_instances();
        assert_ok(instance_index_init(&index, &err), &err);
        assert_ok(instance_index_add(&index, &instances[1], &err), &err);
        other.stored = instances[1].stored;
        other.stored.block.uuid[7] = 1;
        assert_int_equal(instance_index_add(&index, &other, &err), ERR_CONFLICT);
        other.stored = instances[1].stored;
        (void)snprintf(other.stored.name, sizeof(other.stored.name), "other");
        assert_int_equal(instance_index_add(&index, &other, &err), ERR_CONFLICT);
        assert_null(instance_index_find(&index, "other"));
        assert_int_equal(count(&index), 1);
        assert_ptr_equal(instance_index_find(&index, "vm-1"), &instances[1]);
        assert_ptr_equal(find_text_of_uuid(&index, 1), &instances[1]);
        instance_index_done(&index);
}

/* Whoever is called like the UUID of another is found by that name. */
static void a_name_goes_before_a_uuid(void **state)
{
        struct instance_index index;
        struct err err = {0};

        (void)state;
        name_instances();
        uuid_unparse(instances[1].stored.block.uuid, instances[2].stored.name);
        assert_ok(instance_index_init(&index, &err), &err);
        assert_ok(instance_index_add(&index, &instances[1], &err), &err);
        assert_ok(instance_index_add(&index, &instances[2], &err), &err);
        assert_ptr_equal(find_text_of_uuid(&index, 1), &instances[2]);
        instance_index_done(&index);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(finds_by_name_and_uuid),
            cmocka_unit_test(removes_from_both_ends_and_the_middle),
            cmocka_unit_test(refuses_a_name_or_uuid_twice),
            cmocka_unit_test(a_name_goes_before_a_uuid),
        };

        return cmocka_run_group_tests_name("tcb-instance-index", tests, NULL, NULL);
}
