#include "base/hex.h"
#include "crypto/merkle.h"
#include "lib/test.h"

#define LEAVES 13

static uint8_t leaves[LEAVES][MERKLE_HASH_SIZE];

/* Leaf i is i times the byte i. */
static int make_leaves(void **state)
{
        struct err err = {0};

        (void)state;
        for (uint8_t i = 0; i < LEAVES; i++) {
                uint8_t data[LEAVES];

                memset(data, i, sizeof(data));
                assert_ok(merkle_leaf_hash((struct bytes){data, i}, leaves[i], &err), &err);
        }
        return 0;
}

/* Computed from RFC 9162's recursive definition by another program. */
static const struct {
        size_t n;
        const char *root;
} roots[] = {
    {1, "5cc26cdeaf1949b023361937a0119ed5d1f0cd9fba7d5577f2da20280f29cc64"},
    {2, "f54211f2c2e408f5b7be07b24c119f0bd911429ec5ef1ad53b6564ce003d2490"},
    {3, "5db2c543bc8dd0a73f67100b38af01dba18d166a6431fea8190908a4bec97c14"},
    {5, "f2ef8b26f9e20c8070d3e174d14f0e324c44958b27124860d3f72a5f3a203736"},
    {7, "5a3ba98aef23ed4d71dabf6d43e8cf2de347eec4141a65f150f30c7a92808eac"},
    {8, "43699a532901a481a769080dc86e43806caa0e8f352c8017d711c22c44eda463"},
    {13, "71f8ab9494e18a68f668b341902e27e0f36caee47b6a813d9c0f23649a5e6811"},
};

static void known_roots(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
                struct merkle_tree AUTO_MERKLE_TREE *tree = NULL;
                char text[2 * MERKLE_HASH_SIZE + 1];
                struct err err = {0};

                assert_ok(merkle_tree_new(leaves, roots[i].n, &tree, &err), &err);
                assert_string_equal(hex_encode(merkle_tree_root(tree), MERKLE_HASH_SIZE, text),
                                    roots[i].root);
        }
}

static void every_leaf_proves_itself_only(void **state)
{
        (void)state;
        for (size_t n = 1; n <= LEAVES; n++) {
                struct merkle_tree AUTO_MERKLE_TREE *tree = NULL;
                struct err err = {0};

                assert_ok(merkle_tree_new(leaves, n, &tree, &err), &err);
                for (size_t i = 0; i < n; i++) {
                        struct merkle_proof proof;
                        uint8_t root[MERKLE_HASH_SIZE];

                        assert_ok(merkle_tree_prove(tree, i, &proof, &err), &err);
                        assert_ok(merkle_proof_root(&proof, leaves[i], root, &err), &err);
                        assert_memory_equal(root, merkle_tree_root(tree), sizeof(root));
                        assert_ok(merkle_proof_root(&proof, leaves[(i + 1) % LEAVES], root, &err),
                                  &err);
                        assert_memory_not_equal(root, merkle_tree_root(tree), sizeof(root));
                }
        }
}

/* Duplicating the odd last leaf gives another tree (CVE-2012-2459 is the neighbour). */
static void duplicated_leaf_is_another_tree(void **state)
{
        struct merkle_tree AUTO_MERKLE_TREE *three = NULL, AUTO_MERKLE_TREE *four = NULL;
        uint8_t doubled[4][MERKLE_HASH_SIZE];
        struct err err = {0};

        (void)state;
        memcpy(doubled, leaves, sizeof(doubled));
        memcpy(doubled[3], leaves[2], MERKLE_HASH_SIZE);
        assert_ok(merkle_tree_new(leaves, 3, &three, &err), &err);
        assert_ok(merkle_tree_new(doubled, 4, &four, &err), &err);
        assert_memory_not_equal(merkle_tree_root(three), merkle_tree_root(four), MERKLE_HASH_SIZE);
}

/* An inner node offered as a leaf: B-PROOF's neighbour, answered by the prefixes. */
static void node_is_no_leaf(void **state)
{
        uint8_t pair[2 * MERKLE_HASH_SIZE], as_leaf[MERKLE_HASH_SIZE], root[MERKLE_HASH_SIZE];
        struct merkle_proof proof = {.index = 0, .size = 1};
        struct merkle_tree AUTO_MERKLE_TREE *tree = NULL;
        struct err err = {0};

        (void)state;
        memcpy(pair, leaves, sizeof(pair));
        assert_ok(merkle_tree_new(leaves, 2, &tree, &err), &err);
        assert_ok(merkle_leaf_hash((struct bytes){pair, sizeof(pair)}, as_leaf, &err), &err);
        assert_ok(merkle_proof_root(&proof, as_leaf, root, &err), &err);
        assert_memory_not_equal(root, merkle_tree_root(tree), sizeof(root));
}

