/*
 * The rows "Host and VM together" of the attack list and their neighbours: each changes one thing
 * of a valid set of evidence, and the verdict must be contraindicated for the right reason.
 */
#include "crypto/merkle.h"
#include "lib/test.h"
#include "verify/test-judge.h"

static struct builder here, other;
static struct evidence *good, *good_other;

static bool is_binding(const char *id)
{
        return strncmp(id, "bind.", 5) == 0 || strncmp(id, "cert.", 5) == 0 ||
               strncmp(id, "quote.", 6) == 0 || strncmp(id, "key.", 4) == 0;
}

static void assert_no_binding_failure(const struct verify_machine *machine)
{
        for (size_t i = 0; i < machine->reasons.count; i++)
                if (machine->reasons.items[i].severity == REASON_FAIL &&
                    is_binding(machine->reasons.items[i].id))
                        fail_msg("%s: %s: %s", machine->name, machine->reasons.items[i].id,
                                 machine->reasons.items[i].text);
}

static void good_is_bound(void **state)
{
        struct verify_result AUTO_VERIFY_RESULT *result = judge_plain(good, &here);

        (void)state;
        assert_no_binding_failure(result->host);
        assert_int_equal(result->host->tier, VERIFY_WARNING);
        assert_int_equal(result->n_vms, BUILDER_VMS);
        for (size_t i = 0; i < result->n_vms; i++) {
                assert_no_binding_failure(result->vms[i]);
                assert_int_equal(result->vms[i]->identity, VERIFY_OK);
        }
        assert_string_equal(result->ptpm, "embedded");
}

/* ---- one change to the finished evidence ---------------------------------------------------- */

static void relay(struct evidence *e)
{
        static const char *const names[] = {"leaf",         "proof",     "ek.pub",   "ak.pub",
                                            "quote.attest", "quote.sig", "nonce.hex"};
        char path[64];

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void)snprintf(path, sizeof(path), "vms/web1/%s", names[i]);
                judge_take(e, path, good_other, path);
        }
}

static void swap_vms(struct evidence *e)
{
        judge_take(e, "vms/web1/leaf", good, "vms/web2/leaf");
        judge_take(e, "vms/web1/proof", good, "vms/web2/proof");
}

static void whole_second_vm(struct evidence *e)
{
        static const char *const names[] = {"leaf",   "proof",        "ek.pub",
                                            "ak.pub", "quote.attest", "quote.sig"};
        char path[64], from[64];

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void)snprintf(path, sizeof(path), "vms/web1/%s", names[i]);
                (void)snprintf(from, sizeof(from), "vms/web2/%s", names[i]);
                judge_take(e, path, good, from);
        }
}

static void proof_of_another(struct evidence *e)
{
        judge_take(e, "vms/web1/proof", good, "vms/web2/proof");
}

static void proof_of_other_tree(struct evidence *e)
{
        judge_take(e, "vms/web1/proof", good_other, "vms/web1/proof");
}

static void flip_proof(struct evidence *e)
{
        builder_flip(e, "vms/web1/proof", -1);
}

static void flip_proof_size(struct evidence *e)
{
        builder_flip(e, "vms/web1/proof", 7);
}

static void flip_leaf(struct evidence *e)
{
        builder_flip(e, "vms/web1/leaf", 200);
}

static void cut_leaf(struct evidence *e)
{
        builder_put_text(e, "vms/web1/leaf", "CLF");
}

static void no_leaf(struct evidence *e)
{
        evidence_remove(e, "vms/web1/leaf");
}

static void ak_swap(struct evidence *e)
{
        judge_take(e, "vms/web1/ak.pub", good, "vms/web2/ak.pub");
}

static void ek_swap(struct evidence *e)
{
        judge_take(e, "vms/web1/ek.pub", good, "vms/web2/ek.pub");
}

static void flip_quote(struct evidence *e)
{
        builder_flip(e, "vms/web1/quote.attest", -1);
}

static void other_quote(struct evidence *e)
{
        judge_take(e, "vms/web1/quote.attest", good, "vms/web2/quote.attest");
        judge_take(e, "vms/web1/quote.sig", good, "vms/web2/quote.sig");
}

static void no_quote(struct evidence *e)
{
        evidence_remove(e, "vms/web1/quote.sig");
}

static void no_vm(struct evidence *e)
{
        static const char *const names[] = {"leaf",         "proof",     "ek.pub",   "ak.pub",
                                            "quote.attest", "quote.sig", "nonce.hex"};
        char path[64];

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void)snprintf(path, sizeof(path), "vms/web1/%s", names[i]);
                evidence_remove(e, path);
        }
}

