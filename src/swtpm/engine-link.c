#include "swtpm/engine-link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/hash.h"
#include "wire/control.h"

#define RETRY_MS    250 /* between attempts to write where the disk refuses */
#define TOKEN_MAGIC "CTK1"

static void forget(uint8_t **data, size_t *len)
{
        if (*data != NULL)
                explicit_bzero(*data, *len);
        free(*data);
        *data = NULL;
        *len = 0;
}

/* Saving --------------------------------------------------------------------------------------- */

/* Waits a moment; ERR_INTERRUPTED when nobody waits for this save any more. */
static int wait_for_room(const struct engine_link *link, struct err *err)
{
        struct pollfd polled[] = {{.fd = link->signals, .events = POLLIN},
                                  {.fd = link->client, .events = POLLRDHUP}};

        if (poll(polled, ARRAY_SIZE(polled), RETRY_MS) > 0)
                return err_set(err, ERR_INTERRUPTED,
                               "ended before the TPM's last change could be written");
        return 0;
}

/* Returns when it is durable, however long that takes: the guest's command waits. */
static int save(struct engine_link *link, struct err *err)
{
        struct err why = {0};
        bool told = false;

        while (state_file_save(link->state, &why) != 0) {
                if (!told)
                        log_error(&(struct log_fields){.err = &why},
                                  "the TPM's commands wait until its state can be written");
                told = true;
                if (wait_for_room(link, err) != 0)
                        return err->code;
        }
        if (told)
                log_info(NULL, "the TPM's state can be written again");
        link->unsaved = false;
        return 0;
}

static int answer(struct engine_link *link, uint16_t code, const void *message, struct err *err)
{
        return wire_link_send(link->wire, code, 0, 0, message, NULL, err);
}

static int decide(struct engine_link *link, const struct engine_decided *decided, struct err *err)
{
        return answer(link, engine_decided_code, decided, err);
}

static int on_persist(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        struct state_content *content = state_file_content(link->state);
        struct engine_persist persist;
        int rc = wire_frame_decode(frame, &persist, sizeof(persist), err);

        if (rc != 0)
                return rc;
        if (persist.kind == ENGINE_BLOB_PERMANENT) {
                if (persist.blob.len > 0)
                        memcpy(content->permanent, persist.blob.data, persist.blob.len);
                content->permanent_len = persist.blob.len;
                link->unsaved = true;
        }
        /* Before the guest's first command there is only a manufacture to keep. */
        if (link->unsaved && !link->deferred && (link->claimed || !link->ready))
                rc = save(link, err);
        if (rc != 0)
                return rc;
        return answer(link, engine_persisted_code,
                      &(struct engine_persisted){.sequence = persist.sequence}, err);
}

/* The guest goes on here: what was saved before is spent. */
static int on_claim(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        struct state_content *content = state_file_content(link->state);

        int rc = 0;

        (void)frame;
        if (link->unsaved || content->has_saved || !content->used) {
                content->used = true;
                content->has_saved = false;
                memset(content->saved, 0, sizeof(content->saved));
                rc = save(link, err);
        }
        if (rc != 0)
                return rc;
        link->claimed = true;
        return decide(link, &(struct engine_decided){.result = 0}, err);
}

/* Saving and restoring a VM -------------------------------------------------------------------- */

static int digest_token(const uint8_t token[PACKAGE_TOKEN_LEN], uint8_t ret[STATE_DIGEST_LEN],
                        struct err *err)
{
        return hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), token, PACKAGE_TOKEN_LEN, ret, err);
}

static int keep_package(struct engine_link *link, struct bytes volatile_state, struct err *err)
{
        struct state_content *content = state_file_content(link->state);
        struct package package = {
            .lineage = content->lineage + 1,
            .permanent = {content->permanent, content->permanent_len},
            .volatile_state = volatile_state,
        };
        int rc;

        memcpy(package.uuid, link->uuid, sizeof(package.uuid));
        if (getrandom(package.token, sizeof(package.token), 0) != (ssize_t)sizeof(package.token))
                return err_set_errno(err, errno, "getrandom");
        forget(&link->saved, &link->saved_len);
        rc = package_encode(&package, link->migration_key, &link->saved, &link->saved_len, err);
        if (rc == 0)
                rc = digest_token(package.token, content->saved, err);
        if (rc != 0)
                return rc;
        content->lineage = package.lineage;
        content->has_saved = true;
        return save(link, err);
}

