#include "evlog/logbuild.h"

#include <string.h>

#include "evlog/event-type.h"

static void put_spec_id(struct logbuild *build)
{
        struct writer *w = build->w;

        writer_put_le32(w, build->format == TCGLOG_CCEL ? 1 : 0);
        writer_put_le32(w, EV_NO_ACTION);
        writer_put(w, (const uint8_t[20]){0}, 20);
        writer_put_le32(w, (uint32_t)(16 + 4 + 4 + 4 + 4 * build->count + 1));
        writer_put(w, "Spec ID Event03", 16);
        writer_put_le32(w, 0);                           /* platform class: client */
        writer_put(w, (const uint8_t[]){0, 2, 0, 2}, 4); /* version 2.0, errata 0, 64 bits */
        writer_put_le32(w, (uint32_t)build->count);
        for (size_t i = 0; i < build->count; i++) {
                writer_put_le16(w, build->algs[i]->tpm_id);
                writer_put_le16(w, (uint16_t)build->algs[i]->size);
        }
        writer_put_u8(w, 0); /* no vendor part */
}

int logbuild_begin(struct logbuild *build, struct writer *w, enum tcglog_format format,
                   const char *const *banks, struct err *err)
{
        *build = (struct logbuild){.w = w, .format = format};
        for (; *banks != NULL && build->count < TCGLOG_BANKS_MAX; banks++) {
                const struct hash_alg *alg = hash_by_name(*banks);

                if (alg == NULL)
                        return err_set(err, ERR_UNSUPPORTED, "no hash %s", *banks);
                build->algs[build->count++] = alg;
        }
        if (format != TCGLOG_LEGACY)
                put_spec_id(build);
        return 0;
}

void logbuild_add_digests(struct logbuild *build, uint32_t pcr, uint32_t type, struct bytes data,
                          const uint8_t *digests)
{
        struct writer *w = build->w;

        writer_put_le32(w, pcr);
        writer_put_le32(w, type);
        if (build->format != TCGLOG_LEGACY)
                writer_put_le32(w, (uint32_t)build->count);
        for (size_t i = 0; i < build->count; i++) {
                if (build->format != TCGLOG_LEGACY)
                        writer_put_le16(w, build->algs[i]->tpm_id);
                writer_put(w, digests, build->algs[i]->size);
                digests += build->algs[i]->size;
        }
        writer_put_le32(w, (uint32_t)data.len);
        writer_put_bytes(w, data);
}

int logbuild_add(struct logbuild *build, uint32_t pcr, uint32_t type, struct bytes data,
                 struct bytes measured, struct err *err)
{
        uint8_t digests[TCGLOG_BANKS_MAX * HASH_SIZE_MAX];
        size_t at = 0;

        memset(digests, 0, sizeof(digests));
        for (size_t i = 0; i < build->count && type != EV_NO_ACTION; i++) {
                int rc =
                    hash_digest(build->algs[i], measured.data, measured.len, digests + at, err);

                if (rc != 0)
                        return rc;
                at += build->algs[i]->size;
        }
        logbuild_add_digests(build, pcr, type, data, digests);
        return 0;
}

void logbuild_put_variable(struct writer *w, const char *name, struct bytes value)
{
        static const uint8_t global[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                           0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};

        writer_put(w, global, sizeof(global));
        writer_put_le64(w, strlen(name));
        writer_put_le64(w, value.len);
        for (size_t i = 0; name[i] != '\0'; i++)
                writer_put_le16(w, (uint16_t)name[i]);
        writer_put_bytes(w, value);
}
