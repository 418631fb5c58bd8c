#include "wire/leaf.h"

#include <string.h>

static const char magic[3] = {'C', 'L', 'F'};

enum field_kind { KIND_UINT, KIND_BYTES, KIND_NAME };

struct field {
        const char *name;
        enum field_kind kind;
        size_t size; /* bytes of the member */
        size_t offset;
};

static const struct field fields[] = {
#define LEAF_UINT(bits, name)  {#name, KIND_UINT, (bits) / 8, offsetof(struct leaf, name)},
#define LEAF_BYTES(size, name) {#name, KIND_BYTES, (size), offsetof(struct leaf, name)},
#define LEAF_NAME(name)        {#name, KIND_NAME, LEAF_NAME_MAX, offsetof(struct leaf, name)},
#include "wire/leaf.def"
#undef LEAF_UINT
#undef LEAF_BYTES
#undef LEAF_NAME
};

int leaf_name_set(struct leaf_name *name, struct bytes bytes)
{
        if (bytes.len > LEAF_NAME_MAX)
                return ERR_LIMIT;
        *name = (struct leaf_name){.len = (uint8_t)bytes.len};
        if (bytes.len != 0)
                memcpy(name->data, bytes.data, bytes.len);
        return 0;
}

bool leaf_name_equal(const struct leaf_name *name, struct bytes bytes)
{
        return bytes_equal((struct bytes){name->data, name->len}, bytes);
}

static void put_uint(struct writer *w, const void *member, size_t size)
{
        switch (size) {
        case 1:
                writer_put_u8(w, *(const uint8_t *)member);
                return;
        case 4:
                writer_put_be32(w, *(const uint32_t *)member);
                return;
        default:
                writer_put_be64(w, *(const uint64_t *)member);
        }
}

static int get_uint(struct reader *r, void *ret_member, size_t size)
{
        switch (size) {
        case 1:
                return reader_get_u8(r, ret_member);
        case 4:
                return reader_get_be32(r, ret_member);
        default:
                return reader_get_be64(r, ret_member);
        }
}

static int get_name(struct reader *r, struct leaf_name *ret_name)
{
        struct leaf_name name = {0};
        int rc = reader_get_u8(r, &name.len);

        if (rc == 0 && name.len > LEAF_NAME_MAX)
                return ERR_MALFORMED;
        if (rc == 0)
                rc = reader_get_copy(r, name.data, name.len);
        if (rc == 0)
                *ret_name = name;
        return rc;
}

static void put_field(struct writer *w, const struct leaf *leaf, const struct field *field)
{
        const void *member = (const uint8_t *)leaf + field->offset;
        const struct leaf_name *name = member;

        switch (field->kind) {
        case KIND_UINT:
                put_uint(w, member, field->size);
                return;
        case KIND_BYTES:
                writer_put(w, member, field->size);
                return;
        case KIND_NAME:
                writer_put_u8(w, name->len);
                writer_put(w, name->data, name->len);
        }
}

static int get_field(struct reader *r, struct leaf *leaf, const struct field *field)
{
        void *member = (uint8_t *)leaf + field->offset;

        switch (field->kind) {
        case KIND_UINT:
                return get_uint(r, member, field->size);
        case KIND_BYTES:
                return reader_get_copy(r, member, field->size);
        case KIND_NAME:
                return get_name(r, member);
        }
        return ERR_MALFORMED;
}

/* What both directions refuse, so that no leaf means more than one thing. */
static int check_values(const struct leaf *leaf, struct err *err)
{
        if (leaf->cek_name.len > LEAF_NAME_MAX || leaf->ek_name.len > LEAF_NAME_MAX ||
            leaf->ak_name.len > LEAF_NAME_MAX)
                return err_set(err, ERR_MALFORMED, "leaf: name too long");
        if (leaf->anchor != LEAF_ANCHOR_NONE)
                return err_set(err, ERR_MALFORMED, "leaf: anchor state %u", leaf->anchor);
        if (leaf->launch < LEAF_LAUNCH_TCB || leaf->launch > LEAF_LAUNCH_HOST)
                return err_set(err, ERR_MALFORMED, "leaf: launch kind %u", leaf->launch);
        if (leaf->vms_running > leaf->vms || (leaf->launch != LEAF_LAUNCH_HOST && leaf->vms != 0))
                return err_set(err, ERR_MALFORMED, "leaf: %u of %u VMs", leaf->vms_running,
                               leaf->vms);
        if ((leaf->flags & ~LEAF_FLAGS_ALL) != 0)
                return err_set(err, ERR_MALFORMED, "leaf: flags 0x%02x", leaf->flags);
        return 0;
}

int leaf_encode(const struct leaf *leaf, struct writer *w, struct err *err)
{
        int rc = check_values(leaf, err);

        if (rc != 0)
                return rc;
        writer_put(w, magic, sizeof(magic));
        writer_put_u8(w, LEAF_VERSION);
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                put_field(w, leaf, &fields[i]);
        if (writer_check(w) != 0)
                return err_set(err, ERR_LIMIT, "leaf does not fit");
        return 0;
}

static int get_header(struct reader *r, struct err *err)
{
        uint8_t head[sizeof(magic)], version;

        if (reader_get_copy(r, head, sizeof(head)) != 0 ||
            memcmp(head, magic, sizeof(magic)) != 0 || reader_get_u8(r, &version) != 0)
                return err_set(err, ERR_MALFORMED, "not a leaf");
        if (version != LEAF_VERSION)
                return err_set(err, ERR_UNSUPPORTED, "leaf of version %u", version);
        return 0;
}

int leaf_decode(struct bytes data, struct leaf *ret_leaf, struct err *err)
{
        struct reader r = reader_from_bytes(data);
        struct leaf leaf = {0};
        int rc = get_header(&r, err);

        if (rc != 0)
                return rc;
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (get_field(&r, &leaf, &fields[i]) != 0)
                        return err_set(err, ERR_MALFORMED, "leaf: %s at offset %zu", fields[i].name,
                                       reader_offset(&r));
        if (reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "leaf: bytes after its end at offset %zu",
                               reader_offset(&r));
        rc = check_values(&leaf, err);
        if (rc == 0)
                *ret_leaf = leaf;
        return rc;
}
