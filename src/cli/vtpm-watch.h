/*
 * catena vtpm list --watch and show --watch.
 */
#ifndef CLI_VTPM_WATCH_H
#define CLI_VTPM_WATCH_H

#include "cli/cli.h"

/*
 * Until interrupted: on a terminal draw() again and again, otherwise one line of JSON for each
 * vTPM at first and whenever it has changed. name: only this one, or NULL.
 */
int vtpm_watch(struct cli *cli, const char *name, int (*draw)(struct cli *cli, struct err *err),
               struct err *err) MUST_CHECK;

#endif
