#include "verify/ear.h"

#include <stdio.h>
#include <string.h>

#include "base/writer.h"
#include "verify/base64url.h"
#include "verify/jwt.h"

#define POLICY_URI_MAX (3 * POLICY_NAME_MAX + 32)
#define NONCE_TEXT     (BASE64URL_LEN(CHALLENGE_NONCE_SIZE) + 1)

/* AR4SI 2.3.4: the values that we give. */
enum {
        CLAIM_NONE = 0,
        CLAIM_GOOD = 2,
        CLAIM_APPROVED_BOOT = 3, /* executables: up to the kernel, not beyond */
        CLAIM_UNSAFE = 32,
        CLAIM_CONTRAINDICATED = 96,
        CLAIM_UNRECOGNISED = 97,
};

static int claim_of(enum verify_mark mark)
{
        if (mark == VERIFY_OK)
                return CLAIM_GOOD;
        return mark == VERIFY_BAD ? CLAIM_CONTRAINDICATED : CLAIM_NONE;
}

static int worst_claim(const struct verify_machine *machine, const enum verify_part *parts,
                       size_t n)
{
        int worst = CLAIM_NONE;

        for (size_t i = 0; i < n; i++) {
                int claim = claim_of(machine->parts[parts[i]]);

                /* A part that was not measured takes the word from the whole. */
                if (claim == CLAIM_NONE && worst < CLAIM_UNSAFE)
                        return CLAIM_NONE;
                if (claim > worst)
                        worst = claim;
        }
        return worst;
}

static int executables(const struct verify_machine *machine)
{
        static const enum verify_part boot[] = {VERIFY_BOOT_LOADER, VERIFY_KERNEL, VERIFY_INITRD};
        int claim = worst_claim(machine, boot, ARRAY_SIZE(boot));

        if (machine->parts[VERIFY_PROGRAMS] == VERIFY_BAD)
                return CLAIM_CONTRAINDICATED;
        if (claim == CLAIM_GOOD && machine->parts[VERIFY_PROGRAMS] != VERIFY_OK)
                return CLAIM_APPROVED_BOOT;
        return claim;
}

/* That a TPM is hardware is its own word: no claim until the CA saw its EK's certificate. */
static int hardware(const struct verify_result *result)
{
        if (strcmp(result->ptpm, "hardware") != 0)
                return CLAIM_UNSAFE;
        return result->ek_certified && result->host->tier != VERIFY_CONTRAINDICATED ? CLAIM_GOOD
                                                                                    : CLAIM_NONE;
}

static json_t *vector_of(const struct verify_result *result, const struct verify_machine *machine)
{
        static const enum verify_part configuration[] = {VERIFY_COMMAND_LINE};
        bool is_host = machine == result->host;

        return json_pack(
            "{s:i, s:i, s:i, s:i}", "instance-identity",
            machine->identity == VERIFY_OK ? CLAIM_GOOD : CLAIM_UNRECOGNISED, "configuration",
            worst_claim(machine, configuration, ARRAY_SIZE(configuration)), "executables",
            executables(machine), "hardware", is_host ? hardware(result) : CLAIM_NONE);
}