static void host_quote_of_other(struct evidence *e)
{
        judge_take(e, "host/quote.attest", good_other, "host/quote.attest");
        judge_take(e, "host/quote.sig", good_other, "host/quote.sig");
}

static void flip_host_quote(struct evidence *e)
{
        builder_flip(e, "host/quote.attest", -1);
}

static void flip_host_signature(struct evidence *e)
{
        builder_flip(e, "host/quote.sig", -1);
}

static void host_ak_of_other(struct evidence *e)
{
        judge_take(e, "host/ak.pub", good_other, "host/ak.pub");
}

static void certificate_of_other(struct evidence *e)
{
        judge_take(e, "host/ak.crt", good_other, "host/ak.crt");
}

static void no_certificate(struct evidence *e)
{
        evidence_remove(e, "host/ak.crt");
}

static void bad_certificate(struct evidence *e)
{
        builder_put_text(e, "host/ak.crt", "-----BEGIN CERTIFICATE-----\n");
}

static void cek_of_other(struct evidence *e)
{
        judge_take(e, "host/cek.pub", good_other, "host/cek.pub");
}

static void cek_certified_by_other(struct evidence *e)
{
        cek_of_other(e);
        judge_take(e, "host/cek.attest", good_other, "host/cek.attest");
        judge_take(e, "host/cek.sig", good_other, "host/cek.sig");
}

static void cek_by_quote(struct evidence *e)
{
        judge_take(e, "host/cek.attest", good, "host/quote.attest");
        judge_take(e, "host/cek.sig", good, "host/quote.sig");
}

static void host_ek_of_other(struct evidence *e)
{
        judge_take(e, "host/ek.pub", good_other, "host/ek.pub");
}

static void other_name(struct evidence *e)
{
        builder_put_text(e, "host/name", "host-b");
}

static void about_list(struct evidence *e)
{
        builder_put_text(e, "host/about.json", "[]");
}

static void about_unknown(struct evidence *e)
{
        builder_put_text(e, "host/about.json", "{\"ptpm\":\"\\u001b[2J\"}");
}

static void flip_host_log(struct evidence *e)
{
        builder_flip(e, "host/catena_log", -1);
}

/* Its first record's PCR index makes it a log of registers (CCEL). */
static void host_log_of_registers(struct evidence *e)
{
        builder_flip(e, "host/catena_log", 0);
}

static void no_host_log(struct evidence *e)
{
        evidence_remove(e, "host/catena_log");
}

static void no_challenge(struct evidence *e)
{
        evidence_remove(e, "challenge.json");
}

static void broken_challenge(struct evidence *e)
{
        builder_put_text(e, "challenge.json", "{}");
}

static void huge_index(struct evidence *e)
{
        static const uint8_t huge[4] = {0xff, 0xff, 0xff, 0xff};
        struct bytes proof;
        uint8_t copy[MERKLE_PROOF_MAX];
        struct err err = {0};

        assert_true(evidence_get(e, "vms/web1/proof", &proof));
        memcpy(copy, proof.data, proof.len);
        memcpy(copy, huge, sizeof(huge));
        assert_ok(evidence_replace(e, "vms/web1/proof", (struct bytes){copy, proof.len}, &err),
                  &err);
}

/* All of the guest's part goes: what the host says instead is shown, and harmless. */
static void says_missing(struct evidence *e)
{
        no_vm(e);
        builder_put_text(e, "vms/web1/missing", "web1 is off\x1b[2J\xc2\x9b");
}

static void about_doubled(struct evidence *e)
{
        builder_put_text(e, "host/about.json", "{\"ptpm\":\"embedded\",\"ptpm\":\"hardware\"}");
}

static void about_number(struct evidence *e)
{
        builder_put_text(e, "host/about.json", "{\"ptpm\":1e99999}");
}

static void about_deep(struct evidence *e)
{
        char text[4001];

        memset(text, '[', 4000);
        text[4000] = '\0';
        builder_put_text(e, "host/about.json", text);
}

static void about_hardware(struct evidence *e)
{
        builder_put_text(
            e, "host/about.json",
            "{\"ptpm\":\"hardware\",\"tcb_version\":\"1\",\"measured_by\":\"starter\"}");
}

static void about_other_tcb(struct evidence *e)
{
        builder_put_text(e, "host/about.json",
                         "{\"ptpm\":\"embedded\",\"tcb_version\":\"9\",\"measured_by\":\"tcb\"}");
}

