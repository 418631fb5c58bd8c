/* The QEMUs of an operator-bound vTPM and what the TCB decides between them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "tcb/bound-private.h"

#define NOT_FOUND_FOR_QEMU                                                                         \
        13 /* TPM 1.2's TPM_KEYNOTFOUND: QEMU prints "key could not be found"                      \
            */
#define FAILED_FOR_QEMU 9

static const char *name_of(const struct bound_peer *peer)
{
        return peer->bound->instance->stored.name;
}

static const uint8_t *uuid_of(const struct bound_peer *peer)
{
        return peer->bound->instance->stored.block.uuid;
}

static struct engine_host *engine_of(const struct bound_peer *peer)
{
        return peer->engine != NULL ? peer->engine : peer->bound->instance->engine;
}

static bool is_second(const struct bound_peer *peer)
{
        return peer == peer->bound->second;
}

static void warn(const struct bound_peer *peer, const struct err *err, const char *words)
{
        char who[32];

        (void)snprintf(who, sizeof(who), "QEMU %d", (int)peer->pid);
        log_warning((&(struct log_fields){.vm = name_of(peer), .peer = who, .err = err}), "%s",
                    words);
}

static void tell(const struct bound_peer *peer, const char *words)
{
        char who[32];

        (void)snprintf(who, sizeof(who), "QEMU %d", (int)peer->pid);
        log_info((&(struct log_fields){.vm = name_of(peer), .peer = who}), "%s", words);
}

/* The supervisor ------------------------------------------------------------------------------- */

static void keep_name(const struct bound_peer *peer, char ret_name[SUPERVISOR_NAME_MAX + 1])
{
        keeper_name(is_second(peer) ? "peer2" : "peer1", uuid_of(peer), ret_name);
}

static void keep_second(const struct bound_peer *peer, const char *name,
                        enum kept_standing standing)
{
        struct kept_second kept = {
            .pid = (uint32_t)peer->pid,
            .standing = (uint8_t)standing,
            .protocol = wire_engine_protocol.version,
            .engine = (uint32_t)engine_host_pid(peer->engine),
        };
        int fds[3] = {peer->watch, -1, -1};

        memcpy(kept.digest, peer->digest, sizeof(kept.digest));
        engine_host_look(peer->engine, fds + 1);
        keeper_put(peer->bound->tcb->keeper, name, kept_second_code, &kept, fds);
}

/* For the next TCB: this QEMU, and what it may do. Its engine the instance keeps, or a second's. */
static void keep(const struct bound_peer *peer, enum kept_standing standing)
{
        struct kept_first kept = {.pid = (uint32_t)peer->pid, .standing = (uint8_t)standing};
        char name[SUPERVISOR_NAME_MAX + 1];

        if (peer->bound->tcb->keeper == NULL)
                return;
        keep_name(peer, name);
        if (is_second(peer)) {
                keep_second(peer, name, standing);
                return;
        }
        memcpy(kept.digest, peer->digest, sizeof(kept.digest));
        keeper_put(peer->bound->tcb->keeper, name, kept_first_code, &kept, &peer->watch);
}

/* It has no engine yet: the next TCB starts one. */
static void keep_connection(const struct bound_peer *peer)
{
        const struct kept_first kept = {.pid = (uint32_t)peer->pid};
        char name[SUPERVISOR_NAME_MAX + 1];

        keep_name(peer, name);
        if (peer->watch >= 0)
                keeper_put(peer->bound->tcb->keeper, name, kept_first_code, &kept, &peer->watch);
}

static void unkeep(const struct bound_peer *peer)
{
        char name[SUPERVISOR_NAME_MAX + 1];

        keep_name(peer, name);
        keeper_drop(peer->bound->tcb->keeper, name);
}

