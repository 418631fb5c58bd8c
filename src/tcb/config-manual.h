/*
 * catena.conf(5), made from the table of keys so that it cannot differ from what is read.
 */
#ifndef TCB_CONFIG_MANUAL_H
#define TCB_CONFIG_MANUAL_H

#include <stdio.h>

/* Writes the page in man(7) format. */
void tcb_config_manual(FILE *out);

#endif