static int on_save(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        static const uint8_t token[ENGINE_TOKEN_SIZE] = TOKEN_MAGIC;
        struct engine_save message;
        struct err why = {0};
        int rc = wire_frame_decode(frame, &message, sizeof(message), err);

        if (rc != 0)
                return rc;
        if (keep_package(link, message.volatile_state, &why) != 0) {
                log_error(&(struct log_fields){.err = &why}, "the VM cannot be saved");
                return decide(link, &(struct engine_decided){.result = CONTROL_FAIL}, err);
        }
        if (link->migration_key == NULL)
                log_warning(NULL,
                            "the TPM's state goes into the stream in clear: no migration key");
        link->claimed = false;
        return decide(link, &(struct engine_decided){.token = {token, sizeof(token)}}, err);
}

static int check_restore(const struct engine_link *link, const struct package *package,
                         struct err *err)
{
        static const uint8_t unknown[PACKAGE_UUID_LEN];
        const struct state_content *content = state_file_content(link->state);
        uint8_t digest[STATE_DIGEST_LEN];
        int rc = digest_token(package->token, digest, err);

        if (rc != 0)
                return rc;
        if (memcmp(link->uuid, package->uuid, sizeof(package->uuid)) != 0 &&
            memcmp(link->uuid, unknown, sizeof(unknown)) != 0 &&
            memcmp(package->uuid, unknown, sizeof(unknown)) != 0)
                return err_set(err, ERR_ROLLBACK, "it is the TPM of another VM");
        if (!content->used || package->lineage > content->lineage)
                return 0;
        if (content->has_saved && secret_equal(digest, content->saved, sizeof(digest)))
                return 0;
        return err_set(err, ERR_ROLLBACK,
                       "the vTPM has gone on since this save was made: to bring its old state back "
                       "would undo what it has counted and locked since");
}

static int on_restore(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        struct state_content *content = state_file_content(link->state);
        struct package *package = &link->restored;
        struct engine_decided decided = {.result = CONTROL_FAIL};
        struct err why = {0};
        int rc;

        (void)frame;
        if (link->restored_memory == NULL)
                return decide(link, &decided, err);
        rc = check_restore(link, package, &why);
        if (rc == 0) {
                decided = (struct engine_decided){.permanent = package->permanent,
                                                  .volatile_state = package->volatile_state};
                memcpy(content->permanent, package->permanent.data, package->permanent.len);
                content->permanent_len = package->permanent.len;
                content->lineage = package->lineage;
                link->claimed = false;
                link->unsaved = true;
        } else {
                log_error(&(struct log_fields){.err = &why}, "a saved VM is refused");
        }
        rc = decide(link, &decided, err);
        forget(&link->restored_memory, &link->restored_len);
        return rc;
}

int engine_link_take_package(struct engine_link *link, struct bytes data, struct err *err)
{
        forget(&link->restored_memory, &link->restored_len);
        return package_decode(data, link->migration_key, &link->restored, &link->restored_memory,
                              &link->restored_len, err);
}

/* The engine's other messages ------------------------------------------------------------------ */

static int on_ready(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        struct engine_ready ready;
        char words[256 + 1];
        int rc = wire_frame_decode(frame, &ready, sizeof(ready), err);

        if (rc != 0)
                return rc;
        wire_text_copy(ready.sandbox, words, sizeof(words));
        if (words[0] != '\0')
                log_warning(NULL, "the engine's sandbox lacks: %s", words);
        link->ready = true;
        return 0;
}

static int on_event(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        struct engine_event event;
        int rc = wire_frame_decode(frame, &event, sizeof(event), err);

        if (rc == 0 && event.kind == ENGINE_EVENT_INIT)
                link->claimed = false;
        return rc;
}

static int on_response(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        struct engine_response response;
        int rc = wire_frame_decode(frame, &response, sizeof(response), err);

        if (rc != 0)
                return rc;
        if (response.response.len > 0)
                memcpy(link->response, response.response.data, response.response.len);
        link->response_len = response.response.len;
        link->answered = true;
        return 0;
}

