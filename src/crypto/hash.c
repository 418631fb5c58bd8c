/*
 * PCR extends use OpenSSL's low-level functions, which 3.0 calls deprecated: going through EVP
 * costs as much again as hashing the two blocks, and a replay is nothing but extends.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/hash.h"

#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

static const struct hash_alg algs[HASH_ALG_COUNT] = {
    {HASH_TPM_SHA1, "sha1", 20},       {HASH_TPM_SHA256, "sha256", 32},
    {HASH_TPM_SHA384, "sha384", 48},   {HASH_TPM_SHA512, "sha512", 64},
    {HASH_TPM_SM3_256, "sm3_256", 32},
};

static const char *const openssl_names[HASH_ALG_COUNT] = {
    "SHA1", "SHA2-256", "SHA2-384", "SHA2-512", "SM3",
};

#define DEFINE_RAW(name, context, prefix)                                                          \
        static bool name(const uint8_t *data, size_t len, uint8_t *ret_digest)                     \
        {                                                                                          \
                context c;                                                                         \
                return prefix##_Init(&c) == 1 && prefix##_Update(&c, data, len) == 1 &&            \
                       prefix##_Final(ret_digest, &c) == 1;                                        \
        }
DEFINE_RAW(raw_sha1, SHA_CTX, SHA1)
DEFINE_RAW(raw_sha256, SHA256_CTX, SHA256)
DEFINE_RAW(raw_sha384, SHA512_CTX, SHA384)
DEFINE_RAW(raw_sha512, SHA512_CTX, SHA512)

/* In the order of algs; NULL: only through EVP. */
static bool (*const raws[HASH_ALG_COUNT])(const uint8_t *data, size_t len, uint8_t *ret_digest) = {
    raw_sha1, raw_sha256, raw_sha384, raw_sha512, NULL,
};

struct hash {
        const struct hash_alg *alg;
        EVP_MD_CTX *ctx;
};

static EVP_MD *mds[HASH_ALG_COUNT];
static pthread_once_t mds_once = PTHREAD_ONCE_INIT;
static pthread_key_t contexts_key;
static _Thread_local EVP_MD_CTX *contexts[HASH_ALG_COUNT];

static void free_contexts(void *unused)
{
        (void)unused;
        for (size_t i = 0; i < HASH_ALG_COUNT; i++) {
                EVP_MD_CTX_free(contexts[i]);
                contexts[i] = NULL;
        }
}

static void fetch_mds(void)
{
        (void)pthread_key_create(&contexts_key, free_contexts);
        for (size_t i = 0; i < HASH_ALG_COUNT; i++)
                mds[i] = EVP_MD_fetch(NULL, openssl_names[i], NULL);
}

static EVP_MD *md_of(const struct hash_alg *alg)
{
        (void)pthread_once(&mds_once, fetch_mds);
        return mds[alg - algs];
}

const struct hash_alg *hash_by_tpm_id(uint16_t tpm_id)
{
        for (size_t i = 0; i < HASH_ALG_COUNT; i++)
                if (algs[i].tpm_id == tpm_id)
                        return md_of(&algs[i]) != NULL ? &algs[i] : NULL;
        return NULL;
}

const struct hash_alg *hash_by_name_len(const char *name, size_t len)
{
        for (size_t i = 0; i < HASH_ALG_COUNT; i++)
                if (strlen(algs[i].name) == len && memcmp(algs[i].name, name, len) == 0)
                        return md_of(&algs[i]) != NULL ? &algs[i] : NULL;
        return NULL;
}

const struct hash_alg *hash_by_name(const char *name)
{
        return hash_by_name_len(name, strlen(name));
}

static int fail(const struct hash_alg *alg, struct err *err)
{
        return err_set(err, ERR_FAILED, "%s: OpenSSL refused", alg->name);
}

/* This thread's context for a hash, made at its first use and freed at the thread's end. */
static EVP_MD_CTX *context_of(const struct hash_alg *alg)
{
        EVP_MD_CTX **ctx = &contexts[alg - algs];

        if (*ctx == NULL) {
                *ctx = EVP_MD_CTX_new();
                (void)pthread_setspecific(contexts_key, contexts);
        }
        return *ctx;
}

int hash_digest_parts(const struct hash_alg *alg, const struct bytes *parts, size_t count,
                      uint8_t *ret_digest, struct err *err)
{
        EVP_MD *md = md_of(alg);
        EVP_MD_CTX *ctx = context_of(alg);

        if (md == NULL || ctx == NULL || EVP_DigestInit_ex2(ctx, md, NULL) != 1)
                return fail(alg, err);
        for (size_t i = 0; i < count; i++)
                if (EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1)
                        return fail(alg, err);
        if (EVP_DigestFinal_ex(ctx, ret_digest, NULL) != 1)
                return fail(alg, err);
        return 0;
}

int hash_digest(const struct hash_alg *alg, const void *data, size_t len, uint8_t *ret_digest,
                struct err *err)
{
        return hash_digest_parts(alg, &(struct bytes){data, len}, 1, ret_digest, err);
}

int hash_extend(const struct hash_alg *alg, uint8_t *pcr, const uint8_t *digest, struct err *err)
{
        uint8_t both[2 * HASH_SIZE_MAX];

        memcpy(both, pcr, alg->size);
        memcpy(both + alg->size, digest, alg->size);
        if (raws[alg - algs] == NULL)
                return hash_digest(alg, both, 2 * alg->size, pcr, err);
        return raws[alg - algs](both, 2 * alg->size, pcr) ? 0 : fail(alg, err);
}

int hash_new(const struct hash_alg *alg, struct hash **ret_hash, struct err *err)
{
        struct hash AUTO_HASH *hash = calloc(1, sizeof(*hash));

        if (hash == NULL)
                return err_set(err, ERR_NO_MEMORY, "%s", alg->name);
        hash->alg = alg;
        hash->ctx = EVP_MD_CTX_new();
        if (hash->ctx == NULL)
                return err_set(err, ERR_NO_MEMORY, "%s", alg->name);
        if (md_of(alg) == NULL || EVP_DigestInit_ex2(hash->ctx, md_of(alg), NULL) != 1)
                return fail(alg, err);
        *ret_hash = TAKE(hash);
        return 0;
}

int hash_update(struct hash *hash, const void *data, size_t len, struct err *err)
{
        if (EVP_DigestUpdate(hash->ctx, data, len) != 1)
                return fail(hash->alg, err);
        return 0;
}

int hash_final(struct hash *hash, uint8_t *ret_digest, struct err *err)
{
        uint8_t digest[EVP_MAX_MD_SIZE];

        if (EVP_DigestFinal_ex(hash->ctx, digest, NULL) != 1 ||
            EVP_DigestInit_ex2(hash->ctx, md_of(hash->alg), NULL) != 1)
                return fail(hash->alg, err);
        memcpy(ret_digest, digest, hash->alg->size);
        return 0;
}

void hash_free(struct hash *hash)
{
        if (hash == NULL)
                return;
        EVP_MD_CTX_free(hash->ctx);
        free(hash);
}
