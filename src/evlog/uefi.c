#include "evlog/uefi.h"

#include <string.h>

#define GPT_HEADER_SIZE   92
#define GPT_ENTRY_SIZE    128
#define LOAD_OPTION_FIXED 6

#define GUID_GLOBAL                                                                                \
        {                                                                                          \
                0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98,      \
                    0x03, 0x2b, 0x8c                                                               \
        }
#define GUID_SECURITY_DATABASE                                                                     \
        {                                                                                          \
                0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e,      \
                    0x67, 0x65, 0x6f                                                               \
        }
#define GUID_CERT_X509                                                                             \
        {                                                                                          \
                0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c,      \
                    0x2b, 0xf0, 0x72                                                               \
        }

static const uint8_t guid_global[] = GUID_GLOBAL;
static const uint8_t guid_security_database[] = GUID_SECURITY_DATABASE;
static const uint8_t guid_x509[] = GUID_CERT_X509;

static const struct {
        uint8_t guid[TEXT_GUID_LEN];
        const char *name;
} guid_names[] = {
    {GUID_GLOBAL, "EFI global variable"},
    {GUID_SECURITY_DATABASE, "image security database"},
    {GUID_CERT_X509, "X.509 certificate"},
    {{0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43,
      0x28},
     "SHA-256 hash"},
    {{0x50, 0xab, 0x5d, 0x60, 0x46, 0xe0, 0x00, 0x43, 0xab, 0xb6, 0x3d, 0xd8, 0x10, 0xdd, 0x8b,
      0x23},
     "shim"},
    {{0xbd, 0x9a, 0xfa, 0x77, 0x59, 0x03, 0x32, 0x4d, 0xbd, 0x60, 0x28, 0xf4, 0xe7, 0x8f, 0x78,
      0x4b},
     "Microsoft"},
    {{0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88,
      0x81},
     "ACPI 2.0"},
    {{0x31, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11, 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1,
      0x4d},
     "SMBIOS"},
    {{0x44, 0x15, 0xfd, 0xf2, 0x94, 0x97, 0x2c, 0x4a, 0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3,
      0x94},
     "SMBIOS 3"},
    {{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9,
      0x3b},
     "EFI system"},
    {{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d,
      0xe4},
     "Linux"},
    {{0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6f, 0x6e, 0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46,
      0x49},
     "BIOS boot"},
    {{0x16, 0xe3, 0xc9, 0xe3, 0x5c, 0x0b, 0xb8, 0x4d, 0x81, 0x7d, 0xf9, 0x2d, 0xf0, 0x02, 0x15,
      0xae},
     "Microsoft reserved"},
    {{0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99,
      0xc7},
     "basic data"},
};

void uefi_guid_add_text(struct text *text, const uint8_t guid[static TEXT_GUID_LEN])
{
        for (size_t i = 0; i < ARRAY_SIZE(guid_names); i++) {
                if (memcmp(guid_names[i].guid, guid, TEXT_GUID_LEN) == 0) {
                        text_add(text, "%s", guid_names[i].name);
                        return;
                }
        }
        text_add_guid(text, guid);
}

int uefi_variable_parse(struct bytes data, struct uefi_variable *ret_variable)
{
        struct reader r = reader_from_bytes(data);
        struct uefi_variable variable = {0};
        struct bytes guid;
        uint64_t name_units;
        uint64_t value_len;

        if (reader_get_bytes(&r, TEXT_GUID_LEN, &guid) != 0 ||
            reader_get_le64(&r, &name_units) != 0 || reader_get_le64(&r, &value_len) != 0)
                return ERR_MALFORMED;
        if (name_units > reader_left(&r) / 2 ||
            reader_get_bytes(&r, 2 * (size_t)name_units, &variable.name) != 0)
                return ERR_MALFORMED;
        if (value_len > reader_left(&r) ||
            reader_get_bytes(&r, (size_t)value_len, &variable.value) != 0)
                return ERR_MALFORMED;
        variable.guid = guid.data;
        variable.whole = (struct bytes){data.data, reader_offset(&r)};
        *ret_variable = variable;
        return 0;
}

int uefi_image_parse(struct bytes data, struct uefi_image *ret_image)
{
        struct reader r = reader_from_bytes(data);
        struct uefi_image image = {0};
        uint64_t path_len;

        if (reader_get_le64(&r, &image.address) != 0 || reader_get_le64(&r, &image.length) != 0 ||
            reader_skip(&r, sizeof(uint64_t)) != 0 || reader_get_le64(&r, &path_len) != 0)
                return ERR_MALFORMED;
        if (path_len > reader_left(&r) || reader_get_bytes(&r, (size_t)path_len, &image.path) != 0)
                return ERR_MALFORMED;
        *ret_image = image;
        return 0;
}

