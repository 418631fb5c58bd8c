#include "lib/evidence-builder.h"

#include "base/hex.h"
#include "crypto/merkle.h"
#include "evlog/hostlog.h"
#include "lib/test.h"
#include "tpmwire/attest.h"
#include "tpmwire/qualify.h"
#include "tpmwire/signature.h"

const uint32_t builder_signing = TPMA_OBJECT_FIXED_TPM | TPMA_OBJECT_FIXED_PARENT |
                                 TPMA_OBJECT_SENSITIVE_DATA_ORIGIN | TPMA_OBJECT_USER_WITH_AUTH |
                                 TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN;

static const uint32_t storage_attributes =
    TPMA_OBJECT_FIXED_TPM | TPMA_OBJECT_FIXED_PARENT | TPMA_OBJECT_SENSITIVE_DATA_ORIGIN |
    TPMA_OBJECT_ADMIN_WITH_POLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;

#define GUEST_PCRS UINT32_C(0x0047ff) /* 0 to 10 and 14 */
#define HOST_PCRS  UINT32_C(0x0027ff) /* 0 to 10 and 13 */

void builder_key_make(struct builder_key *key, uint32_t attributes)
{
        bool signs = (attributes & TPMA_OBJECT_SIGN) != 0;
        uint8_t memory[BUILDER_PUBLIC_MAX];
        struct pkey_point point;
        struct tpm_public public = {.type = TPM_ALG_ECC,
                                    .name_alg = HASH_TPM_SHA256,
                                    .attributes = attributes,
                                    .sym_alg = signs ? TPM_ALG_NULL : TPM_ALG_AES,
                                    .sym_bits = signs ? 0 : 128,
                                    .sym_mode = signs ? 0 : TPM_ALG_CFB,
                                    .scheme = signs ? TPM_ALG_ECDSA : TPM_ALG_NULL,
                                    .scheme_hash = signs ? HASH_TPM_SHA256 : 0,
                                    .ecc_curve = TPM_ECC_NIST_P256,
                                    .ecc_kdf = TPM_ALG_NULL};
        struct writer inner, outer;
        struct err err = {0};

        assert_ok(pkey_generate_ec(PKEY_P256, &key->key, &err), &err);
        assert_ok(pkey_get_point(key->key, &point, &err), &err);
        public.ecc_x = (struct bytes){point.x, point.size};
        public.ecc_y = (struct bytes){point.y, point.size};
        writer_init_fixed(&inner, memory, sizeof(memory));
        tpm_public_put(&inner, &public);
        writer_init_fixed(&outer, key->public, sizeof(key->public));
        writer_put_tpm2b(&outer, writer_bytes(&inner));
        assert_int_equal(writer_check(&inner) | writer_check(&outer), 0);
        key->public_len = outer.len;
        assert_ok(tpm_public_parse(writer_bytes(&outer), &public, &err), &err);
        assert_ok(tpm_name_of_public(&public, &key->name, &err), &err);
}

void builder_key_done(struct builder_key *key)
{
        pkey_free(key->key);
        key->key = NULL;
}

static void put_host_event(struct builder *b, struct writer *w, const char *text)
{
        uint8_t digest[32];
        struct err err = {0};

        assert_ok(hostlog_put_event(w, (struct bytes){(uint8_t *)text, strlen(text)}, &err), &err);
        assert_ok(hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), text, strlen(text), digest, &err),
                  &err);
        assert_ok(hash_extend(hash_by_tpm_id(HASH_TPM_SHA256), b->pcrs[HOSTLOG_PCR], digest, &err),
                  &err);
}

static void put_component(struct builder *b, struct writer *w, const char *name, uint8_t fill)
{
        struct hostlog_component component = {.version = "0.1.0"};
        char text[HOSTLOG_TEXT_MAX];
        struct err err = {0};

        (void)snprintf(component.name, sizeof(component.name), "%s", name);
        memset(component.digest, fill, sizeof(component.digest));
        assert_ok(hostlog_text(&component, text, &err), &err);
        put_host_event(b, w, text);
}

