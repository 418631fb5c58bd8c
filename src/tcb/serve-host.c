/* Requests about the host itself: status, enrolment, attestation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcb/attest.h"
#include "tcb/enrol.h"
#include "tcb/server.h"
#include "tcb/vm.h"

#define RECORD_CERTIFICATE "ak-certificate"

static bool is_enrolled(struct tcb *tcb)
{
        uint8_t AUTO_FREE *data = NULL;
        struct err err = {0};
        size_t len;

        return store_get_record(tcb->store, RECORD_CERTIFICATE, &data, &len, &err) == 0;
}

static const char *accel_text(const struct tcb *tcb)
{
        if (strcmp(tcb->config.accel, "auto") != 0)
                return tcb->config.accel;
        switch (tcb->accel_memory) {
        case ACCEL_KVM_WORKS:
                return "kvm";
        case ACCEL_KVM_FAILS:
                return "tcg";
        default:
                return "auto";
        }
}

/* One more to a list that is divided by semicolons. */
static void add_words(char *list, size_t size, const char *who, const char *words)
{
        size_t len = strlen(list);

        if (words[0] != '\0')
                (void)snprintf(list + len, size - len, "%s%s%s", len == 0 ? "" : "; ", who, words);
}

static int serve_status(struct tcb *tcb, const void *message, struct request *request,
                        struct err *err)
{
        char images[PATH_MAX];
        char degraded[1400] = "";
        const struct keeper_deaths deaths = keeper_deaths(tcb->keeper);
        struct tcb_status_is status = {.host = wire_text(tcb->config.host_name),
                                       .version = wire_text(CATENA_VERSION),
                                       .ptpm = wire_text(ptpm_kind(tcb->ptpm)),
                                       .accel = wire_text(accel_text(tcb)),
                                       .enrolled = is_enrolled(tcb),
                                       .starts = keeper_starts(tcb->keeper),
                                       .ended = wire_text(keeper_why(tcb->keeper)),
                                       .since = tcb->since,
                                       .deaths = deaths.n,
                                       .last_death = deaths.last,
                                       .death = wire_text(deaths.why)};

        (void)message;
        if (tcb_config_path(&tcb->config, "images", images, err) != 0)
                return err->code;
        add_words(degraded, sizeof(degraded), "", ptpm_degraded(tcb->ptpm));
        add_words(degraded, sizeof(degraded), "", tcb->instance_host.degraded);
        add_words(degraded, sizeof(degraded), "", tcb->cgroups.words);
        add_words(degraded, sizeof(degraded), "QEMU: ", tcb->qemu_degraded);
        status.sandbox = wire_text_fit(degraded, 799);
        status.images = wire_text_fit(images, sizeof(images) - 1);
        status.vtpms = (uint32_t)tcb->instances.names.n;
        status.pool = (uint32_t)tcb->instance_host.n_pool;
        for (const struct vm *vm = tcb->vms; vm != NULL; vm = vm->next)
                status.vms_running += vm->sm.state != VM_OFF;
        request_answer(request, tcb_status_is_code, &status, NULL);
        return 0;
}

/* Whoever comes past the relay asks in vain. */
static int serve_relay(struct tcb *tcb, const void *message, struct request *request,
                       struct err *err)
{
        const struct tcb_relay_is none = {.version = wire_text(""), .sandbox = wire_text("")};

        (void)tcb;
        (void)message;
        (void)err;
        request_answer(request, tcb_relay_is_code, &none, NULL);
        return 0;
}

/* Enrolment ---------------------------------------------------------------------------------- */

static int serve_begin(struct tcb *tcb, const void *message, struct request *request,
                       struct err *err)
{
        (void)message;
        return enrol_begin(tcb, request, err);
}

static void on_activated(void *user, const struct wire_frame *frame, const struct err *failure)
{
        struct request *request = user;
        struct tcb_enrol_activated answer;
        struct ptpm_activated activated;
        struct err err = {0};

        if (failure == NULL && wire_frame_decode(frame, &activated, sizeof(activated), &err) != 0)
                failure = &err;
        if (failure != NULL) {
                request_fail(request, failure);
                return;
        }
        answer.credential = activated.credential;
        request_answer(request, tcb_enrol_activated_code, &answer, NULL);
}

static int serve_activate(struct tcb *tcb, const void *message, struct request *request,
                          struct err *err)
{
        const struct tcb_enrol_activate *activate = message;
        const struct ptpm_activate question = {.ek_kind = activate->ek_kind,
                                               .credential_blob = activate->credential_blob,
                                               .encrypted_secret = activate->encrypted_secret};

        return ptpm_ask(tcb->ptpm,
                        &(struct ptpm_question){ptpm_activate_code, &question, ptpm_activated_code,
                                                on_activated, request},
                        err);
}

static void on_finished(void *user, uint64_t value)
{
        (void)value;
        request_done(user);
}

/* Anybody can hand in a certificate; verifiers check it, the TCB only keeps it. */
static int serve_finish(struct tcb *tcb, const void *message, struct request *request,
                        struct err *err)
{
        const struct tcb_enrol_finish *finish = message;

        if (finish->certificate.len == 0)
                return err_set(err, ERR_MALFORMED, "empty certificate");
        if (commit_begin(tcb->commit, err) != 0 ||
            store_put_record(tcb->store, RECORD_CERTIFICATE, finish->certificate, err) != 0)
                return err->code;
        return commit_then(tcb->commit, on_finished, request, 0, err);
}

static int serve_attest(struct tcb *tcb, const void *message, struct request *request,
                        struct err *err)
{
        return attest_start(tcb, message, request, err);
}

const struct server_row server_rows_host[] = {
    {tcb_status_code, serve_status},
    {tcb_relay_code, serve_relay},
    {tcb_enrol_begin_code, serve_begin},
    {tcb_enrol_activate_code, serve_activate},
    {tcb_enrol_finish_code, serve_finish},
    {tcb_attest_code, serve_attest},
    {0, NULL},
};
