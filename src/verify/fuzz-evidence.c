/*
 * A whole set of evidence from outside: whatever it holds, the verdict is a verdict, and as no
 * root is trusted it refuses. Report and claims are made of it as well.
 */
#include <stdlib.h>

#include "verify/evidence.h"
#include "verify/jwt.h"
#include "verify/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct evidence *evidence)
{
        struct verify_request request = {.evidence = evidence, .now = 1800000005};
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
        struct writer AUTO_WRITER w = {0};
        json_t AUTO_JSON *json = NULL;
        struct err err = {0};

        writer_init(&w, REPORT_SIZE_MAX);
        if (verify_evidence(&request, &result, &err) != 0)
                abort();
        if (result->tier != VERIFY_CONTRAINDICATED)
                abort();
        report_put(&w, result);
        if (report_to_json(result, &json, &err) != 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct err err = {0};

        if (evidence_decode((struct bytes){data, size}, &evidence, &err) == 0)
                judge(evidence);
        return 0;
}
