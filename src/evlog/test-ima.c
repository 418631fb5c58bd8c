/*
 * IMA lists: the real ones, and those that must not win (I-*).
 */
#include "base/hex.h"
#include "base/writer.h"
#include "evlog/ima.h"
#include "lib/test.h"

#define BYTES(s) ((struct bytes){(const uint8_t *)(s), sizeof(s) - 1})
#define LIST_MAX 4096
#define FILE_HASH                                                                                  \
        "sha256:\0"                                                                                \
        "0123456789abcdef0123456789abcdef"

struct list {
        uint8_t memory[LIST_MAX];
        struct writer w;
};

static void begin(struct list *list)
{
        writer_init_fixed(&list->w, list->memory, sizeof(list->memory));
}

static void put_field(struct writer *w, struct bytes field)
{
        writer_put_le32(w, (uint32_t)field.len);
        writer_put_bytes(w, field);
}

/* An entry with the right template digest, or with zeros for a violation. */
static void add_as(struct list *list, const char *alg_name, const char *template,
                   const struct bytes *fields, size_t count, bool violation)
{
        const struct hash_alg *alg = hash_by_name(alg_name);
        uint8_t digest[HASH_SIZE_MAX] = {0};
        uint8_t memory[1024];
        struct writer data;
        struct err err = {0};

        writer_init_fixed(&data, memory, sizeof(memory));
        for (size_t i = 0; i < count; i++)
                put_field(&data, fields[i]);
        if (!violation)
                assert_ok(hash_digest(alg, memory, data.len, digest, &err), &err);
        writer_put_le32(&list->w, IMA_PCR);
        writer_put(&list->w, digest, alg->size);
        put_field(&list->w, (struct bytes){(const uint8_t *)template, strlen(template)});
        put_field(&list->w, writer_bytes(&data));
}

static void add(struct list *list, struct bytes path)
{
        const struct bytes fields[] = {BYTES(FILE_HASH), path};

        add_as(list, "sha1", "ima-ng", fields, 2, false);
}

static int parse(const struct list *list, struct ima_log **ret_log, struct err *err)
{
        assert_int_equal(writer_check(&list->w), 0);
        return ima_log_parse(writer_bytes(&list->w), ret_log, err);
}

/* Three entries: boot_aggregate, /a, /b. */
static void build_three(struct list *list)
{
        begin(list);
        add(list, BYTES("boot_aggregate\0"));
        add(list, BYTES("/a\0"));
        add(list, BYTES("/b\0"));
}

static void value_after(const struct ima_log *log, size_t end, uint8_t *ret_value)
{
        struct ima_replay replay;
        struct err err = {0};

        ima_replay_init(&replay, hash_by_name("sha256"), IMA_PCR);
        assert_ok(ima_replay_run(&replay, log, end, &err), &err);
        memcpy(ret_value, replay.value, 32);
}

static void check_value(const struct ima_log *log, const char *bank, const char *want)
{
        struct ima_replay replay;
        char text[2 * HASH_SIZE_MAX + 1];
        struct err err = {0};

        ima_replay_init(&replay, hash_by_name(bank), IMA_PCR);
        assert_ok(ima_replay_run(&replay, log, log->count, &err), &err);
        assert_int_equal(replay.extended, log->count);
        assert_string_equal(hex_encode(replay.value, replay.alg->size, text), want);
}

static void public_list_replays(void **state)
{
        uint8_t AUTO_FREE *data = NULL;
        struct ima_log AUTO_IMA_LOG *log = NULL;
        struct err err = {0};
        size_t len;

        (void)state;
        if (test_fixtures() == NULL)
                skip();
        data = test_fixture("ima/ima-sig-sha256-templates.bin", &len);
        assert_ok(ima_log_parse((struct bytes){data, len}, &log, &err), &err);
        assert_ptr_equal(log->digest_alg, hash_by_name("sha256"));
        check_value(log, "sha1", "9be6bac02bf18d09d17e726c2df00bca4e8831ea");
        check_value(log, "sha256",
                    "7fac48c81837d6d29046008aef0cdad8c2745cc98c3340cbba9bfdf39b4124b8");
        for (size_t i = 0; i < log->count; i++) {
                bool verified = false;

                assert_ok(ima_entry_verify(log, &log->entries[i], &verified, &err), &err);
                assert_true(verified);
        }
}

