/*
 * One TCB at the supervisor's end of their channel (wire/supervisor.def): takes what it wants kept
 * and gives it to the next one. What it sends is checked like anybody's: a TCB that does not speak
 * the protocol is cut off.
 */
#ifndef SUPERVISOR_SERVE_H
#define SUPERVISOR_SERVE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/secret.h"
#include "supervisor/keep.h"

#define SERVE_EXITS_MAX 1024

/* What outlives a TCB. */
struct serve_keep {
        struct keep *keep;
        struct secret *key; /* the storage key, or NULL */
        uint32_t starts;
        char why[200]; /* how the TCB before ended, or "" */
        /* Of TCBs that ended though nobody asked them to: how many, and of the last one when (in
         * seconds since 1970) and how. */
        uint32_t deaths;
        uint64_t last_death;
        char death[200];
        int program; /* ours */
        /* Children that ended while no TCB listened; of more the status is lost. */
        struct supervisor_exited exits[SERVE_EXITS_MAX];
        size_t n_exits;
};

struct serve;

/* Takes fd, our end; keep stays the caller's. */
int serve_new(int fd, struct serve_keep *keep, struct serve **ret_serve,
              struct err *err) MUST_CHECK;
void serve_free(struct serve *serve);

/* To be polled, for these events of poll(2). */
int serve_fd(const struct serve *serve);
short serve_events(const struct serve *serve);

/*
 * Handles what is there and sends what waits: 0, or WIRE_AGAIN when nothing more is there.
 * ERR_UNREACHABLE: the TCB has closed it. Whatever else
 * is an error too is the TCB's offence, or our own trouble with its channel.
 */
int serve_process(struct serve *serve, struct err *err) MUST_CHECK;

/* A child ended: a TCB is told as soon as it has its list. serve may be NULL: the next one is. */
void serve_exited(struct serve *serve, struct serve_keep *keep, pid_t pid, int status);

/* Asks the TCB to end and to leave what is kept to the next one. */
int serve_ask_to_leave(struct serve *serve, struct err *err) MUST_CHECK;

/*
 * Asks whether its loop turns, unless an answer is outstanding or it has not got its list yet.
 * serve_take_answer() says once that it answered.
 */
int serve_ask(struct serve *serve, struct err *err) MUST_CHECK;
bool serve_take_answer(struct serve *serve);

/* What the TCB has said. */
bool serve_is_serving(const struct serve *serve);
bool serve_is_done(const struct serve *serve);

#endif