static void cek_is_ak(struct evidence *e)
{
        judge_take(e, "host/cek.pub", good, "host/ak.pub");
}

static void name_with_nul(struct evidence *e)
{
        struct err err = {0};

        assert_ok(
            evidence_replace(e, "host/name", (struct bytes){(const uint8_t *)"host-a\0x", 8}, &err),
            &err);
}

static void nothing(struct evidence *e)
{
        while (evidence_count(e) > 0)
                evidence_remove(e, evidence_path(e, 0));
}

static const struct {
        const char *name;
        void (*change)(struct evidence *e);
        const char *id; /* which must be among the reasons that refuse */
        bool of_vm;     /* of web1, otherwise of the host */
} rows[] = {
    {"B-RELAY VM of host-b with the quote of host-a", relay, "bind.proof", true},
    {"B-RELAY host quote of host-b", host_quote_of_other, "bind.tree", false},
    {"B-STALE host quote of another time", host_quote_of_other, "bind.proof", true},
    {"B-AK-SWAP", ak_swap, "bind.ak", true},
    {"B-AK-SWAP EK", ek_swap, "bind.ek", true},
    {"B-AK-SWAP leaf of another VM", swap_vms, "bind.ak", true},
    {"B-TWO-HOSTS one VM under two names", whole_second_vm, "bind.twice", true},
    {"B-PROOF of another leaf", proof_of_another, "bind.proof", true},
    {"B-PROOF of another tree", proof_of_other_tree, "bind.proof", true},
    {"B-PROOF changed", flip_proof, "bind.proof", true},
    {"B-PROOF another size", flip_proof_size, "bind.proof", true},
    {"B-PROOF huge index", huge_index, "bind.proof", true},
    {"VM is off", says_missing, "bind.missing", true},
    {"about.json doubled", about_doubled, "bind.host", false},
    {"about.json with a huge number", about_number, "bind.host", false},
    {"about.json too deep", about_deep, "bind.host", false},
    {"L-EMPTY hardware by its word, no log", about_hardware, "log.missing", false},
    {"hardware by its word, measured as software", about_hardware, "bind.about", false},
    {"another TCB by its word", about_other_tcb, "bind.about", false},
    {"K-CREATION CEK is the AK, with the certification of another key", cek_is_ak, "bind.cek",
     false},
    {"another host answers, after a NUL", name_with_nul, "bind.host", false},
    {"leaf changed", flip_leaf, "bind.proof", true},
    {"leaf cut", cut_leaf, "bind.leaf", true},
    {"leaf missing", no_leaf, "bind.missing", true},
    {"quote changed", flip_quote, "bind.quote", true},
    {"quote changed, signature", flip_quote, "quote.signature", true},
    {"Q-REPLAY quote of another VM", other_quote, "bind.quote", true},
    {"Q-REPLAY quote of another VM, nonce", other_quote, "quote.nonce", true},
    {"quote missing", no_quote, "bind.missing", true},
    {"VM missing", no_vm, "bind.missing", true},
    {"host quote changed", flip_host_quote, "quote.signature", false},
    {"host signature changed", flip_host_signature, "quote.signature", false},
    {"K-TOCTOU host AK swapped", host_ak_of_other, "cert.ak", false},
    {"C-KEYDIFF certificate of another host", certificate_of_other, "cert.ak", false},
    {"E-NOCLIENT no certificate", no_certificate, "bind.missing", false},
    {"certificate malformed", bad_certificate, "cert.ak", false},
    {"K-TWO-EK host EK swapped", host_ek_of_other, "quote.signer", false},
    {"CEK swapped", cek_of_other, "bind.cek", false},
    {"CEK of another host", cek_certified_by_other, "bind.cek", false},
    {"Q-TYPE a quote as certification", cek_by_quote, "bind.cek", false},
    {"another host answers", other_name, "bind.host", false},
    {"about.json no object", about_list, "bind.host", false},
    {"E-UUID-INJ kind of pTPM", about_unknown, "policy.ptpm", false},
    {"host log changed", flip_host_log, "log.malformed", false},
    {"L-SPECID host log of registers", host_log_of_registers, "log.malformed", false},
    {"host log missing", no_host_log, "policy.host", false},
    {"challenge missing", no_challenge, "bind.challenge", false},
    {"challenge malformed", broken_challenge, "bind.challenge", false},
    {"V-EMPTY no evidence at all", nothing, "bind.missing", false},
};

