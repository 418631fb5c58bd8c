#include "evlog/facts.h"

#include <string.h>

#include "evlog/event-type.h"
#include "evlog/uefi.h"

#define TAG_INITRD      UINT32_C(0x8f3b22ec) /* Linux, efistub.h */
#define TAG_LOADOPTIONS UINT32_C(0x8f3b22ed)
#define TAG_HEADER_SIZE 8

struct collector {
        struct bytes last_command; /* GRUB's, which says what the next file is */
};

static bool starts_with(struct bytes bytes, const char *prefix)
{
        size_t len = strlen(prefix);

        return bytes.len >= len && memcmp(bytes.data, prefix, len) == 0;
}

static bool contains(struct bytes bytes, struct bytes part)
{
        if (bytes.data == NULL || part.data == NULL)
                return false;
        return part.len > 0 && memmem(bytes.data, bytes.len, part.data, part.len) != NULL;
}

static struct bytes trimmed(struct bytes data)
{
        while (data.len > 0 && data.data[data.len - 1] == '\0')
                data.len--;
        return data;
}

/* A file's role follows from the command before it; Red Hat's GRUB 2.02 names it itself. */
static enum fact_kind kind_of_file(const struct collector *c, struct bytes name)
{
        const struct bytes suffix = {(const uint8_t *)".cfg", 4};

        if (starts_with(name, "grub_linuxefi Kernel"))
                return FACT_KERNEL;
        if (starts_with(name, "grub_linuxefi Initrd"))
                return FACT_INITRD;
        if (starts_with(c->last_command, "linux") && contains(c->last_command, name))
                return FACT_KERNEL;
        if (starts_with(c->last_command, "initrd") && contains(c->last_command, name))
                return FACT_INITRD;
        return contains(name, suffix) ? FACT_CONFIGURATION : FACT_FILE;
}

static bool classify_ipl(struct collector *c, const struct tcglog_event *event, struct fact *fact)
{
        bool is_cmdline = false;
        struct bytes string = event_grub_string(event->data, &is_cmdline);

        if (string.data != NULL) {
                fact->kind = is_cmdline ? FACT_CMDLINE : FACT_COMMAND;
                fact->name = string;
                if (!is_cmdline)
                        c->last_command = string;
                return true;
        }
        fact->name = trimmed(event->data);
        if (fact->verdict == EVENT_VERIFIED && text_is_utf16(event->data))
                fact->kind = FACT_CMDLINE; /* systemd-boot and systemd-stub, PCR 8 or 12 */
        else
                fact->kind = kind_of_file(c, fact->name);
        return true;
}

static bool classify_tag(struct collector *c, const struct tcglog_event *event, struct fact *fact)
{
        struct reader r = reader_from_bytes(event->data);
        uint32_t id;

        (void)c;
        if (reader_get_le32(&r, &id) != 0 || reader_skip(&r, 4) != 0)
                return false;
        if (id != TAG_INITRD && id != TAG_LOADOPTIONS)
                return false;
        fact->kind = id == TAG_INITRD ? FACT_INITRD : FACT_CMDLINE;
        fact->name = trimmed((struct bytes){event->data.data + TAG_HEADER_SIZE, reader_left(&r)});
        return true;
}

static bool classify_image(struct collector *c, const struct tcglog_event *event, struct fact *fact)
{
        struct uefi_image image;

        (void)c;
        fact->kind =
            event->type == EV_EFI_BOOT_SERVICES_APPLICATION ? FACT_APPLICATION : FACT_DRIVER;
        if (uefi_image_parse(event->data, &image) == 0)
                fact->name = image.path;
        return true;
}

static bool classify_firmware(struct collector *c, const struct tcglog_event *event,
                              struct fact *fact)
{
        (void)c;
        fact->kind = FACT_FIRMWARE;
        if (text_is_ascii(event->data) || text_is_utf16(event->data))
                fact->name = event->data;
        return true;
}

