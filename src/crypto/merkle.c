#include "crypto/merkle.h"

#include <string.h>

#include "crypto/hash.h"

enum { PREFIX_LEAF = 0x00, PREFIX_NODE = 0x01, PREFIX_ROOT = 0x02 };

#define LEVELS_MAX (MERKLE_PATH_MAX + 1)

struct merkle_tree {
        unsigned n_levels;
        size_t counts[LEVELS_MAX]; /* nodes of each level, leaves first */
        size_t starts[LEVELS_MAX]; /* index of each level's first node in nodes */
        uint8_t (*nodes)[MERKLE_HASH_SIZE];
        uint8_t root[MERKLE_HASH_SIZE];
};

static int hash_bytes(const struct writer *w, uint8_t *ret_hash, struct err *err)
{
        if (writer_check(w) != 0)
                return err_set(err, ERR_LIMIT, "too much to hash");
        return hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), w->data, w->len, ret_hash, err);
}

int merkle_leaf_hash(struct bytes data, uint8_t ret_hash[MERKLE_HASH_SIZE], struct err *err)
{
        uint8_t memory[1 + MERKLE_LEAF_MAX];
        struct writer w;

        if (data.len > MERKLE_LEAF_MAX)
                return err_set(err, ERR_LIMIT, "leaf of %zu bytes", data.len);
        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_u8(&w, PREFIX_LEAF);
        writer_put_bytes(&w, data);
        return hash_bytes(&w, ret_hash, err);
}

static int hash_node(const uint8_t *left, const uint8_t *right, uint8_t *ret_hash, struct err *err)
{
        uint8_t memory[1 + 2 * MERKLE_HASH_SIZE];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_u8(&w, PREFIX_NODE);
        writer_put(&w, left, MERKLE_HASH_SIZE);
        writer_put(&w, right, MERKLE_HASH_SIZE);
        return hash_bytes(&w, ret_hash, err);
}

static int hash_root(uint64_t size, const uint8_t *top, uint8_t *ret_hash, struct err *err)
{
        uint8_t memory[1 + 8 + MERKLE_HASH_SIZE];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_u8(&w, PREFIX_ROOT);
        writer_put_be64(&w, size);
        writer_put(&w, top, MERKLE_HASH_SIZE);
        return hash_bytes(&w, ret_hash, err);
}

/* Fills the level above: pairs are hashed, an odd last node moves up unchanged. */
static int build_level(struct merkle_tree *tree, unsigned level, struct err *err)
{
        uint8_t(*from)[MERKLE_HASH_SIZE] = tree->nodes + tree->starts[level];
        uint8_t(*to)[MERKLE_HASH_SIZE] = from + tree->counts[level];
        size_t n = tree->counts[level];

        for (size_t i = 0; i + 1 < n; i += 2) {
                int rc = hash_node(from[i], from[i + 1], to[i / 2], err);
                if (rc != 0)
                        return rc;
        }
        if (n % 2 != 0)
                memcpy(to[n / 2], from[n - 1], MERKLE_HASH_SIZE);
        return 0;
}

static int build(struct merkle_tree *tree, struct err *err)
{
        unsigned level = 0;

        for (; tree->counts[level] > 1; level++) {
                int rc = build_level(tree, level, err);
                if (rc != 0)
                        return rc;
                tree->starts[level + 1] = tree->starts[level] + tree->counts[level];
                tree->counts[level + 1] = (tree->counts[level] + 1) / 2;
        }
        tree->n_levels = level + 1;
        return hash_root(tree->counts[0], tree->nodes[tree->starts[level]], tree->root, err);
}

static struct merkle_tree *tree_alloc(size_t n)
{
        struct merkle_tree *tree = calloc(1, sizeof(*tree));

        if (tree == NULL)
                return NULL;
        tree->counts[0] = n;
        /* n leaves have at most n - 1 + LEVELS_MAX nodes above them. */
        tree->nodes = calloc(2 * n + LEVELS_MAX, MERKLE_HASH_SIZE);
        if (tree->nodes != NULL)
                return tree;
        free(tree);
        return NULL;
}

int merkle_tree_new(const uint8_t (*leaves)[MERKLE_HASH_SIZE], size_t n,
                    struct merkle_tree **ret_tree, struct err *err)
{
        struct merkle_tree AUTO_MERKLE_TREE *tree = NULL;
        int rc;

