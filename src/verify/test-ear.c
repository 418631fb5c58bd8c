#include <jansson.h>

#include "lib/evidence-builder.h"
#include "lib/test.h"
#include "verify/ear.h"
#include "verify/jwt.h"
#include "verify/report.h"

static struct pkey *key;

/* A verdict as the appraisal leaves it, without the appraisal. */
struct sample {
        struct verify_result result;
        struct verify_machine host, vm;
};

static struct sample *sample_new(void)
{
        struct sample *s = calloc(1, sizeof(*s));
        static const char id[] =
            "000b7f3a000000000000000000000000000000000000000000000000000000000000";

        assert_non_null(s);
        s->result = (struct verify_result){.tier = VERIFY_WARNING,
                                           .now = BUILDER_NOW,
                                           .expires = BUILDER_NOW + 300,
                                           .policy = "web",
                                           .ptpm = "embedded",
                                           .tcb_version = "0.1",
                                           .host = &s->host,
                                           .n_vms = 1};
        s->result.vms[0] = &s->vm;
        memset(s->result.challenge.nonce, 0x42, sizeof(s->result.challenge.nonce));
        (void)snprintf(s->host.name, sizeof(s->host.name), "host-a");
        (void)snprintf(s->vm.name, sizeof(s->vm.name), "web1");
        (void)snprintf(s->vm.id, sizeof(s->vm.id), "%s", id);
        s->host.tier = s->vm.tier = VERIFY_WARNING;
        s->host.identity = s->vm.identity = VERIFY_OK;
        for (unsigned i = 0; i < VERIFY_PROGRAMS; i++)
                s->host.parts[i] = VERIFY_NOT_MEASURED;
        s->host.parts[VERIFY_PROGRAMS] = VERIFY_OK;
        for (unsigned i = 0; i < VERIFY_PARTS; i++)
                s->vm.parts[i] = VERIFY_OK;
        s->vm.programs = 14;
        reasons_add(&s->host.reasons, "host.evaluation", REASON_WARNING, "its TPM is software");
        return s;
}

static char *report_of(const struct verify_result *result)
{
        struct writer w;
        size_t len;

        writer_init(&w, REPORT_SIZE_MAX);
        report_put(&w, result);
        writer_put_u8(&w, '\0');
        assert_int_equal(writer_check(&w), 0);
        return (char *)writer_take(&w, &len);
}

static void tree_for_people(void **state)
{
        struct sample AUTO_FREE *s = sample_new();
        char AUTO_FREE *text = report_of(&s->result);

        (void)state;
        assert_string_equal(
            text,
            "host-a    evaluation   software pTPM   firmware, GRUB, kernel not measured   "
            "catena-tcb 0.1 \u2713   rollback protection: none\n"
            "\u2514\u2500 web1   trusted on evaluation host   vTPM 7f3a\u2026   "
            "firmware \u2713  GRUB \u2713  kernel \u2713  command line \u2713  initrd \u2713  "
            "14 programs \u2713\n"
            "\n"
            "host-a: warning: its TPM is software [host.evaluation]\n");
}

static void the_supervisor_beside_the_tcb(void **state)
{
        static const struct {
                enum verify_mark mark;
                const char *words;
        } rows[] = {
            {VERIFY_OK, "catena-tcb 0.1 \u2713  catena-supervisor \u2713   "},
            {VERIFY_BAD, "catena-tcb 0.1 \u2717  catena-supervisor \u2717   "},
            {VERIFY_NOT_CHECKED, "catena-tcb 0.1 not compared  catena-supervisor not compared   "},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct sample AUTO_FREE *s = sample_new();
                char AUTO_FREE *text = NULL;

                s->result.supervised = true;
                s->host.parts[VERIFY_PROGRAMS] = rows[i].mark;
                text = report_of(&s->result);
                if (strstr(text, rows[i].words) == NULL)
                        fail_msg("%s", text);
        }
}

/* What was not measured never carries a tick, and what is wrong is marked as wrong. */
static void no_false_ticks(void **state)
{
        struct sample AUTO_FREE *s = sample_new();
        char AUTO_FREE *text = NULL;

        (void)state;
        for (unsigned i = 0; i < VERIFY_PARTS; i++)
                s->vm.parts[i] = VERIFY_NOT_MEASURED;
        s->vm.parts[VERIFY_INITRD] = VERIFY_NOT_CHECKED;
        s->vm.parts[VERIFY_KERNEL] = VERIFY_BAD;
        s->vm.tier = VERIFY_CONTRAINDICATED;
        s->host.parts[VERIFY_PROGRAMS] = VERIFY_NOT_MEASURED;
        text = report_of(&s->result);
        assert_null(strstr(text, "\u2713"));
        assert_non_null(strstr(text, "not trusted"));
        assert_non_null(strstr(text, "kernel \u2717"));
        assert_non_null(strstr(
            text, "firmware, GRUB, command line, programs not measured   initrd not checked"));
        assert_non_null(strstr(text, "catena-tcb 0.1 not compared"));
}