static const struct {
        uint32_t type;
        bool (*classify)(struct collector *c, const struct tcglog_event *event, struct fact *fact);
} classifiers[] = {
    {EV_IPL, classify_ipl},
    {EV_EVENT_TAG, classify_tag},
    {EV_EFI_BOOT_SERVICES_APPLICATION, classify_image},
    {EV_EFI_BOOT_SERVICES_DRIVER, classify_image},
    {EV_EFI_RUNTIME_SERVICES_DRIVER, classify_image},
    {EV_S_CRTM_VERSION, classify_firmware},
    {EV_S_CRTM_CONTENTS, classify_firmware},
    {EV_POST_CODE, classify_firmware},
    {EV_POST_CODE2, classify_firmware},
    {EV_EFI_PLATFORM_FIRMWARE_BLOB, classify_firmware},
    {EV_EFI_PLATFORM_FIRMWARE_BLOB2, classify_firmware},
    {EV_EFI_HCRTM_EVENT, classify_firmware},
};

static bool classify(struct collector *c, const struct tcglog_event *event, struct fact *fact)
{
        for (size_t i = 0; i < ARRAY_SIZE(classifiers); i++)
                if (classifiers[i].type == event->type)
                        return classifiers[i].classify(c, event, fact);
        return false;
}

int facts_collect(const struct tcglog *log, const struct hash_alg *alg, struct facts **ret_facts,
                  struct err *err)
{
        struct facts AUTO_FACTS *facts = calloc(1, sizeof(*facts));
        struct collector c = {0};
        int bank = tcglog_bank_index(log, alg);

        if (bank < 0)
                return err_set(err, ERR_NOT_FOUND, "the log has no %s bank", alg->name);
        if (facts == NULL)
                return err_set(err, ERR_NO_MEMORY, "facts of a log");
        facts->alg = alg;
        facts->list = calloc(log->event_count, sizeof(*facts->list));
        if (facts->list == NULL)
                return err_set(err, ERR_NO_MEMORY, "facts of %zu events", log->event_count);
        for (size_t i = 0; i < log->event_count; i++) {
                const struct tcglog_event *event = &log->events[i];
                struct fact *fact = &facts->list[facts->count];
                int rc = event_verify(log, event, &fact->verdict, err);

                if (rc != 0)
                        return rc;
                fact->pcr = event->pcr;
                fact->event = event->n;
                fact->digest = event->digests[bank];
                if (tcglog_event_extends(event) && classify(&c, event, fact))
                        facts->count++;
                else
                        *fact = (struct fact){0};
        }
        *ret_facts = TAKE(facts);
        return 0;
}

void facts_free(struct facts *facts)
{
        if (facts == NULL)
                return;
        free(facts->list);
        free(facts);
}

const struct fact *facts_find(const struct facts *facts, enum fact_kind kind, size_t n)
{
        for (size_t i = 0; i < facts->count; i++)
                if (facts->list[i].kind == kind && n-- == 0)
                        return &facts->list[i];
        return NULL;
}

const char *fact_kind_name(enum fact_kind kind)
{
        static const char *const names[FACT_KIND_COUNT] = {
            [FACT_FIRMWARE] = "firmware",
            [FACT_DRIVER] = "EFI driver",
            [FACT_APPLICATION] = "EFI application",
            [FACT_CONFIGURATION] = "GRUB configuration",
            [FACT_KERNEL] = "kernel",
            [FACT_INITRD] = "initrd",
            [FACT_FILE] = "file",
            [FACT_COMMAND] = "GRUB command",
            [FACT_CMDLINE] = "command line",
        };

        return names[kind];
}

const char *fact_text(const struct fact *fact, char *memory, size_t size)
{
        struct text text;

        text_init(&text, memory, size);
        text_add(&text, "%s", fact_kind_name(fact->kind));
        if (fact->name.len == 0)
                return memory;
        text_add(&text, " ");
        if (fact->kind == FACT_APPLICATION || fact->kind == FACT_DRIVER)
                uefi_path_add_text(&text, fact->name);
        else if (text_is_utf16(fact->name))
                text_add_utf16(&text, fact->name);
        else
                text_add_ascii(&text, fact->name);
        return memory;
}
