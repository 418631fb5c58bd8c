/* catena vtpm ek: a vTPM's endorsement keys. */
#include <stdio.h>

#include "base/hex.h"
#include "cli/list.h"
#include "tpmwire/ek.h"
#include "tpmwire/name.h"

static int add_key(struct list *list, const struct wire_frame *frame, struct err *err)
{
        struct tcb_vtpm_key key;
        struct tpm_public public;
        struct tpm_name name;
        char hex[2 * TPM_NAME_MAX + 1];
        char public_hex[2 * TPM_PUBLIC_MAX + 1];
        char handle[16];
        char index[16];
        const struct tpm_ek *ek;

        if (wire_frame_decode(frame, &key, sizeof(key), err) != 0)
                return err->code;
        if (key.kind >= TPM_EK_COUNT || key.public.len > TPM_PUBLIC_MAX)
                return err_set(err, ERR_MALFORMED, "endorsement key of kind %u", key.kind);
        if (tpm_public_parse(key.public, &public, err) != 0 ||
            tpm_name_of_public(&public, &name, err) != 0)
                return err->code;
        ek = tpm_ek((enum tpm_ek_kind)key.kind);
        (void)snprintf(handle, sizeof(handle), "0x%08x", ek->handle);
        (void)snprintf(index, sizeof(index), "0x%08x", ek->cert_index);
        (void)hex_encode(name.data, name.len, hex);
        return list_add(list,
                        json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", ek->name, "handle", handle,
                                  "certificate_index", index, "name", hex, "public",
                                  hex_encode(key.public.data, key.public.len, public_hex)),
                        (const char *const[]){ek->name, handle, index, hex}, err);
}

static int run_ek(struct cli *cli, struct err *err)
{
        static const char *const columns[] = {"KEY", "HANDLE", "CERTIFICATE", "NAME", NULL};
        const struct tcb_vtpm_ek request = {.name = wire_text(cli_arg(cli, 0))};

        return list_run(cli,
                        &(const struct list_kind){"eks", columns, tcb_vtpm_ek_code, &request,
                                                  tcb_vtpm_key_code, add_key},
                        err);
}

const struct cli_verb cli_vtpm_ek_verbs[] = {
    {"vtpm", "ek", "NAME", "show a vTPM's endorsement keys, their handles and names",
     "In JSON with their public areas (TPM2B_PUBLIC). CERTIFICATE is the NV index where the "
     "profile "
     "wants the key's certificate.",
     NULL, run_ek},
    {0},
};