static json_t *reasons_of(const struct verify_machine *machine)
{
        json_t *list = json_array();

        for (size_t i = 0; i < machine->reasons.count; i++) {
                const struct reason *reason = &machine->reasons.items[i];

                /* Text that is no UTF-8 is refused by jansson; then the id must do. */
                json_t *text = json_string(reason->text);
                json_t *item = json_pack("{s:s, s:s, s:o}", "id", reason->id, "severity",
                                         reason_severity_name(reason->severity), "text",
                                         text == NULL ? json_string(reason->id) : text);

                if (json_array_append_new(list, item) != 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

static json_t *parts_of(const struct verify_machine *machine)
{
        static const char *const marks[] = {"not-checked", "not-measured", "affirming",
                                            "contraindicated"};
        json_t *parts = json_object();

        for (unsigned i = 0; i < VERIFY_PARTS; i++)
                if (json_object_set_new(parts, verify_part_name((enum verify_part)i),
                                        json_string(marks[machine->parts[i]])) != 0) {
                        json_decref(parts);
                        return NULL;
                }
        return parts;
}

/* A URI of the policy's name: what is not unreserved in RFC 3986, 2.3 is percent-encoded. */
static void policy_uri(const char *name, char ret_uri[POLICY_URI_MAX])
{
        static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789-._~";
        size_t len = (size_t)snprintf(ret_uri, POLICY_URI_MAX, "urn:catena:policy:");

        for (; *name != '\0'; name++) {
                bool is_plain = strchr(unreserved, *name) != NULL;

                len += (size_t)snprintf(ret_uri + len, POLICY_URI_MAX - len,
                                        is_plain ? "%c" : "%%%02X", (unsigned char)*name);
        }
}

static json_t *submod_of(const struct verify_result *result, const struct verify_machine *machine)
{
        char policy[POLICY_URI_MAX];
        json_t *submod =
            json_pack("{s:s, s:o, s:o, s:o}", "ear.status", verify_tier_name(machine->tier),
                      "ear.trustworthiness-vector", vector_of(result, machine), EAR_REASONS,
                      reasons_of(machine), EAR_PARTS, parts_of(machine));

        if (submod == NULL || result->policy[0] == '\0')
                return submod;
        policy_uri(result->policy, policy);
        if (json_object_set_new(submod, "ear.appraisal-policy-id", json_string(policy)) != 0) {
                json_decref(submod);
                return NULL;
        }
        return submod;
}

static const char *nonce_text(const uint8_t *nonce, char ret_text[NONCE_TEXT])
{
        struct writer w;

        writer_init_fixed(&w, ret_text, NONCE_TEXT);
        base64url_put(&w, (struct bytes){nonce, CHALLENGE_NONCE_SIZE});
        writer_put_u8(&w, '\0');
        return ret_text;
}

static json_t *make_submods(const struct verify_result *result)
{
        json_t *submods = json_object();
        int rc = json_object_set_new(submods,
                                     result->host->name[0] == '\0' ? "host" : result->host->name,
                                     submod_of(result, result->host));

        for (size_t i = 0; rc == 0 && i < result->n_vms; i++) {
                char name[2 * EVIDENCE_COMPONENT_MAX + 2];

                /* A VM may be called like its host: its name is below the host's. */
                (void)snprintf(name, sizeof(name), "%s/%s", result->host->name,
                               result->vms[i]->name);
                rc = json_object_set_new(submods, name, submod_of(result, result->vms[i]));
        }
        if (rc != 0) {
                json_decref(submods);
                return NULL;
        }
        return submods;
}

int ear_claims(const struct verify_result *result, json_t **ret_claims, struct err *err)
{
        char nonce[NONCE_TEXT];
        json_t *submods = make_submods(result);
        json_t *claims;

        if (submods == NULL)
                return err_set(err, ERR_NO_MEMORY, "EAR");
        claims =
            json_pack("{s:s, s:I, s:I, s:s, s:{s:s, s:s}, s:o}", "eat_profile", EAR_PROFILE, "iat",
                      (json_int_t)result->now, "exp", (json_int_t)result->expires, "eat_nonce",
                      nonce_text(result->challenge.nonce, nonce), "ear.verifier-id", "developer",
                      "catena", "build", "catena " CATENA_VERSION, "submods", submods);
        if (claims == NULL)
                return err_set(err, ERR_NO_MEMORY, "EAR");
        *ret_claims = claims;
        return 0;
}

int ear_sign(const struct verify_result *result, const struct pkey *key, char **ret_token,
             struct err *err)
{
        json_t AUTO_JSON *claims = NULL;
        int rc = ear_claims(result, &claims, err);

        return rc != 0 ? rc : jwt_sign(claims, key, ret_token, err);
}

static enum verify_tier tier_from_name(const char *name)
{
        static const enum verify_tier tiers[] = {VERIFY_AFFIRMING, VERIFY_WARNING};

        for (size_t i = 0; name != NULL && i < ARRAY_SIZE(tiers); i++)
                if (strcmp(name, verify_tier_name(tiers[i])) == 0)
                        return tiers[i];
        return VERIFY_CONTRAINDICATED;
}

enum verify_tier ear_status(const json_t *claims)
{
        json_t *submods = json_object_get(claims, "submods");
        enum verify_tier worst = VERIFY_NONE;
        const char *name;
        json_t *submod;

        json_object_foreach(submods, name, submod)
        {
                enum verify_tier tier =
                    tier_from_name(json_string_value(json_object_get(submod, "ear.status")));

                if (tier > worst)
                        worst = tier;
        }
        return worst;
}

static bool is_text(const json_t *claims, const char *name, const char *wanted)
{
        const char *text = json_string_value(json_object_get(claims, name));

        return text != NULL && strcmp(text, wanted) == 0;
}

static int check_times(const json_t *claims, int64_t now, struct err *err)
{
        const json_t *iat = json_object_get(claims, "iat"), *exp = json_object_get(claims, "exp");

        if (!json_is_integer(iat) || !json_is_integer(exp))
                return err_set(err, ERR_MALFORMED, "EAR: its times");
        if (json_integer_value(iat) > now + VERIFY_CLOCK_SKEW)
                return err_set(err, ERR_NOT_TRUSTED, "EAR: made at a time that has not come");
        if (json_integer_value(exp) < now)
                return err_set(err, ERR_NOT_TRUSTED, "EAR: expired");
        return 0;
}

static int check_submods(const json_t *claims, struct err *err)
{
        json_t *submods = json_object_get(claims, "submods");
        const char *name;
        json_t *submod;

        if (!json_is_object(submods) || json_object_size(submods) == 0)
                return err_set(err, ERR_MALFORMED, "EAR: it is about nobody");
        json_object_foreach(submods, name, submod)
        {
                if (!json_is_string(json_object_get(submod, "ear.status")))
                        return err_set(err, ERR_MALFORMED, "EAR: a submod without status");
        }
        return 0;
}

int ear_verify(struct bytes token, const struct pkey *key, int64_t now, const uint8_t *nonce,
               json_t **ret_claims, struct err *err)
{
        json_t AUTO_JSON *claims = NULL;
        char text[NONCE_TEXT];
        int rc = jwt_verify(token, key, &claims, err);

        if (rc != 0)
                return rc;
        if (!is_text(claims, "eat_profile", EAR_PROFILE))
                return err_set(err, ERR_MALFORMED, "EAR: another profile");
        if (nonce != NULL && !is_text(claims, "eat_nonce", nonce_text(nonce, text)))
                return err_set(err, ERR_NOT_TRUSTED, "EAR: it answers another challenge");
        rc = check_times(claims, now, err);
        if (rc == 0)
                rc = check_submods(claims, err);
        if (rc == 0)
                *ret_claims = TAKE(claims);
        return rc;
}