/* PCR 10 and boot_aggregate of a recorded boot, from both forms of its list. */
static void boots_replay(void **state)
{
        static const char *const boots[] = {"good", "kernel", "cmdline", "ovmf-direct",
                                            "seabios-direct"};
        static const char *const forms[] = {"binary", "ascii"};

        (void)state;
        if (test_fixtures() == NULL)
                skip();
        for (size_t i = 0; i < 2 * ARRAY_SIZE(boots); i++) {
                uint8_t AUTO_FREE *data = NULL;
                uint8_t AUTO_FREE *pcrs = NULL;
                struct ima_log AUTO_IMA_LOG *log = NULL;
                uint8_t values[11][32];
                const uint8_t *first[10];
                uint8_t aggregate[32];
                struct err err = {0};
                char path[128];
                char *line;
                size_t len;

                (void)snprintf(path, sizeof(path), "boots/%s/pcrs.sha256.txt", boots[i / 2]);
                pcrs = test_fixture(path, &len);
                line = (char *)pcrs;
                for (size_t pcr = 0; pcr <= 10; pcr++) {
                        char hex[65];
                        unsigned index;

                        assert_int_equal(sscanf(line, "%u %64s", &index, hex), 2);
                        assert_int_equal(hex_decode(hex, 64, values[pcr], 32, &len), 0);
                        line = strchr(line, '\n') + 1;
                        if (pcr < 10)
                                first[pcr] = values[pcr];
                }
                (void)snprintf(path, sizeof(path), "boots/%s/%s_runtime_measurements", boots[i / 2],
                               forms[i % 2]);
                data = test_fixture(path, &len);
                assert_ok(ima_log_parse((struct bytes){data, len}, &log, &err), &err);
                assert_int_equal(log->ascii, i % 2 == 1);
                check_value(log, "sha256", hex_encode(values[10], 32, path));
                assert_ok(ima_boot_aggregate(hash_by_name("sha256"), first, 10, aggregate, &err),
                          &err);
                assert_memory_equal(aggregate, ima_log_boot_aggregate(log)->hash.data, 32);
        }
}

/* I-TAIL: a longer list is normal, its tail is not verified; a shorter one is refused. */
static void a_prefix_is_found(void **state)
{
        static struct list list;
        struct ima_log AUTO_IMA_LOG *log = NULL;
        struct ima_replay replay;
        uint8_t value[32];
        uint8_t unknown[32] = {7};
        struct err err = {0};

        (void)state;
        build_three(&list);
        assert_ok(parse(&list, &log, &err), &err);
        value_after(log, 2, value);
        ima_replay_init(&replay, hash_by_name("sha256"), IMA_PCR);
        assert_ok(ima_replay_find(&replay, log, value, &err), &err);
        assert_int_equal(replay.next, 2);
        assert_ok(ima_replay_find(&replay, log, value, &err), &err);
        assert_int_equal(replay.next, 2);
        assert_int_equal(ima_replay_find(&replay, log, unknown, &err), ERR_NOT_TRUSTED);
        assert_int_equal(replay.next, 2);
        assert_memory_equal(replay.value, value, 32);
        /* the tail catches up with a later quote */
        value_after(log, 3, value);
        assert_ok(ima_replay_find(&replay, log, value, &err), &err);
        assert_int_equal(replay.next, 3);
        /* shorter than the PCR */
        log->count = 2;
        ima_replay_init(&replay, hash_by_name("sha256"), IMA_PCR);
        assert_int_equal(ima_replay_find(&replay, log, value, &err), ERR_NOT_TRUSTED);
}

