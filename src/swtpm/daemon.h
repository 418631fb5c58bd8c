/*
 * --daemon and --pid: into the background once the vTPM is ready, and the file with its number.
 */
#ifndef SWTPM_DAEMON_H
#define SWTPM_DAEMON_H

#include "swtpm/command-line.h"

struct daemon {
        int pipe; /* to the waiting parent; -1: there is none */
};

/*
 * Goes on in a child. The parent waits until daemon_ready(), and then ends with 0; if the child
 * ends before, with 1. Before anything else is started: children end with their parent.
 */
int daemon_fork(struct daemon *ret_daemon, struct err *err) MUST_CHECK;

/* keep_words: standard error is the log, and stays. */
int daemon_ready(struct daemon *daemon, bool keep_words, struct err *err) MUST_CHECK;

/* This process's number into the file or descriptor, if one was asked for; and away again. */
int daemon_write_pid(const struct command_socket *options, struct err *err) MUST_CHECK;
void daemon_remove_pid(const struct command_socket *options);

#endif
