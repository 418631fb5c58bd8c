/*
 * What the TCB vouches for, against an agent that lies (G-GUEST): the agent's words count as far as
 * the vTPM's signatures go, and no leaf is completed over a lie. The test is the agent, with keys
 * and quotes made in software; it knows the credential because it can look.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/evidence-builder.h"
#include "lib/test.h"
#include "tcb/attest-vm.h"
#include "wire/link.h"

static struct rig {
        struct builder builder;
        struct tcb tcb;
        struct instance instance;
        struct vm vm;
        struct wire_link *agent;
        struct attest_vm part;
        unsigned done;
} rig;

/* What the agent does instead of what it should. */
struct lie {
        const char *name;
        int code;
        const char *words;
        struct bytes ek_pub; /* where they have data */
        struct bytes ak_pub;
        bool other_ek;
        bool other_credential;
        size_t credential_len; /* 0: all of it */
        bool old_quote;        /* over another qualifying data */
        bool other_signer;
        long flip_attest; /* offset of a changed byte, or 0 */
        long flip_signature;
        bool no_signature;
        uint16_t refuses; /* answers this question with an error */
        uint16_t skips;   /* answers it with something else */
};

static void on_hello(void *user, const char *version)
{
        (void)user;
        (void)version;
}

static void on_closed(void *user, const struct err *err)
{
        (void)user;
        (void)err;
}

static void on_done(void *user, struct attest_vm *part)
{
        (void)user;
        (void)part;
        rig.done++;
}

static void turn(void)
{
        for (int i = 0; i < 20; i++)
                assert_true(sd_event_run(rig.tcb.event, 500) >= 0);
}

static void say(uint16_t code, uint32_t id, const void *message)
{
        struct err err = {0};

        assert_ok(wire_link_send(rig.agent, code, id, 0, message, NULL, &err), &err);
}

static void set_up(void)
{
        static const struct sm_state states[] = {[VM_OFF] = {"off", SM_TO(VM_RUNNING)},
                                                 [VM_STARTING] = {"starting", 0},
                                                 [VM_BOOTING] = {"booting", 0},
                                                 [VM_RUNNING] = {"running", SM_TO(VM_OFF)},
                                                 [VM_STOPPING] = {"stopping", 0}};
        static const struct agent_link_ops ops = {on_hello, on_closed};
        const struct agent_hello hello = {.version = wire_text("1")};
        const struct builder_key *ek = &rig.builder.vms[0].ek;
        struct security_block *block = &rig.instance.stored.block;
        struct err err = {0};
        int pair[2];

        assert_true(sd_event_new(&rig.tcb.event) >= 0);
        rig.tcb.keys.cek_name = rig.builder.cek.name;
        rig.instance = (struct instance){.init_count = 7, .ek_pub_len = ek->public_len};
        memcpy(rig.instance.ek_pub, ek->public, ek->public_len);
        *block = (struct security_block){.uuid = {1, 2, 3}, .epoch = 1, .n_ek = 1};
        block->ek[0].len = ek->name.len;
        memcpy(block->ek[0].data, ek->name.data, ek->name.len);
        rig.vm = (struct vm){.tcb = &rig.tcb, .instance = &rig.instance};
        sm_init(&rig.vm.sm, "VM", states, ARRAY_SIZE(states), VM_RUNNING, NULL);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_ok(agent_link_new(rig.tcb.event, pair[0], &ops, NULL, &rig.vm.agent, &err), &err);
        assert_ok(fd_set_nonblocking(pair[1], &err), &err);
        assert_ok(wire_link_new(pair[1], &wire_agent_protocol, WIRE_SERVER, &rig.agent, &err),
                  &err);
        say(agent_hello_code, 0, &hello);
        turn();
        rig.done = 0;
        rig.part = (struct attest_vm){.vm = &rig.vm, .name = "web", .nonce = {9}, .done = on_done};
}

static void tear_down(void)
{
        attest_vm_done(&rig.part);
        agent_link_free(rig.vm.agent);
        wire_link_free(rig.agent);
        sd_event_unref(rig.tcb.event);
}

/* The agent ------------------------------------------------------------------------------------ */

