#include "swtpm/capabilities.h"

/*
 * Not there, since it is not so here: "tpm-1.2", "cmdarg-migration" (state shared between hosts),
 * "flags-opt-startup", "tpm2-rsa-keysize-3072", "cmdarg-create-config-files".
 */
const char capabilities_socket[] =
    "{ \"type\": \"swtpm\", \"features\": [ \"tpm-2.0\", \"cmdarg-seccomp\", \"cmdarg-key-fd\", "
    "\"cmdarg-pwd-fd\", \"nvram-backend-dir\", \"nvram-backend-file\" ], \"version\": "
    "\"" CAPABILITIES_VERSION "\" }\n";

const char capabilities_setup[] =
    "{ \"type\": \"swtpm_setup\", \"features\": [ \"tpm-2.0\", \"cmdarg-keyfile-fd\", "
    "\"cmdarg-pwdfile-fd\", \"cmdarg-reconfigure-pcr-banks\", \"tpm2-rsa-keysize-2048\" ], "
    "\"version\": \"" CAPABILITIES_VERSION "\" }\n";
