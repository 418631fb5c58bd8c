/*
 * Challenges: fresh nonces from the kernel, each good for one answer until its deadline, and the
 * record of what was asked (challenge.json), which the verifier keeps beside the evidence.
 * Nothing that a peer sends ever becomes a nonce.
 */
#ifndef VERIFY_CHALLENGE_H
#define VERIFY_CHALLENGE_H

#include <stdint.h>

#include "base/reader.h"
#include "verify/evidence.h"

#define CHALLENGE_NONCE_SIZE 32
#define CHALLENGE_VMS_MAX    256
#define CHALLENGE_OPEN_MAX   65536 /* challenges that may wait for an answer */
#define CHALLENGE_JSON_MAX   65536 /* bytes */
#define CHALLENGE_TIME_MAX   32    /* bytes of an RFC 3339 time with its NUL */

/* The book of open challenges: in memory, one thread. */
struct challenge_book;

/* Room for at most max open challenges, each for lifetime seconds. */
int challenge_book_new(size_t max, unsigned lifetime, struct challenge_book **ret_book,
                       struct err *err) MUST_CHECK;
void challenge_book_free(struct challenge_book *book);
DEFINE_CLEANUP(struct challenge_book *, challenge_book_free)
#define AUTO_CHALLENGE_BOOK CLEANUP(challenge_book_free_p)

/* A new nonce. now is in seconds of a clock that never goes back. ERR_LIMIT: too many open. */
int challenge_issue(struct challenge_book *book, int64_t now,
                    uint8_t ret_nonce[CHALLENGE_NONCE_SIZE], struct err *err) MUST_CHECK;

/*
 * Takes a nonce out of the book, whatever comes of its answer. ERR_NOT_TRUSTED when it was never
 * issued or was used, ERR_TIMEOUT after its deadline.
 */
int challenge_redeem(struct challenge_book *book, const uint8_t nonce[CHALLENGE_NONCE_SIZE],
                     int64_t now, struct err *err) MUST_CHECK;

/* What was asked. */
struct challenge {
        uint8_t nonce[CHALLENGE_NONCE_SIZE];
        int64_t time; /* seconds since 1970 */
        char host[EVIDENCE_COMPONENT_MAX + 1];
        char vms[CHALLENGE_VMS_MAX][EVIDENCE_COMPONENT_MAX + 1];
        size_t n_vms;
        bool all; /* these were said to be all VMs of the host */
};

/* challenge.json; free() it. Reading is strict: no unknown, doubled or missing member. */
int challenge_to_json(const struct challenge *challenge, char **ret_text,
                      struct err *err) MUST_CHECK;
int challenge_from_json(struct bytes text, struct challenge *ret_challenge,
                        struct err *err) MUST_CHECK;

/* "2026-11-22T02:03:04Z" and back; only this form of RFC 3339, in UTC, is read. */
const char *challenge_time_text(int64_t time, char ret_text[CHALLENGE_TIME_MAX]);
int challenge_time_parse(const char *text, int64_t *ret_time, struct err *err) MUST_CHECK;

#endif