void builder_make_host_log(struct builder *b, const char *ptpm)
{
        static const char *const names[] = {"catena-tcb", "catena-vtpm", "qemu", "ovmf"};
        struct writer w;

        free(b->host_log);
        memset(b->pcrs[HOSTLOG_PCR], 0, sizeof(b->pcrs[HOSTLOG_PCR]));
        writer_init(&w, HOSTLOG_LOG_MAX);
        hostlog_put_header(&w);
        if (ptpm != NULL)
                put_host_event(b, &w, ptpm);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                put_component(b, &w, names[i], (uint8_t)(0xc0 + i));
        assert_int_equal(writer_check(&w), 0);
        b->host_log = (char *)writer_take(&w, &b->host_log_len);
}

/* What is there, to be gone on with. */
static void begin_more(struct builder *b, struct writer *w)
{
        writer_init(w, HOSTLOG_LOG_MAX);
        writer_put(w, b->host_log, b->host_log_len);
}

static void end_more(struct builder *b, struct writer *w)
{
        assert_int_equal(writer_check(w), 0);
        free(b->host_log);
        b->host_log = (char *)writer_take(w, &b->host_log_len);
}

void builder_add_component(struct builder *b, const char *name, uint8_t fill)
{
        struct writer w;

        begin_more(b, &w);
        put_component(b, &w, name, fill);
        end_more(b, &w);
}

void builder_add_host_event(struct builder *b, const char *text)
{
        struct writer w;

        begin_more(b, &w);
        put_host_event(b, &w, text);
        end_more(b, &w);
}

static void make_vm(struct builder_vm *vm, unsigned i)
{
        (void)snprintf(vm->name, sizeof(vm->name), "web%u", i + 1);
        memset(vm->uuid, (int)(0x10 + i), sizeof(vm->uuid));
        builder_key_make(&vm->ek, storage_attributes);
        builder_key_make(&vm->ak, builder_signing);
}

void builder_init(struct builder *b, const char *dir, const char *host)
{
        char path[512];
        struct err err = {0};

        memset(b, 0, sizeof(*b));
        (void)snprintf(path, sizeof(path), "%s/ca-%s", dir, host);
        assert_ok(ca_create(path, "fleet", CA_DAYS, BUILDER_NOW - 86400, &err), &err);
        assert_ok(ca_open(path, &b->ca, &err), &err);
        b->roots = (struct x509_list){.certs = {(struct x509_cert *)ca_root(b->ca)}, .n = 1};
        builder_key_make(&b->ek, storage_attributes);
        builder_key_make(&b->ak, builder_signing);
        builder_key_make(&b->cek, builder_signing);
        b->challenge.time = BUILDER_NOW;
        memset(b->challenge.nonce, 0x77, sizeof(b->challenge.nonce));
        (void)snprintf(b->challenge.host, sizeof(b->challenge.host), "%s", host);
        b->n_vms = BUILDER_VMS;
        b->challenge.n_vms = BUILDER_VMS;
        for (unsigned i = 0; i < BUILDER_VMS; i++) {
                make_vm(&b->vms[i], i);
                memcpy(b->challenge.vms[i], b->vms[i].name, sizeof(b->vms[i].name));
        }
        builder_make_host_log(b, BUILDER_PTPM);
        b->about = "{\"ptpm\":\"embedded\",\"tcb_version\":\"0.1.0\",\"measured_by\":\"tcb\"}";
        builder_prepare(b);
}

void builder_done(struct builder *b)
{
        for (unsigned i = 0; i < BUILDER_VMS; i++) {
                builder_key_done(&b->vms[i].ek);
                builder_key_done(&b->vms[i].ak);
        }
        builder_key_done(&b->ek);
        builder_key_done(&b->ak);
        builder_key_done(&b->cek);
        free(b->host_log);
        ca_free(b->ca);
}

