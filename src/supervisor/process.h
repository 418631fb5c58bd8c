/*
 * How the kernel says that a child of ours stands.
 */
#ifndef SUPERVISOR_PROCESS_H
#define SUPERVISOR_PROCESS_H

#include <sys/types.h>

/* The state's letter of proc_pid_stat(5), or '?' where it is not to be had. */
char process_state(pid_t pid);

/* What that means, for a person. */
const char *process_state_words(char state);

#endif
