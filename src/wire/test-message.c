#include "lib/test.h"
#include "wire/agent.h"
#include "wire/engine.h"
#include "wire/ptpm.h"
#include "wire/tcb.h"

static const struct wire_message *row(uint16_t code)
{
        return wire_message_find(&wire_engine_protocol, code);
}

static void comes_back_as_it_went(void **state)
{
        struct engine_persist out = {
            .sequence = 7, .kind = ENGINE_BLOB_PERMANENT, .blob = {(const uint8_t *)"blob", 4}};
        struct engine_persist in = {0};
        struct writer AUTO_WRITER w = {0};
        struct err err = {0};

        (void)state;
        writer_init(&w, 1000);
        assert_ok(wire_encode(row(engine_persist_code), &out, &w, &err), &err);
        assert_int_equal(w.len, 8 + 1 + 4 + 4);
        assert_ok(wire_decode(row(engine_persist_code), writer_bytes(&w), &in, sizeof(in), &err),
                  &err);
        assert_true(in.sequence == 7);
        assert_int_equal(in.kind, ENGINE_BLOB_PERMANENT);
        assert_true(bytes_equal(in.blob, out.blob));
}

static void refuses_every_cut_and_every_surplus(void **state)
{
        struct engine_failed out = {.code = 3, .text = wire_text("words")};
        struct engine_failed in = {.code = 0xdead};
        struct writer AUTO_WRITER w = {0};
        struct err err = {0};

        (void)state;
        writer_init(&w, 1000);
        assert_ok(wire_encode(row(engine_failed_code), &out, &w, &err), &err);
        for (size_t n = 0; n < w.len; n++)
                assert_int_equal(wire_decode(row(engine_failed_code), (struct bytes){w.data, n},
                                             &in, sizeof(in), &err),
                                 ERR_MALFORMED);
        writer_put_u8(&w, 0);
        assert_int_equal(
            wire_decode(row(engine_failed_code), writer_bytes(&w), &in, sizeof(in), &err),
            ERR_MALFORMED);
        assert_int_equal(in.code, 0xdead);
}

static void refuses_text_that_is_not_clean(void **state)
{
        static const struct {
                const char *text;
                int code;
        } rows[] = {
            {"plain", 0},
            {"gr\xc3\xbc\xc3\x9f \xe2\x9c\x93 \xf0\x9f\x94\x92", 0},
            {"new\nline", ERR_MALFORMED},
            {"esc\x1b[2J", ERR_MALFORMED},
            {"\x7f", ERR_MALFORMED},
            {"\xc2\x85", ERR_MALFORMED},         /* C1 control */
            {"\xc0\xaf", ERR_MALFORMED},         /* overlong */
            {"\xe0\x80\xaf", ERR_MALFORMED},     /* overlong */
            {"\xed\xa0\x80", ERR_MALFORMED},     /* surrogate */
            {"\xf4\x90\x80\x80", ERR_MALFORMED}, /* above U+10FFFF */
            {"cut\xe2\x9c", ERR_MALFORMED},
            {"\x80", ERR_MALFORMED},
        };
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct engine_failed in;
                uint8_t memory[64];
                struct writer w;
                size_t n = strlen(rows[i].text);

                writer_init_fixed(&w, memory, sizeof(memory));
                writer_put_be16(&w, 1);
                writer_put_be32(&w, (uint32_t)n);
                writer_put(&w, rows[i].text, n);
                assert_int_equal(
                    wire_decode(row(engine_failed_code), writer_bytes(&w), &in, sizeof(in), &err),
                    rows[i].code);
        }
}

static void makes_words_fit(void **state)
{
        char words[] = "caf\xc3\xa9\n\xff.";
        char cut[] = "caf\xc3\xa9";

        (void)state;
        assert_int_equal(wire_text_fit(words, 100).len, 8);
        assert_string_equal(words, "caf\xc3\xa9??.");
        assert_int_equal(wire_text_fit(cut, 4).len, 3);
        assert_string_equal(cut, "caf");
}

static void refuses_fields_over_their_maximum(void **state)
{
        static uint8_t large[ENGINE_COMMAND_MAX + 1];
        struct engine_command out = {.command = {large, sizeof(large)}};
        struct engine_command in;
        struct writer AUTO_WRITER w = {0};
        struct err err = {0};

        (void)state;
        writer_init(&w, 10000);
        assert_int_equal(wire_encode(row(engine_command_code), &out, &w, &err), ERR_LIMIT);
        writer_put_be32(&w, sizeof(large));
        writer_put(&w, large, sizeof(large));
        assert_int_equal(
            wire_decode(row(engine_command_code), writer_bytes(&w), &in, sizeof(in), &err),
            ERR_MALFORMED);
}

/* Every table: codes unique, structs within the decoder's bound, maxima within the payload. */
static void tables_are_consistent(void **state)
{
        static const struct wire_protocol *const protocols[] = {
            &wire_engine_protocol, &wire_agent_protocol, &wire_ptpm_protocol, &wire_tcb_protocol};

        (void)state;
        for (size_t p = 0; p < ARRAY_SIZE(protocols); p++) {
                for (size_t i = 0; i < protocols[p]->n_messages; i++) {
                        const struct wire_message *m = &protocols[p]->messages[i];

                        assert_ptr_equal(wire_message_find(protocols[p], m->code), m);
                        assert_int_not_equal(m->code, 0);
                        assert_true(m->size <= 1024);
                        for (size_t k = 0; k < m->n_fields; k++)
                                assert_true(m->fields[k].max < protocols[p]->payload_max);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(comes_back_as_it_went),
            cmocka_unit_test(refuses_every_cut_and_every_surplus),
            cmocka_unit_test(refuses_text_that_is_not_clean),
            cmocka_unit_test(makes_words_fit),
            cmocka_unit_test(refuses_fields_over_their_maximum),
            cmocka_unit_test(tables_are_consistent),
        };
        return cmocka_run_group_tests_name("wire-message", tests, NULL, NULL);
}
