/*
 * The verdict for people: one line a machine, the host first and its VMs below it, then every
 * reason in words. What was not measured says so and never carries a tick.
 */
#ifndef VERIFY_REPORT_H
#define VERIFY_REPORT_H

#include <jansson.h>

#include "base/writer.h"
#include "verify/verify.h"

#define REPORT_SIZE_MAX (4U << 20) /* bytes */

/* Appends UTF-8 text that ends in a newline. */
void report_put(struct writer *w, const struct verify_result *result);

/*
 * The same for programs: the claims of the EAR, with "verdict" and "reasons" (each with its
 * "machine") beside them. json_decref() it.
 */
int report_to_json(const struct verify_result *result, json_t **ret_json,
                   struct err *err) MUST_CHECK;

#endif
