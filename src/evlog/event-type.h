/*
 * The event types of the PC Client Platform Firmware Profile (PFP 1.06, 10.4.1) as one table.
 */
#ifndef EVLOG_EVENT_TYPE_H
#define EVLOG_EVENT_TYPE_H

#include <stdint.h>

/* What the digest of an event is the hash of. */
enum event_rule {
        EVENT_RULE_OTHER,    /* of something that the log does not hold, or nobody says */
        EVENT_RULE_DATA,     /* of the event data, always */
        EVENT_RULE_MAYBE,    /* of the event data with some firmware */
        EVENT_RULE_VARIABLE, /* of a UEFI_VARIABLE_DATA */
        EVENT_RULE_BOOT,     /* of a UEFI_VARIABLE_DATA or of its value alone */
        EVENT_RULE_IPL,      /* of a boot loader's string, or of a file that it names */
        EVENT_RULE_SEPARATOR,
        EVENT_RULE_TAG,  /* of a TCG_PCClientTaggedEvent or of what it names */
        EVENT_RULE_NONE, /* EV_NO_ACTION: never extended */
};

enum {
        EV_PREBOOT_CERT = 0x0,
        EV_POST_CODE = 0x1,
        EV_NO_ACTION = 0x3,
        EV_SEPARATOR = 0x4,
        EV_ACTION = 0x5,
        EV_EVENT_TAG = 0x6,
        EV_S_CRTM_CONTENTS = 0x7,
        EV_S_CRTM_VERSION = 0x8,
        EV_CPU_MICROCODE = 0x9,
        EV_PLATFORM_CONFIG_FLAGS = 0xa,
        EV_TABLE_OF_DEVICES = 0xb,
        EV_COMPACT_HASH = 0xc,
        EV_IPL = 0xd,
        EV_IPL_PARTITION_DATA = 0xe,
        EV_NONHOST_CODE = 0xf,
        EV_NONHOST_CONFIG = 0x10,
        EV_NONHOST_INFO = 0x11,
        EV_OMIT_BOOT_DEVICE_EVENTS = 0x12,
        EV_POST_CODE2 = 0x13,
};
#define EV_EFI_VARIABLE_DRIVER_CONFIG    UINT32_C(0x80000001)
#define EV_EFI_VARIABLE_BOOT             UINT32_C(0x80000002)
#define EV_EFI_BOOT_SERVICES_APPLICATION UINT32_C(0x80000003)
#define EV_EFI_BOOT_SERVICES_DRIVER      UINT32_C(0x80000004)
#define EV_EFI_RUNTIME_SERVICES_DRIVER   UINT32_C(0x80000005)
#define EV_EFI_GPT_EVENT                 UINT32_C(0x80000006)
#define EV_EFI_ACTION                    UINT32_C(0x80000007)
#define EV_EFI_PLATFORM_FIRMWARE_BLOB    UINT32_C(0x80000008)
#define EV_EFI_HANDOFF_TABLES            UINT32_C(0x80000009)
#define EV_EFI_PLATFORM_FIRMWARE_BLOB2   UINT32_C(0x8000000a)
#define EV_EFI_HANDOFF_TABLES2           UINT32_C(0x8000000b)
#define EV_EFI_VARIABLE_BOOT2            UINT32_C(0x8000000c)
#define EV_EFI_GPT_EVENT2                UINT32_C(0x8000000d)
#define EV_EFI_HCRTM_EVENT               UINT32_C(0x80000010)
#define EV_EFI_VARIABLE_AUTHORITY        UINT32_C(0x800000e0)
#define EV_EFI_SPDM_FIRMWARE_BLOB        UINT32_C(0x800000e1)
#define EV_EFI_SPDM_FIRMWARE_CONFIG      UINT32_C(0x800000e2)
#define EV_EFI_SPDM_DEVICE_POLICY        UINT32_C(0x800000e3)
#define EV_EFI_SPDM_DEVICE_AUTHORITY     UINT32_C(0x800000e4)

struct event_type {
        uint32_t type;
        const char *name;
        enum event_rule rule;
        uint32_t pcrs; /* bit n: the type belongs in PCR n; elsewhere it is a finding */
};

/* The description of a type, or NULL. */
const struct event_type *event_type_find(uint32_t type);

/* Its name, or "0x00000401" for one that is not in the table; ret_name has room for 16. */
const char *event_type_name(uint32_t type, char ret_name[static 16]);

#endif