static void changed_evidence(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct evidence AUTO_EVIDENCE *evidence = judge_copy(good);
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;

                rows[i].change(evidence);
                result = judge_plain(evidence, &here);
                judge_refused(result, rows[i].of_vm ? result->vms[0] : result->host, rows[i].name,
                              rows[i].id);
        }
}

/* All VMs, each named: good; and refused as soon as the host's count of them is not shown. */
static void all_of_them(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct verify_result AUTO_VERIFY_RESULT *whole = NULL, AUTO_VERIFY_RESULT *cut = NULL;
        struct builder b;

        (void)state;
        builder_init(&b, test_dir(), "host-all");
        b.challenge.all = true;
        evidence = builder_build(&b);
        whole = judge_plain(evidence, &b);
        assert_false(reasons_failed(&whole->host->reasons));
        evidence_remove(evidence, "host/leaf");
        cut = judge_plain(evidence, &b);
        judge_refused(cut, cut->host, "T-ADMIN no count of all VMs", "bind.missing");
        builder_done(&b);
}

/* -1: it was not said. */
static int severity_of(const struct verify_machine *machine, const char *id)
{
        for (size_t i = 0; i < machine->reasons.count; i++)
                if (strcmp(machine->reasons.items[i].id, id) == 0)
                        return (int)machine->reasons.items[i].severity;
        return -1;
}

/* True and not good: said, and the verdict is a warning, not a refusal. */
static void flags_are_said(void **state)
{
        static const struct {
                uint8_t flag;
                const char *id;
        } flags[] = {{LEAF_ROLLBACK, "bind.rollback"},
                     {LEAF_REBUILD, "bind.rebuild"},
                     {LEAF_DEGRADED, "host.sandbox"}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                struct evidence AUTO_EVIDENCE *evidence = NULL;
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                struct builder b;
                char name[32];

                (void)snprintf(name, sizeof(name), "flag-%zu", i);
                builder_init(&b, test_dir(), name);
                b.vms[0].leaf.flags = flags[i].flag;
                evidence = builder_build(&b);
                result = judge_plain(evidence, &b);
                assert_int_equal(severity_of(result->vms[0], flags[i].id), REASON_WARNING);
                assert_int_equal(severity_of(result->vms[1], flags[i].id), -1);
                builder_done(&b);
        }
}

/* ---- a lie that is signed all the way ------------------------------------------------------- */

static void lie_nonce(struct builder *b)
{
        memset(b->vms[0].leaf.nonce, 0x01, sizeof(b->vms[0].leaf.nonce));
}

static void lie_old_quote(struct builder *b)
{
        memset(b->vms[0].qualifying, 0x01, sizeof(b->vms[0].qualifying));
}

static void lie_old_all(struct builder *b)
{
        lie_old_quote(b);
        memcpy(b->vms[0].leaf.qualifying, b->vms[0].qualifying, 32);
}

static void lie_uuid(struct builder *b)
{
        memset(b->vms[0].leaf.uuid, 0x99, sizeof(b->vms[0].leaf.uuid));
}

static void lie_nil_uuid(struct builder *b)
{
        memset(b->vms[0].leaf.uuid, 0, sizeof(b->vms[0].leaf.uuid));
}

static void lie_epoch(struct builder *b)
{
        b->vms[0].leaf.epoch = 2;
}

static void lie_cek(struct builder *b)
{
        b->vms[0].leaf.cek_name.data[5] ^= 1;
}

static void lie_same_uuid(struct builder *b)
{
        memcpy(b->vms[0].uuid, b->vms[1].uuid, sizeof(b->vms[0].uuid));
        builder_prepare(b);
}

static void lie_engine(struct builder *b)
{
        b->vms[0].leaf.engine[0] ^= 1;
}

static void lie_qemu(struct builder *b)
{
        b->vms[0].leaf.qemu[0] ^= 1;
}

static void lie_firmware(struct builder *b)
{
        b->vms[0].leaf.firmware[0] ^= 1;
}

static void lie_host_leaf(struct builder *b)
{
        b->vms[0].leaf.launch = LEAF_LAUNCH_HOST;
}

static void lie_all_nonces(struct builder *b)
{
        for (size_t i = 0; i < b->n_vms; i++)
                memset(b->vms[i].leaf.nonce, 0x01, sizeof(b->vms[i].leaf.nonce));
        memset(b->host_leaf.nonce, 0x01, sizeof(b->host_leaf.nonce));
}