static json_int_t claim(const json_t *claims, const char *machine, const char *name)
{
        json_t *submod = json_object_get(json_object_get(claims, "submods"), machine);
        json_t *vector = json_object_get(submod, "ear.trustworthiness-vector");

        assert_true(json_is_integer(json_object_get(vector, name)));
        return json_integer_value(json_object_get(vector, name));
}

static void trust_vector(void **state)
{
        struct sample AUTO_FREE *s = sample_new();
        json_t AUTO_JSON *claims = NULL, AUTO_JSON *changed = NULL, AUTO_JSON *partial = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(ear_claims(&s->result, &claims, &err), &err);
        assert_int_equal(claim(claims, "host-a", "hardware"), 32);
        assert_int_equal(claim(claims, "host-a", "executables"), 0);
        assert_int_equal(claim(claims, "host-a/web1", "instance-identity"), 2);
        assert_int_equal(claim(claims, "host-a/web1", "executables"), 2);
        assert_int_equal(claim(claims, "host-a/web1", "configuration"), 2);
        /* By the host's own word: no claim. */
        (void)snprintf(s->result.ptpm, sizeof(s->result.ptpm), "hardware");
        json_decref(claims);
        assert_ok(ear_claims(&s->result, &claims, &err), &err);
        assert_int_equal(claim(claims, "host-a", "hardware"), 0);
        s->result.ek_certified = true;
        json_decref(claims);
        assert_ok(ear_claims(&s->result, &claims, &err), &err);
        assert_int_equal(claim(claims, "host-a", "hardware"), 2);
        assert_int_equal(claim(claims, "host-a/web1", "hardware"), 0);
        s->vm.parts[VERIFY_PROGRAMS] = VERIFY_NOT_MEASURED;
        assert_ok(ear_claims(&s->result, &partial, &err), &err);
        assert_int_equal(claim(partial, "host-a/web1", "executables"), 3);
        s->vm.parts[VERIFY_KERNEL] = VERIFY_BAD;
        s->vm.parts[VERIFY_COMMAND_LINE] = VERIFY_NOT_MEASURED;
        s->vm.identity = VERIFY_BAD;
        assert_ok(ear_claims(&s->result, &changed, &err), &err);
        assert_int_equal(claim(changed, "host-a/web1", "executables"), 96);
        assert_int_equal(claim(changed, "host-a/web1", "configuration"), 0);
        assert_int_equal(claim(changed, "host-a/web1", "instance-identity"), 97);
}

/* EAR wants a URI, and a policy may be called anything. */
static void policies_are_uris(void **state)
{
        struct sample AUTO_FREE *s = sample_new();
        json_t AUTO_JSON *claims = NULL;
        struct err err = {0};
        json_t *submod;

        (void)state;
        (void)snprintf(s->result.policy, sizeof(s->result.policy), "web 1%%/\xc3\xa9");
        assert_ok(ear_claims(&s->result, &claims, &err), &err);
        submod = json_object_get(json_object_get(claims, "submods"), "host-a");
        assert_string_equal(json_string_value(json_object_get(submod, "ear.appraisal-policy-id")),
                            "urn:catena:policy:web%201%25%2F%C3%A9");
}