static void prepare_vm(struct builder *b, struct builder_vm *vm)
{
        struct leaf *leaf = &vm->leaf;
        struct qualify_vm qualify = {.nonce = b->challenge.nonce,
                                     .uuid = vm->uuid,
                                     .epoch = 1,
                                     .cek_name = tpm_name_bytes(&b->cek.name),
                                     .ek_name = tpm_name_bytes(&vm->ek.name)};
        struct err err = {0};

        assert_ok(qualify_vm(&qualify, vm->qualifying, &err), &err);
        *leaf = (struct leaf){.epoch = 1, .init_count = 1, .launch = LEAF_LAUNCH_TCB};
        memcpy(leaf->nonce, b->challenge.nonce, sizeof(leaf->nonce));
        memcpy(leaf->uuid, vm->uuid, sizeof(leaf->uuid));
        memcpy(leaf->qualifying, vm->qualifying, sizeof(leaf->qualifying));
        memset(leaf->engine, 0xc1, sizeof(leaf->engine));
        memset(leaf->qemu, 0xc2, sizeof(leaf->qemu));
        memset(leaf->firmware, 0xc3, sizeof(leaf->firmware));
        assert_int_equal(leaf_name_set(&leaf->cek_name, tpm_name_bytes(&b->cek.name)), 0);
        assert_int_equal(leaf_name_set(&leaf->ek_name, tpm_name_bytes(&vm->ek.name)), 0);
        assert_int_equal(leaf_name_set(&leaf->ak_name, tpm_name_bytes(&vm->ak.name)), 0);
}

void builder_prepare(struct builder *b)
{
        for (size_t i = 0; i < b->n_vms; i++)
                prepare_vm(b, &b->vms[i]);
        b->host_leaf = (struct leaf){
            .launch = LEAF_LAUNCH_HOST, .vms = BUILDER_VMS, .vms_running = BUILDER_VMS};
        memcpy(b->host_leaf.nonce, b->challenge.nonce, sizeof(b->host_leaf.nonce));
}

static void put(struct evidence *evidence, const char *dir, const char *name, struct bytes data)
{
        char path[EVIDENCE_PATH_MAX + 1];
        struct err err = {0};

        (void)snprintf(path, sizeof(path), "%s%s", dir, name);
        assert_ok(evidence_replace(evidence, path, data, &err), &err);
}

/* What a TPM does: signs the attestation and hands both out. */
static void put_signed(struct evidence *evidence, const char *dir, const char *base,
                       struct bytes attest, const struct builder_key *signer)
{
        uint8_t raw[PKEY_ES256_SIZE], memory[256];
        struct tpm_signature signature = {.alg = TPM_ALG_ECDSA, .hash = HASH_TPM_SHA256};
        struct writer w;
        char name[32];
        struct err err = {0};

        assert_ok(pkey_sign_es256(signer->key, attest, raw, &err), &err);
        signature.r = (struct bytes){raw, 32};
        signature.s = (struct bytes){raw + 32, 32};
        writer_init_fixed(&w, memory, sizeof(memory));
        tpm_signature_put(&w, &signature);
        assert_int_equal(writer_check(&w), 0);
        (void)snprintf(name, sizeof(name), "%s.attest", base);
        put(evidence, dir, name, attest);
        (void)snprintf(name, sizeof(name), "%s.sig", base);
        put(evidence, dir, name, writer_bytes(&w));
}

static struct tpm_name qualified(const struct builder_key *ek, const struct builder_key *key)
{
        struct tpm_name endorsement = tpm_name_of_handle(TPM_RH_ENDORSEMENT), parent, name;
        struct err err = {0};

        assert_ok(tpm_name_qualify(&endorsement, &ek->name, &parent, &err), &err);
        assert_ok(tpm_name_qualify(&parent, &key->name, &name, &err), &err);
        return name;
}

/* SHA-256 over the selected PCRs, and the selection itself. */
static void select_pcrs(struct attest *attest, uint32_t mask, uint8_t pcrs[24][32],
                        uint8_t digest[32])
{
        struct bytes parts[24];
        size_t n = 0;
        struct err err = {0};

        for (unsigned i = 0; i < 24; i++)
                if ((mask >> i & 1) != 0)
                        parts[n++] = (struct bytes){pcrs[i], 32};
        assert_ok(hash_digest_parts(hash_by_tpm_id(HASH_TPM_SHA256), parts, n, digest, &err), &err);
        attest->quote.select.count = 1;
        attest->quote.select.banks[0].hash = HASH_TPM_SHA256;
        attest->quote.select.banks[0].mask = mask;
        attest->quote.digest = (struct bytes){digest, 32};
}

