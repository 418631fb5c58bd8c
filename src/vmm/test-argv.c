#include "base/hex.h"
#include "lib/test.h"
#include "vmm/argv.h"

static const struct vmm_config web1 = {
    .name = "web1",
    .uuid = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
             0xff, 0x01},
    .memory_mib = 512,
    .cpus = 2,
};

static const bool all[VMM_FD_COUNT] = {true, true, true, true, true, true, true, true};
static const bool least[VMM_FD_COUNT] = {
    [VMM_FD_CODE] = true, [VMM_FD_VARS] = true, [VMM_FD_QMP] = true};

static bool has_word(const struct vmm_argv *argv, const char *word)
{
        for (size_t i = 0; i < argv->n; i++)
                if (strcmp(argv->words[i], word) == 0)
                        return true;
        return false;
}

static const struct {
        const char *word;
        bool in_all, in_least;
} words[] = {
    {"-nodefaults", true, true},
    {"-no-user-config", true, true},
    {"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", true, true},
    {"11223344-5566-7788-99aa-bbccddeeff01", true, true},
    {"guest=web1", true, true},
    {"q35,smm=off,pflash0=code,pflash1=vars,memory-backend=ram", true, false},
    {"q35,smm=off,pflash0=code,pflash1=vars", false, true},
    {"memory-backend-file,id=ram,size=512M,mem-path=/proc/self/fd/17,share=on", true, false},
    {"tpm-crb,tpmdev=tpm0", true, false},
    {"socket,id=tpm,fd=13", true, false},
    {"virtserialport,chardev=agent,name=org.catena.agent.0", true, false},
    {"virtio-blk-pci,drive=disk,bootindex=1", true, false},
    {"socket,id=qmp,fd=15", true, true},
    {"file,id=serial,path=/dev/fdset/16,append=on", true, false},
    {"512M", true, true},
};

static void has_the_words(void **state)
{
        struct vmm_argv full, small;
        struct err err = {0};

        (void)state;
        assert_ok(vmm_argv_build(&web1, VMM_ACCEL_TCG, all, &full, &err), &err);
        assert_ok(vmm_argv_build(&web1, VMM_ACCEL_TCG, least, &small, &err), &err);
        assert_null(full.words[full.n]);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                if (has_word(&full, words[i].word) != words[i].in_all ||
                    has_word(&small, words[i].word) != words[i].in_least)
                        fail_msg("%s", words[i].word);
        }
}

/* The digest is a function of configuration, accelerator and descriptors, and of each of them. */
static void digest_is_known(void **state)
{
        uint8_t first[VMM_DIGEST_LEN], other[VMM_DIGEST_LEN];
        struct vmm_config rows[5];
        struct vmm_argv argv;
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                rows[i] = web1;
        rows[0].memory_mib++;
        rows[1].cpus++;
        rows[2].uuid[15]++;
        rows[3].name[0] = 'x';
        rows[4].disk_read_only = true;
        assert_ok(vmm_argv_build(&web1, VMM_ACCEL_TCG, all, &argv, &err), &err);
        assert_ok(vmm_argv_digest(&argv, first, &err), &err);
        memset(&argv, 0xa5, sizeof(argv));
        assert_ok(vmm_argv_build(&web1, VMM_ACCEL_TCG, all, &argv, &err), &err);
        assert_ok(vmm_argv_digest(&argv, other, &err), &err);
        assert_memory_equal(first, other, sizeof(first));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_ok(vmm_argv_build(&rows[i], VMM_ACCEL_TCG, all, &argv, &err), &err);
                assert_ok(vmm_argv_digest(&argv, other, &err), &err);
                assert_memory_not_equal(first, other, sizeof(first));
        }
        assert_ok(vmm_argv_build(&web1, VMM_ACCEL_KVM, all, &argv, &err), &err);
        assert_ok(vmm_argv_digest(&argv, other, &err), &err);
        assert_memory_not_equal(first, other, sizeof(first));
}

static void refuses_bad_configurations(void **state)
{
        /* E-UUID-INJ: what QEMU's option syntax would read as more options. */
        static const char *const names[] = {"",  "a,debug-threads=on", "a b", "../x", "a\nb", "A",
                                            "a="};
        struct vmm_config config;
        struct vmm_argv argv;
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                config = web1;
                memset(config.name, 0, sizeof(config.name));
                memcpy(config.name, names[i], strlen(names[i]));
                assert_int_equal(vmm_argv_build(&config, VMM_ACCEL_TCG, all, &argv, &err),
                                 ERR_USAGE);
        }
        config = web1;
        memset(config.name, 'a', sizeof(config.name)); /* no NUL */
        assert_int_equal(vmm_config_check(&config, &err), ERR_USAGE);
        config = web1;
        config.memory_mib = VMM_MEMORY_MIN_MIB - 1;
        assert_int_equal(vmm_config_check(&config, &err), ERR_USAGE);
        config.memory_mib = VMM_MEMORY_MAX_MIB + 1;
        assert_int_equal(vmm_config_check(&config, &err), ERR_USAGE);
        config = web1;
        config.cpus = 0;
        assert_int_equal(vmm_config_check(&config, &err), ERR_USAGE);
        config.cpus = VMM_CPUS_MAX + 1;
        assert_int_equal(vmm_config_check(&config, &err), ERR_USAGE);
        for (int i = 0; i < VMM_FD_COUNT; i++) {
                bool has[VMM_FD_COUNT];

                memcpy(has, least, sizeof(has));
                if (!has[i])
                        continue;
                has[i] = false;
                assert_int_equal(vmm_argv_build(&web1, VMM_ACCEL_TCG, has, &argv, &err), ERR_USAGE);
        }
}

static void config_survives_encoding(void **state)
{
        uint8_t data[VMM_CONFIG_LEN_MAX];
        struct vmm_config config;
        struct err err = {0};
        size_t len = 0;

        (void)state;
        assert_ok(vmm_config_encode(&web1, data, &len, &err), &err);
        memset(&config, 0xa5, sizeof(config));
        for (size_t cut = 0; cut < len; cut++)
                assert_int_equal(vmm_config_decode((struct bytes){data, cut}, &config, &err),
                                 ERR_MALFORMED);
        assert_int_equal(config.memory_mib, 0xa5a5a5a5);
        assert_ok(vmm_config_decode((struct bytes){data, len}, &config, &err), &err);
        assert_string_equal(config.name, "web1");
        assert_int_equal(config.memory_mib, 512);
        assert_int_equal(config.cpus, 2);
        assert_false(config.disk_read_only);
        assert_memory_equal(config.uuid, web1.uuid, sizeof(config.uuid));
        data[3] = 2;
        assert_int_equal(vmm_config_decode((struct bytes){data, len}, &config, &err),
                         ERR_UNSUPPORTED);
        data[3] = 1;
        data[len - 1] = ',';
        assert_int_equal(vmm_config_decode((struct bytes){data, len}, &config, &err), ERR_USAGE);
        data[len - 1] = '\0';
        assert_int_equal(vmm_config_decode((struct bytes){data, len}, &config, &err),
                         ERR_MALFORMED);
        data[len - 1] = '1';
        data[28] = 0x80; /* an unknown flag */
        assert_int_equal(vmm_config_decode((struct bytes){data, len}, &config, &err),
                         ERR_MALFORMED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(has_the_words),
            cmocka_unit_test(digest_is_known),
            cmocka_unit_test(refuses_bad_configurations),
            cmocka_unit_test(config_survives_encoding),
        };
        return cmocka_run_group_tests_name("vmm-argv", tests, NULL, NULL);
}