static struct bytes text_bytes(const char *text)
{
        return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void signed_and_checked(void **state)
{
        struct sample AUTO_FREE *s = sample_new();
        json_t AUTO_JSON *claims = NULL;
        char AUTO_FREE *token = NULL;
        uint8_t other[CHALLENGE_NONCE_SIZE] = {1};
        struct err err = {0};

        (void)state;
        assert_ok(ear_sign(&s->result, key, &token, &err), &err);
        assert_ok(ear_verify(text_bytes(token), key, BUILDER_NOW + 300, s->result.challenge.nonce,
                             &claims, &err),
                  &err);
        assert_int_equal(ear_status(claims), VERIFY_WARNING);
        json_decref(TAKE(claims));
        /* V-STALL: the last good verdict does not stay. */
        assert_int_equal(ear_verify(text_bytes(token), key, BUILDER_NOW + 301, NULL, &claims, &err),
                         ERR_NOT_TRUSTED);
        assert_int_equal(
            ear_verify(text_bytes(token), key, BUILDER_NOW - 3600, NULL, &claims, &err),
            ERR_NOT_TRUSTED);
        assert_int_equal(ear_verify(text_bytes(token), key, BUILDER_NOW, other, &claims, &err),
                         ERR_NOT_TRUSTED);
        assert_null(claims);
}

#define TIMES   "\"iat\":1800000000,\"exp\":1800000300"
#define PROFILE "\"eat_profile\":\"" EAR_PROFILE "\""

static const struct {
        const char *name, *claims;
        int code;
} rows[] = {
    {"good", "{" PROFILE "," TIMES ",\"submods\":{\"h\":{\"ear.status\":\"affirming\"}}}", 0},
    {"no profile", "{" TIMES ",\"submods\":{\"h\":{\"ear.status\":\"affirming\"}}}", ERR_MALFORMED},
    {"no times", "{" PROFILE ",\"submods\":{\"h\":{\"ear.status\":\"affirming\"}}}", ERR_MALFORMED},
    {"time as text", "{" PROFILE ",\"iat\":\"1\",\"exp\":1900000000,\"submods\":{\"h\":{}}}",
     ERR_MALFORMED},
    {"V-EMPTY no submods", "{" PROFILE "," TIMES "}", ERR_MALFORMED},
    {"V-EMPTY about nobody", "{" PROFILE "," TIMES ",\"submods\":{}}", ERR_MALFORMED},
    {"no status", "{" PROFILE "," TIMES ",\"submods\":{\"h\":{}}}", ERR_MALFORMED},
};

static void strict_claims(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t AUTO_JSON *claims = json_loads(rows[i].claims, 0, NULL);
                json_t AUTO_JSON *again = NULL;
                char AUTO_FREE *token = NULL;
                struct err err = {0};

                assert_non_null(claims);
                assert_ok(jwt_sign(claims, key, &token, &err), &err);
                if (ear_verify(text_bytes(token), key, BUILDER_NOW, NULL, &again, &err) !=
                    rows[i].code)
                        fail_msg("%s: %d %s", rows[i].name, err.code, err.text);
        }
}

/* A status that nobody defined is the worst, and the worst submod decides. */
static void worst_status(void **state)
{
        static const struct {
                const char *claims;
                enum verify_tier tier;
        } sets[] = {
            {"{\"submods\":{\"a\":{\"ear.status\":\"affirming\"}}}", VERIFY_AFFIRMING},
            {"{\"submods\":{\"a\":{\"ear.status\":\"affirming\"},\"b\":{\"ear.status\":\"warning\"}"
             "}}",
             VERIFY_WARNING},
            {"{\"submods\":{\"a\":{\"ear.status\":\"affirming\"},\"b\":{\"ear.status\":\"none\"}}}",
             VERIFY_CONTRAINDICATED},
            {"{\"submods\":{\"a\":{\"ear.status\":\"AFFIRMING\"}}}", VERIFY_CONTRAINDICATED},
            {"{}", VERIFY_NONE},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
                json_t AUTO_JSON *claims = json_loads(sets[i].claims, 0, NULL);

                assert_int_equal(ear_status(claims), sets[i].tier);
        }
}

static void report_as_json(void **state)
{
        struct sample AUTO_FREE *s = sample_new();
        json_t AUTO_JSON *json = NULL;
        struct err err = {0};

        (void)state;
        /* Words that were cut in the middle of a character still make a document. */
        reasons_add(&s->vm.reasons, "bind.nonce", REASON_FAIL, "cut \xe2\x9c");
        assert_ok(report_to_json(&s->result, &json, &err), &err);
        assert_string_equal(json_string_value(json_object_get(json, "verdict")), "warning");
        assert_int_equal(json_array_size(json_object_get(json, "reasons")), 2);
}

static int make_key(void **state)
{
        struct err err = {0};

        (void)state;
        assert_ok(pkey_generate_ec(PKEY_P256, &key, &err), &err);
        return 0;
}

static int free_key(void **state)
{
        (void)state;
        pkey_free(key);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(tree_for_people),   cmocka_unit_test(the_supervisor_beside_the_tcb),
            cmocka_unit_test(no_false_ticks),    cmocka_unit_test(trust_vector),
            cmocka_unit_test(policies_are_uris), cmocka_unit_test(signed_and_checked),
            cmocka_unit_test(strict_claims),     cmocka_unit_test(worst_status),
            cmocka_unit_test(report_as_json),
        };
        return cmocka_run_group_tests_name("verify-ear", tests, make_key, free_key);
}
