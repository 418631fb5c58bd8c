/*
 * What --print-capabilities prints: the features by which libvirt decides what it may ask for.
 */
#ifndef SWTPM_CAPABILITIES_H
#define SWTPM_CAPABILITIES_H

/* The version of swtpm whose command line this is. */
#define CAPABILITIES_VERSION "0.7.1"

/* One line of JSON. */
extern const char capabilities_socket[];
extern const char capabilities_setup[];

#endif
