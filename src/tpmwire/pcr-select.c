#include "tpmwire/pcr-select.h"

static int parse_bank(struct reader *r, struct pcr_select_bank *ret_bank, struct err *err)
{
        uint8_t size;
        uint8_t bits[TPM_PCR_SELECT];
        uint16_t hash;

        if (reader_get_be16(r, &hash) != 0 || reader_get_u8(r, &size) != 0)
                return err_set(err, ERR_MALFORMED, "PCR selection ends early at byte %zu",
                               reader_offset(r));
        if (size != TPM_PCR_SELECT)
                return err_set(err, ERR_MALFORMED, "PCR selection of %u bytes at byte %zu", size,
                               reader_offset(r) - 1);
        if (reader_get_copy(r, bits, sizeof(bits)) != 0)
                return err_set(err, ERR_MALFORMED, "PCR selection ends early at byte %zu",
                               reader_offset(r));
        ret_bank->hash = hash;
        ret_bank->mask = (uint32_t)bits[0] | (uint32_t)bits[1] << 8 | (uint32_t)bits[2] << 16;
        return 0;
}

static bool has_bank(const struct pcr_select *select, uint16_t hash)
{
        for (uint32_t i = 0; i < select->count; i++)
                if (select->banks[i].hash == hash)
                        return true;
        return false;
}

int pcr_select_parse(struct reader *r, struct pcr_select *ret_select, struct err *err)
{
        struct pcr_select select = {0};
        uint32_t count;

        if (reader_get_be32(r, &count) != 0)
                return err_set(err, ERR_MALFORMED, "PCR selection ends early at byte %zu",
                               reader_offset(r));
        if (count > PCR_SELECT_BANKS_MAX)
                return err_set(err, ERR_MALFORMED, "PCR selection of %u banks", count);
        while (select.count < count) {
                struct pcr_select_bank bank;
                int rc = parse_bank(r, &bank, err);

                if (rc != 0)
                        return rc;
                if (has_bank(&select, bank.hash))
                        return err_set(err, ERR_MALFORMED, "bank 0x%04x is selected twice",
                                       bank.hash);
                select.banks[select.count++] = bank;
        }
        *ret_select = select;
        return 0;
}

void pcr_select_put(struct writer *w, const struct pcr_select *select)
{
        writer_put_be32(w, select->count);
        for (uint32_t i = 0; i < select->count && i < PCR_SELECT_BANKS_MAX; i++) {
                uint32_t mask = select->banks[i].mask;

                writer_put_be16(w, select->banks[i].hash);
                writer_put_u8(w, TPM_PCR_SELECT);
                writer_put_u8(w, (uint8_t)(mask & 0xff));
                writer_put_u8(w, (uint8_t)(mask >> 8 & 0xff));
                writer_put_u8(w, (uint8_t)(mask >> 16 & 0xff));
        }
}

uint32_t pcr_select_mask(const struct pcr_select *select, uint16_t hash)
{
        for (uint32_t i = 0; i < select->count; i++)
                if (select->banks[i].hash == hash)
                        return select->banks[i].mask;
        return 0;
}
