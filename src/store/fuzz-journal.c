/* Bytes from the disk as the journal of saves. */
#include <stdlib.h>

#include "base/writer.h"
#include "store/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A record that parses is written again as the same bytes. */
static void compare(struct journal_record *record)
{
        uint8_t AUTO_FREE *memory = malloc(JOURNAL_RECORD_MAX);
        struct journal_save save;
        struct bytes body;
        struct writer w;

        if (memory == NULL)
                return;
        writer_init_fixed(&w, memory, JOURNAL_RECORD_MAX);
        journal_record_begin(&w, record->generation);
        for (uint32_t i = 0; i < record->count; i++) {
                if (journal_record_next(record, &save) != 0)
                        abort();
                journal_record_add(&w, &save);
        }
        body = journal_record_body(&w);
        if (writer_check(&w) != 0 || !bytes_equal(body, record->body))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct journal_record record;
        struct err err = {0};
        size_t offset;

        if (journal_record_parse((struct bytes){data, size}, &record, &err) == 0)
                compare(&record);
        if (journal_record_find((struct bytes){data, size}, 1, &offset) &&
            (offset >= size || offset % JOURNAL_BLOCK != 0))
                abort();
        return 0;
}
