#include "tcb/enrol.h"

#include <stdlib.h>

struct enrolment {
        struct tcb *tcb;
        struct request *request;
        enum ptpm_ek_kind kind; /* that is asked for */
};

static void answer(struct enrolment *enrolment, struct bytes ek_pub, struct bytes certificate)
{
        const struct tcb *tcb = enrolment->tcb;
        const struct tcb_enrol_identity identity = {.host = wire_text(tcb->config.host_name),
                                                    .ptpm = wire_text(ptpm_kind(tcb->ptpm)),
                                                    .manufacturer =
                                                        wire_text(ptpm_manufacturer(tcb->ptpm)),
                                                    .vendor = wire_text(ptpm_vendor(tcb->ptpm)),
                                                    .firmware = wire_text(ptpm_firmware(tcb->ptpm)),
                                                    .ek_kind = (uint8_t)enrolment->kind,
                                                    .ek_pub = ek_pub,
                                                    .ek_certificate = certificate,
                                                    .ak_pub = tcb->keys.ak_pub};

        request_answer(enrolment->request, tcb_enrol_identity_code, &identity, NULL);
        free(enrolment);
}

static void fail(struct enrolment *enrolment, const struct err *err)
{
        request_fail(enrolment->request, err);
        free(enrolment);
}

static int ask(struct enrolment *enrolment, struct err *err);

/*
 * The elliptic curve's EK is the AK's parent and the first choice. Many TPMs have a certificate
 * for the RSA one alone: then that one is shown. Without any the first is, and the CA is told so.
 */
static void on_ek(void *user, const struct wire_frame *frame, const struct err *failure)
{
        struct enrolment *enrolment = user;
        struct ptpm_ek_is ek;
        struct err err = {0};

        if (failure == NULL && wire_frame_decode(frame, &ek, sizeof(ek), &err) != 0)
                failure = &err;
        if (failure != NULL) {
                fail(enrolment, failure);
                return;
        }
        if (ek.certificate.len > 0) {
                answer(enrolment, ek.public, ek.certificate);
                return;
        }
        if (enrolment->kind == PTPM_EK_RSA) {
                enrolment->kind = PTPM_EK_ECC;
                answer(enrolment, ptpm_ek_public(enrolment->tcb->ptpm), (struct bytes){NULL, 0});
                return;
        }
        enrolment->kind = PTPM_EK_RSA;
        if (ask(enrolment, &err) != 0)
                fail(enrolment, &err);
}

static int ask(struct enrolment *enrolment, struct err *err)
{
        const struct ptpm_ek question = {.ek_kind = (uint8_t)enrolment->kind};

        return ptpm_ask(
            enrolment->tcb->ptpm,
            &(struct ptpm_question){ptpm_ek_code, &question, ptpm_ek_is_code, on_ek, enrolment},
            err);
}

int enrol_begin(struct tcb *tcb, struct request *request, struct err *err)
{
        struct enrolment *enrolment = calloc(1, sizeof(*enrolment));

        if (enrolment == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        *enrolment = (struct enrolment){tcb, request, PTPM_EK_ECC};
        if (ask(enrolment, err) == 0)
                return 0;
        free(enrolment);
        return err->code;
}
