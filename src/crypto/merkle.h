/*
 * Merkle trees as in RFC 9162, 2.1, over SHA-256, with the number of leaves bound into the root:
 * root = H(0x02 || be64 size || top). Leaves hash under 0x00, inner nodes under 0x01, and an odd
 * node moves up as it is, so no leaf is ever counted twice and no node passes for a leaf.
 * Inclusion shows that a leaf was in the tree; whether it is true rests on who signed the root.
 */
#ifndef CRYPTO_MERKLE_H
#define CRYPTO_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"

#define MERKLE_HASH_SIZE  32
#define MERKLE_LEAVES_MAX 65536
#define MERKLE_PATH_MAX   16 /* steps from a leaf to the top of the largest tree */
#define MERKLE_LEAF_MAX   8192
#define MERKLE_PROOF_MAX  (3 * 4 + MERKLE_PATH_MAX * MERKLE_HASH_SIZE) /* bytes, encoded */

struct merkle_tree;

/* Where a leaf stands and the sibling hashes on its way up, lowest first. */
struct merkle_proof {
        uint32_t index;
        uint32_t size; /* leaves in the tree */
        uint32_t steps;
        uint8_t path[MERKLE_PATH_MAX][MERKLE_HASH_SIZE];
};

/* H(0x00 || data); at most MERKLE_LEAF_MAX bytes, otherwise ERR_LIMIT. */
int merkle_leaf_hash(struct bytes data, uint8_t ret_hash[MERKLE_HASH_SIZE],
                     struct err *err) MUST_CHECK;

/* Builds the tree over n leaf hashes, 1 to MERKLE_LEAVES_MAX (ERR_LIMIT otherwise). */
int merkle_tree_new(const uint8_t (*leaves)[MERKLE_HASH_SIZE], size_t n,
                    struct merkle_tree **ret_tree, struct err *err) MUST_CHECK;
void merkle_tree_free(struct merkle_tree *tree);
DEFINE_CLEANUP(struct merkle_tree *, merkle_tree_free)
#define AUTO_MERKLE_TREE CLEANUP(merkle_tree_free_p)

/* The root, size included; valid as long as the tree. */
const uint8_t *merkle_tree_root(const struct merkle_tree *tree);

/* The proof of one leaf; ERR_NOT_FOUND when the tree has no such index. */
int merkle_tree_prove(const struct merkle_tree *tree, size_t index, struct merkle_proof *ret_proof,
                      struct err *err) MUST_CHECK;

/*
 * The root that this proof gives for this leaf hash; the caller compares it with one that was
 * signed. ERR_MALFORMED when index, size and number of steps cannot belong together.
 */
int merkle_proof_root(const struct merkle_proof *proof, const uint8_t leaf[MERKLE_HASH_SIZE],
                      uint8_t ret_root[MERKLE_HASH_SIZE], struct err *err) MUST_CHECK;

/* be32 index, be32 size, be32 steps, then the path. */
void merkle_proof_encode(const struct merkle_proof *proof, struct writer *w);
int merkle_proof_decode(struct bytes data, struct merkle_proof *ret_proof,
                        struct err *err) MUST_CHECK;

#endif