static bool name_is(struct bytes utf16, const char *name)
{
        size_t len = strlen(name);

        if (utf16.len != 2 * len)
                return false;
        for (size_t i = 0; i < len; i++)
                if (utf16.data[2 * i] != (uint8_t)name[i] || utf16.data[2 * i + 1] != 0)
                        return false;
        return true;
}

bool uefi_variable_is(const struct uefi_variable *variable, const char *name)
{
        if (memcmp(variable->guid, guid_global, TEXT_GUID_LEN) != 0 &&
            memcmp(variable->guid, guid_security_database, TEXT_GUID_LEN) != 0)
                return false;
        return name_is(variable->name, name);
}

static void add_switch(struct text *text, struct bytes value)
{
        if (value.len == 1 && value.data[0] <= 1)
                text_add(text, "%s", value.data[0] == 1 ? "on" : "off");
        else
                text_add_hex(text, value);
}

static void add_boot_order(struct text *text, struct bytes value)
{
        for (size_t i = 0; i + 1 < value.len; i += 2)
                text_add(text, "%sBoot%04X", i == 0 ? "" : " ",
                         (unsigned)value.data[i] | (unsigned)value.data[i + 1] << 8);
}

/* EFI_LOAD_OPTION (UEFI 2.10, 3.1.3): attributes, path length, description, path. */
static void add_load_option(struct text *text, struct bytes value)
{
        struct reader r = reader_from_bytes(value);
        struct bytes path;
        uint16_t path_len;
        uint16_t unit = 1;

        if (reader_skip(&r, 4) != 0 || reader_get_le16(&r, &path_len) != 0) {
                text_add_hex(text, value);
                return;
        }
        text_add_utf16(text, (struct bytes){value.data + LOAD_OPTION_FIXED, reader_left(&r)});
        while (unit != 0 && reader_get_le16(&r, &unit) == 0) {
        }
        if (reader_get_bytes(&r, path_len, &path) != 0) {
                text_add(text, " (damaged option)");
                return;
        }
        if (path.len > 4) /* more than an end node */
                text_add(text, ", ");
        uefi_path_add_text(text, path);
}

/* EFI_SIGNATURE_LISTs (UEFI 2.10, 32.4.1): only how many certificates and hashes there are. */
static void add_signature_lists(struct text *text, struct bytes value)
{
        struct reader r = reader_from_bytes(value);
        size_t certificates = 0;
        size_t hashes = 0;
        bool damaged = false;

        for (int i = 0; i < UEFI_SIGNATURE_LISTS_MAX && reader_left(&r) > 0 && !damaged; i++) {
                struct bytes type;
                uint32_t list;
                uint32_t header;
                uint32_t entry;

                damaged = reader_get_bytes(&r, TEXT_GUID_LEN, &type) != 0 ||
                          reader_get_le32(&r, &list) != 0 || reader_get_le32(&r, &header) != 0 ||
                          reader_get_le32(&r, &entry) != 0 || list < 28 || entry == 0 ||
                          header > list - 28 || reader_skip(&r, list - 28) != 0;
                if (damaged)
                        break;
                if (memcmp(type.data, guid_x509, TEXT_GUID_LEN) == 0)
                        certificates += (list - 28 - header) / entry;
                else
                        hashes += (list - 28 - header) / entry;
        }
        if (value.len == 0)
                text_add(text, "empty");
        else
                text_add(text, "%zu certificates, %zu hashes%s", certificates, hashes,
                         damaged ? " (damaged list)" : "");
}

/* The authority is one EFI_SIGNATURE_DATA: the owner's GUID and a DER certificate. */
static void add_authority(struct text *text, struct bytes value)
{
        bool is_der = value.len > TEXT_GUID_LEN + 2 && value.data[TEXT_GUID_LEN] == 0x30 &&
                      value.data[TEXT_GUID_LEN + 1] == 0x82;

        if (is_der) {
                text_add(text, "certificate of %zu bytes, owner ", value.len - TEXT_GUID_LEN);
                uefi_guid_add_text(text, value.data);
        } else if (value.len > 2 && value.data[0] == 0x30 && value.data[1] == 0x82) {
                text_add(text, "certificate of %zu bytes", value.len);
        } else {
                add_signature_lists(text, value);
        }
}

static bool is_boot_option(const struct uefi_variable *variable)
{
        return variable->name.len == 16 &&
               name_is((struct bytes){variable->name.data, 8}, "Boot") &&
               text_is_utf16(variable->name);
}

static bool is_one_of(const struct uefi_variable *variable, const char *const *names)
{
        for (; *names != NULL; names++)
                if (uefi_variable_is(variable, *names))
                        return true;
        return false;
}

