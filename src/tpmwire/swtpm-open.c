/* The secrets that open swtpm's state files: nobody writes down which kind it was, the MAC tells.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/cbc.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"
#include "crypto/passphrase.h"
#include "tpmwire/swtpm-state.h"

#define KEY_MAX       32
#define PBKDF2_SALT   "swtpm"
#define PBKDF2_ROUNDS 1000

/* Each fills ret_key, or returns ERR_NOT_FOUND when the words are no such thing. */
static int from_pbkdf2(struct bytes words, struct secret *ret_key, struct err *err)
{
        static const uint8_t salt[] = PBKDF2_SALT;

        return passphrase_pbkdf2(words, (struct bytes){salt, strlen(PBKDF2_SALT)}, PBKDF2_ROUNDS,
                                 ret_key, err);
}

static int from_sha512(struct bytes words, struct secret *ret_key, struct err *err)
{
        uint8_t digest[HASH_SIZE_MAX];
        int rc = hash_digest(hash_by_tpm_id(HASH_TPM_SHA512), words.data, words.len, digest, err);

        if (rc == 0)
                memcpy(ret_key->data, digest, ret_key->len);
        explicit_bzero(digest, sizeof(digest));
        return rc;
}

static int from_hex(struct bytes words, struct secret *ret_key, struct err *err)
{
        size_t n = 0;

        if (words.len > 2 && memcmp(words.data, "0x", 2) == 0)
                words = (struct bytes){words.data + 2, words.len - 2};
        if (hex_decode((const char *)words.data, words.len, ret_key->data, ret_key->len, &n) != 0 ||
            n != ret_key->len)
                return err_set(err, ERR_NOT_FOUND, "no key in hexadecimal");
        return 0;
}

/* swtpm takes the line end of a passphrase's file for a part of the passphrase. */
static const struct {
        bool line_end;
        int (*derive)(struct bytes words, struct secret *ret_key, struct err *err);
} kinds[] = {
    {false, from_pbkdf2}, {true, from_pbkdf2}, {false, from_sha512},
    {true, from_sha512},  {false, from_hex},
};

static int fits(const struct swtpm_state *state, const struct secret *key, bool *ret,
                struct err *err)
{
        const struct bytes parts[] = {state->data, state->iv};
        uint8_t mac[HMAC_LEN];
        int rc =
            hmac_parts(hash_by_tpm_id(HASH_TPM_SHA256), key, parts, ARRAY_SIZE(parts), mac, err);

        if (rc == 0)
                *ret = secret_equal(mac, state->mac.data, sizeof(mac));
        return rc;
}

static int find_key(const struct swtpm_state *state, const struct secret *secret,
                    struct secret *ret_key, struct err *err)
{
        struct secret AUTO_SECRET *line = NULL;
        bool found = false;
        int rc = secret_new(secret->len + 1, &line, err);

        if (rc != 0)
                return rc;
        memcpy(line->data, secret->data, secret->len);
        line->data[secret->len] = '\n';
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                const struct bytes words = {line->data, secret->len + kinds[i].line_end};

                rc = kinds[i].derive(words, ret_key, err);
                if (rc == ERR_NOT_FOUND)
                        continue;
                if (rc == 0)
                        rc = fits(state, ret_key, &found, err);
                if (rc != 0 || found)
                        return rc;
        }
        return err_set(err, ERR_NOT_PERMITTED,
                       "swtpm's state does not open with this passphrase or key");
}

/* The last byte says how many bytes were added, all of them with that value. */
static int check_padding(const uint8_t *plain, size_t len, size_t key_len, size_t *ret_len,
                         struct err *err)
{
        const size_t n = plain[len - 1];
        bool good = n > 0 && n <= key_len && n < len;

        for (size_t i = 0; good && i < n; i++)
                good = plain[len - 1 - i] == n;
        if (!good)
                return err_set(err, ERR_MALFORMED, "swtpm's state: bad padding");
        *ret_len = len - n;
        return 0;
}

static int decrypt(const struct swtpm_state *state, const struct secret *secret, uint8_t *ret_plain,
                   size_t *ret_len, struct err *err)
{
        struct secret AUTO_SECRET *key = NULL;
        uint8_t iv[KEY_MAX] = {0};
        int rc = secret_new(state->key_len, &key, err);

        if (rc == 0)
                rc = find_key(state, secret, key, err);
        if (rc == 0 && state->iv.len > 0)
                memcpy(iv, state->iv.data, state->iv.len);
        if (rc == 0)
                rc = cbc_decrypt(key, iv, state->data, ret_plain, err);
        return rc != 0 ? rc
                       : check_padding(ret_plain, state->data.len, state->key_len, ret_len, err);
}

int swtpm_state_open(const struct swtpm_state *state, const struct secret *secret,
                     uint8_t **ret_plain, size_t *ret_len, struct err *err)
{
        uint8_t *plain = NULL;
        size_t len = state->data.len;
        int rc = 0;

        if (state->key_len != 0 && secret == NULL)
                return err_set(err, ERR_NOT_PERMITTED,
                               "swtpm's state is encrypted: its passphrase or key is needed");
        plain = malloc(state->data.len);
        if (plain == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (state->key_len == 0)
                memcpy(plain, state->data.data, len);
        else
                rc = decrypt(state, secret, plain, &len, err);
        if (rc != 0) {
                explicit_bzero(plain, state->data.len);
                free(plain);
                return rc;
        }
        *ret_plain = plain;
        *ret_len = len;
        return 0;
}
