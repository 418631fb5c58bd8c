#include "evlog/hostlog.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/hash.h"

#define EV_NO_ACTION 3
#define EV_IPL       13

static const char prefix[] = "catena-host ";
static const char ptpm_prefix[] = "catena-ptpm ";
static const char *const banks[] = {"sha1", "sha256", "sha384", "sha512"};

static bool is_word(const char *text)
{
        if (text[0] == '\0')
                return false;
        for (; *text != '\0'; text++)
                if (!isalnum((unsigned char)*text) && strchr("._+:~-", *text) == NULL)
                        return false;
        return true;
}

int hostlog_text(const struct hostlog_component *component, char ret_text[HOSTLOG_TEXT_MAX],
                 struct err *err)
{
        char digits[2 * sizeof(component->digest) + 1];

        if (!is_word(component->name) || !is_word(component->version))
                return err_set(err, ERR_MALFORMED, "host log: bad component name or version");
        (void)snprintf(ret_text, HOSTLOG_TEXT_MAX, "%s%s %s sha256 %s", prefix, component->name,
                       component->version,
                       hex_encode(component->digest, sizeof(component->digest), digits));
        return 0;
}

/* Moves the next word, up to a space or the end, into a buffer of this size. */
static bool take_word(struct reader *r, char *ret_word, size_t size)
{
        size_t n = 0;
        uint8_t c;

        while (reader_get_u8(r, &c) == 0 && c != ' ') {
                if (n == size - 1 || c == '\0')
                        return false;
                ret_word[n++] = (char)c;
        }
        ret_word[n] = '\0';
        return is_word(ret_word);
}

int hostlog_parse(struct bytes data, struct hostlog_component *ret_component, struct err *err)
{
        struct hostlog_component component = {.name = ""};
        struct reader r = reader_from_bytes(data);
        char hash[HOSTLOG_NAME_MAX + 1];
        struct bytes start;
        struct bytes digits;
        size_t n;

        if (reader_get_bytes(&r, sizeof(prefix) - 1, &start) != 0 ||
            memcmp(start.data, prefix, sizeof(prefix) - 1) != 0 ||
            !take_word(&r, component.name, sizeof(component.name)) ||
            !take_word(&r, component.version, sizeof(component.version)) ||
            !take_word(&r, hash, sizeof(hash)) || strcmp(hash, "sha256") != 0 ||
            reader_get_bytes(&r, 2 * sizeof(component.digest), &digits) != 0 ||
            reader_finish(&r) != 0 ||
            hex_decode((const char *)digits.data, digits.len, component.digest,
                       sizeof(component.digest), &n) != 0)
                return err_set(err, ERR_MALFORMED, "not an event of the host's software log");
        *ret_component = component;
        return 0;
}

int hostlog_ptpm_text(const struct hostlog_ptpm *ptpm, char ret_text[HOSTLOG_TEXT_MAX],
                      struct err *err)
{
        if (!is_word(ptpm->kind) || !is_word(ptpm->by) || !is_word(ptpm->manufacturer) ||
            !is_word(ptpm->vendor) || !is_word(ptpm->firmware))
                return err_set(err, ERR_MALFORMED, "host log: bad description of the TPM");
        (void)snprintf(ret_text, HOSTLOG_TEXT_MAX, "%s%s %s %s %s %s", ptpm_prefix, ptpm->kind,
                       ptpm->by, ptpm->manufacturer, ptpm->vendor, ptpm->firmware);
        return 0;
}

bool hostlog_is_ptpm(struct bytes data)
{
        size_t len = sizeof(ptpm_prefix) - 1;

        return data.len >= len && memcmp(data.data, ptpm_prefix, len) == 0;
}

int hostlog_ptpm_parse(struct bytes data, struct hostlog_ptpm *ret_ptpm, struct err *err)
{
        struct hostlog_ptpm ptpm = {.kind = ""};
        struct reader r = reader_from_bytes(data);
        char again[HOSTLOG_TEXT_MAX];
        struct bytes start;

        /* Written again it must be the same: no space at its end, no second spelling. */
        if (!hostlog_is_ptpm(data) || reader_get_bytes(&r, sizeof(ptpm_prefix) - 1, &start) != 0 ||
            !take_word(&r, ptpm.kind, sizeof(ptpm.kind)) ||
            !take_word(&r, ptpm.by, sizeof(ptpm.by)) ||
            !take_word(&r, ptpm.manufacturer, sizeof(ptpm.manufacturer)) ||
            !take_word(&r, ptpm.vendor, sizeof(ptpm.vendor)) ||
            !take_word(&r, ptpm.firmware, sizeof(ptpm.firmware)) || reader_finish(&r) != 0 ||
            hostlog_ptpm_text(&ptpm, again, err) != 0 || strlen(again) != data.len)
                return err_set(err, ERR_MALFORMED, "not an event about the host's TPM");
        *ret_ptpm = ptpm;
        return 0;
}

void hostlog_put_header(struct writer *w)
{
        static const uint8_t no_digest[20] = {0};
        size_t data_size = 16 + 8 + 4 + ARRAY_SIZE(banks) * 4 + 1;

        writer_put_le32(w, 0);
        writer_put_le32(w, EV_NO_ACTION);
        writer_put(w, no_digest, sizeof(no_digest));
        writer_put_le32(w, (uint32_t)data_size);
        writer_put(w, "Spec ID Event03", 16);
        writer_put_le32(w, 0);                /* platform class: client */
        writer_put(w, "\x00\x02\x69\x02", 4); /* minor, major, errata 105, 64-bit UINTN */
        writer_put_le32(w, ARRAY_SIZE(banks));
        for (size_t i = 0; i < ARRAY_SIZE(banks); i++) {
                const struct hash_alg *alg = hash_by_name(banks[i]);

                writer_put_le16(w, alg->tpm_id);
                writer_put_le16(w, (uint16_t)alg->size);
        }
        writer_put_u8(w, 0); /* no vendor information */
}

int hostlog_put_event(struct writer *w, struct bytes data, struct err *err)
{
        writer_put_le32(w, HOSTLOG_PCR);
        writer_put_le32(w, EV_IPL);
        writer_put_le32(w, ARRAY_SIZE(banks));
        for (size_t i = 0; i < ARRAY_SIZE(banks); i++) {
                const struct hash_alg *alg = hash_by_name(banks[i]);
                uint8_t digest[HASH_SIZE_MAX];

                if (hash_digest(alg, data.data, data.len, digest, err) != 0)
                        return err->code;
                writer_put_le16(w, alg->tpm_id);
                writer_put(w, digest, alg->size);
        }
        writer_put_le32(w, (uint32_t)data.len);
        writer_put_bytes(w, data);
        if (writer_check(w) != 0)
                return err_set(err, ERR_LIMIT, "host log: too long");
        return 0;
}
