/*
 * The keys of this host: the storage key, which the pTPM gives back only under the boot that it
 * was sealed under, and the pTPM's AK and CEK, whose authorisation value comes from it.
 */
#ifndef TCB_KEYS_H
#define TCB_KEYS_H

#include "store/store.h"
#include "tcb/keeper.h"
#include "tcb/ptpm.h"
#include "tpmwire/name.h"

struct host_keys {
        struct bytes ak_pub; /* views into memory below: TPM2B_PUBLIC, TPMS_ATTEST ... */
        struct bytes cek_pub;
        struct bytes cek_attest;
        struct bytes cek_signature;
        struct tpm_name ak_name;
        struct tpm_name cek_name;
        uint8_t *memory;
};

/* Whether the store has keys of this host already: then its TPM is never made anew. */
bool host_keys_exist(struct store *store);

/*
 * Unlocks the store with the unsealed storage key, or seals a new one into an empty store; then
 * loads AK and CEK or makes them. A supervisor (keeper, or NULL) keeps the key for the TCBs after
 * this one, which do not unseal it. ERR_NOT_TRUSTED: the pTPM does not unseal, the host booted
 * something else, or its EK is not the one of the first start. ERR_ROLLBACK and ERR_DAMAGED as
 * store_unlock().
 */
int host_keys_load(struct store *store, struct ptpm *ptpm, struct keeper *keeper,
                   struct host_keys *ret_keys, struct err *err) MUST_CHECK;
void host_keys_done(struct host_keys *keys);

#endif
