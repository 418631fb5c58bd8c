#include "lib/ptpm-double.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "crypto/hash.h"

#define PCR     13
#define PCR_LEN 32

/* A P-256 TPM2B_PUBLIC; AK and CEK differ in their last byte. */
#define ECC_LEN 90
static const uint8_t ecc_start[] = {
    0x00, 0x58, 0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x00, 0x72, 0x00, 0x00,
    0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10, 0x00, 0x20,
};

static char tcti[257];
static char state[PATH_MAX];

static struct bytes ecc_public(uint8_t last, uint8_t memory[ECC_LEN])
{
        memset(memory, 0x58, ECC_LEN);
        memcpy(memory, ecc_start, sizeof(ecc_start));
        memory[ECC_LEN - 34] = 0;
        memory[ECC_LEN - 33] = 0x20;
        memory[ECC_LEN - 1] = last;
        return (struct bytes){memory, ECC_LEN};
}

static bool is_told_to(const char *what, uint16_t code)
{
        char words[sizeof(tcti) + 1];
        char word[32];

        (void)snprintf(words, sizeof(words), "%s ", tcti);
        (void)snprintf(word, sizeof(word), "%s-%u ", what, code);
        return strstr(words, word) != NULL;
}

static void answer_error(const struct wire_frame *frame, const char *words)
{
        const struct ptpm_error error = {.code = (uint16_t)err_to_wire(ERR_TPM),
                                         .text = wire_text(words)};

        double_say(ptpm_error_code, frame->id, &error);
}

static void answer_done(const struct wire_frame *frame)
{
        const struct ptpm_done done = {0};

        double_say(ptpm_done_code, frame->id, &done);
}

/* Requests ----------------------------------------------------------------------------------- */

static void open_tpm(const struct wire_frame *frame)
{
        const struct ptpm_opened opened = {.kind = wire_text("swtpm"),
                                           .manufacturer = wire_text("TEST"),
                                           .vendor = wire_text("double"),
                                           .firmware = wire_text("1"),
                                           .ek_pub = wire_text("ek")};
        struct ptpm_open open;

        double_read(frame, &open, sizeof(open));
        wire_text_copy(open.tcti, tcti, sizeof(tcti));
        wire_text_copy(open.state, state, sizeof(state));
        if (is_told_to("refuse", ptpm_open_code))
                answer_error(frame, "told to refuse");
        else
                double_say(ptpm_opened_code, frame->id, &opened);
}

/* The private parts are the authorisation value, so that loading can compare it. */
static void make_keys(const struct wire_frame *frame)
{
        uint8_t ak[ECC_LEN];
        uint8_t cek[ECC_LEN];
        struct ptpm_make_keys make;
        struct ptpm_keys keys = {.ak_pub = ecc_public(1, ak),
                                 .cek_pub = ecc_public(2, cek),
                                 .cek_attest = wire_text("attest"),
                                 .cek_signature = wire_text("signature")};

        double_read(frame, &make, sizeof(make));
        keys.ak_priv = (struct bytes){make.auth, sizeof(make.auth)};
        keys.cek_priv = keys.ak_priv;
        if (is_told_to("short", ptpm_make_keys_code))
                keys.ak_pub.len = 1;
        double_say(ptpm_keys_code, frame->id, &keys);
}

static void load_keys(const struct wire_frame *frame)
{
        struct ptpm_load_keys load;
        uint8_t ak[ECC_LEN];
        uint8_t cek[ECC_LEN];

        double_read(frame, &load, sizeof(load));
        const struct bytes auth = {load.auth, sizeof(load.auth)};

        if (!bytes_equal(load.ak_priv, auth) || !bytes_equal(load.cek_priv, auth))
                answer_error(frame, "another authorisation value");
        else if (!is_told_to("short", ptpm_make_keys_code) &&
                 (!bytes_equal(load.ak_pub, ecc_public(1, ak)) ||
                  !bytes_equal(load.cek_pub, ecc_public(2, cek))))
                answer_error(frame, "other keys");
        else
                answer_done(frame);
}

static void seal(const struct wire_frame *frame)
{
        struct ptpm_seal question;
        struct ptpm_sealed answer;

        double_read(frame, &question, sizeof(question));
        answer.sealed = question.secret;
        double_say(ptpm_sealed_code, frame->id, &answer);
}

