/*
 * For the tests of the verifier: judging evidence of the builder, and real boots as what its
 * machines booted.
 */
#ifndef VERIFY_TEST_JUDGE_H
#define VERIFY_TEST_JUDGE_H

#include "lib/evidence-builder.h"
#include "verify/verify.h"

/*
 * The verdict 5 seconds after the challenge, by a policy that knows the host's software alone, and
 * by this policy; fails on errors.
 */
struct verify_result *judge_plain(const struct evidence *evidence, const struct builder *b);
struct verify_result *judge_by(const struct evidence *evidence, const struct builder *b,
                               const struct policy *policy);

/* A fresh copy of a set of evidence; puts one blob of another set into it. */
struct evidence *judge_copy(const struct evidence *from);
void judge_take(struct evidence *to, const char *path, const struct evidence *from,
                const char *from_path);

/* Fails the test unless this machine is refused for this reason (all are printed then). */
void judge_refused(const struct verify_result *result, const struct verify_machine *machine,
                   const char *row, const char *id);
void judge_print(const struct verify_machine *machine);

/* A real boot of the fixtures: its logs, its PCRs, and what its own vTPM signed. */
struct judge_boot {
        uint8_t *files[6]; /* TCG log, IMA log, PCRs in words, AK, quote, signature */
        size_t lens[6];
};

/* Reads "boots/<name>" of the fixtures, and frees it; views of one of its files; its PCRs. */
void judge_boot_read(struct judge_boot *boot, const char *name);
void judge_boot_done(struct judge_boot *boot);
struct bytes judge_boot_file(const struct judge_boot *boot, size_t i);
void judge_boot_pcrs(const struct judge_boot *boot, uint8_t pcrs[24][32]);

/* Gives the boot to all VMs. */
void judge_boot_into(const struct judge_boot *boot, struct builder *b);

/*
 * The policy that is learned from the boot "good"; with the host's software of the builder; that
 * software alone.
 */
struct policy *judge_learn_boot(const struct judge_boot *boot);
struct policy *judge_learn(const struct judge_boot *boot);
void judge_add_host(struct policy *policy);

#endif
