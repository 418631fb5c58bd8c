/*
 * The UEFI structures inside event data: variables, load options, signature lists, images and
 * device paths, parsed within their bounds and put into words.
 */
#ifndef EVLOG_UEFI_H
#define EVLOG_UEFI_H

#include "evlog/text.h"

#define UEFI_DEVICE_PATH_NODES_MAX 64
#define UEFI_SIGNATURE_LISTS_MAX   256
#define UEFI_GPT_PARTITIONS_SHOWN  16

/* UEFI_VARIABLE_DATA (PFP 1.06, 10.2.6) */
struct uefi_variable {
        const uint8_t *guid; /* 16 bytes */
        struct bytes name;   /* UTF-16LE, without NUL */
        struct bytes value;
        struct bytes whole; /* from the GUID to the end of the value */
};

/* UEFI_IMAGE_LOAD_EVENT (PFP 1.06, 10.2.3) */
struct uefi_image {
        uint64_t address;
        uint64_t length;
        struct bytes path;
};

/* ERR_MALFORMED where a length goes past the end. Bytes after the value are left out. */
int uefi_variable_parse(struct bytes data, struct uefi_variable *ret_variable) MUST_CHECK;
int uefi_image_parse(struct bytes data, struct uefi_image *ret_image) MUST_CHECK;

/* Whether the variable has this name in the global or the image security namespace. */
bool uefi_variable_is(const struct uefi_variable *variable, const char *name);

/* Adds "SecureBoot = on", "Boot0001 = debian, HD(...)/...", "db = 2 certificates", ... */
void uefi_variable_add_text(struct text *text, const struct uefi_variable *variable);

/* Adds the name of a known GUID, or its digits. */
void uefi_guid_add_text(struct text *text, const uint8_t guid[static TEXT_GUID_LEN]);

/*
 * Adds PciRoot(0x0)/Pci(0x3,0x0)/HD(1,GPT,...)/\EFI\BOOT\BOOTX64.EFI. A node shorter than its
 * header or longer than what is left ends the text with "(damaged path)", a path without its
 * end node with "(no end)".
 */
void uefi_path_add_text(struct text *text, struct bytes path);

/* Adds disk GUID and partitions of a UEFI_GPT_DATA (PFP 1.06, 10.2.5). */
void uefi_gpt_add_text(struct text *text, struct bytes data);

/* Adds the tables of a UEFI_HANDOFF_TABLE_POINTERS; with description for the later form. */
void uefi_tables_add_text(struct text *text, struct bytes data, bool with_description);

/* Adds base and length of a UEFI_PLATFORM_FIRMWARE_BLOB; with description for the later form. */
void uefi_blob_add_text(struct text *text, struct bytes data, bool with_description);

#endif
