/*
 * QEMU's first words to a vTPM, for programs that use one without QEMU.
 */
#ifndef CLI_POWER_ON_H
#define CLI_POWER_ON_H

#include "base/err.h"

/*
 * Hands a data channel over a control channel and powers the TPM on; commands go through *ret_data,
 * which is the caller's. TPM2_Startup has not been sent.
 */
int power_on(int control, int *ret_data, struct err *err) MUST_CHECK;

#endif