static void lie_no_vm(struct builder *b)
{
        b->n_vms = 0;
        b->challenge.n_vms = 0;
        memset(b->host_leaf.nonce, 0x01, sizeof(b->host_leaf.nonce));
}

static void lie_future(struct builder *b)
{
        b->challenge.time = BUILDER_NOW + 3600;
}

static void lie_pcr(struct builder *b)
{
        b->pcrs[13][0] ^= 1;
}

static void lie_boot_pcr(struct builder *b)
{
        b->pcrs[4][0] ^= 1;
}

static void lie_unrestricted_cek(struct builder *b)
{
        builder_key_done(&b->cek);
        builder_key_make(&b->cek, builder_signing & ~TPMA_OBJECT_RESTRICTED);
        builder_prepare(b);
}

static void lie_exportable_ak(struct builder *b)
{
        builder_key_done(&b->ak);
        builder_key_make(&b->ak, builder_signing & ~TPMA_OBJECT_FIXED_TPM);
        builder_prepare(b);
}

/* A guest's AK that is the host's, and so on: signed all the way, and still no vTPM. */
static void use_key(struct builder_key *to, const struct builder_key *from)
{
        struct pkey *own = to->key;

        *to = *from;
        to->key = own;
}

static void lie_host_ak(struct builder *b)
{
        use_key(&b->vms[0].ak, &b->ak);
        builder_prepare(b);
}

static void lie_host_cek(struct builder *b)
{
        use_key(&b->vms[0].ak, &b->cek);
        builder_prepare(b);
}

static void lie_host_ek(struct builder *b)
{
        use_key(&b->vms[0].ek, &b->ek);
        builder_prepare(b);
}

/* Leaf and ek.pub agree; the quote's signer lies below another EK. */
static void lie_two_eks(struct builder *b)
{
        b->vms[0].under = &b->vms[1].ek;
}

static void lie_name(struct builder *b)
{
        struct builder_vm first = b->vms[0];

        /* The leaf of each is shown under the other's name. */
        b->vms[0].leaf = b->vms[1].leaf;
        b->vms[1].leaf = first.leaf;
}

static void lie_host_leaf_of_vm(struct builder *b)
{
        b->n_vms = 0;
        b->challenge.n_vms = 0;
        b->host_leaf = b->vms[0].leaf;
}

/* The relay that names "all" VMs leaves one out: the rest is true. */
static void lie_all(struct builder *b)
{
        b->challenge.all = true;
        b->n_vms = 1;
        b->challenge.n_vms = 1;
}

static void lie_all_none(struct builder *b)
{
        b->challenge.all = true;
        b->n_vms = 0;
        b->challenge.n_vms = 0;
}

static void lie_clock(struct builder *b)
{
        b->challenge.time = BUILDER_NOW + VERIFY_CLOCK_SKEW + 6;
}

static const struct {
        const char *name;
        void (*lie)(struct builder *b);
        const char *id;
        bool of_vm;
} lies[] = {
    {"B-NONCE leaf of another challenge", lie_nonce, "bind.nonce", true},
    {"B-STALE all leaves of another challenge", lie_all_nonces, "bind.nonce", false},
    {"B-NONCE host alone, another challenge", lie_no_vm, "bind.nonce", false},
    {"B-STALE vTPM quote of another challenge", lie_old_quote, "quote.nonce", true},
    {"B-STALE quote and leaf of another challenge", lie_old_all, "bind.qualifying", true},
    {"R-SPLICE another UUID", lie_uuid, "bind.qualifying", true},
    {"T-ADMIN a VM is left out of all", lie_all, "bind.all", false},
    {"T-ADMIN all VMs are left out of all", lie_all_none, "bind.all", false},
    {"no UUID", lie_nil_uuid, "bind.leaf", true},
    {"another epoch", lie_epoch, "bind.qualifying", true},
    {"leaf names another CEK", lie_cek, "bind.cek", true},
    {"E-DUP-UUID", lie_same_uuid, "bind.twice", true},
    {"another engine", lie_engine, "bind.component", true},
    {"another QEMU", lie_qemu, "bind.component", true},
    {"another firmware", lie_firmware, "bind.component", true},
    {"a leaf of the host alone", lie_host_leaf, "bind.leaf", true},
    {"V-STALL a challenge of tomorrow", lie_future, "bind.time", false},
    {"host's PCR 13 is not its log's", lie_pcr, "log.replay", false},
    {"host booted something unlogged", lie_boot_pcr, "log.replay", false},
    {"B-AK-SWAP the host's AK as a guest's", lie_host_ak, "bind.ak", true},
    {"B-AK-SWAP the host's CEK as a guest's AK", lie_host_cek, "bind.ak", true},
    {"K-TWO-EK the host's EK as a guest's", lie_host_ek, "bind.ek", true},
    {"K-TWO-EK the quote's signer is below another EK", lie_two_eks, "quote.signer", true},
    {"E-DUP-UUID leaf of A under B's name", lie_name, "bind.ek", true},
    {"the host's leaf about itself is of a VM", lie_host_leaf_of_vm, "bind.leaf", false},
    {"clocks further apart than honest ones", lie_clock, "bind.time", false},
    {"K-UNRESTRICTED CEK", lie_unrestricted_cek, "key.attributes", false},
    {"K-EXPORT host AK", lie_exportable_ak, "key.attributes", false},
};

