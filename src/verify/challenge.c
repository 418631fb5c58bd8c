#include "verify/challenge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct open_challenge {
        uint8_t nonce[CHALLENGE_NONCE_SIZE];
        int64_t deadline;
        bool used;
};

/*
 * A ring in the order of issue. All live equally long, so those that expire first stand first.
 */
struct challenge_book {
        struct open_challenge *ring;
        size_t max;
        size_t first;
        size_t n;
        unsigned lifetime;
};

static struct challenge_book *book_alloc(size_t max, unsigned lifetime)
{
        struct challenge_book *book = calloc(1, sizeof(*book));

        if (book == NULL)
                return NULL;
        book->max = max;
        book->lifetime = lifetime;
        book->ring = calloc(max, sizeof(book->ring[0]));
        if (book->ring != NULL)
                return book;
        free(book);
        return NULL;
}

int challenge_book_new(size_t max, unsigned lifetime, struct challenge_book **ret_book,
                       struct err *err)
{
        struct challenge_book *book;

        if (max == 0 || max > CHALLENGE_OPEN_MAX)
                return err_set(err, ERR_LIMIT, "room for %zu challenges", max);
        book = book_alloc(max, lifetime);
        if (book == NULL)
                return err_set(err, ERR_NO_MEMORY, "book of %zu challenges", max);
        *ret_book = book;
        return 0;
}

void challenge_book_free(struct challenge_book *book)
{
        if (book == NULL)
                return;
        free(book->ring);
        free(book);
}

static void forget_finished(struct challenge_book *book, int64_t now)
{
        while (book->n > 0) {
                const struct open_challenge *oldest = &book->ring[book->first];

                if (!oldest->used && now <= oldest->deadline)
                        return;
                book->first = (book->first + 1) % book->max;
                book->n--;
        }
}

int challenge_issue(struct challenge_book *book, int64_t now,
                    uint8_t ret_nonce[CHALLENGE_NONCE_SIZE], struct err *err)
{
        struct open_challenge *next;
        struct open_challenge made = {.deadline = now + book->lifetime};

        forget_finished(book, now);
        if (book->n == book->max)
                return err_set(err, ERR_LIMIT, "%zu challenges wait for answers", book->n);
        if (getrandom(made.nonce, sizeof(made.nonce), 0) != (ssize_t)sizeof(made.nonce))
                return err_set_errno(err, errno, "random bytes for a nonce");
        next = &book->ring[(book->first + book->n) % book->max];
        *next = made;
        book->n++;
        memcpy(ret_nonce, made.nonce, sizeof(made.nonce));
        return 0;
}

int challenge_redeem(struct challenge_book *book, const uint8_t nonce[CHALLENGE_NONCE_SIZE],
                     int64_t now, struct err *err)
{
        for (size_t i = 0; i < book->n; i++) {
                struct open_challenge *open = &book->ring[(book->first + i) % book->max];

                if (open->used || memcmp(open->nonce, nonce, sizeof(open->nonce)) != 0)
                        continue;
                open->used = true;
                if (now > open->deadline)
                        return err_set(err, ERR_TIMEOUT, "the answer came after the deadline");
                return 0;
        }
        return err_set(err, ERR_NOT_TRUSTED, "no open challenge has this nonce");
}