static void unseal(const struct wire_frame *frame)
{
        struct ptpm_unseal question;
        struct ptpm_unsealed answer;

        double_read(frame, &question, sizeof(question));
        answer.secret = question.sealed;
        if (is_told_to("short", ptpm_unseal_code))
                answer.secret.len = 1;
        double_say(ptpm_unsealed_code, frame->id, &answer);
}

static void read_pcr(uint8_t ret_pcr[PCR_LEN])
{
        uint8_t AUTO_FREE *data = NULL;
        char path[PATH_MAX];
        struct err err = {0};
        size_t len;

        memset(ret_pcr, 0, PCR_LEN);
        if (fs_join(path, sizeof(path), state, PTPM_DOUBLE_PCR13, &err) == 0 &&
            fs_read_file(path, PCR_LEN, &data, &len, &err) == 0 && len == PCR_LEN)
                memcpy(ret_pcr, data, PCR_LEN);
}

static void extend(const struct wire_frame *frame)
{
        const struct hash_alg *sha256 = hash_by_tpm_id(HASH_TPM_SHA256);
        struct ptpm_extend question;
        uint8_t digest[PCR_LEN];
        uint8_t pcr[PCR_LEN];
        char path[PATH_MAX];
        struct err err = {0};

        double_read(frame, &question, sizeof(question));
        read_pcr(pcr);
        if (question.pcr != PCR ||
            hash_digest(sha256, question.event.data, question.event.len, digest, &err) != 0 ||
            hash_extend(sha256, pcr, digest, &err) != 0 ||
            fs_join(path, sizeof(path), state, PTPM_DOUBLE_PCR13, &err) != 0 ||
            fs_write_file(path, pcr, sizeof(pcr), 0600, &err) != 0)
                answer_error(frame, "cannot extend");
        else
                answer_done(frame);
}

static void read_pcrs(const struct wire_frame *frame)
{
        struct ptpm_pcrs pcrs = {0};

        read_pcr(pcrs.values + PCR * PCR_LEN);
        double_say(ptpm_pcrs_code, frame->id, &pcrs);
}

static void quote(const struct wire_frame *frame)
{
        struct ptpm_quote question;
        struct ptpm_quoted answer = {.signature = wire_text("signature")};

        double_read(frame, &question, sizeof(question));
        answer.attest = (struct bytes){question.qualifying, sizeof(question.qualifying)};
        double_say(ptpm_quoted_code, frame->id, &answer);
}

/* As a TPM does: what is no credential of its own is refused. */
static void activate(const struct wire_frame *frame)
{
        struct ptpm_activate question;
        struct ptpm_activated answer;

        double_read(frame, &question, sizeof(question));
        answer.credential = question.credential_blob;
        if (question.credential_blob.len == 0 || question.credential_blob.len > 64 ||
            question.encrypted_secret.len == 0)
                answer_error(frame, "no credential");
        else
                double_say(ptpm_activated_code, frame->id, &answer);
}

static void show_ek(const struct wire_frame *frame)
{
        const struct ptpm_ek_is ek = {.public = wire_text("ek"), .certificate = wire_text("cert")};

        double_say(ptpm_ek_is_code, frame->id, &ek);
}

static void (*const requests[])(const struct wire_frame *frame) = {
    [ptpm_open_code] = open_tpm,       [ptpm_make_keys_code] = make_keys,
    [ptpm_load_keys_code] = load_keys, [ptpm_seal_code] = seal,
    [ptpm_unseal_code] = unseal,       [ptpm_extend_code] = extend,
    [ptpm_read_pcrs_code] = read_pcrs, [ptpm_quote_code] = quote,
    [ptpm_activate_code] = activate,   [ptpm_ek_code] = show_ek,
};

static void serve(const struct wire_frame *frame)
{
        const uint16_t code = frame->message->code;

        if (is_told_to("refuse", code))
                answer_error(frame, "told to refuse");
        else if (is_told_to("wrong", code))
                double_say(code == ptpm_seal_code ? ptpm_done_code : ptpm_sealed_code, frame->id,
                           &(const struct ptpm_sealed){.sealed = {NULL, 0}});
        else if (code < ARRAY_SIZE(requests) && requests[code] != NULL)
                requests[code](frame);
        else
                answer_error(frame, "unknown to the double");
}

int ptpm_double(void)
{
        return double_serve(&wire_ptpm_protocol, serve);
}
