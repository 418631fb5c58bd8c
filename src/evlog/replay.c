#include "evlog/replay.h"

#include <string.h>

static int extend(struct replay_bank *bank, const struct tcglog *log,
                  const struct tcglog_event *event, const uint8_t *digest, struct err *err)
{
        uint32_t bit = UINT32_C(1) << event->pcr;
        uint8_t *pcr = bank->pcrs[event->pcr];
        int rc;

        if (digest == NULL) {
                bank->incomplete |= bit;
                return 0;
        }
        if ((bank->extended & bit) == 0) {
                memset(pcr, 0, bank->alg->size);
                if (event->pcr == 0)
                        pcr[bank->alg->size - 1] = log->pcr0_initial;
                bank->extended |= bit;
        }
        rc = hash_extend(bank->alg, pcr, digest, err);
        return rc == 0 ? 0 : err_wrap(err, "replay event %u", event->n);
}

static int run(const struct tcglog *log, size_t index, struct replay_bank *bank, struct err *err)
{
        bank->alg = log->banks[index].alg;
        bank->extended = 0;
        bank->incomplete = 0;
        for (size_t i = 0; i < log->event_count; i++) {
                const struct tcglog_event *event = &log->events[i];
                int rc;

                if (!tcglog_event_extends(event))
                        continue;
                rc = extend(bank, log, event, event->digests[index], err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

int replay_run(const struct tcglog *log, struct replay *ret_replay, struct err *err)
{
        ret_replay->count = 0;
        for (size_t i = 0; i < log->bank_count; i++) {
                struct replay_bank *bank = &ret_replay->banks[ret_replay->count];
                int rc;

                if (log->banks[i].alg == NULL)
                        continue;
                rc = run(log, i, bank, err);
                if (rc != 0)
                        return rc;
                if (bank->extended != 0)
                        ret_replay->count++;
        }
        return 0;
}

int replay_run_bank(const struct tcglog *log, const struct hash_alg *alg,
                    struct replay_bank *ret_bank, struct err *err)
{
        int index = tcglog_bank_index(log, alg);
        int rc;

        if (index < 0)
                return err_set(err, ERR_NOT_FOUND, "the log has no %s bank", alg->name);
        rc = run(log, (size_t)index, ret_bank, err);
        if (rc == 0 && ret_bank->extended == 0)
                rc = err_set(err, ERR_NOT_FOUND, "the log never extends %s", alg->name);
        return rc;
}

const struct replay_bank *replay_find_bank(const struct replay *replay, const struct hash_alg *alg)
{
        for (size_t i = 0; i < replay->count; i++)
                if (replay->banks[i].alg == alg)
                        return &replay->banks[i];
        return NULL;
}

const uint8_t *replay_bank_pcr(const struct replay_bank *bank, uint32_t pcr)
{
        if (pcr >= TCGLOG_PCR_COUNT)
                return NULL;
        if (((bank->extended & ~bank->incomplete) >> pcr & 1) == 0)
                return NULL;
        return bank->pcrs[pcr];
}

const uint8_t *replay_pcr(const struct replay *replay, const struct hash_alg *alg, uint32_t pcr)
{
        const struct replay_bank *bank = replay_find_bank(replay, alg);

        return bank == NULL ? NULL : replay_bank_pcr(bank, pcr);
}