/* I-OFFSET: the new part of a list fits only where the last replay stopped. */
static void wrong_offsets_do_not_match(void **state)
{
        static struct list list;
        struct ima_log AUTO_IMA_LOG *log = NULL;
        struct ima_log part;
        struct ima_replay replay;
        uint8_t final[32];
        struct err err = {0};

        (void)state;
        build_three(&list);
        assert_ok(parse(&list, &log, &err), &err);
        value_after(log, 3, final);
        for (size_t from = 0; from < 3; from++) {
                part = *log;
                part.entries += from;
                part.count -= from;
                ima_replay_init(&replay, hash_by_name("sha256"), IMA_PCR);
                assert_ok(ima_replay_run(&replay, log, 1, &err), &err);
                ima_replay_rebase(&replay);
                assert_int_equal(ima_replay_find(&replay, &part, final, &err),
                                 from == 1 ? 0 : ERR_NOT_TRUSTED);
        }
        ima_replay_init(&replay, hash_by_name("sha256"), IMA_PCR);
        assert_ok(ima_replay_run(&replay, log, 2, &err), &err);
        assert_int_equal(ima_replay_run(&replay, log, 1, &err), ERR_MALFORMED);
        assert_int_equal(ima_replay_run(&replay, log, 4, &err), ERR_MALFORMED);
}

/* I-VIOLATION: zeros in the list are ones in the PCR, in every bank. */
static void violations_extend_ones(void **state)
{
        const struct bytes fields[] = {BYTES("sha1:\0\0\0\0"), BYTES("/v\0")};
        const struct hash_alg *sha256 = hash_by_name("sha256");
        static struct list list;
        struct ima_log AUTO_IMA_LOG *log = NULL;
        uint8_t ones[32];
        uint8_t want[32] = {0};
        uint8_t value[32];
        struct err err = {0};

        (void)state;
        begin(&list);
        add_as(&list, "sha1", "ima-ng", fields, 2, true);
        assert_ok(parse(&list, &log, &err), &err);
        assert_true(log->entries[0].violation);
        memset(ones, 0xff, sizeof(ones));
        assert_ok(hash_extend(sha256, want, ones, &err), &err);
        value_after(log, 1, value);
        assert_memory_equal(value, want, 32);
        assert_null(ima_log_boot_aggregate(log));
}

/* I-TEMPLATE: fields that do not give the template digest; the PCR follows the fields. */
static void changed_fields_are_seen(void **state)
{
        static struct list list;
        struct ima_log AUTO_IMA_LOG *log = NULL;
        uint8_t good[32];
        uint8_t bad[32];
        bool verified = true;
        struct err err = {0};

        (void)state;
        build_three(&list);
        assert_ok(parse(&list, &log, &err), &err);
        value_after(log, 3, good);
        list.memory[list.w.len - 2] ^= 1; /* /b becomes /c */
        value_after(log, 3, bad);
        assert_memory_not_equal(good, bad, 32);
        assert_ok(ima_entry_verify(log, &log->entries[2], &verified, &err), &err);
        assert_false(verified);
}

/* I-BOOTAGG: only the first entry, and never a violation or another PCR. */
static void boot_aggregate_is_the_first_entry(void **state)
{
        static struct list list;
        struct ima_log AUTO_IMA_LOG *log = NULL;
        struct err err = {0};

        (void)state;
        begin(&list);
        add(&list, BYTES("/a\0"));
        add(&list, BYTES("boot_aggregate\0"));
        assert_ok(parse(&list, &log, &err), &err);
        assert_null(ima_log_boot_aggregate(log));
        ima_log_free(TAKE(log));
        begin(&list);
        assert_ok(parse(&list, &log, &err), &err);
        assert_int_equal(log->count, 0);
        assert_null(ima_log_boot_aggregate(log));
}

