/* A certificate from outside: DER, padded DER and PEM, then everything that reads from it. */
#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct x509_cert *cert)
{
        struct x509_list self = {.certs = {(struct x509_cert *)cert}, .n = 1};
        struct x509_info info;
        struct err err = {0};

        if (x509_describe(cert, &info, &err) != 0)
                err.code = ERR_OK;
        for (unsigned profile = 0; profile < X509_PROFILES; profile++) {
                struct x509_check check = {.leaf = cert,
                                           .roots = &self,
                                           .profile = (enum x509_profile)profile,
                                           .now = 1800000000};
                if (x509_verify(&check, &err) != 0)
                        err.code = ERR_OK;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct x509_cert AUTO_X509 *cert = NULL;
        struct x509_list AUTO_X509_LIST list = {.n = 0};
        struct bytes bytes = {data, size};
        struct err err = {0};

        if (x509_from_padded_der(bytes, &cert, &err) == 0)
                use(cert);
        if (x509_list_from_pem(bytes, &list, &err) == 0)
                use(list.certs[0]);
        return 0;
}