static const struct {
        const char *name;
        uint32_t index, size, steps;
} impossible[] = {
    {"empty tree", 0, 0, 0},
    {"index past the end", 5, 5, 3},
    {"too few steps", 0, 5, 2},
    {"too many steps", 0, 5, 4},
    {"a step for the last odd leaf", 4, 5, 2},
    {"too large", 0, MERKLE_LEAVES_MAX + 1, MERKLE_PATH_MAX},
    {"largest numbers", UINT32_MAX, UINT32_MAX, UINT32_MAX},
};

static void impossible_proofs(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(impossible); i++) {
                struct merkle_proof proof = {.index = impossible[i].index,
                                             .size = impossible[i].size,
                                             .steps = impossible[i].steps};
                uint8_t root[MERKLE_HASH_SIZE], poison[MERKLE_HASH_SIZE];
                struct err err = {0};

                memset(root, 0xa5, sizeof(root));
                memset(poison, 0xa5, sizeof(poison));
                if (merkle_proof_root(&proof, leaves[0], root, &err) != ERR_MALFORMED)
                        fail_msg("%s: accepted", impossible[i].name);
                assert_memory_equal(root, poison, sizeof(root));
        }
}

static void size_is_in_the_root(void **state)
{
        struct merkle_proof proof;
        struct merkle_tree AUTO_MERKLE_TREE *tree = NULL;
        uint8_t root[MERKLE_HASH_SIZE];
        struct err err = {0};

        (void)state;
        assert_ok(merkle_tree_new(leaves, 6, &tree, &err), &err);
        assert_ok(merkle_tree_prove(tree, 0, &proof, &err), &err);
        /* Leaf 0 has three steps in trees of 5 to 8 leaves. */
        proof.size = 7;
        assert_ok(merkle_proof_root(&proof, leaves[0], root, &err), &err);
        assert_memory_not_equal(root, merkle_tree_root(tree), sizeof(root));
}

static void limits(void **state)
{
        struct merkle_tree *tree = (void *)&limits;
        struct merkle_tree AUTO_MERKLE_TREE *one = NULL;
        static const uint8_t large[MERKLE_LEAF_MAX + 1];
        uint8_t hash[MERKLE_HASH_SIZE];
        struct merkle_proof proof;
        struct err err = {0};

        (void)state;
        assert_int_equal(merkle_tree_new(leaves, 0, &tree, &err), ERR_LIMIT);
        assert_int_equal(merkle_tree_new(leaves, MERKLE_LEAVES_MAX + 1, &tree, &err), ERR_LIMIT);
        assert_ptr_equal(tree, (void *)&limits);
        assert_int_equal(merkle_leaf_hash((struct bytes){large, sizeof(large)}, hash, &err),
                         ERR_LIMIT);
        assert_ok(merkle_tree_new(leaves, 1, &one, &err), &err);
        assert_int_equal(merkle_tree_prove(one, 1, &proof, &err), ERR_NOT_FOUND);
}

static void proof_bytes(void **state)
{
        struct merkle_proof proof, again;
        struct merkle_tree AUTO_MERKLE_TREE *tree = NULL;
        uint8_t memory[MERKLE_PROOF_MAX + 1];
        struct writer w;
        struct err err = {0};

        (void)state;
        assert_ok(merkle_tree_new(leaves, LEAVES, &tree, &err), &err);
        assert_ok(merkle_tree_prove(tree, 7, &proof, &err), &err);
        writer_init_fixed(&w, memory, sizeof(memory));
        merkle_proof_encode(&proof, &w);
        assert_int_equal(writer_check(&w), 0);
        assert_ok(merkle_proof_decode(writer_bytes(&w), &again, &err), &err);
        assert_int_equal(again.index, 7);
        assert_int_equal(again.size, LEAVES);
        assert_memory_equal(again.path, proof.path, (size_t)proof.steps * MERKLE_HASH_SIZE);
        for (size_t cut = 0; cut < w.len; cut++)
                assert_int_equal(merkle_proof_decode((struct bytes){memory, cut}, &again, &err),
                                 ERR_MALFORMED);
        assert_int_equal(merkle_proof_decode((struct bytes){memory, w.len + 1}, &again, &err),
                         ERR_MALFORMED);
        memory[11] = MERKLE_PATH_MAX + 1;
        assert_int_equal(merkle_proof_decode(writer_bytes(&w), &again, &err), ERR_MALFORMED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(known_roots),
            cmocka_unit_test(every_leaf_proves_itself_only),
            cmocka_unit_test(duplicated_leaf_is_another_tree),
            cmocka_unit_test(node_is_no_leaf),
            cmocka_unit_test(impossible_proofs),
            cmocka_unit_test(size_is_in_the_root),
            cmocka_unit_test(limits),
            cmocka_unit_test(proof_bytes),
        };
        return cmocka_run_group_tests_name("crypto-merkle", tests, make_leaves, NULL);
}
