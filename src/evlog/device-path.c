/*
 * Device paths in the text form of UEFI 2.10, 10.6.1.6, as far as boot logs hold them.
 */
#include <string.h>

#include "evlog/uefi.h"

#define NODE_HEADER 4
#define TYPE_END    0x7f
#define END_ALL     0xff
#define END_NEXT    0x01
#define HID_PNP     0x41d0 /* low half of an EISA id "PNPxxxx" */

static uint32_t le(const uint8_t *p, size_t n)
{
        uint32_t v = 0;

        for (size_t i = n; i > 0; i--)
                v = v << 8 | p[i - 1];
        return v;
}

static void add_pci(struct text *text, struct bytes n)
{
        text_add(text, "Pci(0x%x,0x%x)", n.data[1], n.data[0]);
}

static void add_acpi(struct text *text, struct bytes n)
{
        uint32_t hid = le(n.data, 4);
        uint32_t uid = le(n.data + 4, 4);

        if (hid == 0x0a0341d0 || hid == 0x0a0841d0)
                text_add(text, "PciRoot(0x%x)", uid);
        else if ((hid & 0xffff) == HID_PNP)
                text_add(text, "Acpi(PNP%04X,0x%x)", hid >> 16, uid);
        else
                text_add(text, "Acpi(0x%08x,0x%x)", hid, uid);
}

static void add_guid_node(struct text *text, struct bytes n, const char *name)
{
        text_add(text, "%s(", name);
        text_add_guid(text, n.data);
        text_add(text, ")");
}

static void add_vendor_hardware(struct text *text, struct bytes n)
{
        add_guid_node(text, n, "VenHw");
}

static void add_vendor_message(struct text *text, struct bytes n)
{
        add_guid_node(text, n, "VenMsg");
}

static void add_vendor_media(struct text *text, struct bytes n)
{
        add_guid_node(text, n, "VenMedia");
}

static void add_fv_file(struct text *text, struct bytes n)
{
        add_guid_node(text, n, "FvFile");
}

static void add_fv(struct text *text, struct bytes n)
{
        add_guid_node(text, n, "Fv");
}

static void add_scsi(struct text *text, struct bytes n)
{
        text_add(text, "Scsi(0x%x,0x%x)", le(n.data, 2), le(n.data + 2, 2));
}

static void add_usb(struct text *text, struct bytes n)
{
        text_add(text, "USB(0x%x,0x%x)", n.data[0], n.data[1]);
}

static void add_sata(struct text *text, struct bytes n)
{
        text_add(text, "Sata(0x%x,0x%x,0x%x)", le(n.data, 2), le(n.data + 2, 2), le(n.data + 4, 2));
}

static void add_nvme(struct text *text, struct bytes n)
{
        text_add(text, "NVMe(0x%x,", le(n.data, 4));
        for (size_t i = 12; i > 4; i--)
                text_add(text, "%02X%s", n.data[i - 1], i == 5 ? ")" : "-");
}

static void add_mac(struct text *text, struct bytes n)
{
        text_add(text, "MAC(");
        for (size_t i = 0; i < 6; i++)
                text_add(text, "%02x", n.data[i]);
        text_add(text, ")");
}

static void add_ipv4(struct text *text, struct bytes n)
{
        text_add(text, "IPv4(%u.%u.%u.%u)", n.data[4], n.data[5], n.data[6], n.data[7]);
}

static void add_ipv6(struct text *text, struct bytes n)
{
        text_add(text, "IPv6(");
        for (size_t i = 16; i < 32; i++)
                text_add(text, "%02x%s", n.data[i], i % 2 == 1 && i < 31 ? ":" : "");
        text_add(text, ")");
}

static void add_uri(struct text *text, struct bytes n)
{
        text_add(text, "Uri(");
        text_add_ascii(text, n);
        text_add(text, ")");
}