static void add_value(struct text *text, const struct uefi_variable *variable)
{
        static const char *const switches[] = {"SecureBoot", "SetupMode", "AuditMode",
                                               "DeployedMode", NULL};
        static const char *const keys[] = {"PK", "KEK", "db", "dbx", "dbt", "dbr", NULL};

        if (is_one_of(variable, switches))
                add_switch(text, variable->value);
        else if (is_one_of(variable, keys))
                add_authority(text, variable->value); /* NOLINT(bugprone-branch-clone): in order */
        else if (uefi_variable_is(variable, "BootOrder"))
                add_boot_order(text, variable->value);
        else if (is_boot_option(variable))
                add_load_option(text, variable->value);
        else if (text_is_ascii(variable->value))
                text_add_ascii(text, variable->value);
        else if (text_is_utf16(variable->value))
                text_add_utf16(text, variable->value);
        else if (variable->value.len > TEXT_HEX_MAX)
                add_authority(text, variable->value);
        else
                text_add_hex(text, variable->value);
}

void uefi_variable_add_text(struct text *text, const struct uefi_variable *variable)
{
        bool is_global = memcmp(variable->guid, guid_global, TEXT_GUID_LEN) == 0;

        text_add_utf16(text, variable->name);
        if (!is_global) {
                text_add(text, " (");
                uefi_guid_add_text(text, variable->guid);
                text_add(text, ")");
        }
        text_add(text, " = ");
        add_value(text, variable);
}

static void add_partition(struct text *text, const uint8_t *entry, uint64_t size)
{
        text_add(text, "; ");
        uefi_guid_add_text(text, entry);
        text_add(text, " ");
        text_add_guid(text, entry + 16);
        /* the name is UTF-16 in the last 72 bytes of an entry (UEFI 2.10, 5.3.3) */
        if (size >= GPT_ENTRY_SIZE && entry[56] != 0) {
                text_add(text, " \"");
                text_add_utf16(text, (struct bytes){entry + 56, 72});
                text_add(text, "\"");
        }
}

void uefi_gpt_add_text(struct text *text, struct bytes data)
{
        struct reader r = reader_from_bytes(data);
        struct bytes header;
        uint64_t count;
        uint32_t size;

        if (reader_get_bytes(&r, GPT_HEADER_SIZE, &header) != 0 ||
            reader_get_le64(&r, &count) != 0) {
                text_add(text, "GPT of %zu bytes", data.len);
                return;
        }
        text_add(text, "GPT of disk ");
        text_add_guid(text, header.data + 56);
        size = (uint32_t)header.data[84] | (uint32_t)header.data[85] << 8;
        text_add(text, ", %llu partitions", (unsigned long long)count);
        for (uint64_t i = 0; i < count && i < UEFI_GPT_PARTITIONS_SHOWN; i++) {
                struct bytes entry;

                if (size < 56 || reader_get_bytes(&r, size, &entry) != 0) {
                        text_add(text, "; (damaged table)");
                        return;
                }
                add_partition(text, entry.data, entry.len);
        }
}

/* A byte length and that many characters, in the second forms of tables and blobs. */
static void add_description(struct text *text, struct reader *r)
{
        struct bytes words;
        uint8_t len;

        if (reader_get_u8(r, &len) != 0 || reader_get_bytes(r, len, &words) != 0) {
                text_add(text, "(damaged description)");
                return;
        }
        text_add_ascii(text, words);
        text_add(text, ": ");
}

void uefi_tables_add_text(struct text *text, struct bytes data, bool with_description)
{
        struct reader r = reader_from_bytes(data);
        uint64_t count;

        if (with_description)
                add_description(text, &r);
        if (reader_get_le64(&r, &count) != 0) {
                text_add(text, "tables of %zu bytes", data.len);
                return;
        }
        text_add(text, "%llu configuration tables", (unsigned long long)count);
        for (uint64_t i = 0; i < count && i < UEFI_GPT_PARTITIONS_SHOWN; i++) {
                struct bytes guid;

                if (reader_get_bytes(&r, TEXT_GUID_LEN, &guid) != 0 ||
                    reader_skip(&r, sizeof(uint64_t)) != 0) {
                        text_add(text, " (damaged)");
                        return;
                }
                text_add(text, "%s", i == 0 ? " " : ", ");
                uefi_guid_add_text(text, guid.data);
        }
}

void uefi_blob_add_text(struct text *text, struct bytes data, bool with_description)
{
        struct reader r = reader_from_bytes(data);
        uint64_t base;
        uint64_t length;

        if (with_description)
                add_description(text, &r);
        if (reader_get_le64(&r, &base) != 0 || reader_get_le64(&r, &length) != 0) {
                text_add_hex(text, data);
                return;
        }
        text_add(text, "firmware at 0x%llx, 0x%llx bytes", (unsigned long long)base,
                 (unsigned long long)length);
}
