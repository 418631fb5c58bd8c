#include "evlog/hostlog.h"
#include "lib/test.h"

static const char good[] = "catena-host qemu 7.2.22+b3 sha256 "
                           "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static struct bytes wire(const char *text)
{
        return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static int parse(const char *text, struct hostlog_component *ret)
{
        struct err err = {0};

        return hostlog_parse((struct bytes){(const uint8_t *)text, strlen(text)}, ret, &err);
}

static void text_comes_back(void **state)
{
        struct hostlog_component component = {.name = "poisoned"};
        char text[HOSTLOG_TEXT_MAX];
        struct err err = {0};

        (void)state;
        assert_int_equal(parse(good, &component), 0);
        assert_string_equal(component.name, "qemu");
        assert_string_equal(component.version, "7.2.22+b3");
        assert_int_equal(component.digest[31], 0x1f);
        assert_ok(hostlog_text(&component, text, &err), &err);
        assert_string_equal(text, good);
}

static void refuses_other_texts(void **state)
{
        static const char *const rows[] = {
            "",
            "catena-host ",
            "catena-host qemu",
            "catena-host qemu 7 sha256 00",
            "catena-host qemu 7 sha1 "
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "catena-host  7 sha256 "
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "catena-host qe/mu 7 sha256 "
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "catena-host qemu 7 sha256 "
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0",
            "catena-host qemu 7 sha256 "
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1exx",
            "catena-host aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 7 "
            "sha256 "
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "Catena-host qemu 7 sha256 "
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        };
        struct hostlog_component component = {.name = "poisoned"};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(parse(rows[i], &component), ERR_MALFORMED);
        assert_string_equal(component.name, "poisoned");
}

static void does_not_write_what_it_would_not_read(void **state)
{
        struct hostlog_component component = {.name = "two words", .version = "1"};
        char text[HOSTLOG_TEXT_MAX];
        struct err err = {0};

        (void)state;
        assert_int_equal(hostlog_text(&component, text, &err), ERR_MALFORMED);
}

static void the_tpm_comes_back(void **state)
{
        static const char text[] = "catena-ptpm hardware tcb IFX SLB9670 7.85.4555.0";
        struct hostlog_ptpm ptpm = {.kind = "poisoned"};
        char again[HOSTLOG_TEXT_MAX];
        struct err err = {0};

        (void)state;
        assert_ok(hostlog_ptpm_parse(wire(text), &ptpm, &err), &err);
        assert_string_equal(ptpm.kind, "hardware");
        assert_string_equal(ptpm.by, "tcb");
        assert_string_equal(ptpm.manufacturer, "IFX");
        assert_string_equal(ptpm.vendor, "SLB9670");
        assert_string_equal(ptpm.firmware, "7.85.4555.0");
        assert_ok(hostlog_ptpm_text(&ptpm, again, &err), &err);
        assert_string_equal(again, text);
        ptpm.vendor[0] = ' ';
        assert_int_equal(hostlog_ptpm_text(&ptpm, again, &err), ERR_MALFORMED);
}

static void refuses_other_words_about_the_tpm(void **state)
{
        static const char *const rows[] = {
            "",
            "catena-ptpm ",
            "catena-ptpm hardware tcb IFX SLB9670",
            "catena-ptpm hardware tcb IFX SLB9670 ",
            "catena-ptpm hardware tcb IFX SLB9670 7 ",
            "catena-ptpm hardware tcb IFX SLB9670 7 8",
            "catena-ptpm  tcb IFX SLB9670 7",
            "catena-ptpm hard/ware tcb IFX SLB9670 7",
            "catena-ptpm aaaaaaaaaaaaaaaa tcb IFX SLB9670 7",
            "catena-host hardware tcb IFX SLB9670 7",
        };
        struct hostlog_ptpm ptpm = {.kind = "poisoned"};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};

                assert_int_equal(hostlog_ptpm_parse(wire(rows[i]), &ptpm, &err), ERR_MALFORMED);
        }
        assert_string_equal(ptpm.kind, "poisoned");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(text_comes_back),
            cmocka_unit_test(refuses_other_texts),
            cmocka_unit_test(does_not_write_what_it_would_not_read),
            cmocka_unit_test(the_tpm_comes_back),
            cmocka_unit_test(refuses_other_words_about_the_tpm),
        };
        return cmocka_run_group_tests_name("evlog-hostlog", tests, NULL, NULL);
}
