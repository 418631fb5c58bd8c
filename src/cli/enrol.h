/*
 * Enrolment of a host: its AK is certified once it was proved to live in the TPM of its EK.
 */
#ifndef CLI_ENROL_H
#define CLI_ENROL_H

#include "cli/client.h"
#include "crypto/x509.h"

struct enrol_request {
        const char *ca_dir;   /* a CA's directory (catena ca init) */
        const char *ek_roots; /* PEM file of TPM manufacturers' CAs that are trusted, or NULL */
        unsigned days;
};

/* What the host is, by its own word but for the certificate. */
struct enrol_result {
        char host[64];
        char ptpm[33];
        char manufacturer[17];
        char vendor[33];
        char firmware[33];
        bool ek_certified; /* and the AK's certificate says so */
        char ek_issuer[X509_NAME_MAX];
};

/*
 * With ek_roots a host whose EK has no certificate under one of them is refused
 * (ERR_NOT_TRUSTED); without, no certificate is looked at and the AK's certificate promises none.
 */
int enrol_host(struct client *client, const struct enrol_request *request,
               struct enrol_result *ret_result, struct err *err) MUST_CHECK;

#endif
