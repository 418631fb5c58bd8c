/*
 * The combined verdict for a host and its VMs: one pure function from (evidence, policy, roots,
 * clock) to a result. What it checks, in the order in which trust is built:
 *
 *   the host's AK is certified by the CA      cert.ak
 *   the AK certifies the CEK                  bind.cek
 *   the host's quote covers the tree          bind.tree, and everything of evlog/quote.h
 *   what the host says of itself        bind.about
 *   all VMs are as many as the host has bind.all
 *   each VM's leaf is in that tree            bind.proof
 *   the leaf answers this challenge           bind.nonce
 *   the leaf names these vTPM keys and quote  bind.ek, bind.ak, bind.quote, bind.qualifying
 *   machine by machine: logs and policy       evlog/appraise.h
 *
 * Whatever could not be checked is a failure. A VM is never better than its host.
 */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

#include "crypto/x509.h"
#include "evlog/policy.h"
#include "evlog/reason.h"
#include "verify/challenge.h"
#include "verify/evidence.h"

#define VERIFY_CLOCK_SKEW 60 /* seconds that two honest clocks may differ */
#define VERIFY_ID_MAX     (2 * 66 + 1)

/* Tiers of AR4SI (draft-ietf-rats-ar4si, 2.3.2), with its numbers. */
enum verify_tier {
        VERIFY_NONE = 0,
        VERIFY_AFFIRMING = 2,
        VERIFY_WARNING = 32,
        VERIFY_CONTRAINDICATED = 96,
};

/* What became of one part of a machine. Nothing is ever OK that was not measured. */
enum verify_mark {
        VERIFY_NOT_CHECKED,  /* the evidence did not hold, or there was nothing to compare with */
        VERIFY_NOT_MEASURED, /* nothing that was quoted tells of it */
        VERIFY_OK,
        VERIFY_BAD,
};

enum verify_part {
        VERIFY_FIRMWARE,
        VERIFY_BOOT_LOADER,
        VERIFY_KERNEL,
        VERIFY_COMMAND_LINE,
        VERIFY_INITRD,
        VERIFY_PROGRAMS, /* of a host: the TCB, its engine, QEMU and the guests' firmware */
        VERIFY_PARTS,
};

struct verify_machine {
        char name[EVIDENCE_COMPONENT_MAX + 1];
        enum verify_tier tier;
        enum verify_mark identity; /* certificate or binding of its keys */
        enum verify_mark parts[VERIFY_PARTS];
        size_t programs;        /* measured and known to the policy */
        char id[VERIFY_ID_MAX]; /* name of its EK, hex; "" when unknown */
        struct reasons reasons;
        /* Of VMs only: */
        uint8_t uuid[16];
        uint64_t epoch;
        uint32_t init_count;
        bool has_leaf; /* the three above are the host's word */
};

struct verify_result {
        enum verify_tier tier; /* the worst of all machines */
        struct challenge challenge;
        int64_t now;     /* when it was appraised */
        int64_t expires; /* challenge's time and the policy's age: a verdict does not stay */
        char policy[POLICY_NAME_MAX];
        /* The host's own words, worth something when they are what it measured (bind.about). */
        char ptpm[16]; /* embedded, swtpm, hardware, unknown */
        char tcb_version[32];
        char measured_by[16]; /* tcb, starter */
        bool supervised;      /* measured: a supervisor keeps the TCB's key and channels */
        bool ek_certified;    /* the CA saw a manufacturer's certificate of the TPM's EK */
        struct verify_machine *host;
        struct verify_machine *vms[CHALLENGE_VMS_MAX];
        size_t n_vms;
        struct verify_machine *machines; /* where host and vms point to */
};

struct verify_request {
        const struct evidence *evidence;
        const struct policy *policy;   /* NULL or empty: nothing is accepted */
        const struct x509_list *roots; /* of the fleet's CA */
        int64_t now;                   /* seconds since 1970 */
        const uint8_t *nonce;          /* of the challenge, or NULL: that of challenge.json */
};

/*
 * Appraises. Untrusted evidence is a result (contraindicated, with reasons), not an error; errors
 * are ERR_NO_MEMORY only.
 */
int verify_evidence(const struct verify_request *request, struct verify_result **ret_result,
                    struct err *err) MUST_CHECK;
void verify_result_free(struct verify_result *result);
DEFINE_CLEANUP(struct verify_result *, verify_result_free)
#define AUTO_VERIFY_RESULT CLEANUP(verify_result_free_p)

/*
 * Several hosts together: a vTPM or a VM's UUID that is alive on two of them makes both VMs
 * contraindicated (bind.twice).
 */
void verify_cross_check(struct verify_result *const *results, size_t n);

/* Whether a verdict may still be used at this time. */
bool verify_is_current(const struct verify_result *result, int64_t now);

/* "affirming", "warning", "contraindicated", "none" */
const char *verify_tier_name(enum verify_tier tier);
const char *verify_part_name(enum verify_part part);

#endif