/* Ends its engine, which closes its sockets, and forgets it. */
static void peer_free(struct bound_peer *peer)
{
        struct bound *bound = peer->bound;

        commit_forget(bound->tcb->commit, peer);
        unkeep(peer);
        if (is_second(peer)) {
                bound->second = NULL;
                engine_host_free(peer->engine);
        } else {
                bound->first = NULL;
                instance_stop(bound->instance);
        }
        fd_close(&peer->watch);
        explicit_bzero(peer, sizeof(*peer));
        free(peer);
}

void bound_end_peers(struct bound *bound)
{
        if (bound->second != NULL)
                peer_free(bound->second);
        if (bound->first != NULL)
                peer_free(bound->first);
}

/* Decisions --------------------------------------------------------------------------------- */

static void decide(struct bound_peer *peer, const struct engine_decided *decided)
{
        struct err err = {0};

        if (engine_host_decide(engine_of(peer), decided, &err) != 0)
                warn(peer, &err, "its engine was not answered");
}

static void refuse(struct bound_peer *peer, uint32_t result)
{
        decide(peer, &(struct engine_decided){.result = result});
}

/* The claim or the save that was asked for is durable. */
static void on_durable(void *user, uint64_t value)
{
        struct bound_peer *peer = user;
        struct engine_decided decided = {0};

        (void)value;
        if (peer->saving)
                decided.token = (struct bytes){peer->token, sizeof(peer->token)};
        peer->saving = false;
        keep(peer, KEPT_STANDING_OWN);
        decide(peer, &decided);
        explicit_bzero(peer->token, sizeof(peer->token));
}

/*
 * Whether this QEMU may have the vTPM from here on: one that restored must have the token that is
 * still good, and one without a token only if nobody else runs.
 */
static int check_claim(const struct bound_peer *peer, struct err *err)
{
        const struct bound *bound = peer->bound;

        if (peer->restored)
                return bound->saved.exists &&
                               memcmp(bound->saved.digest, peer->digest, sizeof(peer->digest)) == 0
                           ? 0
                           : err_set(
                                 err, ERR_ROLLBACK,
                                 "its saved VM is older than its vTPM, which went on elsewhere");
        if (is_second(peer))
                return err_set(err, ERR_CONFLICT, "another QEMU has this vTPM");
        return 0;
}

static const struct instance_user instance_ops;

/* The second takes the first one's place: the guest goes on there and nowhere else. */
static int take_over(struct bound_peer *peer, struct err *err)
{
        struct bound *bound = peer->bound;
        char name[SUPERVISOR_NAME_MAX + 1];
        enum kept_standing standing;
        int rc = check_claim(peer, err);

        if (rc != 0)
                return rc;
        /* Should we die in what follows: the store says whether it was done. */
        if (peer->restored)
                keep(peer, KEPT_STANDING_CLAIMING);
        standing = peer->restored ? KEPT_STANDING_CLAIMING : KEPT_STANDING_OWN;
        peer->restored = false;
        if (!is_second(peer))
                return 0;
        if (bound->first != NULL) {
                tell(bound->first, "its VM goes on in another QEMU; this one is cut off");
                peer_free(bound->first);
        }
        instance_interrupt_making(bound->instance);
        if (bound->instance->sm.state != INSTANCE_IDLE)
                return err_set(err, ERR_CONFLICT, "the vTPM is in use");
        keep_name(peer, name);
        bound->second = NULL;
        bound->first = peer;
        instance_adopt_engine(bound->instance, TAKE(peer->engine), &instance_ops, peer);
        keep(peer, standing);
        keeper_drop(bound->tcb->keeper, name);
        return 0;
}

static int spend_saved(struct bound_peer *peer, struct err *err)
{
        struct bound *bound = peer->bound;

        if (commit_begin(bound->tcb->commit, err) != 0 ||
            snapshot_drop(bound->tcb->store, uuid_of(peer), err) != 0)
                return err->code;
        bound->instance->stored.sequence++;
        bound->saved.exists = false;
        return commit_then(bound->tcb->commit, on_durable, peer, 0, err);
}

