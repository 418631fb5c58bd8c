/*
 * One vTPM as the host describes it, for tables, documents and pages of text.
 */
#ifndef CLI_VTPM_VIEW_H
#define CLI_VTPM_VIEW_H

#include <jansson.h>
#include <uuid/uuid.h>

#include "cli/cli.h"
#include "tpmwire/ek.h"
#include "tpmwire/name.h"
#include "wire/tcb.h"

struct vtpm_view {
        char name[TCB_NAME_MAX + 1];
        char uuid[UUID_STR_LEN];
        char state[33];
        char ek[2 * TPM_NAME_MAX + 1]; /* the EK's name in hex */
        char key[24];                  /* "ECC P-256" */
        char socket[TCB_SOCKET_MAX + 1];
        char trouble[501];
        const char *bound;                /* "operator-bound", "vm" or "" */
        char memory[24];                  /* of its engine in words, or "" */
        char used[24];                    /* RFC 3339, or "" */
        char profile[96];                 /* of its manufacture, or "" */
        char later[TPM_EK_NAMES_MAX];     /* keys still to be made, or "" */
        char certified[TPM_EK_NAMES_MAX]; /* keys whose certificate came along, or "" */
        const struct tcb_vtpm *vtpm;      /* the numbers */
};

/* Views vtpm, which must stay. */
int vtpm_view(const struct tcb_vtpm *vtpm, struct vtpm_view *ret_view, struct err *err) MUST_CHECK;

/* A new object; NULL without memory. */
json_t *vtpm_view_json(const struct vtpm_view *view);

/* Page or document on stdout. extra (may be NULL, its reference is taken) is merged into it. */
int vtpm_view_print(struct cli *cli, const struct vtpm_view *view, json_t *extra,
                    struct err *err) MUST_CHECK;

#endif