static void put_quote(struct evidence *evidence, const char *dir, const struct builder_key *ek,
                      const struct builder_key *ak, uint32_t mask, uint8_t pcrs[24][32],
                      const uint8_t qualifying[32])
{
        struct tpm_name signer = qualified(ek, ak);
        struct attest attest = {.magic = TPM_GENERATED,
                                .type = TPM_ST_ATTEST_QUOTE,
                                .qualified_signer = tpm_name_bytes(&signer),
                                .extra_data = {qualifying, 32},
                                .clock = {.clock = 1000, .reset_count = 1, .safe = true}};
        uint8_t memory[512], digest[32];
        struct writer w;

        select_pcrs(&attest, mask, pcrs, digest);
        writer_init_fixed(&w, memory, sizeof(memory));
        attest_put(&w, &attest);
        assert_int_equal(writer_check(&w), 0);
        put_signed(evidence, dir, "quote", writer_bytes(&w), ak);
}

static void put_vm(struct builder *b, struct builder_vm *vm, struct evidence *evidence)
{
        char dir[32], nonce[65];
        struct bytes attest, sig;
        struct err err = {0};
        char path[64];

        (void)b;
        (void)snprintf(dir, sizeof(dir), "vms/%s/", vm->name);
        put(evidence, dir, "ek.pub", (struct bytes){vm->ek.public, vm->ek.public_len});
        put(evidence, dir, "ak.pub", (struct bytes){vm->ak.public, vm->ak.public_len});
        (void)hex_encode(vm->qualifying, 32, nonce);
        put(evidence, dir, "nonce.hex", (struct bytes){(uint8_t *)nonce, 64});
        put_quote(evidence, dir, vm->under == NULL ? &vm->ek : vm->under, &vm->ak, GUEST_PCRS,
                  vm->pcrs, vm->qualifying);
        if (vm->tcg_log.len != 0)
                put(evidence, dir, "binary_bios_measurements", vm->tcg_log);
        if (vm->ima_log.len != 0)
                put(evidence, dir, "binary_runtime_measurements", vm->ima_log);
        (void)snprintf(path, sizeof(path), "%squote.attest", dir);
        assert_true(evidence_get(evidence, path, &attest));
        (void)snprintf(path, sizeof(path), "%squote.sig", dir);
        assert_true(evidence_get(evidence, path, &sig));
        assert_ok(qualify_quote_digest(attest, sig, vm->leaf.quote, &err), &err);
}

/* One leaf: the VMs', and after them the host's own, as a real host has one in every tree. */
static const struct leaf *leaf_at(const struct builder *b, size_t i, char dir[32])
{
        (void)snprintf(dir, 32, "host/");
        if (i == b->n_vms)
                return &b->host_leaf;
        (void)snprintf(dir, 32, "vms/%s/", b->vms[i].name);
        return &b->vms[i].leaf;
}

/* Leaves, their tree, the proofs; the root's qualifying data goes into the host's quote. */
static void put_tree(struct builder *b, struct evidence *evidence, uint8_t qualifying[32])
{
        uint8_t hashes[BUILDER_VMS + 2][MERKLE_HASH_SIZE], memory[LEAF_SIZE_MAX];
        size_t n = b->n_vms + 1;
        struct merkle_tree AUTO_MERKLE_TREE *tree = NULL;
        struct err err = {0};
        struct writer w;
        char dir[32];

        for (size_t i = 0; i < n; i++) {
                writer_init_fixed(&w, memory, sizeof(memory));
                assert_ok(leaf_encode(leaf_at(b, i, dir), &w, &err), &err);
                assert_ok(merkle_leaf_hash(writer_bytes(&w), hashes[i], &err), &err);
                put(evidence, dir, "leaf", writer_bytes(&w));
        }
        /* A leaf for a VM that nobody asked about: the tree is never only ours. */
        memset(hashes[n], 0xee, MERKLE_HASH_SIZE);
        assert_ok(merkle_tree_new(hashes, n + 1, &tree, &err), &err);
        for (size_t i = 0; i < n; i++) {
                struct merkle_proof proof;

                assert_ok(merkle_tree_prove(tree, i, &proof, &err), &err);
                writer_init_fixed(&w, memory, sizeof(memory));
                merkle_proof_encode(&proof, &w);
                (void)leaf_at(b, i, dir);
                put(evidence, dir, "proof", writer_bytes(&w));
        }
        assert_ok(qualify_tree(tpm_name_bytes(&b->cek.name), n + 1, merkle_tree_root(tree),
                               qualifying, &err),
                  &err);
}