static int on_failed(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        struct engine_failed failed;
        char text[401];
        int rc = wire_frame_decode(frame, &failed, sizeof(failed), err);

        (void)link;
        if (rc != 0)
                return rc;
        wire_text_copy(failed.text, text, sizeof(text));
        return err_set(err, err_from_wire(failed.code), "the engine: %s", text);
}

static const struct {
        uint16_t code;
        int (*handle)(struct engine_link *link, const struct wire_frame *frame, struct err *err);
} handlers[] = {
    {engine_persist_code, on_persist},   {engine_claim_code, on_claim},
    {engine_save_code, on_save},         {engine_restore_code, on_restore},
    {engine_ready_code, on_ready},       {engine_event_code, on_event},
    {engine_response_code, on_response}, {engine_failed_code, on_failed},
};

static int handle(struct engine_link *link, const struct wire_frame *frame, struct err *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
                if (handlers[i].code == frame->message->code)
                        return handlers[i].handle(link, frame, err);
        return err_set(err, ERR_MALFORMED, "the engine sends what it must not");
}

int engine_link_serve(struct engine_link *link, struct err *err)
{
        struct wire_frame frame;
        int rc = wire_link_receive(link->wire, &frame, err);

        if (rc == WIRE_AGAIN)
                return 0;
        if (rc == 0)
                rc = handle(link, &frame, err);
        link->gone = rc != 0;
        return rc;
}

int engine_link_command(struct engine_link *link, struct bytes command, struct bytes *ret_response,
                        struct err *err)
{
        const struct engine_command message = {.command = command};
        int rc = answer(link, engine_command_code, &message, err);

        link->answered = false;
        while (rc == 0 && !link->answered)
                rc = engine_link_serve(link, err);
        if (rc == 0)
                *ret_response = (struct bytes){link->response, link->response_len};
        return rc;
}

/* Life ----------------------------------------------------------------------------------------- */

static int spawn(struct engine_link *link, int core, int control, struct err *err)
{
        char words[SPAWN_WORDS_MAX] = "";
        int rc = link->starter != NULL ? starter_start(link->starter, core, control, words, err)
                                       : starter_run_engine(core, control, &link->process, err);

        if (rc == 0 && link->starter == NULL)
                memcpy(words, link->process.child.words, sizeof(words));
        if (rc == 0 && words[0] != '\0')
                log_warning(NULL, "the engine's isolation lacks: %s", words);
        return rc;
}

static int connect_to(struct engine_link *link, struct err *err)
{
        int core[2] = {-1, -1};
        int control[2] = {-1, -1};
        int rc = fd_socketpair(SOCK_SEQPACKET, core, err);

        if (rc == 0)
                rc = fd_socketpair(SOCK_STREAM, control, err);
        if (rc == 0)
                rc = spawn(link, core[1], control[1], err);
        fd_close(&core[1]);
        fd_close(&control[1]);
        link->control = control[0];
        if (rc != 0) {
                fd_close(&core[0]);
                return rc;
        }
        return wire_link_new(core[0], &wire_engine_protocol, WIRE_CLIENT, &link->wire, err);
}

int engine_link_start(struct engine_link *link, struct err *err)
{
        const struct state_content *content = state_file_content(link->state);
        struct engine_start start;
        int rc = link->unsaved ? state_file_revert(link->state, err) : 0;

        if (rc != 0)
                return rc;
        start = (struct engine_start){
            .flags = ENGINE_START_BOUND,
            .permanent = {content->permanent, content->permanent_len},
        };

        link->ready = false;
        link->gone = false;
        link->claimed = false;
        link->unsaved = false;
        memcpy(start.uuid, link->uuid, sizeof(start.uuid));
        rc = connect_to(link, err);
        if (rc == 0)
                rc = answer(link, engine_start_code, &start, err);
        while (rc == 0 && !link->ready)
                rc = engine_link_serve(link, err);
        if (rc != 0)
                engine_link_stop(link);
        return rc;
}

void engine_link_stop(struct engine_link *link)
{
        vmm_engine_kill(&link->process);
        wire_link_free(link->wire);
        link->wire = NULL;
        fd_close(&link->control);
        forget(&link->saved, &link->saved_len);
        forget(&link->restored_memory, &link->restored_len);
        explicit_bzero(link->response, sizeof(link->response));
        link->ready = false;
}
