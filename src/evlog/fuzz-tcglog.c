/* Parses a TCG event log and does with it everything that an appraisal does. */
#include "evlog/event-text.h"
#include "evlog/facts.h"
#include "evlog/findings.h"
#include "evlog/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct tcglog *log, struct err *err)
{
        static struct findings findings;
        static struct replay replay;
        struct facts AUTO_FACTS *facts = NULL;

        for (size_t i = 0; i < log->event_count; i++) {
                enum event_verdict verdict;
                char text[TEXT_SIZE];

                if (event_verify(log, &log->events[i], &verdict, err) == 0)
                        (void)event_text(&log->events[i], verdict, text, sizeof(text));
        }
        (void)!replay_run(log, &replay, err);
        (void)!findings_collect(log, &findings, err);
        (void)!facts_collect(log, hash_by_tpm_id(HASH_TPM_SHA256), &facts, err);
        for (size_t i = 0; facts != NULL && i < facts->count; i++) {
                char text[TEXT_SIZE];

                (void)fact_text(&facts->list[i], text, sizeof(text));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct tcglog AUTO_TCGLOG *log = NULL;
        struct err err = {0};

        if (tcglog_parse((struct bytes){data, size}, &log, &err) == 0)
                use(log, &err);
        return 0;
}