static void put_cek(struct builder *b, struct evidence *evidence)
{
        struct tpm_name signer = qualified(&b->ek, &b->ak), name = qualified(&b->ek, &b->cek);
        struct attest attest = {.magic = TPM_GENERATED,
                                .type = TPM_ST_ATTEST_CERTIFY,
                                .qualified_signer = tpm_name_bytes(&signer),
                                .certify = {.name = tpm_name_bytes(&b->cek.name),
                                            .qualified_name = tpm_name_bytes(&name)}};
        uint8_t memory[512], qualifying[32];
        struct writer w;
        struct err err = {0};

        assert_ok(qualify_enrol(tpm_name_bytes(&b->ak.name), tpm_name_bytes(&b->cek.name),
                                qualifying, &err),
                  &err);
        attest.extra_data = (struct bytes){qualifying, sizeof(qualifying)};
        writer_init_fixed(&w, memory, sizeof(memory));
        attest_put(&w, &attest);
        assert_int_equal(writer_check(&w), 0);
        put_signed(evidence, "host/", "cek", writer_bytes(&w), &b->ak);
}

static void put_host(struct builder *b, struct evidence *evidence)
{
        struct ca_request request = {.profile = X509_AK,
                                     .name = b->challenge.host,
                                     .key = b->ak.key,
                                     .days = CA_ISSUE_DAYS,
                                     .now = BUILDER_NOW - 3600,
                                     .residency = b->residency};
        struct x509_cert AUTO_X509 *cert = NULL;
        char AUTO_FREE *pem = NULL;
        struct err err = {0};

        assert_ok(ca_issue(b->ca, &request, &cert, &err), &err);
        assert_ok(x509_to_pem(cert, &pem, &err), &err);
        builder_put_text(evidence, "host/ak.crt", pem);
        builder_put_text(evidence, "host/name", b->challenge.host);
        builder_put_text(evidence, "host/about.json", b->about);
        put(evidence, "host/", "ek.pub", (struct bytes){b->ek.public, b->ek.public_len});
        put(evidence, "host/", "ak.pub", (struct bytes){b->ak.public, b->ak.public_len});
        put(evidence, "host/", "cek.pub", (struct bytes){b->cek.public, b->cek.public_len});
        put(evidence, "host/", "catena_log",
            (struct bytes){(uint8_t *)b->host_log, b->host_log_len});
        if (b->host_tcg_log.len != 0)
                put(evidence, "host/", "binary_bios_measurements", b->host_tcg_log);
        if (b->host_ima_log.len != 0)
                put(evidence, "host/", "binary_runtime_measurements", b->host_ima_log);
        put_cek(b, evidence);
}

struct evidence *builder_build(struct builder *b)
{
        struct evidence *evidence = NULL;
        char AUTO_FREE *challenge = NULL;
        uint8_t qualifying[32];
        struct err err = {0};

        assert_ok(evidence_new(&evidence, &err), &err);
        assert_ok(challenge_to_json(&b->challenge, &challenge, &err), &err);
        builder_put_text(evidence, "challenge.json", challenge);
        for (size_t i = 0; i < b->n_vms; i++)
                put_vm(b, &b->vms[i], evidence);
        put_tree(b, evidence, qualifying);
        put_host(b, evidence);
        put_quote(evidence, "host/", &b->ek, &b->ak, HOST_PCRS, b->pcrs, qualifying);
        return evidence;
}

void builder_flip(struct evidence *evidence, const char *path, long offset)
{
        uint8_t AUTO_FREE *copy = NULL;
        struct bytes data;
        struct err err = {0};

        assert_true(evidence_get(evidence, path, &data));
        copy = malloc(data.len);
        assert_non_null(copy);
        memcpy(copy, data.data, data.len);
        copy[offset < 0 ? data.len - (size_t)-offset : (size_t)offset] ^= 0xff;
        assert_ok(evidence_replace(evidence, path, (struct bytes){copy, data.len}, &err), &err);
}

void builder_put_text(struct evidence *evidence, const char *path, const char *text)
{
        struct err err = {0};

        assert_ok(evidence_replace(evidence, path,
                                   (struct bytes){(const uint8_t *)text, strlen(text)}, &err),
                  &err);
}