static void add_hard_drive(struct text *text, struct bytes n)
{
        uint32_t partition = le(n.data, 4);

        if (n.data[37] == 2) {
                text_add(text, "HD(%u,GPT,", partition);
                text_add_guid(text, n.data + 20);
                text_add(text, ")");
        } else {
                text_add(text, "HD(%u,MBR,0x%08x)", partition, le(n.data + 20, 4));
        }
}

static void add_cdrom(struct text *text, struct bytes n)
{
        text_add(text, "CDROM(0x%x)", le(n.data, 4));
}

static void add_file(struct text *text, struct bytes n)
{
        text_add_utf16(text, n);
}

static void add_offset(struct text *text, struct bytes n)
{
        text_add(text, "Offset(0x%x,0x%x)", le(n.data + 4, 4), le(n.data + 12, 4));
}

static void add_bbs(struct text *text, struct bytes n)
{
        text_add(text, "BBS(0x%x,", le(n.data, 2));
        text_add_ascii(text, (struct bytes){n.data + 4, n.len - 4});
        text_add(text, ")");
}

static void add_controller(struct text *text, struct bytes n)
{
        text_add(text, "Ctrl(0x%x)", le(n.data, 4));
}

/* Subtype, least bytes after the header that its renderer reads. */
static const struct {
        uint8_t type;
        uint8_t subtype;
        uint8_t least;
        void (*add)(struct text *text, struct bytes node);
} renderers[] = {
    {1, 1, 2, add_pci},
    {1, 4, 16, add_vendor_hardware},
    {1, 5, 4, add_controller},
    {2, 1, 8, add_acpi},
    {3, 2, 4, add_scsi},
    {3, 5, 2, add_usb},
    {3, 10, 16, add_vendor_message},
    {3, 11, 32, add_mac},
    {3, 12, 8, add_ipv4},
    {3, 13, 32, add_ipv6},
    {3, 18, 6, add_sata},
    {3, 23, 12, add_nvme},
    {3, 24, 0, add_uri},
    {4, 1, 38, add_hard_drive},
    {4, 2, 4, add_cdrom},
    {4, 3, 16, add_vendor_media},
    {4, 4, 0, add_file},
    {4, 6, 16, add_fv_file},
    {4, 7, 16, add_fv},
    {4, 8, 20, add_offset},
    {5, 1, 4, add_bbs},
};

static void add_node(struct text *text, uint8_t type, uint8_t subtype, struct bytes node)
{
        for (size_t i = 0; i < ARRAY_SIZE(renderers); i++) {
                if (renderers[i].type == type && renderers[i].subtype == subtype &&
                    node.len >= renderers[i].least) {
                        renderers[i].add(text, node);
                        return;
                }
        }
        text_add(text, "Path(%u,%u,", type, subtype);
        text_add_hex(text, node);
        text_add(text, ")");
}

/* Reads one node; false where it is damaged. */
static bool next_node(struct reader *r, uint8_t *ret_type, uint8_t *ret_subtype,
                      struct bytes *ret_node)
{
        uint16_t len;

        if (reader_get_u8(r, ret_type) != 0 || reader_get_u8(r, ret_subtype) != 0 ||
            reader_get_le16(r, &len) != 0 || len < NODE_HEADER)
                return false;
        return reader_get_bytes(r, (size_t)len - NODE_HEADER, ret_node) == 0;
}

void uefi_path_add_text(struct text *text, struct bytes path)
{
        struct reader r = reader_from_bytes(path);
        const char *between = "";

        for (int i = 0; i < UEFI_DEVICE_PATH_NODES_MAX && reader_left(&r) > 0; i++) {
                struct bytes node;
                uint8_t type;
                uint8_t subtype;

                if (!next_node(&r, &type, &subtype, &node)) {
                        text_add(text, "%s(damaged path)", between);
                        return;
                }
                if (type == TYPE_END && subtype == END_ALL)
                        return;
                text_add(text, "%s", between);
                if (type == TYPE_END && subtype == END_NEXT)
                        text_add(text, ",");
                else
                        add_node(text, type, subtype, node);
                between = "/";
        }
        text_add(text, "%s(no end)", between);
}
