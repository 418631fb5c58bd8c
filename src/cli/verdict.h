/*
 * The verdict on one machine, for people and for programs; shared by the verbs that appraise.
 */
#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include "cli/cli.h"
#include "evlog/appraise.h"

/*
 * Prints tier, parts (with_policy) and every reason. Returns 0, or ERR_NOT_TRUSTED where the
 * verdict refuses.
 */
int verdict_print(struct cli *cli, const struct verdict *verdict, bool with_policy,
                  struct err *err) MUST_CHECK;

/* "firmware ✓  GRUB ✓  kernel changed  …  7 programs ✓" */
void verdict_tree(const struct verdict *verdict, char *ret_text, size_t size);

#endif
