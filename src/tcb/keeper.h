/*
 * The TCB's end of its channel to catena-supervisor (wire/supervisor.def): what is kept there for
 * the TCB after this one, and what the one before left. Without a supervisor there is no keeper:
 * NULL is allowed everywhere, and nothing outlives this process.
 */
#ifndef TCB_KEEPER_H
#define TCB_KEEPER_H

#include <systemd/sd-event.h>

#include "base/secret.h"
#include "base/spawn.h"
#include "base/table.h"
#include "wire/kept.h"
#include "wire/supervisor.h"

struct keeper;

/* What the TCB before left under a name. Descriptors that are not taken (set to -1) are closed. */
struct keeper_left {
        struct table_entry by_name;
        struct keeper_left *next; /* of those that nobody can use */
        char name[SUPERVISOR_NAME_MAX + 1];
        const struct wire_message *message; /* of wire/kept.def */
        int fds[SUPERVISOR_FDS_MAX];
        size_t n_fds;
        size_t len;
        uint8_t record[];
};

struct keeper_ops {
        /* We are to end, and to leave engines and guests to the next TCB. */
        void (*leave)(void *user);
};

/* Takes fd; asks for all that is left and waits for it. */
int keeper_new(int fd, struct keeper **ret_keeper, struct err *err) MUST_CHECK;
void keeper_free(struct keeper *keeper);

/* From now on the supervisor is heard in the loop. */
int keeper_attach(struct keeper *keeper, sd_event *event, const struct keeper_ops *ops, void *user,
                  struct err *err) MUST_CHECK;

/*
 * What was left under this name, taken out, or NULL. The caller frees it. keeper_find_next() finds
 * what begins with these words, in no order.
 */
struct keeper_left *keeper_take(struct keeper *keeper, const char *name);
struct keeper_left *keeper_take_any(struct keeper *keeper, const char *begin);
void keeper_left_free(struct keeper_left *left);
DEFINE_CLEANUP(struct keeper_left *, keeper_left_free)
#define AUTO_LEFT CLEANUP(keeper_left_free_p)

/* Decodes its record into the struct of its message, which must be this one. */
int keeper_left_decode(const struct keeper_left *left, uint16_t code, void *ret_message,
                       size_t ret_size, struct err *err) MUST_CHECK;

/* The names in use: "kind/" and a UUID as text. */
void keeper_name(const char *kind, const uint8_t uuid[16], char ret_name[SUPERVISOR_NAME_MAX + 1]);

/*
 * Has these kept under the name, in place of what was: a message of wire/kept.def and as many
 * descriptors as it says. They stay the caller's. What goes wrong is logged: it then ends with us.
 */
void keeper_put(struct keeper *keeper, const char *name, uint16_t code, const void *message,
                const int *fds);
void keeper_drop(struct keeper *keeper, const char *name);

/*
 * Told once when the supervisor says how this process, its child and our sibling, ended.
 * ERR_CONFLICT: it is watched already.
 */
typedef void keeper_ended_fn(void *user, int status);
int keeper_watch(struct keeper *keeper, pid_t pid, keeper_ended_fn *ended, void *user,
                 struct err *err) MUST_CHECK;
void keeper_unwatch(struct keeper *keeper, pid_t pid);

/* What nobody took is dropped; we serve. */
void keeper_serve(struct keeper *keeper);

/* All ended in order: there will be no next one. */
void keeper_end(struct keeper *keeper);

/* The storage key that the TCB before unsealed, or NULL; and ours for the next one. */
const struct secret *keeper_key(const struct keeper *keeper);
void keeper_put_key(struct keeper *keeper, const struct secret *key);

/* Which of its TCBs we are, from 1; 0 without a supervisor. */
uint32_t keeper_starts(const struct keeper *keeper);

/* Of the TCBs before us, those that ended though nobody asked them to. */
struct keeper_deaths {
        uint32_t n;
        uint64_t last;   /* when, in seconds since 1970 */
        const char *why; /* how the last one came; the keeper's */
};
struct keeper_deaths keeper_deaths(const struct keeper *keeper);

/* How the one before ended, "" for the first; the supervisor's own program, to be measured, or -1.
 */
const char *keeper_why(const struct keeper *keeper);
int keeper_program(const struct keeper *keeper);

#endif
