/*
 * Makes a zygote warm: a TPM is manufactured, used and forgotten, so that libtpms and OpenSSL have
 * loaded and computed once what every engine would, in memory that the copies share, and libtpms'
 * tests of its algorithms have passed. Nobody ever sees that TPM.
 */
#ifndef ENGINE_WARM_H
#define ENGINE_WARM_H

#include "base/err.h"

/* Before the first copy. ERR_TPM when a test fails. */
int warm_up(struct err *err) MUST_CHECK;

/*
 * When everything is made that copies share: what is allocated from then on lies together, and away
 * from what they share. A page that the zygote writes to between two forks is each copy's own, too.
 */
void warm_settle(void);

/*
 * In a spare copy, while nobody waits for it: that TPM is woken, used and forgotten once more, so
 * that the pages that a wake writes to are the copy's own already.
 */
int warm_rehearse(struct err *err) MUST_CHECK;

#endif
