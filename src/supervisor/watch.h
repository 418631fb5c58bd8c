/*
 * Whether the TCB's loop still turns, and what is to be done when it does not. Pure: it is told the
 * time, the answers and how the kernel says that the process stands.
 *
 * Only time that we saw pass counts: a machine that was paused, or had no time for us either, is no
 * TCB that hangs. Nor does time count in which it waits for a device: a disk may stall for minutes,
 * guests' commands wait for it and go on by themselves, and a signal would be delivered only when
 * the disk is there again.
 */
#ifndef SUPERVISOR_WATCH_H
#define SUPERVISOR_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define WATCH_END_SEC     60    /* by default */
#define WATCH_END_SEC_MAX 86400 /* so that no arithmetic overflows */
#define WATCH_START_TIMES 5     /* a start may take so much longer: it asks the pTPM */
#define WATCH_PATIENCE    4     /* a bound is doubled so often at most */
#define WATCH_DEVICE      'D'   /* of proc_pid_stat(5): waits for a device */

enum watch_word {
        WATCH_FINE,
        WATCH_WARN, /* somebody should know that it is silent; said ever more rarely */
        WATCH_END,  /* said once */
};

struct watch {
        uint64_t end_msec; /* the bound; 0: never */
        uint64_t seen;     /* the time of the last turn */
        uint64_t silent;   /* milliseconds since its last answer */
        uint64_t counted;  /* of these, in which it did not wait for a device */
        uint64_t warn;     /* when silent reaches this */
        unsigned ended;    /* TCBs in a row that were */
        bool warned;       /* since its last answer */
        bool starting;     /* it never answered */
        bool over;         /* its end was said */
};

/* How long a TCB may be silent, 0: for ever. */
void watch_init(struct watch *watch, uint64_t end_msec);

/* A TCB starts. */
void watch_start(struct watch *watch, uint64_t now_msec);

/* Milliseconds since the last answer that it had been silent for when somebody was warned, or 0. */
uint64_t watch_answered(struct watch *watch, uint64_t now_msec);

/* One served for a good while: the next one that hangs is the first again. */
void watch_forgive(struct watch *watch);

/* When it is to be turned next. */
uint64_t watch_due(const struct watch *watch);

/* At that time: what is to be done with a process in this state. */
enum watch_word watch_turn(struct watch *watch, uint64_t now_msec, char state);

#endif
