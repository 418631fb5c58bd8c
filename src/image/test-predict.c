#include "lib/test.h"

#include "image/predict.h"

#include <stdlib.h>

#include "base/hex.h"
#include "base/macro.h"

/*
 * The fixture boots/good: its grub.cfg (whose digest the log has) and the digests of its files.
 * No file of it is needed to compute PCR 4, 8 and 9.
 */
static const char good_cfg[] = "serial --unit=0\nterminal_output serial\nset timeout=0\n"
                               "linuxefi /vmlinuz console=ttyS0 ima_policy=tcb rootfstype=ramfs\n"
                               "initrdefi /initrd.gz\nboot\n";
#define GOOD_LOADER "90a22b2bbe2d70c1d874e497c2af076a96992f8dfe7f490c609dc12e5779ffc2"

static const char *const good_files[][2] = {
    {"/vmlinuz", "51349501a3d1ff83836437d2b365fd2d57f2feb8642d315e5181dec23d4c3275"},
    {"/initrd.gz", "5705bdc577bcd569b71da9cc3e65a7221030c2049f01c25b5ae6d3d96d24babd"},
};

static const struct {
        unsigned pcr;
        const char *value;
} good_pcrs[] = {
    {4, "a9cbe7d119516a7de855e4cfc242e7d204bd0e4a9d45db2525df30ee4905f5ab"},
    {8, "1806fe2624166613d6cbfbcc78caa24908fa7ca5aca296778033ea4f37ad34e7"},
    {9, "a8c88823a670275c80f74d14aa533e73a396841611d5875f5cee2e8a83c0f50e"},
};

static void set_digest(uint8_t *digest, const char *hex)
{
        size_t len = 0;

        assert_int_equal(hex_decode(hex, strlen(hex), digest, PREDICT_DIGEST, &len), 0);
        assert_int_equal(len, PREDICT_DIGEST);
}

/* What its kernel measured, in order, and the PCRs that it saw. */
static const char *const good_ima[][2] = {
    {"/init", "2ee3bc21dc54bb762ae30746e1741d36a3ce36e8955370d6fc90a5ccb07e0f45"},
    {"/m/10-virtio_ring.ko", "2c5003392befddfc35adfbacbb2ea745163d83cc862fcf3253bc6c2f452a86c5"},
    {"/m/11-virtio.ko", "3e4e318d2a961f1bde18e2e404bb1ac0a8e83b65c28dd5290543bce6b96e3f47"},
    {"/m/12-virtio_pci_legacy_dev.ko",
     "b2d771615712babdd9080126435a701405f65891da9f6ca15c9875c1ccd7b79e"},
    {"/m/13-virtio_pci_modern_dev.ko",
     "454921ecadc20c9b93b0858f65810ec54d2aaa2c45ef07db48da2791ba893371"},
    {"/m/14-virtio_pci.ko", "e5ccf4de0e0223763b7ab60084bd396d09d94a590b40ddfd9dd3a71e1e1d9402"},
    {"/m/15-virtio_console.ko", "3126dbb76ef7088327a60d8f285fa87889b1aebc061c843a1697539bd89f6dec"},
};

static const char *const good_pcr_values[10] = {
    "177e29c417b6b61c7cf46ed30b4468931f58642527a268b556254e39b941ec6a",
    "864297f5fd881b7f49c0d73f9fc169a1e6598415dc0050826cb8c5eafcba2bd5",
    "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
    "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
    "a9cbe7d119516a7de855e4cfc242e7d204bd0e4a9d45db2525df30ee4905f5ab",
    "a5ceb755d043f32431d63e39f5161464620a3437280494b5850dc1b47cc074e0",
    "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
    "65caf8dd1e0ea7a6347b635d2b379c93b9a1351edc2afc3ecda700e534eb3068",
    "1806fe2624166613d6cbfbcc78caa24908fa7ca5aca296778033ea4f37ad34e7",
    "a8c88823a670275c80f74d14aa533e73a396841611d5875f5cee2e8a83c0f50e",
};
#define GOOD_PCR_10 "d0ee246d401ec05db9551f270f911ae9d2dfb13a0d4f469f2064fe7884751bd4"

/* Predicts the files from stand-ins, then gives the two whose bytes are not here their digests. */
static void predict_good(struct prediction *prediction)
{
        const struct bytes nothing = {(const uint8_t *)"", 0};
        const struct bytes files[DISK_FILES] = {
            [DISK_GRUB] = nothing,
            [DISK_GRUB_CFG] = {(const uint8_t *)good_cfg, sizeof(good_cfg) - 1},
            [DISK_KERNEL] = nothing,
            [DISK_INITRD] = nothing,
        };
        struct err err = {0};

        memset(prediction, 0, sizeof(*prediction));
        assert_ok(grubscript_parse(files[DISK_GRUB_CFG], &prediction->script, &err), &err);
        assert_ok(predict_files(prediction, files, &err), &err);
        set_digest(prediction->loader, GOOD_LOADER);
        for (size_t i = 0; i < prediction->n_files; i++)
                for (size_t k = 0; k < ARRAY_SIZE(good_files); k++)
                        if (strcmp(prediction->file[i].path, good_files[k][0]) == 0)
                                set_digest(prediction->file[i].digest, good_files[k][1]);
}