static void signed_lies(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
                struct evidence AUTO_EVIDENCE *evidence = NULL;
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                char host[32];
                struct builder b;

                (void)snprintf(host, sizeof(host), "liar-%zu", i);
                builder_init(&b, test_dir(), host);
                lies[i].lie(&b);
                evidence = builder_build(&b);
                result = judge_plain(evidence, &b);
                judge_refused(result, lies[i].of_vm ? result->vms[0] : result->host, lies[i].name,
                              lies[i].id);
                builder_done(&b);
        }
}

/* ---- what surrounds the evidence ------------------------------------------------------------ */

static void other_root(void **state)
{
        struct verify_result AUTO_VERIFY_RESULT *result = judge_plain(good, &other);

        (void)state;
        judge_refused(result, result->host, "C-CHAIN another fleet's root", "cert.ak");
        judge_refused(result, result->vms[0], "VM below a refused host", "bind.host");
}

/* Q-REPLAY: saved evidence presented for a new challenge. */
static void other_challenge(void **state)
{
        uint8_t nonce[CHALLENGE_NONCE_SIZE] = {1};
        struct verify_request request = {
            .evidence = good, .roots = &here.roots, .now = BUILDER_NOW, .nonce = nonce};
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(verify_evidence(&request, &result, &err), &err);
        judge_refused(result, result->host, "Q-REPLAY", "bind.nonce");
}

static bool notes(const struct verify_machine *machine, const char *id)
{
        for (size_t i = 0; i < machine->reasons.count; i++)
                if (machine->reasons.items[i].severity == REASON_NOTE &&
                    strcmp(machine->reasons.items[i].id, id) == 0)
                        return true;
        return false;
}

/* V-STALL: a verdict ends with its evidence, whenever it is looked at, and then says how old. */
static void verdicts_expire(void **state)
{
        struct verify_result AUTO_VERIFY_RESULT *result = judge_plain(good, &here);
        struct verify_result AUTO_VERIFY_RESULT *late = NULL;
        const struct verify_request request = {
            .evidence = good, .roots = &here.roots, .now = BUILDER_NOW + POLICY_AGE_DEFAULT + 1};
        struct err err = {0};

        (void)state;
        assert_false(notes(result->host, "bind.time"));
        assert_ok(verify_evidence(&request, &late, &err), &err);
        assert_true(notes(late->host, "bind.time"));
        assert_int_equal(late->expires, result->expires);
        assert_false(verify_is_current(late, request.now));
        assert_true(result->expires == BUILDER_NOW + POLICY_AGE_DEFAULT);
        assert_true(verify_is_current(result, BUILDER_NOW));
        assert_true(verify_is_current(result, result->expires));
        assert_false(verify_is_current(result, result->expires + 1));
        assert_false(verify_is_current(result, BUILDER_NOW - 3600));
}

/* C-CHAIN: the same evidence when the host's certificate has expired, and before it began. */
static void certificates_expire(void **state)
{
        static const int64_t days[] = {CA_ISSUE_DAYS + 1, CA_DAYS + 2, -2};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(days); i++) {
                struct verify_request request = {
                    .evidence = good, .roots = &here.roots, .now = BUILDER_NOW + days[i] * 86400};
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                struct err err = {0};

                assert_ok(verify_evidence(&request, &result, &err), &err);
                judge_refused(result, result->host, "C-CHAIN out of its time", "cert.ak");
        }
}

