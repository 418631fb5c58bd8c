#include "tpm/identity.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tpm/esys.h"

#define FIRST TPM2_PT_MANUFACTURER
#define LAST  TPM2_PT_FIRMWARE_VERSION_2
#define COUNT (LAST - FIRST + 1)

/*
 * TPMs that are programs, by manufacturer and the beginning of the vendor string: libtpms (swtpm,
 * and with it every QEMU guest's), the reference simulator and Hyper-V's, VMware's.
 */
static const struct {
        const char *manufacturer;
        const char *vendor;
} programs[] = {
    {"IBM", "SW"},
    {"MSFT", ""},
    {"VMW", ""},
};

/* Four characters to a value, padded with NUL or spaces. */
static void put_word(const uint32_t *values, size_t n, char *ret_word)
{
        size_t len = 0;
        size_t end = 0;

        for (size_t i = 0; i < 4 * n; i++) {
                char c = (char)(values[i / 4] >> (24 - 8 * (i % 4)));

                if (c != '\0' && c != ' ')
                        end = len + 1;
                if (c != '\0')
                        ret_word[len++] =
                            isalnum((unsigned char)c) || c == '.' || c == '-' ? c : '_';
        }
        if (end == 0)
                ret_word[end++] = '-';
        ret_word[end] = '\0';
}

static bool is_program(const struct tpm_identity *identity)
{
        for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
                if (strcmp(identity->manufacturer, programs[i].manufacturer) == 0 &&
                    strncmp(identity->vendor, programs[i].vendor, strlen(programs[i].vendor)) == 0)
                        return true;
        return false;
}

/* A TPM may give fewer properties at a time than were asked for (Part 3, 30.2). */
static int read_properties(struct tpm *tpm, uint32_t ret_values[COUNT], struct err *err)
{
        uint32_t next = FIRST;
        TPMI_YES_NO more = TPM2_YES;

        memset(ret_values, 0, COUNT * sizeof(*ret_values));
        while (more == TPM2_YES && next <= LAST) {
                TPMS_CAPABILITY_DATA AUTO_ESYS *data = NULL;
                const TPML_TAGGED_TPM_PROPERTY *list;
                TSS2_RC rc = Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                                TPM2_CAP_TPM_PROPERTIES, next, LAST - next + 1,
                                                &more, &data);

                if (tpm_result(tpm, rc, err, "read what the TPM is") != 0)
                        return err->code;
                list = &data->data.tpmProperties;
                if (list->count == 0 || list->count > TPM2_MAX_TPM_PROPERTIES)
                        return 0;
                for (UINT32 i = 0; i < list->count; i++)
                        if (list->tpmProperty[i].property >= FIRST &&
                            list->tpmProperty[i].property <= LAST)
                                ret_values[list->tpmProperty[i].property - FIRST] =
                                    list->tpmProperty[i].value;
                if (list->tpmProperty[list->count - 1].property < next)
                        return err_set(err, ERR_TPM, "the TPM lists its properties backwards");
                next = list->tpmProperty[list->count - 1].property + 1;
        }
        return 0;
}

int tpm_identify(struct tpm *tpm, struct tpm_identity *ret_identity, struct err *err)
{
        struct tpm_identity identity = {.is_software = false};
        uint32_t values[COUNT];
        uint32_t high;
        uint32_t low;

        if (read_properties(tpm, values, err) != 0)
                return err->code;
        put_word(values, 1, identity.manufacturer);
        put_word(values + TPM2_PT_VENDOR_STRING_1 - FIRST, 4, identity.vendor);
        high = values[TPM2_PT_FIRMWARE_VERSION_1 - FIRST];
        low = values[LAST - FIRST];
        (void)snprintf(identity.firmware, sizeof(identity.firmware), "%u.%u.%u.%u", high >> 16,
                       high & 0xffff, low >> 16, low & 0xffff);
        identity.is_software = is_program(&identity);
        *ret_identity = identity;
        return 0;
}
