/*
 * The relay locks itself up once its socket listens: it connects to one socket and opens nothing.
 */
#ifndef HOSTD_CONFINE_H
#define HOSTD_CONFINE_H

#include <stddef.h>

#include "base/err.h"

/* Words for what the kernel does not offer, or "", into ret_words. There is no way back. */
int confine_relay(char *ret_words, size_t size, struct err *err) MUST_CHECK;

#endif
