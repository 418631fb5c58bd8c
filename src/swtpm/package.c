#include "swtpm/package.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/writer.h"
#include "crypto/aead.h"
#include "crypto/passphrase.h"

#define PLAIN_MAGIC  0x43545331U /* "CTS1" */
#define SEALED_MAGIC 0x43545358U /* "CTSX" */
#define HEAD_LEN     (4 + PASSPHRASE_SALT_LEN)
#define LABEL        "catena swtpm migration"

static void put_plain(struct writer *w, const struct package *package)
{
        writer_put_be32(w, PLAIN_MAGIC);
        writer_put(w, package->uuid, sizeof(package->uuid));
        writer_put_be64(w, package->lineage);
        writer_put(w, package->token, sizeof(package->token));
        writer_put_be32(w, (uint32_t)package->permanent.len);
        writer_put_bytes(w, package->permanent);
        writer_put_be32(w, (uint32_t)package->volatile_state.len);
        writer_put_bytes(w, package->volatile_state);
}

static int get_blob(struct reader *r, struct bytes *ret)
{
        uint32_t len;

        if (reader_get_be32(r, &len) != 0 || len > ENGINE_BLOB_MAX)
                return ERR_MALFORMED;
        return reader_get_bytes(r, len, ret);
}

static int get_plain(struct bytes data, struct package *ret, struct err *err)
{
        struct reader r = reader_from_bytes(data);
        struct package package = {.lineage = 0};
        uint32_t magic;

        if (reader_get_be32(&r, &magic) != 0 || magic != PLAIN_MAGIC)
                return err_set(err, ERR_MALFORMED, "the stream holds no state of ours");
        if (reader_get_copy(&r, package.uuid, sizeof(package.uuid)) != 0 ||
            reader_get_be64(&r, &package.lineage) != 0 ||
            reader_get_copy(&r, package.token, sizeof(package.token)) != 0 ||
            get_blob(&r, &package.permanent) != 0 || package.permanent.len == 0 ||
            get_blob(&r, &package.volatile_state) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "state in the stream: malformed at offset %zu",
                               reader_offset(&r));
        *ret = package;
        return 0;
}

/* plain: what put_plain() made; the head is authenticated with it. */
static int seal(struct bytes plain, const struct secret *passphrase, uint8_t *ret, struct err *err)
{
        struct secret AUTO_SECRET *key = NULL;
        struct writer w;
        int rc;

        writer_init_fixed(&w, ret, HEAD_LEN);
        writer_put_be32(&w, SEALED_MAGIC);
        if (getrandom(writer_reserve(&w, PASSPHRASE_SALT_LEN), PASSPHRASE_SALT_LEN, 0) !=
            PASSPHRASE_SALT_LEN)
                return err_set_errno(err, errno, "getrandom");
        rc = passphrase_derive(passphrase, ret + 4, LABEL, &key, err);
        return rc != 0 ? rc
                       : aead_seal(key, (struct bytes){ret, HEAD_LEN}, plain, ret + HEAD_LEN, err);
}

int package_encode(const struct package *package, const struct secret *key, uint8_t **ret_data,
                   size_t *ret_len, struct err *err)
{
        struct writer AUTO_WRITER w = {0};
        uint8_t AUTO_FREE *sealed = NULL;
        struct bytes plain;
        int rc;

        writer_init(&w, PACKAGE_MAX - HEAD_LEN - AEAD_OVERHEAD);
        put_plain(&w, package);
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "state for the stream: too large");
        if (key == NULL) {
                *ret_data = writer_take(&w, ret_len);
                return 0;
        }
        plain = writer_bytes(&w);
        sealed = malloc(HEAD_LEN + plain.len + AEAD_OVERHEAD);
        if (sealed == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = seal(plain, key, sealed, err);
        if (rc != 0)
                return rc;
        *ret_len = HEAD_LEN + plain.len + AEAD_OVERHEAD;
        *ret_data = TAKE(sealed);
        return 0;
}

static int unseal(struct bytes data, const struct secret *passphrase, uint8_t *ret_plain,
                  struct err *err)
{
        const struct bytes body = {data.data + HEAD_LEN, data.len - HEAD_LEN};
        struct secret AUTO_SECRET *key = NULL;
        int rc = passphrase_derive(passphrase, data.data + 4, LABEL, &key, err);

        if (rc == 0)
                rc = aead_open(key, (struct bytes){data.data, HEAD_LEN}, body, ret_plain, err);
        return rc == ERR_DAMAGED ? err_set(err, ERR_NOT_PERMITTED,
                                           "the state in the stream does not open with this "
                                           "migration key")
                                 : rc;
}

static bool is_sealed(struct bytes data)
{
        struct reader r = reader_from_bytes(data);
        uint32_t magic;

        return reader_get_be32(&r, &magic) == 0 && magic == SEALED_MAGIC;
}

int package_decode(struct bytes data, const struct secret *key, struct package *ret_package,
                   uint8_t **ret_memory, size_t *ret_len, struct err *err)
{
        uint8_t *plain;
        size_t len;
        int rc = 0;

        if (data.len > PACKAGE_MAX || data.len == 0)
                return err_set(err, ERR_MALFORMED, "state in the stream: %zu bytes", data.len);
        if (is_sealed(data) != (key != NULL))
                return err_set(err, ERR_NOT_PERMITTED,
                               "the state in the stream is %s a migration "
                               "key, and this side has %s",
                               key == NULL ? "under" : "not under", key == NULL ? "none" : "one");
        if (key != NULL && data.len < HEAD_LEN + AEAD_OVERHEAD)
                return err_set(err, ERR_MALFORMED, "state in the stream: cut off");
        len = key == NULL ? data.len : data.len - HEAD_LEN - AEAD_OVERHEAD;
        plain = malloc(len + 1);
        if (plain == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (key == NULL)
                memcpy(plain, data.data, len);
        else
                rc = unseal(data, key, plain, err);
        if (rc == 0)
                rc = get_plain((struct bytes){plain, len}, ret_package, err);
        if (rc != 0) {
                explicit_bzero(plain, len);
                free(plain);
                return rc;
        }
        *ret_memory = plain;
        *ret_len = len;
        return 0;
}
