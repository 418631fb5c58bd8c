#include "crypto/ca-tpm.h"

#include <stdio.h>

#include <openssl/x509v3.h>

#include "crypto/pkey-evp.h"

#define OID_MANUFACTURER "2.23.133.2.1"
#define OID_MODEL        "2.23.133.2.2"
#define OID_VERSION      "2.23.133.2.3"

/* Two bytes of a positive INTEGER, neither more nor fewer. */
#define REVISION_MIN 0x80
#define REVISION_MAX 0x7fff
#define LEVEL_MAX    0x7f

DEFINE_CLEANUP(X509_NAME *, X509_NAME_free)
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)
DEFINE_CLEANUP(X509_EXTENSION *, X509_EXTENSION_free)

/* Numbers stand there as "id:" and eight digits. */
static int add_id(X509_NAME *name, const char *oid, uint32_t id)
{
        char text[sizeof("id:") + 8];

        (void)snprintf(text, sizeof(text), "id:%08X", id);
        return X509_NAME_add_entry_by_txt(name, oid, MBSTRING_UTF8, (const uint8_t *)text, -1, -1,
                                          0);
}

static int push_directory_name(GENERAL_NAMES *names, X509_NAME *name)
{
        GENERAL_NAME *entry = GENERAL_NAME_new();

        if (entry == NULL)
                return 0;
        entry->type = GEN_DIRNAME;
        entry->d.directoryName = X509_NAME_dup(name);
        if (entry->d.directoryName != NULL && sk_GENERAL_NAME_push(names, entry) > 0)
                return 1;
        GENERAL_NAME_free(entry);
        return 0;
}

/* Critical, as it must be where the subject is empty, and as swtpm_setup's always are. */
static int add_names(X509 *x, const struct ca_tpm *tpm, struct err *err)
{
        X509_NAME CLEANUP(X509_NAME_free_p) *name = X509_NAME_new();
        GENERAL_NAMES CLEANUP(GENERAL_NAMES_free_p) *names = GENERAL_NAMES_new();

        if (name == NULL || names == NULL ||
            add_id(name, OID_MANUFACTURER, tpm->manufacturer) != 1 ||
            X509_NAME_add_entry_by_txt(name, OID_MODEL, MBSTRING_UTF8, (const uint8_t *)tpm->model,
                                       -1, -1, 0) != 1 ||
            add_id(name, OID_VERSION, tpm->version) != 1 || push_directory_name(names, name) != 1 ||
            X509_add1_ext_i2d(x, NID_subject_alt_name, names, 1, X509V3_ADD_DEFAULT) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "name of a TPM");
        return 0;
}

/* The directory attribute TPMSpecification, {"2.0", level, revision}. */
static int add_specification(X509 *x, const struct ca_tpm *tpm, struct err *err)
{
        X509_EXTENSION CLEANUP(X509_EXTENSION_free_p) *extension = NULL;
        char value[128];

        if (tpm->level > LEVEL_MAX || tpm->revision < REVISION_MIN || tpm->revision > REVISION_MAX)
                return err_set(err, ERR_USAGE, "a TPM of level %u, revision %u", tpm->level,
                               tpm->revision);
        (void)snprintf(value, sizeof(value),
                       "DER:30193017"
                       "0605678105"
                       "0210"
                       "310e300c"
                       "0c03322e30"
                       "0201%02x"
                       "0202%04x",
                       tpm->level, tpm->revision);
        extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_directory_attributes, value);
        if (extension == NULL || X509_add_ext(x, extension, -1) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "specification of a TPM");
        return 0;
}

int ca_tpm_add(X509 *x, const struct ca_tpm *tpm, struct err *err)
{
        int rc = add_names(x, tpm, err);

        return rc != 0 ? rc : add_specification(x, tpm, err);
}
