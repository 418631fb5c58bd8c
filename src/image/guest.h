/*
 * What stands in the guest's initramfs: the agent as /init, kernel modules, a few programs, and
 * every library that these need; and in which order the guest's kernel measures all that (IMA).
 *
 * The agent's side of the contract: it mounts /proc, /sys, /dev and securityfs, loads the modules
 * of GUEST_MODULES_LIST one by one in that order, runs the programs of GUEST_PROGRAMS_LIST one
 * after the other, then serves. Both lists hold one absolute path a line.
 */
#ifndef IMAGE_GUEST_H
#define IMAGE_GUEST_H

#include <stddef.h>

#include "base/err.h"
#include "image/fileset.h"

#define GUEST_MODULES_LIST  "/etc/catena/modules"
#define GUEST_PROGRAMS_LIST "/etc/catena/programs"
#define GUEST_PROGRAMS_MAX  64
#define GUEST_MEASURED_MAX  256
#define GUEST_LIBRARY_DIR   "/lib/x86_64-linux-gnu"

struct guest {
        struct fileset files;
        /* Paths in the order in which the kernel measures them on a good boot. */
        const char *measured[GUEST_MEASURED_MAX]; /* point into files */
        size_t n_measured;
};

struct guest_request {
        const char *agent;           /* file on this machine */
        const char *modules_dir;     /* <kernel>/lib/modules/<release> */
        const char *const *programs; /* files on this machine, NULL-terminated; or NULL: default */
};

/* Releases what guest_collect() filled in. */
void guest_done(struct guest *guest);
#define AUTO_GUEST CLEANUP(guest_done)

/*
 * Reads agent, modules, programs and libraries into an empty *guest and computes the order.
 * ERR_NOT_FOUND names the missing file and, for a library, who needs it.
 */
int guest_collect(const struct guest_request *request, struct guest *guest,
                  struct err *err) MUST_CHECK;

#endif