static const struct {
        const char *name;
        const char *template;
        struct bytes fields[9];
        size_t count;
        int rc;
} template_rows[] = {
    {"ng", "ima-ng", {BYTES(FILE_HASH), BYTES("/a\0")}, 2, 0},
    {"format", "d-ng|n-ng", {BYTES(FILE_HASH), BYTES("/a\0")}, 2, 0},
    {"sig", "ima-sig", {BYTES(FILE_HASH), BYTES("/a\0"), BYTES("\3\2")}, 3, 0},
    {"ngv2", "ima-ngv2", {BYTES("verity:" FILE_HASH), BYTES("/a\0")}, 2, 0},
    {"buf", "ima-buf", {BYTES(FILE_HASH), BYTES("k\0"), BYTES("key")}, 3, 0},
    {"odd path", "ima-ng", {BYTES(FILE_HASH), BYTES("/\n\033 \xff\0")}, 2, 0},
    {"modsig",
     "ima-modsig",
     {BYTES(FILE_HASH), BYTES("/a\0"), BYTES(""), BYTES(""), BYTES("pkcs7")},
     5,
     0},
    {"I-TEMPLATE unknown", "ima-new", {BYTES(FILE_HASH), BYTES("/a\0")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE unknown field", "d-ng|x", {BYTES(FILE_HASH), BYTES("a")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE field twice", "d-ng|d-ng", {BYTES(FILE_HASH), BYTES("a")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE empty field", "d-ng||n-ng", {BYTES(FILE_HASH), BYTES("a")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE field missing", "ima-sig", {BYTES(FILE_HASH), BYTES("/a\0")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE one more",
     "ima-ng",
     {BYTES(FILE_HASH), BYTES("/\0"), BYTES("x")},
     3,
     ERR_MALFORMED},
    {"I-TEMPLATE no NUL", "ima-ng", {BYTES(FILE_HASH), BYTES("/a")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE NUL inside", "ima-ng", {BYTES(FILE_HASH), BYTES("/a\0b\0")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE empty name", "ima-ng", {BYTES(FILE_HASH), BYTES("")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE digest cut", "ima-ng", {BYTES("sha256:\0abc"), BYTES("/a\0")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE no hash", "ima-ng", {BYTES("abcdefgh"), BYTES("/a\0")}, 2, ERR_MALFORMED},
    {"I-TEMPLATE no kind", "ima-ngv2", {BYTES(FILE_HASH), BYTES("/a\0")}, 2, ERR_MALFORMED},
};

static void templates_are_known_and_bounded(void **state)
{
        static struct list list;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(template_rows); i++) {
                struct ima_log *log = (struct ima_log *)0x1;
                struct err err = {0};
                int rc;

                begin(&list);
                add_as(&list, "sha1", template_rows[i].template, template_rows[i].fields,
                       template_rows[i].count, false);
                rc = parse(&list, &log, &err);
                if (rc != template_rows[i].rc)
                        fail_msg("%s: %d %s", template_rows[i].name, rc, err.text);
                if (rc == 0) {
                        bool verified = false;

                        assert_ok(ima_entry_verify(log, &log->entries[0], &verified, &err), &err);
                        assert_true(verified);
                        ima_log_free(log);
                        continue;
                }
                assert_ptr_equal(log, (struct ima_log *)0x1);
                assert_non_null(strstr(err.text, "at byte "));
        }
}

/* I-TEMPLATE overrun lengths: each length of an entry, made huge. */
static void overrun_lengths_are_refused(void **state)
{
        static const size_t lengths[] = {24, 28 + 6, 28 + 6 + 4, 28 + 6 + 4 + 4 + 40};
        static const uint8_t values[] = {0x7f, 0xff};
        static struct list list;

        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_SIZE(lengths); i++) {
                struct ima_log AUTO_IMA_LOG *log = NULL;
                struct err err = {0};

                begin(&list);
                add(&list, BYTES("/a\0"));
                memset(list.memory + lengths[i / 2], 0xff, 3);
                list.memory[lengths[i / 2] + 3] = values[i % 2];
                assert_int_equal(parse(&list, &log, &err), ERR_MALFORMED);
        }
}

static void every_cut_is_noticed(void **state)
{
        static struct list list;
        struct err err = {0};

        (void)state;
        build_three(&list);
        for (size_t len = 1; len < list.w.len; len++) {
                struct ima_log AUTO_IMA_LOG *log = NULL;
                int rc = ima_log_parse((struct bytes){list.memory, len}, &log, &err);

                if (rc == 0)
                        assert_true(log->count < 3);
                else
                        assert_int_equal(rc, ERR_MALFORMED);
        }
}

static void template_digests_of_any_size(void **state)
{
        static const char *const algs[] = {"sha1", "sha256", "sha384", "sha512"};
        const struct bytes fields[] = {BYTES(FILE_HASH), BYTES("/a\0")};
        static struct list list;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(algs); i++) {
                struct ima_log AUTO_IMA_LOG *log = NULL;
                struct err err = {0};

                begin(&list);
                add_as(&list, algs[i], "ima-ng", fields, 2, false);
                add_as(&list, algs[i], "ima-ng", fields, 2, false);
                assert_ok(parse(&list, &log, &err), &err);
                assert_ptr_equal(log->digest_alg, hash_by_name(algs[i]));
        }
}

#define SHA1_ZEROS "0000000000000000000000000000000000000000"
static const struct {
        const char *name;
        struct bytes text;
        int rc;
} ascii_rows[] = {
    {"violation", BYTES("10 " SHA1_ZEROS " ima-ng sha1:" SHA1_ZEROS " /v\n"), 0},
    {"no newline at the end", BYTES("10 " SHA1_ZEROS " ima-ng sha1:" SHA1_ZEROS " /v"), 0},
    {"PCR", BYTES("24 " SHA1_ZEROS " ima-ng sha1:00 /v\n"), ERR_MALFORMED},
    {"PCR no number", BYTES("1x " SHA1_ZEROS " ima-ng sha1:00 /v\n"), ERR_MALFORMED},
    {"digest odd", BYTES("10 000 ima-ng sha1:00 /v\n"), ERR_MALFORMED},
    {"digest no hex", BYTES("10 g" SHA1_ZEROS " ima-ng sha1:00 /v\n"), ERR_MALFORMED},
    {"template", BYTES("10 " SHA1_ZEROS " ima-xx sha1:00 /v\n"), ERR_MALFORMED},
    {"one word more", BYTES("10 " SHA1_ZEROS " ima-ng sha1:00 /v w\n"), ERR_MALFORMED},
    {"field no hex", BYTES("10 " SHA1_ZEROS " ima-sig sha1:00 /v zz\n"), ERR_MALFORMED},
    {"nothing", BYTES("10"), ERR_MALFORMED},
    {"empty line", BYTES("10 " SHA1_ZEROS " ima-ng sha1:00 /v\n\n"), ERR_MALFORMED},
};

static void ascii_is_bounded_too(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(ascii_rows); i++) {
                struct ima_log AUTO_IMA_LOG *log = NULL;
                struct err err = {0};
                int rc = ima_log_parse(ascii_rows[i].text, &log, &err);

                if (rc != ascii_rows[i].rc)
                        fail_msg("%s: %d %s", ascii_rows[i].name, rc, err.text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(public_list_replays),
            cmocka_unit_test(boots_replay),
            cmocka_unit_test(a_prefix_is_found),
            cmocka_unit_test(wrong_offsets_do_not_match),
            cmocka_unit_test(violations_extend_ones),
            cmocka_unit_test(changed_fields_are_seen),
            cmocka_unit_test(boot_aggregate_is_the_first_entry),
            cmocka_unit_test(templates_are_known_and_bounded),
            cmocka_unit_test(overrun_lengths_are_refused),
            cmocka_unit_test(every_cut_is_noticed),
            cmocka_unit_test(template_digests_of_any_size),
            cmocka_unit_test(ascii_is_bounded_too),
        };
        return cmocka_run_group_tests_name("evlog-ima", tests, NULL, NULL);
}
