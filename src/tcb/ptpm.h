/*
 * The TCB's side of the arbiter: starts it, asks it and waits while the TCB itself starts, and
 * afterwards asks without waiting, one request after another.
 */
#ifndef TCB_PTPM_H
#define TCB_PTPM_H

#include <systemd/sd-event.h>

#include "tcb/config.h"
#include "wire/link.h"
#include "wire/ptpm.h"

#define PTPM_BOOT_PCRS  0x3ffU              /* 0 to 9: what sealing binds to */
#define PTPM_QUOTE_PCRS (0x7ffU | 1U << 13) /* 0 to 10 and the host's software */

struct ptpm;

/* Starts the arbiter and opens the TPM. fresh: the host is new, a software pTPM may be made. */
int ptpm_new(const struct tcb_config *config, bool fresh, struct ptpm **ret_ptpm,
             struct err *err) MUST_CHECK;
void ptpm_free(struct ptpm *ptpm);

const char *ptpm_kind(const struct ptpm *ptpm); /* embedded, swtpm, hardware */

/* What the TPM says of itself, see tpm/identity.h. */
const char *ptpm_manufacturer(const struct ptpm *ptpm);
const char *ptpm_vendor(const struct ptpm *ptpm);
const char *ptpm_firmware(const struct ptpm *ptpm);

const char *ptpm_degraded(const struct ptpm *ptpm); /* what sandboxes lack, or "" */
struct bytes ptpm_ek_public(const struct ptpm *ptpm);

/*
 * Asks and waits. The answer has to have this code and is decoded into ret_answer, whose views are
 * valid until the next call. ERR_TIMEOUT after config's ptpm_timeout: then the arbiter is of no use
 * any more. Only before ptpm_attach().
 */
struct ptpm_answer {
        uint16_t code;
        void *message;
        size_t size;
};
int ptpm_call(struct ptpm *ptpm, uint16_t code, const void *message,
              const struct ptpm_answer *ret_answer, struct err *err) MUST_CHECK;

/* From now on questions are asked through the loop. lost() is called when the arbiter dies. */
int ptpm_attach(struct ptpm *ptpm, sd_event *event, void (*lost)(void *user, const struct err *err),
                void *user, struct err *err) MUST_CHECK;

/* Called with the answer's frame, which has the code expected, or with NULL and why there is none.
 */
typedef void ptpm_reply_fn(void *user, const struct wire_frame *frame, const struct err *err);

struct ptpm_question {
        uint16_t code;
        const void *message;
        uint16_t expected;
        ptpm_reply_fn *reply;
        void *user;
};

/* Queues a question; reply is called exactly once unless this fails. ERR_LIMIT: too many wait. */
int ptpm_ask(struct ptpm *ptpm, const struct ptpm_question *question, struct err *err) MUST_CHECK;

#endif
