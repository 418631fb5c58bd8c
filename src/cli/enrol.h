/*
 * Enrolment of a host: its AK is certified once it was proved to live in the TPM of its EK.
 */
#ifndef CLI_ENROL_H
#define CLI_ENROL_H

#include "cli/client.h"

/* ca_dir is a CA's directory (catena ca init). Writes the host's name to ret_host, 64 bytes. */
int enrol_host(struct client *client, const char *ca_dir, unsigned days, char ret_host[64],
               struct err *err) MUST_CHECK;

#endif
