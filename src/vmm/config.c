#include <string.h>

#include "base/writer.h"
#include "vmm/argv.h"

#define CONFIG_FORMAT       1
#define FLAG_DISK_READ_ONLY 0x01

int vmm_config_check(const struct vmm_config *config, struct err *err)
{
        size_t len = strnlen(config->name, sizeof(config->name));

        /* These characters need no quoting in QEMU's options: no comma, no equals sign. */
        if (len == 0 || len > VMM_NAME_MAX ||
            strspn(config->name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != len)
                return err_set(err, ERR_USAGE, "VM's name: 1 to %d of a-z 0-9 . _ -", VMM_NAME_MAX);
        if (config->memory_mib < VMM_MEMORY_MIN_MIB || config->memory_mib > VMM_MEMORY_MAX_MIB)
                return err_set(err, ERR_USAGE, "%s: memory of %u MiB, allowed are %u to %u",
                               config->name, config->memory_mib, VMM_MEMORY_MIN_MIB,
                               VMM_MEMORY_MAX_MIB);
        if (config->cpus == 0 || config->cpus > VMM_CPUS_MAX)
                return err_set(err, ERR_USAGE, "%s: %u CPUs, allowed are 1 to %u", config->name,
                               config->cpus, VMM_CPUS_MAX);
        return 0;
}

int vmm_config_encode(const struct vmm_config *config, uint8_t *ret_data, size_t *ret_len,
                      struct err *err)
{
        struct writer w;
        int rc = vmm_config_check(config, err);

        if (rc != 0)
                return rc;
        writer_init_fixed(&w, ret_data, VMM_CONFIG_LEN_MAX);
        writer_put_be32(&w, CONFIG_FORMAT);
        writer_put(&w, config->uuid, sizeof(config->uuid));
        writer_put_be32(&w, config->memory_mib);
        writer_put_be32(&w, config->cpus);
        writer_put_u8(&w, config->disk_read_only ? FLAG_DISK_READ_ONLY : 0);
        writer_put_tpm2b(&w, (struct bytes){(const uint8_t *)config->name, strlen(config->name)});
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "configuration too large");
        *ret_len = w.len;
        return 0;
}

int vmm_config_decode(struct bytes data, struct vmm_config *ret_config, struct err *err)
{
        struct reader r = reader_from_bytes(data);
        struct vmm_config config = {0};
        struct bytes name;
        uint32_t format;
        uint8_t flags;

        if (reader_get_be32(&r, &format) == 0 && format != CONFIG_FORMAT)
                return err_set(err, ERR_UNSUPPORTED, "configuration of format %u", format);
        if (reader_get_copy(&r, config.uuid, sizeof(config.uuid)) != 0 ||
            reader_get_be32(&r, &config.memory_mib) != 0 ||
            reader_get_be32(&r, &config.cpus) != 0 || reader_get_u8(&r, &flags) != 0 ||
            (flags & ~FLAG_DISK_READ_ONLY) != 0 || reader_get_tpm2b(&r, VMM_NAME_MAX, &name) != 0 ||
            reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "configuration malformed at byte %zu",
                               reader_offset(&r));
        if (name.len > 0)
                memcpy(config.name, name.data, name.len);
        if (strlen(config.name) != name.len)
                return err_set(err, ERR_MALFORMED, "configuration: NUL in the name");
        config.disk_read_only = (flags & FLAG_DISK_READ_ONLY) != 0;
        if (vmm_config_check(&config, err) != 0)
                return err->code;
        *ret_config = config;
        return 0;
}
