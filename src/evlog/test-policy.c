#include "evlog/policy.h"
#include "lib/test.h"

static struct policy_digest digest_of(const char *alg, uint8_t fill)
{
        struct policy_digest digest = {.alg = hash_by_name(alg)};

        memset(digest.data, fill, digest.alg->size);
        return digest;
}

/* Adds the same facts forwards or backwards. */
static struct policy *make_policy(bool backwards)
{
        static const char *const paths[] = {"/init", "/m/10-virtio.ko", "/usr/bin/agent"};
        struct err err = {0};
        struct policy *policy = NULL, *boot = NULL;

        assert_ok(policy_new("web", hash_by_name("sha256"), &policy, &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                size_t at = backwards ? ARRAY_SIZE(paths) - 1 - i : i;
                struct policy_digest digest = digest_of("sha256", (uint8_t)at);
                struct policy_digest other = digest_of("sha512", (uint8_t)at);
                struct policy_firmware firmware = {.pcrs.mask = POLICY_FIRMWARE_MASK};

                assert_ok(
                    policy_add_ima_file(policy, paths[at], backwards ? &digest : &other, &err),
                    &err);
                assert_ok(
                    policy_add_ima_file(policy, paths[at], backwards ? &other : &digest, &err),
                    &err);
                assert_ok(policy_add_file(policy, paths[at], POLICY_INITRD, &digest, &err), &err);
                assert_ok(policy_add_host(policy, paths[at], &digest, &err), &err);
                (void)snprintf(firmware.name, sizeof(firmware.name), "profile-%zu", at);
                firmware.pcrs.values[0][0] = (uint8_t)at;
                assert_ok(policy_add_firmware(policy, &firmware, &err), &err);
        }
        assert_ok(policy_add_grub_command(policy, "linuxefi /vmlinuz a", &err), &err);
        assert_ok(policy_add_grub_command(policy, "initrdefi /initrd", &err), &err);
        assert_ok(policy_add_command_line(policy, "/vmlinuz a", &err), &err);
        assert_ok(policy_add_application(policy, POLICY_BOOT_LOADER,
                                         &(struct policy_digest){.alg = hash_by_name("sha256")},
                                         &err),
                  &err);
        policy->other_pcrs.mask = 1 << 14;
        policy->ptpm = POLICY_PTPM_SWTPM | POLICY_PTPM_EMBEDDED;
        assert_ok(policy_new("host", hash_by_name("sha256"), &boot, &err), &err);
        assert_ok(policy_add_command_line(boot, "/vmlinuz ro", &err), &err);
        assert_ok(policy_set_host_boot(policy, boot, &err), &err);
        assert_int_equal(policy_set_host_boot(policy, policy, &err), ERR_MALFORMED);
        return policy;
}

static void same_facts_same_bytes(void **state)
{
        struct err err = {0};
        struct policy AUTO_POLICY *forwards = make_policy(false);
        struct policy AUTO_POLICY *backwards = make_policy(true);
        struct policy AUTO_POLICY *again = NULL;
        char AUTO_FREE *a = NULL;
        char AUTO_FREE *b = NULL;
        char AUTO_FREE *c = NULL;
        size_t a_len = 0, b_len = 0, c_len = 0;

        (void)state;
        assert_ok(policy_to_json(forwards, &a, &a_len, &err), &err);
        assert_ok(policy_to_json(backwards, &b, &b_len, &err), &err);
        assert_string_equal(a, b);
        assert_ok(policy_from_json((struct bytes){(uint8_t *)a, a_len}, &again, &err), &err);
        assert_ok(policy_to_json(again, &c, &c_len, &err), &err);
        assert_string_equal(a, c);
        assert_int_equal(strlen(a), a_len);
        assert_int_equal(again->ptpm, POLICY_PTPM_SWTPM | POLICY_PTPM_EMBEDDED);
        assert_int_equal(again->firmware_count, 3);
        assert_non_null(again->host_boot);
        assert_int_equal(again->host_boot->command_lines.count, 1);
}

#define HEAD   "{\"schema\":1,\"name\":\"n\",\"bank\":\"sha256\",\"pcrs\":[0]"
#define DIGEST "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\""

static void strict_reading(void **state)
{
        static const struct {
                const char *name, *text;
                int want;
        } rows[] = {
            {"smallest", HEAD "}", 0},
            {"V-EMPTY: no bytes", "", ERR_MALFORMED},
            {"V-EMPTY: empty object", "{}", ERR_MALFORMED},
            {"array", "[]", ERR_MALFORMED},
            {"rubbish after", HEAD "}x", ERR_MALFORMED},
            {"other schema", "{\"schema\":2,\"name\":\"n\",\"bank\":\"sha256\",\"pcrs\":[0]}",
             ERR_UNSUPPORTED},
            {"schema as text", "{\"schema\":\"1\"}", ERR_MALFORMED},
            {"bank", "{\"schema\":1,\"name\":\"n\",\"bank\":\"md5\",\"pcrs\":[0]}", ERR_MALFORMED},
            {"no PCR", "{\"schema\":1,\"name\":\"n\",\"bank\":\"sha256\",\"pcrs\":[]}",
             ERR_MALFORMED},
            {"PCR 24", "{\"schema\":1,\"name\":\"n\",\"bank\":\"sha256\",\"pcrs\":[24]}",
             ERR_MALFORMED},
            {"PCR -1", "{\"schema\":1,\"name\":\"n\",\"bank\":\"sha256\",\"pcrs\":[-1]}",
             ERR_MALFORMED},
            {"no pcrs", "{\"schema\":1,\"name\":\"n\",\"bank\":\"sha256\"}", ERR_MALFORMED},
            {"empty name", "{\"schema\":1,\"name\":\"\",\"bank\":\"sha256\",\"pcrs\":[0]}",
             ERR_MALFORMED},
            {"unknown key", HEAD ",\"extra\":1}", ERR_MALFORMED},
            {"doubled key", HEAD ",\"name\":\"m\"}", ERR_MALFORMED},
            {"empty list", HEAD ",\"command_lines\":[]}", ERR_MALFORMED},
            {"list of numbers", HEAD ",\"command_lines\":[1]}", ERR_MALFORMED},
            {"control character", HEAD ",\"command_lines\":[\"a\\nb\"]}", ERR_MALFORMED},
            {"good command line", HEAD ",\"command_lines\":[\"a b\"]}", 0},
            {"empty firmware", HEAD ",\"firmware\":{}}", ERR_MALFORMED},
            {"firmware without PCRs", HEAD ",\"firmware\":{\"a\":{}}}", ERR_MALFORMED},
            {"firmware with PCR 4", HEAD ",\"firmware\":{\"a\":{\"4\":" DIGEST "}}}",
             ERR_MALFORMED},
            {"firmware with PCR 00", HEAD ",\"firmware\":{\"a\":{\"00\":" DIGEST "}}}",
             ERR_MALFORMED},
            {"good firmware", HEAD ",\"firmware\":{\"a\":{\"0\":" DIGEST "}}}", 0},
            {"bare digits", HEAD ",\"ima\":{\"/init\":[\"00\"]}}", ERR_MALFORMED},
            {"short digest", HEAD ",\"ima\":{\"/init\":[\"sha256:00\"]}}", ERR_MALFORMED},
            {"no digests", HEAD ",\"ima\":{\"/init\":[]}}", ERR_MALFORMED},
            {"good ima", HEAD ",\"ima\":{\"/init\":[" DIGEST "]}}", 0},
            {"empty ima", HEAD ",\"ima\":{}}", 0},
            {"file without component", HEAD ",\"files\":{\"/a\":{\"digests\":[" DIGEST "]}}}",
             ERR_MALFORMED},
            {"file of unknown component",
             HEAD ",\"files\":{\"/a\":{\"component\":\"x\",\"digests\":[" DIGEST "]}}}",
             ERR_MALFORMED},
            {"good file",
             HEAD ",\"files\":{\"/a\":{\"component\":\"kernel\",\"digests\":[" DIGEST "]}}}", 0},
            {"application of the initrd", HEAD ",\"applications\":{\"initrd\":[" DIGEST "]}}",
             ERR_MALFORMED},
            {"unknown pTPM", HEAD ",\"ptpm\":[\"none\"]}", ERR_MALFORMED},
            {"age 0", HEAD ",\"max_age\":0}", ERR_MALFORMED},
            {"age of years", HEAD ",\"max_age\":100000000}", ERR_MALFORMED},
            {"PCR value of another bank",
             HEAD ",\"other_pcrs\":{\"14\":\"sha1:0000000000000000000000000000000000000000\"}}",
             ERR_MALFORMED},
            {"good host_boot", HEAD ",\"host_boot\":" HEAD "}}", 0},
            {"host_boot of another bank",
             HEAD ",\"host_boot\":{\"schema\":1,\"name\":\"n\",\"bank\":\"sha1\",\"pcrs\":[0]}}",
             ERR_MALFORMED},
            {"host_boot without schema", HEAD ",\"host_boot\":{}}", ERR_MALFORMED},
            {"host_boot in a host_boot", HEAD ",\"host_boot\":" HEAD ",\"host_boot\":" HEAD "}}}",
             ERR_MALFORMED},
            {"host_boot with host",
             HEAD ",\"host_boot\":" HEAD ",\"host\":{\"qemu\":[" DIGEST "]}}}", ERR_MALFORMED},
            {"host_boot as a list", HEAD ",\"host_boot\":[]}", ERR_MALFORMED},
            {"I-EXCL exclusion patterns", HEAD ",\"ima\":{},\"ima_exclude\":[\".*\"]}",
             ERR_MALFORMED},
            {"I-EXCL a pattern as a path is only that path", HEAD ",\"ima\":{\"/*\":[]}}",
             ERR_MALFORMED},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                struct policy *policy = (struct policy *)1;
                struct bytes text = {(const uint8_t *)rows[i].text, strlen(rows[i].text)};
                int rc = policy_from_json(text, &policy, &err);

                if (rc != rows[i].want)
                        fail_msg("%s: %d %s", rows[i].name, rc, err.text);
                if (rc != 0)
                        assert_ptr_equal(policy, (struct policy *)1);
                else
                        policy_free(policy);
        }
}

static void classifies_files(void **state)
{
        char linux_command[] = "linuxefi /vmlinuz root=/initrd.gz";
        char initrd_command[] = "initrdefi (hd0)/a.img /b.img";
        char *items[] = {linux_command, initrd_command};
        const struct policy_list commands = {items, 2};
        static const struct {
                const char *path;
                enum policy_component want;
        } rows[] = {
            {"/vmlinuz", POLICY_KERNEL},
            {"(hd0)/vmlinuz", POLICY_KERNEL},
            {"(hd0)/a.img", POLICY_INITRD},
            {"/b.img", POLICY_INITRD},
            {"/b.im", POLICY_BOOT_LOADER},
            {"(hd0)/grub.cfg", POLICY_BOOT_LOADER},
            {"LOADED_IMAGE::LoadOptions", POLICY_COMMAND_LINE},
            {"Linux initrd", POLICY_INITRD},
            {"(hd0)", POLICY_BOOT_LOADER},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (policy_classify_file(&commands, rows[i].path) != rows[i].want)
                        fail_msg("%s", rows[i].path);
}

static void refuses_contradictions(void **state)
{
        struct err err = {0};
        struct policy AUTO_POLICY *policy = make_policy(false);
        struct policy_digest digest = digest_of("sha256", 9);
        struct policy_firmware firmware = {.name = "profile-1", .pcrs.mask = 1};
        struct policy *poisoned = (struct policy *)1;
        char long_text[POLICY_TEXT_MAX + 1];

        (void)state;
        memset(long_text, 'a', POLICY_TEXT_MAX);
        long_text[POLICY_TEXT_MAX] = 0;
        assert_int_equal(policy_add_firmware(policy, &firmware, &err), ERR_CONFLICT);
        assert_int_equal(policy_add_file(policy, "/init", POLICY_KERNEL, &digest, &err),
                         ERR_MALFORMED);
        assert_int_equal(policy_add_command_line(policy, long_text, &err), ERR_MALFORMED);
        assert_int_equal(policy_add_application(policy, POLICY_INITRD, &digest, &err),
                         ERR_MALFORMED);
        assert_int_equal(policy_new("", hash_by_name("sha256"), &poisoned, &err), ERR_MALFORMED);
        assert_int_equal(policy_new("x", NULL, &poisoned, &err), ERR_UNSUPPORTED);
        for (unsigned i = 0; i < POLICY_DIGESTS_MAX; i++) {
                digest.data[31] = (uint8_t)i;
                assert_ok(policy_add_host(policy, "qemu", &digest, &err), &err);
        }
        digest.data[31] = POLICY_DIGESTS_MAX;
        assert_int_equal(policy_add_host(policy, "qemu", &digest, &err), ERR_LIMIT);
        assert_true(policy_entry_has(policy_map_find(&policy->host, "qemu"),
                                     &policy_map_find(&policy->host, "qemu")->digests[63]));
        assert_false(policy_entry_has(policy_map_find(&policy->host, "qemu"), &digest));
        assert_null(policy_map_find(&policy->host, "ovmf"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(same_facts_same_bytes),
            cmocka_unit_test(strict_reading),
            cmocka_unit_test(classifies_files),
            cmocka_unit_test(refuses_contradictions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
