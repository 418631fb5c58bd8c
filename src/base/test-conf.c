#include "base/conf.h"
#include "lib/test.h"

struct sample {
        char name[8];
        char accel[8];
        uint64_t cpus;
};

static const struct conf_key keys[] = {
    {"host", "name", CONF_TEXT, offsetof(struct sample, name), 8, "host-a", 0, 0, NULL, "Name."},
    {"vm", "accel", CONF_CHOICE, offsetof(struct sample, accel), 8, "auto", 0, 0, "auto kvm tcg",
     "Accelerator."},
    {"vm", "cpus", CONF_NUMBER, offsetof(struct sample, cpus), 0, "2", 1, 64, NULL, "CPUs."},
};

static int parse(const char *text, struct sample *ret, struct err *err)
{
        return conf_parse("test.conf", text, strlen(text), keys, ARRAY_SIZE(keys), ret, err);
}

static void fallbacks_and_values(void **state)
{
        struct sample sample = {0};
        struct err err = {0};

        (void)state;
        assert_ok(parse("", &sample, &err), &err);
        assert_string_equal(sample.name, "host-a");
        assert_string_equal(sample.accel, "auto");
        assert_true(sample.cpus == 2);
        assert_ok(parse("# words\n[host]\nname = b\n[vm]\naccel=tcg\ncpus = 64\n", &sample, &err),
                  &err);
        assert_string_equal(sample.name, "b");
        assert_string_equal(sample.accel, "tcg");
        assert_true(sample.cpus == 64);
        assert_ok(conf_load("/nonexistent/catena.conf", keys, ARRAY_SIZE(keys), &sample, &err),
                  &err);
        assert_string_equal(sample.name, "host-a");
}

static void names_the_line_of_what_is_wrong(void **state)
{
        static const struct {
                const char *text;
                const char *words;
        } rows[] = {
            {"[host]\nnmae = x\n", "test.conf:2: unknown key host.nmae"},
            {"name = x\n", "test.conf:1: unknown key .name"},
            {"[host]\nname = much-too-long\n", "test.conf:2: host.name: longer than 7 bytes"},
            {"[vm]\n\ncpus = 65\n", "test.conf:3: vm.cpus: '65' is not a number from 1 to 64"},
            {"[vm]\ncpus = -1\n", "test.conf:2: vm.cpus: '-1' is not a number from 1 to 64"},
            {"[vm]\ncpus = 2x\n", "test.conf:2: vm.cpus: '2x' is not a number from 1 to 64"},
            {"[vm]\ncpus =\n", "test.conf:2: vm.cpus: '' is not a number from 1 to 64"},
            {"[vm]\naccel = kv\n", "test.conf:2: vm.accel: 'kv' is none of: auto kvm tcg"},
            {"[vm]\naccel =\n", "test.conf:2: vm.accel: '' is none of: auto kvm tcg"},
            {"[vm]\naccel\n", "test.conf:2: neither a section nor a key"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct sample sample;
                struct err err = {0};

                assert_int_equal(parse(rows[i].text, &sample, &err), ERR_USAGE);
                assert_string_equal(err.text, rows[i].words);
        }
}

static void refuses_a_nul_byte(void **state)
{
        struct sample sample;
        struct err err = {0};

        (void)state;
        assert_int_equal(
            conf_parse("test.conf", "[vm]\n\0cpus", 10, keys, ARRAY_SIZE(keys), &sample, &err),
            ERR_USAGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(fallbacks_and_values),
            cmocka_unit_test(names_the_line_of_what_is_wrong),
            cmocka_unit_test(refuses_a_nul_byte),
        };
        return cmocka_run_group_tests_name("base-conf", tests, NULL, NULL);
}