        if (n == 0 || n > MERKLE_LEAVES_MAX)
                return err_set(err, ERR_LIMIT, "a tree of %zu leaves", n);
        tree = tree_alloc(n);
        if (tree == NULL)
                return err_set(err, ERR_NO_MEMORY, "Merkle tree of %zu leaves", n);
        memcpy(tree->nodes, leaves, n * MERKLE_HASH_SIZE);
        rc = build(tree, err);
        if (rc == 0)
                *ret_tree = TAKE(tree);
        return rc;
}

void merkle_tree_free(struct merkle_tree *tree)
{
        if (tree == NULL)
                return;
        free(tree->nodes);
        free(tree);
}

const uint8_t *merkle_tree_root(const struct merkle_tree *tree)
{
        return tree->root;
}

int merkle_tree_prove(const struct merkle_tree *tree, size_t index, struct merkle_proof *ret_proof,
                      struct err *err)
{
        struct merkle_proof proof = {.index = (uint32_t)index, .size = (uint32_t)tree->counts[0]};

        if (index >= tree->counts[0])
                return err_set(err, ERR_NOT_FOUND, "no leaf %zu in a tree of %zu", index,
                               tree->counts[0]);
        for (unsigned level = 0; level + 1 < tree->n_levels; level++, index /= 2) {
                size_t sibling = index ^ 1;
                if (sibling < tree->counts[level])
                        memcpy(proof.path[proof.steps++],
                               tree->nodes[tree->starts[level] + sibling], MERKLE_HASH_SIZE);
        }
        *ret_proof = proof;
        return 0;
}

/* RFC 9162, 2.1.3.2, read level by level: where no sibling exists the node moves up unchanged. */
int merkle_proof_root(const struct merkle_proof *proof, const uint8_t leaf[MERKLE_HASH_SIZE],
                      uint8_t ret_root[MERKLE_HASH_SIZE], struct err *err)
{
        size_t index = proof->index, count = proof->size;
        uint8_t hash[MERKLE_HASH_SIZE];
        unsigned step = 0;

        if (count == 0 || count > MERKLE_LEAVES_MAX || index >= count)
                return err_set(err, ERR_MALFORMED, "proof of leaf %zu in a tree of %zu", index,
                               count);
        memcpy(hash, leaf, sizeof(hash));
        for (; count > 1; index /= 2, count = (count + 1) / 2) {
                const uint8_t *sibling;
                int rc;

                if ((index ^ 1) >= count)
                        continue;
                if (step >= proof->steps || step >= MERKLE_PATH_MAX)
                        return err_set(err, ERR_MALFORMED, "proof has too few steps");
                sibling = proof->path[step++];
                rc = (index & 1) != 0 ? hash_node(sibling, hash, hash, err)
                                      : hash_node(hash, sibling, hash, err);
                if (rc != 0)
                        return rc;
        }
        if (step != proof->steps)
                return err_set(err, ERR_MALFORMED, "proof has too many steps");
        return hash_root(proof->size, hash, ret_root, err);
}

void merkle_proof_encode(const struct merkle_proof *proof, struct writer *w)
{
        writer_put_be32(w, proof->index);
        writer_put_be32(w, proof->size);
        writer_put_be32(w, proof->steps);
        for (unsigned i = 0; i < proof->steps && i < MERKLE_PATH_MAX; i++)
                writer_put(w, proof->path[i], MERKLE_HASH_SIZE);
}

static int decode(struct reader *r, struct merkle_proof *proof)
{
        int rc = reader_get_be32(r, &proof->index);

        if (rc == 0)
                rc = reader_get_be32(r, &proof->size);
        if (rc == 0)
                rc = reader_get_be32(r, &proof->steps);
        if (rc == 0 && proof->steps > MERKLE_PATH_MAX)
                return ERR_MALFORMED;
        for (unsigned i = 0; rc == 0 && i < proof->steps; i++)
                rc = reader_get_copy(r, proof->path[i], MERKLE_HASH_SIZE);
        return rc != 0 ? rc : reader_finish(r);
}

int merkle_proof_decode(struct bytes data, struct merkle_proof *ret_proof, struct err *err)
{
        struct reader r = reader_from_bytes(data);
        struct merkle_proof proof = {0};

        if (decode(&r, &proof) != 0)
                return err_set(err, ERR_MALFORMED, "inclusion proof, offset %zu",
                               reader_offset(&r));
        *ret_proof = proof;
        return 0;
}
