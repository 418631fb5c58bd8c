/* challenge.json, and times in words. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "verify/challenge.h"
#include "verify/jwt.h"

enum { SCHEMA = 2 };

const char *challenge_time_text(int64_t time, char ret_text[CHALLENGE_TIME_MAX])
{
        time_t seconds = (time_t)time;
        struct tm tm;

        if (gmtime_r(&seconds, &tm) == NULL ||
            strftime(ret_text, CHALLENGE_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                ret_text[0] = '\0';
        return ret_text;
}

int challenge_time_parse(const char *text, int64_t *ret_time, struct err *err)
{
        char again[CHALLENGE_TIME_MAX];
        struct tm tm = {0};
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        int64_t time;

        if (end == NULL || *end != '\0')
                return err_set(err, ERR_MALFORMED, "a time reads like 2026-01-31T12:00:00Z");
        time = timegm(&tm);
        /* strptime() takes the 31st of February and single digits; the way back shows it. */
        if (strcmp(challenge_time_text(time, again), text) != 0)
                return err_set(err, ERR_MALFORMED, "no such time: %s", again);
        *ret_time = time;
        return 0;
}

int challenge_to_json(const struct challenge *challenge, char **ret_text, struct err *err)
{
        char nonce[2 * CHALLENGE_NONCE_SIZE + 1], time[CHALLENGE_TIME_MAX];
        json_t AUTO_JSON *vms = json_array();
        json_t AUTO_JSON *root = NULL;
        char *text;

        for (size_t i = 0; i < challenge->n_vms; i++)
                if (json_array_append_new(vms, json_string(challenge->vms[i])) != 0)
                        return err_set(err, ERR_NO_MEMORY, "challenge");
        root = json_pack("{s:i, s:s, s:s, s:s, s:b, s:O}", "schema", SCHEMA, "nonce",
                         hex_encode(challenge->nonce, sizeof(challenge->nonce), nonce), "time",
                         challenge_time_text(challenge->time, time), "host", challenge->host, "all",
                         challenge->all, "vms", vms);
        text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
        if (text == NULL)
                return err_set(err, ERR_NO_MEMORY, "challenge");
        *ret_text = text;
        return 0;
}

static int copy_name(const json_t *value, char *ret_name)
{
        const char *name = json_string_value(value);

        if (name == NULL || !evidence_name_is_safe(name))
                return ERR_MALFORMED;
        (void)snprintf(ret_name, EVIDENCE_COMPONENT_MAX + 1, "%s", name);
        return 0;
}

static int copy_vms(const json_t *vms, struct challenge *challenge)
{
        size_t i;
        json_t *value;

        if (json_array_size(vms) > CHALLENGE_VMS_MAX)
                return ERR_MALFORMED;
        json_array_foreach(vms, i, value)
        {
                if (copy_name(value, challenge->vms[i]) != 0)
                        return ERR_MALFORMED;
                for (size_t k = 0; k < i; k++)
                        if (strcmp(challenge->vms[k], challenge->vms[i]) == 0)
                                return ERR_MALFORMED;
        }
        challenge->n_vms = json_array_size(vms);
        return 0;
}

static int read_members(json_t *root, struct challenge *challenge, struct err *err)
{
        const char *nonce, *time;
        json_t *host, *vms;
        int all = 0;
        size_t len = 0;
        int schema;

        if (json_unpack(root, "{s:i, s:s, s:s, s:o, s:b, s:o!}", "schema", &schema, "nonce", &nonce,
                        "time", &time, "host", &host, "all", &all, "vms", &vms) != 0 ||
            !json_is_array(vms))
                return err_set(err, ERR_MALFORMED, "challenge: members");
        if (schema != SCHEMA)
                return err_set(err, ERR_UNSUPPORTED, "challenge: schema %d", schema);
        if (strlen(nonce) != 2 * sizeof(challenge->nonce) ||
            hex_decode(nonce, strlen(nonce), challenge->nonce, sizeof(challenge->nonce), &len) != 0)
                return err_set(err, ERR_MALFORMED, "challenge: nonce");
        if (copy_name(host, challenge->host) != 0 || copy_vms(vms, challenge) != 0)
                return err_set(err, ERR_MALFORMED, "challenge: name of the host or of a VM");
        challenge->all = all != 0;
        return challenge_time_parse(time, &challenge->time, err);
}

int challenge_from_json(struct bytes text, struct challenge *ret_challenge, struct err *err)
{
        struct challenge challenge = {.time = 0};
        json_t AUTO_JSON *root = NULL;
        json_error_t where;
        int rc;

        if (text.len > CHALLENGE_JSON_MAX)
                return err_set(err, ERR_LIMIT, "challenge of %zu bytes", text.len);
        root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &where);
        if (root == NULL)
                return err_set(err, ERR_MALFORMED, "challenge: no JSON at offset %d",
                               where.position);
        rc = read_members(root, &challenge, err);
        if (rc == 0)
                *ret_challenge = challenge;
        return rc;
}
