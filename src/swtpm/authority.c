#include "swtpm/authority.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "tpmwire/pubkey.h"

#define ROOT_NAME "catena-swtpm-EK-CA"
#define CERT_DAYS 3650

static int choose_dir(const struct state_place *place, char ret_dir[PATH_MAX], struct err *err)
{
        const char *chosen = getenv(AUTHORITY_ENV);

        if (chosen != NULL && chosen[0] == '/' && strlen(chosen) < PATH_MAX) {
                memcpy(ret_dir, chosen, strlen(chosen) + 1);
                return 0;
        }
        if (chosen != NULL)
                return err_set(err, ERR_USAGE, AUTHORITY_ENV " is no absolute path");
        if (access(AUTHORITY_DIR, W_OK | X_OK) == 0)
                return fs_join(ret_dir, PATH_MAX, AUTHORITY_DIR, AUTHORITY_NAME, err);
        if (place->dir != NULL)
                return fs_join(ret_dir, PATH_MAX, place->dir, AUTHORITY_NAME, err);
        return err_set(err, ERR_USAGE,
                       "no directory for the CA: " AUTHORITY_DIR
                       " cannot be written and " AUTHORITY_ENV " names none");
}

/* Two setups at a time make one authority: the second finds the first one's. */
static int make(const char *dir, struct err *err)
{
        int AUTO_FD fd = -1;
        int rc = fs_make_dir(dir, 0700, err);

        if (rc != 0)
                return rc;
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) < 0)
                return err_set_errno(err, errno, "%s", dir);
        rc = ca_create(dir, ROOT_NAME, CA_DAYS_MAX, (int64_t)time(NULL), err);
        return rc == ERR_CONFLICT ? 0 : rc;
}

int authority_open(const struct state_place *place, struct ca **ret_ca, struct err *err)
{
        char dir[PATH_MAX];
        int rc = choose_dir(place, dir, err);

        if (rc == 0)
                rc = make(dir, err);
        if (rc == 0)
                rc = ca_open(dir, ret_ca, err);
        return rc != 0 ? err_wrap(err, "CA for endorsement keys") : 0;
}

/* The name in front of the UUID, with what a certificate's name may not have left out. */
static void name_of(const char *vmid, char ret_name[CA_NAME_MAX + 1])
{
        size_t n = 0;

        for (const char *c = vmid; *c != '\0' && *c != ':' && n < CA_NAME_MAX; c++) {
                const bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                                  (*c >= '0' && *c <= '9') || *c == '.' || *c == '_' || *c == '-';

                ret_name[n++] = '_';
                if (good)
                        ret_name[n - 1] = *c;
        }
        ret_name[n] = '\0';
        if (n == 0)
                memcpy(ret_name, "vm", sizeof("vm"));
}

int authority_certify(const struct ca *ca, const struct authority_request *wanted,
                      uint8_t **ret_der, size_t *ret_len, struct err *err)
{
        struct x509_cert AUTO_X509 *cert = NULL;
        struct pkey AUTO_PKEY *key = NULL;
        char name[CA_NAME_MAX + 1];
        struct ca_request request = {.profile = X509_EK,
                                     .name = name,
                                     .tpm = wanted->tpm,
                                     .days = CERT_DAYS,
                                     .now = (int64_t)time(NULL)};
        struct tpm_public parsed;
        int rc = tpm_public_parse(wanted->public, &parsed, err);

        name_of(wanted->vmid, name);
        if (rc == 0)
                rc = pubkey_from_tpm(&parsed, &key, err);
        request.key = key;
        if (rc == 0)
                rc = ca_issue(ca, &request, &cert, err);
        if (rc == 0)
                rc = x509_to_der(cert, ret_der, ret_len, err);
        return rc != 0 ? err_wrap(err, "certificate of an endorsement key") : 0;
}