/* V-EMPTY: no policy accepts nothing, also where the host alone is asked. */
static void empty_policies(void **state)
{
        struct verify_result AUTO_VERIFY_RESULT *none = judge_by(good, &here, NULL);
        struct verify_result AUTO_VERIFY_RESULT *empty = NULL;
        struct policy AUTO_POLICY *policy = NULL;
        struct err err = {0};

        (void)state;
        judge_refused(none, none->host, "V-EMPTY no policy", "policy.empty");
        assert_ok(policy_new("empty", hash_by_tpm_id(HASH_TPM_SHA256), &policy, &err), &err);
        empty = judge_by(good, &here, policy);
        judge_refused(empty, empty->host, "V-EMPTY policy", "policy.empty");
        judge_refused(empty, empty->vms[0], "V-EMPTY policy", "policy.empty");
}

/* B-TWO-HOSTS: the same vTPM keys and UUID vouched for by two hosts. */
static void two_hosts(void **state)
{
        struct verify_result AUTO_VERIFY_RESULT *one = judge_plain(good, &here);
        struct verify_result AUTO_VERIFY_RESULT *two = judge_plain(good_other, &other);
        struct verify_result *both[2] = {one, two};

        (void)state;
        verify_cross_check(both, 2);
        /* The builder gives VMs of both hosts the same UUIDs. */
        judge_refused(one, one->vms[0], "B-TWO-HOSTS", "bind.twice");
        judge_refused(two, two->vms[0], "B-TWO-HOSTS", "bind.twice");
}

/* The host alone, without any VM: its own leaf carries the nonce. */
static void host_alone(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct verify_result AUTO_VERIFY_RESULT *result = NULL, AUTO_VERIFY_RESULT *none = NULL;
        struct builder b;

        (void)state;
        builder_init(&b, test_dir(), "host-alone");
        b.n_vms = 0;
        b.challenge.n_vms = 0;
        evidence = builder_build(&b);
        result = judge_plain(evidence, &b);
        assert_int_equal(result->n_vms, 0);
        assert_int_equal(result->tier, VERIFY_WARNING);
        evidence_remove(evidence, "host/leaf");
        none = judge_plain(evidence, &b);
        judge_refused(none, none->host, "no leaf at all", "bind.missing");
        builder_done(&b);
}

/* With VMs asked for the host's own leaf is not needed; one that is shown has to be in the tree. */
static void host_leaf_beside_vms(void **state)
{
        static const char *const blobs[] = {"host/leaf", "host/proof"};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(blobs); i++) {
                struct evidence AUTO_EVIDENCE *evidence = NULL;
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                uint8_t changed[4096];
                struct builder b;
                struct bytes blob;

                builder_init(&b, test_dir(), i == 0 ? "host-leaf" : "host-proof");
                evidence = builder_build(&b);
                assert_true(evidence_get(evidence, blobs[i], &blob));
                assert_true(blob.len <= sizeof(changed));
                memcpy(changed, blob.data, blob.len);
                changed[blob.len - 1] ^= 1;
                assert_int_equal(evidence_replace(evidence, blobs[i],
                                                  (struct bytes){changed, blob.len},
                                                  &(struct err){0}),
                                 0);
                result = judge_plain(evidence, &b);
                assert_int_equal(result->tier, VERIFY_CONTRAINDICATED);
                builder_done(&b);
        }
}

/* ---- the whole way, over real boots --------------------------------------------------------- */

static void accept_good(const struct evidence *evidence, const struct builder *b,
                        const struct policy *policy)
{
        struct verify_result AUTO_VERIFY_RESULT *result = judge_by(evidence, b, policy);

        if (result->tier != VERIFY_WARNING) {
                judge_print(result->host);
                judge_print(result->vms[0]);
                fail_msg("good: %s", verify_tier_name(result->tier));
        }
        assert_int_equal(result->host->parts[VERIFY_PROGRAMS], VERIFY_OK);
        assert_int_equal(result->host->parts[VERIFY_KERNEL], VERIFY_NOT_MEASURED);
        for (unsigned i = 0; i < VERIFY_PROGRAMS; i++)
                if (i != VERIFY_INITRD)
                        assert_int_equal(result->vms[0]->parts[i], VERIFY_OK);
        assert_true(result->vms[0]->programs > 0);
}

