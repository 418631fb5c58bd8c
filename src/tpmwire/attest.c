#include "tpmwire/attest.h"

static const struct {
        uint16_t type;
        const char *name;
} type_table[] = {
    {TPM_ST_ATTEST_QUOTE, "quote"},
    {TPM_ST_ATTEST_CERTIFY, "certify"},
    {TPM_ST_ATTEST_CREATION, "creation"},
    {TPM_ST_ATTEST_NV, "nv"},
    {TPM_ST_ATTEST_NV_DIGEST, "nv-digest"},
    {TPM_ST_ATTEST_TIME, "time"},
    {TPM_ST_ATTEST_COMMAND_AUDIT, "command-audit"},
    {TPM_ST_ATTEST_SESSION_AUDIT, "session-audit"},
};

const char *attest_type_name(uint16_t type)
{
        for (size_t i = 0; i < ARRAY_SIZE(type_table); i++)
                if (type_table[i].type == type)
                        return type_table[i].name;
        return NULL;
}

static int ends_early(const struct reader *r, const char *what, struct err *err)
{
        return err_set(err, ERR_MALFORMED, "attest: %s is cut or too long at byte %zu", what,
                       reader_offset(r));
}

static int parse_clock(struct reader *r, struct tpm_clock *ret_clock, struct err *err)
{
        struct tpm_clock clock = {0};
        uint8_t safe;

        if (reader_get_be64(r, &clock.clock) != 0 || reader_get_be32(r, &clock.reset_count) != 0 ||
            reader_get_be32(r, &clock.restart_count) != 0 || reader_get_u8(r, &safe) != 0)
                return ends_early(r, "clockInfo", err);
        if (safe > 1) /* TPMI_YES_NO, 9.2 */
                return err_set(err, ERR_MALFORMED, "attest: clockInfo.safe is %u", safe);
        clock.safe = safe == 1;
        *ret_clock = clock;
        return 0;
}

static int parse_header(struct reader *r, struct attest *attest, struct err *err)
{
        int rc;

        if (reader_get_be32(r, &attest->magic) != 0)
                return ends_early(r, "magic", err);
        if (reader_get_be16(r, &attest->type) != 0)
                return ends_early(r, "type", err);
        if (attest_type_name(attest->type) == NULL)
                return err_set(err, ERR_MALFORMED, "attest: type 0x%04x is not an attestation",
                               attest->type);
        if (reader_get_tpm2b(r, TPM_NAME_MAX, &attest->qualified_signer) != 0)
                return ends_early(r, "qualifiedSigner", err);
        if (reader_get_tpm2b(r, TPM_DATA_MAX, &attest->extra_data) != 0)
                return ends_early(r, "extraData", err);
        rc = parse_clock(r, &attest->clock, err);
        if (rc != 0)
                return rc;
        if (reader_get_be64(r, &attest->firmware_version) != 0)
                return ends_early(r, "firmwareVersion", err);
        return 0;
}

static int parse_quote(struct reader *r, struct attest *attest, struct err *err)
{
        int rc = pcr_select_parse(r, &attest->quote.select, err);

        if (rc != 0)
                return rc;
        if (reader_get_tpm2b(r, TPM_DIGEST_MAX, &attest->quote.digest) != 0)
                return ends_early(r, "pcrDigest", err);
        return 0;
}

static int parse_certify(struct reader *r, struct attest *attest, struct err *err)
{
        if (reader_get_tpm2b(r, TPM_NAME_MAX, &attest->certify.name) != 0)
                return ends_early(r, "name", err);
        if (reader_get_tpm2b(r, TPM_NAME_MAX, &attest->certify.qualified_name) != 0)
                return ends_early(r, "qualifiedName", err);
        return 0;
}

static int parse_body(struct reader *r, struct attest *attest, struct err *err)
{
        if (attest->type == TPM_ST_ATTEST_QUOTE)
                return parse_quote(r, attest, err);
        if (attest->type == TPM_ST_ATTEST_CERTIFY)
                return parse_certify(r, attest, err);
        return reader_get_bytes(r, reader_left(r), &attest->body);
}

int attest_parse(struct bytes bytes, struct attest *ret_attest, struct err *err)
{
        struct reader r = reader_from_bytes(bytes);
        struct attest attest = {0};
        int rc = parse_header(&r, &attest, err);

        if (rc == 0)
                rc = parse_body(&r, &attest, err);
        if (rc != 0)
                return rc;
        if (reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "attest: %zu bytes too many at byte %zu",
                               reader_left(&r), reader_offset(&r));
        *ret_attest = attest;
        return 0;
}

void attest_put(struct writer *w, const struct attest *attest)
{
        writer_put_be32(w, attest->magic);
        writer_put_be16(w, attest->type);
        writer_put_tpm2b(w, attest->qualified_signer);
        writer_put_tpm2b(w, attest->extra_data);
        writer_put_be64(w, attest->clock.clock);
        writer_put_be32(w, attest->clock.reset_count);
        writer_put_be32(w, attest->clock.restart_count);
        writer_put_u8(w, attest->clock.safe ? 1 : 0);
        writer_put_be64(w, attest->firmware_version);
        if (attest->type == TPM_ST_ATTEST_QUOTE) {
                pcr_select_put(w, &attest->quote.select);
                writer_put_tpm2b(w, attest->quote.digest);
        } else if (attest->type == TPM_ST_ATTEST_CERTIFY) {
                writer_put_tpm2b(w, attest->certify.name);
                writer_put_tpm2b(w, attest->certify.qualified_name);
        } else {
                writer_put_bytes(w, attest->body);
        }
}