/* The compare-and-swap of the ownership, before the guest's command runs. */
static int answer_claim(struct bound_peer *peer, struct err *err)
{
        bool restored = peer->restored;
        int rc = take_over(peer, err);

        if (rc != 0)
                return rc;
        if (!peer->bound->saved.exists) {
                decide(peer, &(struct engine_decided){0});
                return 0;
        }
        tell(peer, restored ? "the saved VM goes on; it cannot be restored a second time"
                            : "the vTPM goes on; what was saved of its VM cannot be restored");
        return spend_saved(peer, err);
}

static int answer_save(struct bound_peer *peer, struct bytes volatile_state, struct err *err)
{
        struct bound *bound = peer->bound;
        int rc = take_over(peer, err);

        if (rc != 0)
                return rc;
        if (commit_begin(bound->tcb->commit, err) != 0 ||
            snapshot_put(bound->tcb->store, uuid_of(peer), volatile_state, peer->token,
                         &bound->saved, err) != 0)
                return err->code;
        bound->instance->stored.sequence++;
        peer->saving = true;
        tell(peer, "its VM is saved; the state stays here, and can be restored once");
        return commit_then(bound->tcb->commit, on_durable, peer, 0, err);
}

static int give_state(struct bound_peer *peer, struct err *err)
{
        struct store *store = peer->bound->tcb->store;
        struct store_blob permanent;
        struct store_blob volatile_state;
        int rc = store_get_blob(store, uuid_of(peer), STORE_KIND_PERMANENT, &permanent, err);

        if (rc != 0)
                return rc;
        rc = snapshot_get(store, uuid_of(peer), &volatile_state, err);
        if (rc == 0) {
                decide(peer, &(struct engine_decided){
                                 .permanent = {permanent.data, permanent.len},
                                 .volatile_state = {volatile_state.data, volatile_state.len}});
                store_blob_free(&volatile_state);
        }
        store_blob_free(&permanent);
        return rc;
}

static int answer_restore(struct bound_peer *peer, struct bytes token, struct err *err)
{
        int rc = snapshot_check_token(&peer->bound->saved, token, err);

        if (rc != 0) {
                warn(peer, err, "its saved VM is not restored; to start the VM anew is possible");
                refuse(peer, NOT_FOUND_FOR_QEMU);
                return 0;
        }
        peer->restored = true;
        memcpy(peer->digest, peer->bound->saved.digest, sizeof(peer->digest));
        keep(peer, KEPT_STANDING_RESTORED);
        return give_state(peer, err);
}

/* A QEMU that may not go on is cut off: its guest must not wait for a TPM that does not come. */
static int on_ask(void *user, const struct engine_question *question, struct err *err)
{
        struct bound_peer *peer = user;
        int rc;

        if (question->kind == ENGINE_ASKS_RESTORE)
                rc = answer_restore(peer, question->data, err);
        else if (question->kind == ENGINE_ASKS_SAVE)
                rc = answer_save(peer, question->data, err);
        else
                rc = answer_claim(peer, err);
        if (rc == 0)
                return 0;
        warn(peer, err, "refused, and cut off from the vTPM");
        peer_free(peer);
        *err = (struct err){0};
        return 0;
}

/* Coming and going -------------------------------------------------------------------------- */

static void on_event(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        struct bound_peer *peer = user;

        (void)init_count;
        if (kind == ENGINE_EVENT_SHUTDOWN || kind == ENGINE_EVENT_CLOSED)
                peer_free(peer);
        else if (kind == ENGINE_EVENT_REFUSED)
                warn(peer, NULL, "wants to start its VM while another QEMU has the vTPM: refused");
}

static void on_died(void *user, const struct err *err)
{
        struct bound_peer *peer = user;

        warn(peer, err, "the vTPM's engine ended; its VM has no TPM until it is started again");
        peer_free(peer);
}

static void on_started(void *user, const struct err *err)
{
        if (err != NULL)
                on_died(user, err);
}

