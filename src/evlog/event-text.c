#include "evlog/event-text.h"

#include <string.h>

#include "evlog/event-type.h"
#include "evlog/uefi.h"

#define MARK_ROOM 48

/* Tags of the Linux EFI stub, systemd-boot and SeaBIOS, and Windows' containers. */
static const struct {
        uint32_t id;
        const char *words;
} tags[] = {
    {0x8f3b22ec, "initrd loaded by the kernel"},
    {0x8f3b22ed, "command line taken by the kernel"},
    {0xf5bc582a, "systemd-boot configuration"},
    {0x3f40f9ff, "unified kernel image"},
    {0x40010001, "Windows trust boundary"},
    {0x40010003, "Windows loaded module"},
    {0x00060002, "Windows policy"},
    {0x00000001, "SMBIOS"},
    {0x00000007, "option ROM"},
};

static void add_anything(struct text *text, struct bytes data)
{
        if (text_is_ascii(data))
                text_add_ascii(text, data);
        else if (text_is_utf16(data))
                text_add_utf16(text, data);
        else
                text_add_hex(text, data);
}

static void add_separator(struct text *text, struct bytes data)
{
        static const uint8_t zeros[4] = {0};
        static const uint8_t ones[4] = {0xff, 0xff, 0xff, 0xff};

        text_add(text, "separator");
        if (data.len == 4 && (memcmp(data.data, zeros, 4) == 0 || memcmp(data.data, ones, 4) == 0))
                return;
        text_add(text, ": ");
        add_anything(text, data);
}

static void add_no_action(struct text *text, struct bytes data)
{
        if (data.len == 17 && memcmp(data.data, "StartupLocality", 16) == 0) {
                text_add(text, "TPM2_Startup from locality %u", data.data[16]);
                return;
        }
        if (data.len >= 16 && memchr(data.data, 0, 16) != NULL &&
            text_is_ascii((struct bytes){data.data, 16})) {
                text_add_ascii(text, (struct bytes){data.data, 16});
                return;
        }
        add_anything(text, data);
}

static void add_variable(struct text *text, struct bytes data)
{
        struct uefi_variable variable;

        if (uefi_variable_parse(data, &variable) != 0) {
                text_add(text, "(damaged variable)");
                return;
        }
        uefi_variable_add_text(text, &variable);
}

static void add_image(struct text *text, struct bytes data)
{
        struct uefi_image image;

        if (uefi_image_parse(data, &image) != 0) {
                text_add(text, "image (damaged event)");
                return;
        }
        text_add(text, "image");
        if (image.length != 0)
                text_add(text, " of 0x%llx bytes", (unsigned long long)image.length);
        if (image.path.len == 0) {
                text_add(text, " from memory");
                return;
        }
        text_add(text, " from ");
        uefi_path_add_text(text, image.path);
}

static void add_ipl(struct text *text, struct bytes data)
{
        bool is_cmdline = false;
        struct bytes string = event_grub_string(data, &is_cmdline);

        if (string.data != NULL) {
                text_add(text, is_cmdline ? "kernel command line: " : "GRUB command: ");
                text_add_ascii(text, string);
                return;
        }
        if (data.len > 0 && (data.data[0] == '/' || data.data[0] == '('))
                text_add(text, "file ");
        add_anything(text, data);
}

static void add_tag(struct text *text, struct bytes data)
{
        struct reader r = reader_from_bytes(data);
        uint32_t id;
        uint32_t len;

        if (reader_get_le32(&r, &id) != 0 || reader_get_le32(&r, &len) != 0) {
                add_anything(text, data);
                return;
        }
        data = (struct bytes){data.data + r.pos, reader_left(&r)};
        for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
                if (tags[i].id == id)
                        text_add(text, "%s: ", tags[i].words);
        if (len > data.len)
                text_add(text, "(damaged tag) ");
        else
                data.len = len;
        add_anything(text, data);
}

static void add_gpt(struct text *text, struct bytes data)
{
        uefi_gpt_add_text(text, data);
}

static void add_tables(struct text *text, struct bytes data)
{
        uefi_tables_add_text(text, data, false);
}