/* With everything else in order, each single blob must still refuse when it is gone or cut. */
static void refuse_without(const struct evidence *whole, const struct builder *b,
                           const struct policy *policy)
{
        for (size_t i = 0; i < evidence_count(whole); i++) {
                const char *path = evidence_path(whole, i);
                struct evidence AUTO_EVIDENCE *gone = judge_copy(whole),
                                              AUTO_EVIDENCE *cut = judge_copy(whole);
                struct verify_result AUTO_VERIFY_RESULT *one = NULL, AUTO_VERIFY_RESULT *two = NULL;
                struct bytes data = evidence_data(whole, i);
                struct err err = {0};

                if (strstr(path, "nonce.hex") != NULL)
                        continue; /* a convenience for policy learn; nothing is judged by it */
                evidence_remove(gone, path);
                one = judge_by(gone, b, policy);
                data.len /= 2;
                assert_ok(evidence_replace(cut, path, data, &err), &err);
                two = judge_by(cut, b, policy);
                /* With VMs asked for the host's own leaf may be left out, but not be wrong. */
                if ((one->tier != VERIFY_CONTRAINDICATED && strcmp(path, "host/leaf") != 0) ||
                    two->tier != VERIFY_CONTRAINDICATED)
                        fail_msg("%s does not count", path);
        }
}

static const struct {
        const char *boot, *id;
        enum verify_part part;
} tampered[] = {
    {"kernel", "policy.kernel", VERIFY_KERNEL},
    {"cmdline", "policy.command-line", VERIFY_COMMAND_LINE},
};

static void refuse_tampered(struct builder *b, const struct policy *policy)
{
        for (size_t i = 0; i < ARRAY_SIZE(tampered); i++) {
                struct evidence AUTO_EVIDENCE *evidence = NULL;
                struct verify_result AUTO_VERIFY_RESULT *result = NULL;
                struct judge_boot boot;

                judge_boot_read(&boot, tampered[i].boot);
                judge_boot_into(&boot, b);
                evidence = builder_build(b);
                result = judge_by(evidence, b, policy);
                judge_refused(result, result->vms[0], tampered[i].boot, tampered[i].id);
                assert_int_equal(result->vms[0]->parts[tampered[i].part], VERIFY_BAD);
                assert_int_equal(result->host->tier, VERIFY_WARNING);
                judge_boot_done(&boot);
        }
}

/* V-EMPTY: no policy, and one that says nothing. */
static void refuse_empty(const struct evidence *evidence, const struct builder *b)
{
        struct verify_result AUTO_VERIFY_RESULT *none = judge_by(evidence, b, NULL);
        struct policy AUTO_POLICY *policy = NULL;
        struct verify_result AUTO_VERIFY_RESULT *empty = NULL;
        struct err err = {0};

        judge_refused(none, none->vms[0], "V-EMPTY no policy", "policy.empty");
        assert_ok(policy_new("empty", hash_by_tpm_id(HASH_TPM_SHA256), &policy, &err), &err);
        empty = judge_by(evidence, b, policy);
        judge_refused(empty, empty->vms[0], "V-EMPTY policy", "policy.empty");
}

static void real_boots(void **state)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct policy AUTO_POLICY *policy = NULL;
        struct builder b;
        struct judge_boot boot;

        (void)state;
        if (test_fixtures() == NULL) {
                print_message("no fixtures: real boots below a host are skipped\n");
                skip();
        }
        builder_init(&b, test_dir(), "host-real");
        judge_boot_read(&boot, "good");
        judge_boot_into(&boot, &b);
        policy = judge_learn(&boot);
        evidence = builder_build(&b);
        accept_good(evidence, &b, policy);
        refuse_without(evidence, &b, policy);
        refuse_empty(evidence, &b);
        refuse_tampered(&b, policy);
        judge_boot_done(&boot);
        builder_done(&b);
}

static int build(void **state)
{
        (void)state;
        builder_init(&here, test_dir(), "host-a");
        builder_init(&other, test_dir(), "host-b");
        good = builder_build(&here);
        good_other = builder_build(&other);
        return 0;
}

static int drop(void **state)
{
        (void)state;
        evidence_free(good);
        evidence_free(good_other);
        builder_done(&here);
        builder_done(&other);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(good_is_bound),
            cmocka_unit_test(changed_evidence),
            cmocka_unit_test(all_of_them),
            cmocka_unit_test(flags_are_said),
            cmocka_unit_test(signed_lies),
            cmocka_unit_test(other_root),
            cmocka_unit_test(other_challenge),
            cmocka_unit_test(verdicts_expire),
            cmocka_unit_test(certificates_expire),
            cmocka_unit_test(empty_policies),
            cmocka_unit_test(two_hosts),
            cmocka_unit_test(host_alone),
            cmocka_unit_test(host_leaf_beside_vms),
            cmocka_unit_test(real_boots),
        };
        return cmocka_run_group_tests_name("verify-verify", tests, build, drop);
}
