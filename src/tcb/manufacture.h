/*
 * The steps that make a fresh engine into a vTPM of this host: power it on, read the name of the
 * endorsement key from it, power it off. Between the TCB's modules only.
 */
#ifndef TCB_MANUFACTURE_H
#define TCB_MANUFACTURE_H

#include "tcb/instance.h"
#include "tpmwire/name.h"

/* The engine is ready, or has answered the step before. Failures end in instance_abandon(). */
void manufacture_step(struct instance *instance);

/* instance.c: the EK that was read becomes part of the security block; then the user is told. */
int instance_adopt_ek(struct instance *instance, struct bytes ek_pub, const struct tpm_name *name,
                      struct err *err) MUST_CHECK;

/* instance.c: forgets an instance that was not manufactured and tells why. */
void instance_abandon(struct instance *instance, const struct err *err);

#endif