static void show_identity(const struct wire_frame *frame, const struct lie *lie)
{
        const struct builder_vm *vm = &rig.builder.vms[0];
        const struct builder_key *ek = lie->other_ek ? &rig.builder.vms[1].ek : &vm->ek;
        struct agent_identity identity = {.ek_pub = {ek->public, ek->public_len},
                                          .ak_pub = {vm->ak.public, vm->ak.public_len}};

        if (lie->ek_pub.data != NULL)
                identity.ek_pub = lie->ek_pub;
        if (lie->ak_pub.data != NULL)
                identity.ak_pub = lie->ak_pub;
        say(agent_identity_code, frame->id, &identity);
}

static void open_credential(const struct wire_frame *frame, const struct lie *lie)
{
        uint8_t secret[sizeof(rig.part.secret)];
        struct agent_activated activated = {.credential = {secret, sizeof(secret)}};

        memcpy(secret, rig.part.secret, sizeof(secret));
        secret[31] ^= lie->other_credential ? 1 : 0;
        if (lie->credential_len != 0)
                activated.credential.len = lie->credential_len - 1;
        say(agent_activated_code, frame->id, &activated);
}

static struct bytes blob_of(const struct evidence *evidence, const char *kind, long flip,
                            uint8_t *memory)
{
        char path[64];
        struct bytes blob;

        (void)snprintf(path, sizeof(path), "vms/%s/%s", rig.builder.vms[0].name, kind);
        assert_true(evidence_get(evidence, path, &blob));
        memcpy(memory, blob.data, blob.len);
        if (flip != 0)
                memory[flip > 0 ? flip : (long)blob.len + flip] ^= 1;
        return (struct bytes){memory, blob.len};
}

static void quote(const struct wire_frame *frame, const struct lie *lie)
{
        struct builder_vm *vm = &rig.builder.vms[0];
        struct builder_key own = vm->ak;
        struct agent_evidence answer = {.tcg_log = wire_text("log")};
        struct evidence *evidence;
        struct agent_quote asked;
        uint8_t attest[2048];
        uint8_t signature[1024];
        struct err err = {0};

        assert_ok(wire_frame_decode(frame, &asked, sizeof(asked), &err), &err);
        memcpy(vm->qualifying, asked.qualifying, sizeof(vm->qualifying));
        vm->qualifying[0] ^= lie->old_quote ? 1 : 0;
        if (lie->other_signer)
                vm->ak = rig.builder.vms[1].ak;
        evidence = builder_build(&rig.builder);
        vm->ak = own;
        answer.attest = blob_of(evidence, "quote.attest", lie->flip_attest, attest);
        answer.signature = blob_of(evidence, "quote.sig", lie->flip_signature, signature);
        if (lie->no_signature)
                answer.signature.len = 0;
        say(agent_evidence_code, frame->id, &answer);
        evidence_free(evidence);
}

static void answer(const struct wire_frame *frame, const struct lie *lie)
{
        const struct agent_error error = {.code = (uint16_t)err_to_wire(ERR_TPM),
                                          .text = wire_text("no TPM here")};
        const struct agent_activated nothing = {.credential = {NULL, 0}};
        const uint16_t code = frame->message->code;

        if (code == lie->refuses)
                say(agent_error_code, frame->id, &error);
        else if (code == lie->skips)
                say(code == agent_activate_code ? agent_error_code : agent_activated_code,
                    frame->id, code == agent_activate_code ? (const void *)&error : &nothing);
        else if (code == agent_identify_code)
                show_identity(frame, lie);
        else if (code == agent_activate_code)
                open_credential(frame, lie);
        else
                quote(frame, lie);
}

static void challenge(const struct lie *lie)
{
        attest_vm_start(&rig.part);
        for (int i = 0; i < 100 && rig.done == 0; i++) {
                struct wire_frame frame;
                struct err err = {0};

                if (wire_link_receive(rig.agent, &frame, &err) == 0)
                        answer(&frame, lie);
                turn();
        }
        assert_int_equal(rig.done, 1);
}

/* The tests ------------------------------------------------------------------------------------ */

static void an_honest_agent_completes_the_leaf(void **state)
{
        static const struct lie none = {.name = "honest"};
        struct leaf leaf;
        struct err err = {0};

        (void)state;
        set_up();
        challenge(&none);
        if (!rig.part.complete)
                fail_msg("%s", rig.part.failure.text);
        assert_ok(leaf_decode(writer_bytes(&rig.part.encoded), &leaf, &err), &err);
        assert_int_equal(leaf.init_count, 7);
        assert_memory_equal(leaf.uuid, rig.instance.stored.block.uuid, sizeof(leaf.uuid));
        assert_int_equal(leaf.nonce[0], 9);
        assert_memory_equal(rig.part.secret, (const uint8_t[32]){0}, 32);
        tear_down();
}

