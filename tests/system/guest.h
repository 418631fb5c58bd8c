/*
 * Boots a guest image for real, under QEMU with swtpm as its TPM, and takes evidence from its
 * agent: for tests that need a machine's own measurements.
 */
#ifndef TESTS_SYSTEM_GUEST_H
#define TESTS_SYSTEM_GUEST_H

#include <stdbool.h>

#include "base/err.h"

#define GUEST_PCR_MASK 0x7ff /* PCRs 0 to 10 */

/* Whether this machine has QEMU, OVMF, swtpm; the tests are skipped by name where not. */
bool guest_can_boot(void);

/*
 * Boots image, asks its agent for identity and quote, and powers off. Writes into the directory
 * dir what fixtures/boots/good has: logs, quote, keys, cmdline, nonce.hex; and serial.log.
 */
int guest_boot(const char *image, const char *dir, struct err *err) MUST_CHECK;

#endif