static void add_tables2(struct text *text, struct bytes data)
{
        uefi_tables_add_text(text, data, true);
}

static void add_blob(struct text *text, struct bytes data)
{
        uefi_blob_add_text(text, data, false);
}

static void add_blob2(struct text *text, struct bytes data)
{
        uefi_blob_add_text(text, data, true);
}

/* EV_POST_CODE: "ACPI DATA", "POST CODE", ... or the blob that was measured (PFP, 10.4.1). */
static void add_post_code(struct text *text, struct bytes data)
{
        if (data.len == 16 && !text_is_ascii(data))
                add_blob(text, data);
        else
                add_anything(text, data);
}

static void add_version(struct text *text, struct bytes data)
{
        text_add(text, "firmware version ");
        if (data.len == TEXT_GUID_LEN && !text_is_ascii(data) && !text_is_utf16(data))
                text_add_guid(text, data.data);
        else
                add_anything(text, data);
}

static const struct {
        uint32_t type;
        void (*add)(struct text *text, struct bytes data);
} writers[] = {
    {EV_NO_ACTION, add_no_action},
    {EV_SEPARATOR, add_separator},
    {EV_EVENT_TAG, add_tag},
    {EV_S_CRTM_VERSION, add_version},
    {EV_POST_CODE, add_post_code},
    {EV_POST_CODE2, add_blob2},
    {EV_IPL, add_ipl},
    {EV_EFI_VARIABLE_DRIVER_CONFIG, add_variable},
    {EV_EFI_VARIABLE_BOOT, add_variable},
    {EV_EFI_VARIABLE_BOOT2, add_variable},
    {EV_EFI_VARIABLE_AUTHORITY, add_variable},
    {EV_EFI_SPDM_DEVICE_POLICY, add_variable},
    {EV_EFI_SPDM_DEVICE_AUTHORITY, add_variable},
    {EV_EFI_BOOT_SERVICES_APPLICATION, add_image},
    {EV_EFI_BOOT_SERVICES_DRIVER, add_image},
    {EV_EFI_RUNTIME_SERVICES_DRIVER, add_image},
    {EV_EFI_GPT_EVENT, add_gpt},
    {EV_EFI_GPT_EVENT2, add_gpt},
    {EV_EFI_PLATFORM_FIRMWARE_BLOB, add_blob},
    {EV_EFI_PLATFORM_FIRMWARE_BLOB2, add_blob2},
    {EV_EFI_HANDOFF_TABLES, add_tables},
    {EV_EFI_HANDOFF_TABLES2, add_tables2},
};

/* Images and files: their contents were measured, and the data only names them. */
static bool names_what_was_measured(const struct tcglog_event *event)
{
        return event->type == EV_IPL || (event->type >= EV_EFI_BOOT_SERVICES_APPLICATION &&
                                         event->type <= EV_EFI_RUNTIME_SERVICES_DRIVER);
}

static const char *mark_of(const struct tcglog_event *event, enum event_verdict verdict)
{
        if (event->type == EV_NO_ACTION)
                return " [not measured: EV_NO_ACTION]";
        switch (verdict) {
        case EVENT_MISMATCH:
                return " [does not match the digest]";
        case EVENT_VALUE:
                return " [name not measured]";
        case EVENT_UNVERIFIABLE:
                return names_what_was_measured(event) ? " [name not measured]"
                                                      : " [description not measured]";
        case EVENT_VERIFIED:
                break;
        }
        return "";
}

const char *event_text(const struct tcglog_event *event, enum event_verdict verdict, char *memory,
                       size_t size)
{
        void (*add)(struct text *, struct bytes) = add_anything;
        const char *mark = mark_of(event, verdict);
        struct text text;

        /* The mark must survive a cut, or a long name would hide that it was not measured. */
        text_init(&text, memory, size - MARK_ROOM);
        for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
                if (writers[i].type == event->type)
                        add = writers[i].add;
        if (event->data.len > 0 || event->type == EV_SEPARATOR)
                add(&text, event->data);
        memcpy(memory + text.len, mark, strlen(mark) + 1);
        return memory;
}
