/*
 * What the agent does as the guest's first process: mounts, kernel modules, the programs that the
 * image wants measured. Everything has a fixed order, so that two boots give the same IMA log.
 */
#ifndef AGENT_INIT_H
#define AGENT_INIT_H

#include "base/err.h"

#define INIT_MODULES  "/etc/catena/modules"
#define INIT_PROGRAMS "/etc/catena/programs"

/* proc, sysfs, devtmpfs, securityfs; what is mounted already is fine. Opens the console if none. */
int init_mount(struct err *err) MUST_CHECK;

/*
 * Loads the modules of a list file in its order. One that fails is logged and the next is tried:
 * the guest may do without; what is missing shows later by name.
 */
int init_load_modules(const char *list_path, struct err *err) MUST_CHECK;

/*
 * Runs each program of a list file once, without arguments, one after the other, with no input
 * and no output, so that IMA measures it. One that fails or takes too long is logged only.
 */
int init_run_programs(const char *list_path, struct err *err) MUST_CHECK;

/* From now on the kernel reaps children by itself. */
void init_reap_children(void);

/* Powers the machine off; returns only if the kernel refuses. */
void init_power_off(void);

#endif
