/* Parses an IMA list, verifies its entries and replays it. */
#include "evlog/ima.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t value[HASH_SIZE_MAX] = {1};
        struct ima_log AUTO_IMA_LOG *log = NULL;
        struct ima_replay replay;
        struct err err = {0};

        if (ima_log_parse((struct bytes){data, size}, &log, &err) != 0)
                return 0;
        for (size_t i = 0; i < log->count; i++) {
                bool verified;

                (void)!ima_entry_verify(log, &log->entries[i], &verified, &err);
        }
        (void)ima_log_boot_aggregate(log);
        ima_replay_init(&replay, hash_by_tpm_id(HASH_TPM_SHA256), IMA_PCR);
        (void)!ima_replay_find(&replay, log, value, &err);
        (void)!ima_replay_run(&replay, log, log->count, &err);
        return 0;
}