static void no_leaf_over_a_lie(void **state)
{
        static const uint8_t junk[] = {0, 2, 1, 2};
        static const struct lie lies[] = {
            {.name = "another vTPM's EK", ERR_NOT_TRUSTED, "EK of another vTPM", .other_ek = true},
            {"an empty EK", ERR_NOT_TRUSTED, "EK of another vTPM", .ek_pub = {junk, 0}},
            {"an AK that is none", ERR_UNSUPPORTED, "the guest's AK", .ak_pub = {junk, 4}},
            {"an empty AK", ERR_MALFORMED, "the guest's AK", .ak_pub = {junk, 0}},
            {"a credential that was not opened", ERR_NOT_TRUSTED, "does not live in this VM's",
             .other_credential = true},
            {"an empty credential", ERR_NOT_TRUSTED, "does not live", .credential_len = 1},
            {"a short credential", ERR_NOT_TRUSTED, "does not live", .credential_len = 32},
            {"a quote of another challenge", ERR_NOT_TRUSTED, "the vTPM's quote",
             .old_quote = true},
            {"a quote by another AK", ERR_NOT_TRUSTED, "the vTPM's quote", .other_signer = true},
            {"a changed magic", ERR_NOT_TRUSTED, "the vTPM's quote", .flip_attest = 1},
            {"a changed PCR digest", ERR_NOT_TRUSTED, "the vTPM's quote", .flip_attest = -1},
            {"a changed signature", ERR_NOT_TRUSTED, "the vTPM's quote", .flip_signature = -1},
            {"no signature", ERR_NOT_TRUSTED, "the vTPM's quote", .no_signature = true},
            {"no identity", ERR_FAILED, "agent: no TPM here", .refuses = agent_identify_code},
            {"no activation", ERR_FAILED, "agent: no TPM here", .refuses = agent_activate_code},
            {"no quote", ERR_FAILED, "agent: no TPM here", .refuses = agent_quote_code},
            {"something else for an identity", ERR_MALFORMED, "", .skips = agent_identify_code},
            {"something else for a quote", ERR_MALFORMED, "", .skips = agent_quote_code},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
                set_up();
                challenge(&lies[i]);
                if (rig.part.complete || rig.part.failure.code != lies[i].code ||
                    strstr(rig.part.failure.text, lies[i].words) == NULL)
                        fail_msg("%s: %d: %s", lies[i].name, rig.part.failure.code,
                                 rig.part.failure.text);
                assert_true(rig.part.encoded.len == 0);
                tear_down();
        }
}

static void an_agent_that_goes_away_is_a_failure(void **state)
{
        (void)state;
        set_up();
        attest_vm_start(&rig.part);
        turn();
        wire_link_free(rig.agent);
        rig.agent = NULL;
        turn();
        assert_int_equal(rig.done, 1);
        assert_false(rig.part.complete);
        tear_down();
}

static void a_vm_that_is_off_is_not_asked(void **state)
{
        (void)state;
        set_up();
        sm_move(&rig.vm.sm, VM_OFF);
        attest_vm_start(&rig.part);
        assert_int_equal(rig.done, 1);
        assert_int_equal(rig.part.failure.code, ERR_UNREACHABLE);
        assert_string_equal(rig.part.failure.text, "web is off");
        tear_down();
}

static int make_keys(void **state)
{
        (void)state;
        builder_init(&rig.builder, test_dir(), "host-a");
        builder_prepare(&rig.builder);
        return 0;
}

static int drop_keys(void **state)
{
        (void)state;
        builder_done(&rig.builder);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_honest_agent_completes_the_leaf),
            cmocka_unit_test(no_leaf_over_a_lie),
            cmocka_unit_test(an_agent_that_goes_away_is_a_failure),
            cmocka_unit_test(a_vm_that_is_off_is_not_asked),
        };
        return cmocka_run_group_tests_name("tcb-attest-vm", tests, make_keys, drop_keys);
}