static const struct instance_user instance_ops = {on_started, on_event, on_died, on_ask,
                                                  KEPT_USER_PEER};

static void on_second_ready(void *user)
{
        (void)user;
}

static int on_second_persist(void *user, const struct engine_persist *persist, struct err *err)
{
        (void)user;
        (void)persist;
        return err_set(err, ERR_MALFORMED, "engine: writes before it may");
}

static const struct engine_host_ops second_ops = {
    on_second_ready, on_second_persist, on_event, on_died, on_ask, NULL};

static void reap_gone(struct bound_peer *peer)
{
        struct pollfd polled = {.fd = peer == NULL ? -1 : peer->watch, .events = POLLRDHUP};

        if (peer != NULL && poll(&polled, 1, 0) > 0)
                peer_free(peer);
}

void bound_reap_gone(struct bound *bound)
{
        reap_gone(bound->second);
        reap_gone(bound->first);
}

static int start_engine(struct bound_peer *peer, int fd, struct err *err)
{
        struct bound *bound = peer->bound;

        if (is_second(peer))
                return instance_start_second(bound->instance, fd, &second_ops, peer, &peer->engine,
                                             err);
        return instance_start_bound(bound->instance, fd, &instance_ops, peer, err);
}

static int add_peer(struct bound *bound, int fd, struct err *err)
{
        struct bound_peer **place = bound->first == NULL ? &bound->first : &bound->second;
        struct bound_peer *peer;
        struct ucred who = {.pid = 0};
        socklen_t size = sizeof(who);
        int rc;

        if (bound->tcb->ending)
                return err_set(err, ERR_UNREACHABLE, "the trusted core ends");
        if (bound->second != NULL)
                return err_set(err, ERR_CONFLICT, "two QEMUs have this vTPM already");
        peer = calloc(1, sizeof(*peer));
        if (peer == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        peer->bound = bound;
        peer->watch = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size);
        peer->pid = who.pid;
        *place = peer;
        keep_connection(peer);
        rc = peer->watch < 0 ? err_set_errno(err, errno, "watch a QEMU")
                             : start_engine(peer, fd, err);
        if (rc == 0) {
                if (is_second(peer))
                        keep(peer, KEPT_STANDING_OWN);
                tell(peer, place == &bound->first ? "connected" : "connected as the second one");
                return 0;
        }
        unkeep(peer);
        *place = NULL;
        fd_close(&peer->watch);
        free(peer);
        return rc;
}

/* What the TCB before us left ------------------------------------------------------------------ */

/* A claim that the TCB before us was about to store is done when its saved VM is spent. */
static bool may_still_restore(const struct bound *bound, uint8_t standing,
                              const uint8_t digest[SNAPSHOT_DIGEST_SIZE])
{
        if (standing != KEPT_STANDING_CLAIMING)
                return standing == KEPT_STANDING_RESTORED;
        return bound->saved.exists &&
               memcmp(bound->saved.digest, digest, SNAPSHOT_DIGEST_SIZE) == 0;
}

static struct bound_peer *new_left_peer(struct bound *bound, const struct kept_first *kept,
                                        struct keeper_left *left)
{
        struct bound_peer *peer = calloc(1, sizeof(*peer));

        if (peer == NULL)
                return NULL;
        peer->bound = bound;
        peer->pid = (pid_t)kept->pid;
        peer->watch = TAKE_FD(left->fds[0]);
        memcpy(peer->digest, kept->digest, sizeof(peer->digest));
        peer->restored = may_still_restore(bound, kept->standing, kept->digest);
        return peer;
}

static bool is_kept_as(const struct bound_peer *peer, const char *name)
{
        char own[SUPERVISOR_NAME_MAX + 1];

        if (peer == NULL)
                return false;
        keep_name(peer, own);
        return strcmp(own, name) == 0;
}

