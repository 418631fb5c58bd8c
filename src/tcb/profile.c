#include "tcb/profile.h"

#include <stdio.h>
#include <string.h>

#include "crypto/drbg.h"
#include "wire/engine.h"

#define TEMPLATES "tcg-ek-2.4"

const struct profile profile_known = {
    .text = "libtpms 0.9.2, algorithms 627c94dc, templates " TEMPLATES,
    .names =
        {
            [TPM_EK_P256] = "000b9cabd02f922e8d1a795b37b7a270aa2a89d38c05cd5cc338b5ef40cf25c82c10",
            [TPM_EK_RSA2048] =
                "000b613108cee75753ab2cfdf6a38c7dbbe0f3f014e29f4ad2a714bf0a3223f107c4",
            [TPM_EK_P384] = "000c70baae3569d10b08ef1a258447225efe6e5b0f1e0582daf4132b6d960a6ea800a4"
                            "ef05746e3f0c4c05ed207c677b8b03",
        },
};

void profile_describe(const char *libtpms, const uint8_t algorithms[4],
                      char ret_text[BLOCK_PROFILE_MAX + 1])
{
        (void)snprintf(ret_text, BLOCK_PROFILE_MAX + 1,
                       "libtpms %.32s, algorithms %02x%02x%02x%02x, templates " TEMPLATES, libtpms,
                       algorithms[0], algorithms[1], algorithms[2], algorithms[3]);
}

int profile_seed(const struct secret *base, const uint8_t uuid[BLOCK_UUID_LEN],
                 struct secret **ret_seed, struct err *err)
{
        return drbg_expand(
            &(struct drbg_request){.seed = base,
                                   .nonce = {uuid, BLOCK_UUID_LEN},
                                   .personalization = {(const uint8_t *)profile_known.text,
                                                       strlen(profile_known.text)},
                                   .len = ENGINE_SEED_SIZE},
            ret_seed, err);
}
