/*
 * What both swtpm and swtpm_setup do before they work: log file, user, passphrases, and where the
 * state is.
 */
#ifndef SWTPM_START_H
#define SWTPM_START_H

#include "swtpm/command-line.h"
#include "swtpm/state-file.h"

/* Where the state is, with the memory that struct state_place points into. */
struct start_place {
        struct state_place place;
        char path[COMMAND_URI_MAX];
};

/* Log lines go to this file from here on. */
int start_log(const struct command_log *log, struct err *err) MUST_CHECK;

/* One line for each option that means something else here. */
void start_log_notes(const struct options_notes *notes);

/* Becomes this user (name or number); "" or the present one changes nothing. */
int start_run_as(const char *user, struct err *err) MUST_CHECK;

/*
 * Reads a key or passphrase; NULL when none is asked for. A passphrase's line end does not count.
 * Errors: ERR_USAGE for an empty, an overlong or a malformed one.
 */
int start_read_key(const struct command_key *key, struct secret **ret_secret,
                   struct err *err) MUST_CHECK;

/*
 * The place that dir names or uri ("dir://…", "file://…", or a directory's path). The VM's UUID is
 * the last directory of the path that is one, as libvirt names them; zeros without one.
 */
int start_find_place(const char *where, unsigned mode, struct start_place *ret_place,
                     struct err *err) MUST_CHECK;

/*
 * ERR_CONFLICT in a directory that holds a state of swtpm's: that has to be imported where there is
 * none of ours, and beside one of ours nobody can tell which goes on.
 */
int start_check_foreign(const struct state_place *place, const struct state_file *state,
                        struct err *err) MUST_CHECK;

#endif