/* One that connected and for which no engine was started. It stays kept meanwhile. */
static void start_anew(struct bound *bound, struct keeper_left *left)
{
        bound_welcome(bound, TAKE_FD(left->fds[0]));
        if (!is_kept_as(bound->first, left->name) && !is_kept_as(bound->second, left->name))
                keeper_drop(bound->tcb->keeper, left->name);
}

int bound_adopt_first(struct bound *bound, struct keeper_left *engine, struct err *err)
{
        struct keeper_left AUTO_LEFT *left = NULL;
        char name[SUPERVISOR_NAME_MAX + 1];
        struct kept_first kept;
        int rc;

        keeper_name("peer1", bound->instance->stored.block.uuid, name);
        left = keeper_take(bound->tcb->keeper, name);
        if (left == NULL)
                return err_set(err, ERR_NOT_FOUND, "its QEMU is gone");
        rc = keeper_left_decode(left, kept_first_code, &kept, sizeof(kept), err);
        if (rc != 0)
                return rc;
        if (engine == NULL) {
                start_anew(bound, left);
                return 0;
        }
        bound->first = new_left_peer(bound, &kept, left);
        if (bound->first == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = instance_adopt(bound->instance, engine, &instance_ops, bound->first, err);
        if (rc != 0)
                peer_free(bound->first);
        return rc;
}

/* One that was about to be the first is that by now: its engine is the instance's. */
static bool is_first_already(const struct bound *bound, const struct kept_second *kept)
{
        const struct engine_host *engine = bound->instance->engine;

        return engine != NULL && engine_host_pid(engine) == (pid_t)kept->engine;
}

static int adopt_engine(struct bound_peer *peer, const struct kept_second *kept,
                        struct keeper_left *left, struct err *err)
{
        const struct engine_host_request request = {.event = peer->bound->tcb->event,
                                                    .hub = peer->bound->instance->host->hub,
                                                    .ops = &second_ops,
                                                    .user = peer};
        struct spawn_child child = {.pid = (pid_t)kept->engine, .sibling = true};

        child.pidfd = TAKE_FD(left->fds[2]);
        return engine_host_adopt(&request, TAKE_FD(left->fds[1]), &child, &peer->engine, err);
}

int bound_adopt_second(struct bound *bound, struct err *err)
{
        struct keeper_left AUTO_LEFT *left = NULL;
        char name[SUPERVISOR_NAME_MAX + 1];
        struct kept_second kept;
        struct kept_first as_first;
        int rc;

        keeper_name("peer2", bound->instance->stored.block.uuid, name);
        left = keeper_take(bound->tcb->keeper, name);
        if (left == NULL)
                return 0;
        if (left->message->code == kept_first_code) {
                start_anew(bound, left);
                return 0;
        }
        rc = keeper_left_decode(left, kept_second_code, &kept, sizeof(kept), err);
        if (rc == 0 && kept.protocol != wire_engine_protocol.version)
                rc = err_set(err, ERR_UNSUPPORTED, "an engine speaks version %u", kept.protocol);
        if (rc != 0)
                return rc;
        if (is_first_already(bound, &kept)) {
                keeper_drop(bound->tcb->keeper, name);
                return 0;
        }
        as_first = (struct kept_first){.pid = kept.pid, .standing = kept.standing};
        memcpy(as_first.digest, kept.digest, sizeof(kept.digest));
        bound->second = new_left_peer(bound, &as_first, left);
        if (bound->second == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = adopt_engine(bound->second, &kept, left, err);
        if (rc != 0)
                peer_free(bound->second);
        return rc;
}

void bound_welcome(struct bound *bound, int fd)
{
        struct err err = {0};
        int AUTO_FD taken = fd;

        bound_reap_gone(bound);
        if (add_peer(bound, taken, &err) != 0)
                log_warning((&(struct log_fields){.vm = bound->instance->stored.name, .err = &err}),
                            "a QEMU is turned away at %s", bound->socket.path);
}