static void test_good_boot(void **state)
{
        static struct prediction prediction;
        char hex[2 * PREDICT_DIGEST + 1];

        (void)state;
        predict_good(&prediction);
        for (size_t i = 0; i < ARRAY_SIZE(good_pcrs); i++) {
                uint8_t value[PREDICT_DIGEST] = {0xa5};
                struct err err = {0};

                assert_ok(predict_pcr(&prediction, good_pcrs[i].pcr, value, &err), &err);
                assert_string_equal(hex_encode(value, sizeof(value), hex), good_pcrs[i].value);
        }
}

static void test_other_pcrs(void **state)
{
        static struct prediction prediction;
        uint8_t value[PREDICT_DIGEST] = {0xa5};
        struct err err = {0};

        (void)state;
        assert_int_equal(predict_pcr(&prediction, 0, value, &err), ERR_USAGE);
        assert_int_equal(value[0], 0xa5);
}

static void test_ima_pcr(void **state)
{
        static struct prediction prediction;
        uint8_t pcrs[10][PREDICT_DIGEST];
        uint8_t value[PREDICT_DIGEST];
        char hex[2 * PREDICT_DIGEST + 1];
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < 10; i++)
                set_digest(pcrs[i], good_pcr_values[i]);
        for (size_t i = 0; i < ARRAY_SIZE(good_ima); i++) {
                struct predict_file *file = &prediction.ima[prediction.n_ima++];

                (void)snprintf(file->path, sizeof(file->path), "%s", good_ima[i][0]);
                set_digest(file->digest, good_ima[i][1]);
        }
        assert_ok(predict_ima_pcr(&prediction, (const uint8_t(*)[PREDICT_DIGEST])pcrs, value, &err),
                  &err);
        assert_string_equal(hex_encode(value, sizeof(value), hex), GOOD_PCR_10);
}

/* A script that reads what the disk does not have cannot be predicted. */
static void test_missing_file(void **state)
{
        static struct prediction prediction;
        const struct bytes files[DISK_FILES] = {{(const uint8_t *)"", 0},
                                                {(const uint8_t *)"", 0},
                                                {(const uint8_t *)"", 0},
                                                {(const uint8_t *)"", 0}};
        static const char cfg[] = "linuxefi /other\nboot\n";
        struct err err = {0};

        (void)state;
        assert_ok(grubscript_parse((struct bytes){(const uint8_t *)cfg, sizeof(cfg) - 1},
                                   &prediction.script, &err),
                  &err);
        assert_int_equal(predict_files(&prediction, files, &err), ERR_NOT_FOUND);
}

/* The policy says each fact once, in words of the event log. */
static void test_policy(void **state)
{
        static struct prediction prediction;
        AUTO_POLICY struct policy *policy = NULL;
        const struct policy_entry *entry;
        struct err err = {0};

        (void)state;
        predict_good(&prediction);
        assert_ok(predict_policy(&prediction, "web1", NULL, &policy, &err), &err);
        assert_int_equal(policy->firmware_count, 0);
        assert_int_equal(policy->grub_commands.count, 6);
        assert_string_equal(policy->grub_commands.items[5], "boot");
        assert_int_equal(policy->command_lines.count, 1);
        assert_string_equal(policy->command_lines.items[0],
                            "/vmlinuz console=ttyS0 ima_policy=tcb rootfstype=ramfs");
        assert_int_equal(policy->files.count, 3);
        entry = policy_map_find(&policy->files, "/vmlinuz");
        assert_non_null(entry);
        assert_int_equal(entry->component, POLICY_KERNEL);
        entry = policy_map_find(&policy->files, "/initrd.gz");
        assert_non_null(entry);
        assert_int_equal(entry->component, POLICY_INITRD);
        entry = policy_map_find(&policy->files, "(hd0)/grub.cfg");
        assert_non_null(entry);
        assert_int_equal(entry->component, POLICY_BOOT_LOADER);
        assert_int_equal(entry->count, 1);
        assert_true(policy->has_ima);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_good_boot), cmocka_unit_test(test_other_pcrs),
            cmocka_unit_test(test_ima_pcr),   cmocka_unit_test(test_missing_file),
            cmocka_unit_test(test_policy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
