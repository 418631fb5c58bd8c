#include "tcb/listing.h"

#include <stdlib.h>

#include "base/clock.h"
#include "tcb/vtpm-answer.h"

#define PRECISE_MAX 256 /* engines whose memory a list measures precisely */
#define TURN_USEC   500

struct listing {
        struct listing *next;
        struct tcb *tcb;
        struct request *request;
        sd_event_source *source;
        const struct instance *at; /* the next one */
        size_t live;               /* so far */
};

static void listing_free(struct listing *listing)
{
        struct listing **at = &listing->tcb->listings;

        while (*at != listing)
                at = &(*at)->next;
        *at = listing->next;
        sd_event_source_disable_unref(listing->source);
        free(listing);
}

static int on_turn(sd_event_source *source, void *user)
{
        struct listing *listing = user;
        struct request *request = listing->request;
        const uint64_t start = clock_usec();

        (void)source;
        while (listing->at != NULL && clock_usec() - start < TURN_USEC) {
                vtpm_send(request, listing->at, listing->live < PRECISE_MAX);
                listing->live += listing->at->engine != NULL;
                listing->at = listing->at->next;
        }
        if (listing->at != NULL)
                return 0;
        listing_free(listing);
        request_done(request);
        return 0;
}

int listing_start(struct tcb *tcb, struct request *request, struct err *err)
{
        struct listing *listing = calloc(1, sizeof(*listing));
        int rc;

        if (listing == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        *listing = (struct listing){
            .next = tcb->listings, .tcb = tcb, .request = request, .at = tcb->instances.first};
        rc = sd_event_add_defer(tcb->event, &listing->source, on_turn, listing);
        if (rc >= 0)
                rc = sd_event_source_set_enabled(listing->source, SD_EVENT_ON);
        if (rc < 0) {
                sd_event_source_disable_unref(listing->source);
                free(listing);
                return err_set_errno(err, -rc, "list vTPMs");
        }
        tcb->listings = listing;
        return 0;
}

void listings_forget(struct tcb *tcb, const struct instance *instance)
{
        for (struct listing *listing = tcb->listings; listing != NULL; listing = listing->next)
                if (listing->at == instance)
                        listing->at = instance->next;
}

void listings_free(struct tcb *tcb)
{
        struct err err = {0};

        (void)err_set(&err, ERR_UNREACHABLE, "the trusted core ends");
        while (tcb->listings != NULL) {
                struct request *request = tcb->listings->request;

                listing_free(tcb->listings);
                request_fail(request, &err);
        }
}
