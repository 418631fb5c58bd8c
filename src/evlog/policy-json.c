/* The policy file: JSON to and from struct policy. */
#include <jansson.h>
#include <string.h>

#include "base/hex.h"
#include "evlog/policy.h"

#define HOST_BOOT "host_boot" /* the one key whose value is a policy again */

static void json_free(json_t *json)
{
        json_decref(json);
}
DEFINE_CLEANUP(json_t *, json_free)
#define AUTO_JSON CLEANUP(json_free_p)

/* ---- writing -------------------------------------------------------------------------------- */

static json_t *digest_to_json(const struct hash_alg *alg, const uint8_t *data)
{
        char digits[2 * HASH_SIZE_MAX + 1];

        return json_sprintf("%s:%s", alg->name, hex_encode(data, alg->size, digits));
}

static json_t *digests_to_json(const struct policy_entry *entry)
{
        json_t *array = json_array();

        for (size_t i = 0; i < entry->count; i++)
                if (json_array_append_new(array, digest_to_json(entry->digests[i].alg,
                                                                entry->digests[i].data)) != 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

static json_t *entry_to_json(const struct policy_entry *entry, bool with_component)
{
        json_t *digests = digests_to_json(entry);

        if (!with_component)
                return digests;
        return json_pack("{s:s, s:o}", "component", policy_component_name(entry->component),
                         "digests", digests);
}

static json_t *map_to_json(const struct policy_map *map, bool with_component)
{
        json_t *object = json_object();

        for (size_t i = 0; i < map->count; i++)
                if (json_object_set_new(object, map->entries[i].name,
                                        entry_to_json(&map->entries[i], with_component)) != 0) {
                        json_decref(object);
                        return NULL;
                }
        return object;
}

static json_t *list_to_json(const struct policy_list *list)
{
        json_t *array = json_array();

        for (size_t i = 0; i < list->count; i++)
                if (json_array_append_new(array, json_string(list->items[i])) != 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

static json_t *mask_to_json(uint32_t mask)
{
        json_t *array = json_array();

        for (unsigned i = 0; i < POLICY_PCR_COUNT; i++)
                if ((mask & UINT32_C(1) << i) != 0 &&
                    json_array_append_new(array, json_integer(i)) != 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

static json_t *pcrs_to_json(const struct policy_pcrs *pcrs, const struct hash_alg *bank)
{
        json_t *object = json_object();
        char key[8];

        for (unsigned i = 0; i < POLICY_PCR_COUNT; i++) {
                if ((pcrs->mask & UINT32_C(1) << i) == 0)
                        continue;
                (void)snprintf(key, sizeof(key), "%u", i);
                if (json_object_set_new(object, key, digest_to_json(bank, pcrs->values[i])) != 0) {
                        json_decref(object);
                        return NULL;
                }
        }
        return object;
}

static json_t *firmware_to_json(const struct policy *policy)
{
        json_t *object = json_object();

        for (size_t i = 0; i < policy->firmware_count; i++)
                if (json_object_set_new(object, policy->firmware[i].name,
                                        pcrs_to_json(&policy->firmware[i].pcrs, policy->bank)) !=
                    0) {
                        json_decref(object);
                        return NULL;
                }
        return object;
}

static json_t *ptpm_to_json(unsigned ptpm)
{
        json_t *array = json_array();

        for (unsigned bit = POLICY_PTPM_EMBEDDED; bit <= POLICY_PTPM_HARDWARE; bit <<= 1)
                if ((ptpm & bit) != 0 &&
                    json_array_append_new(
                        array, json_string(policy_ptpm_name((enum policy_ptpm)bit))) != 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

/* Sections that say nothing are left out. */
static int set_sections(json_t *root, const struct policy *policy)
{
        int rc = 0;

        if (policy->firmware_count > 0)
                rc |= json_object_set_new(root, "firmware", firmware_to_json(policy));
        if (policy->applications.count > 0)
                rc |= json_object_set_new(root, "applications",
                                          map_to_json(&policy->applications, false));
        if (policy->grub_commands.count > 0)
                rc |= json_object_set_new(root, "grub_commands",
                                          list_to_json(&policy->grub_commands));
        if (policy->command_lines.count > 0)
                rc |= json_object_set_new(root, "command_lines",
                                          list_to_json(&policy->command_lines));
        if (policy->files.count > 0)
                rc |= json_object_set_new(root, "files", map_to_json(&policy->files, true));
        if (policy->has_ima)
                rc |= json_object_set_new(root, "ima", map_to_json(&policy->ima, false));
        if (policy->other_pcrs.mask != 0)
                rc |= json_object_set_new(root, "other_pcrs",
                                          pcrs_to_json(&policy->other_pcrs, policy->bank));
        if (policy->host.count > 0)
                rc |= json_object_set_new(root, "host", map_to_json(&policy->host, false));
        if (policy->ptpm != 0)
                rc |= json_object_set_new(root, "ptpm", ptpm_to_json(policy->ptpm));
        if (policy->require_safe_clock)
                rc |= json_object_set_new(root, "require_safe_clock", json_true());
        return rc;
}

/* Everything but host_boot; NULL when a text is not UTF-8, or out of memory. */
static json_t *one_to_json(const struct policy *policy)
{
        json_t *root =
            json_pack("{s:i, s:s, s:s, s:o, s:I}", "schema", POLICY_SCHEMA, "name", policy->name,
                      "bank", policy->bank->name, "pcrs", mask_to_json(policy->required), "max_age",
                      (json_int_t)policy->max_age);

        if (root != NULL && set_sections(root, policy) == 0)
                return root;
        json_decref(root);
        return NULL;
}

int policy_to_json(const struct policy *policy, char **ret_text, size_t *ret_len, struct err *err)
{
        json_t AUTO_JSON *root = one_to_json(policy);
        char AUTO_FREE *dump = NULL;
        char *text;
        size_t len;

        if (root == NULL ||
            (policy->host_boot != NULL &&
             json_object_set_new(root, HOST_BOOT, one_to_json(policy->host_boot)) != 0))
                return err_set(err, ERR_FAILED, "policy: a text is not UTF-8, or out of memory");
        dump = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
        if (dump == NULL)
                return err_set(err, ERR_NO_MEMORY, "policy");
        len = strlen(dump);
        text = realloc(dump, len + 2);
        if (text == NULL)
                return err_set(err, ERR_NO_MEMORY, "policy");
        dump = NULL;
        memcpy(text + len, "\n", 2);
        *ret_text = text;
        *ret_len = len + 1;
        return 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int wrong(struct err *err, const char *where, const char *want)
{
        return err_set(err, ERR_MALFORMED, "policy: \"%s\" must be %s", where, want);
}

static int digest_from_json(const json_t *json, const char *where, struct policy_digest *ret_digest,
                            struct err *err)
{
        const char *text = json_string_value(json);
        const char *colon = text == NULL ? NULL : strchr(text, ':');
        struct policy_digest digest = {0};
        size_t len = 0;

        if (colon == NULL)
                return wrong(err, where, "a digest such as \"sha256:…\"");
        digest.alg = hash_by_name_len(text, (size_t)(colon - text));
        if (digest.alg == NULL)
                return wrong(err, where, "a digest of a known hash");
        if (hex_decode(colon + 1, strlen(colon + 1), digest.data, sizeof(digest.data), &len) != 0 ||
            len != digest.alg->size)
                return wrong(err, where, "a digest of its hash's size");
        *ret_digest = digest;
        return 0;
}

/* A digest in the policy's bank. */
static int value_from_json(const struct policy *policy, const json_t *json, const char *where,
                           uint8_t *ret_value, struct err *err)
{
        struct policy_digest digest;
        int rc = digest_from_json(json, where, &digest, err);

        if (rc != 0)
                return rc;
        if (digest.alg != policy->bank)
                return wrong(err, where, "in the policy's bank");
        memcpy(ret_value, digest.data, digest.alg->size);
        return 0;
}

static int pcr_from_text(const char *text, unsigned *ret_pcr)
{
        unsigned pcr = 0;
        size_t len = strlen(text);

        if (len == 0 || len > 2 || (len == 2 && text[0] == '0'))
                return ERR_MALFORMED;
        for (size_t i = 0; i < len; i++) {
                if (text[i] < '0' || text[i] > '9')
                        return ERR_MALFORMED;
                pcr = 10 * pcr + (unsigned)(text[i] - '0');
        }
        if (pcr >= POLICY_PCR_COUNT)
                return ERR_MALFORMED;
        *ret_pcr = pcr;
        return 0;
}

static int pcrs_from_json(const struct policy *policy, json_t *json, const char *where,
                          struct policy_pcrs *pcrs, struct err *err)
{
        const char *key;
        json_t *value;

        if (!json_is_object(json))
                return wrong(err, where, "an object of PCR values");
        json_object_foreach(json, key, value)
        {
                unsigned pcr = 0;
                int rc;

                if (pcr_from_text(key, &pcr) != 0)
                        return wrong(err, where, "keyed by PCR numbers");
                rc = value_from_json(policy, value, where, pcrs->values[pcr], err);
                if (rc != 0)
                        return rc;
                pcrs->mask |= UINT32_C(1) << pcr;
        }
        return 0;
}

/* Calls add() for each digest of an array that is not empty. */
struct adder {
        struct policy *policy;
        const char *name;
        enum policy_component component;
        int (*add)(const struct adder *adder, const struct policy_digest *digest, struct err *err);
};

static int add_application(const struct adder *adder, const struct policy_digest *digest,
                           struct err *err)
{
        return policy_add_application(adder->policy, adder->component, digest, err);
}

static int add_file(const struct adder *adder, const struct policy_digest *digest, struct err *err)
{
        return policy_add_file(adder->policy, adder->name, adder->component, digest, err);
}

static int add_ima(const struct adder *adder, const struct policy_digest *digest, struct err *err)
{
        return policy_add_ima_file(adder->policy, adder->name, digest, err);
}

static int add_host(const struct adder *adder, const struct policy_digest *digest, struct err *err)
{
        return policy_add_host(adder->policy, adder->name, digest, err);
}

static int digests_from_json(const struct adder *adder, const json_t *array, struct err *err)
{
        if (json_array_size(array) == 0) /* also when it is no array */
                return wrong(err, adder->name, "an array of digests");
        for (size_t i = 0; i < json_array_size(array); i++) {
                struct policy_digest digest;
                int rc = digest_from_json(json_array_get(array, i), adder->name, &digest, err);

                if (rc == 0)
                        rc = adder->add(adder, &digest, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int read_firmware(struct policy *policy, json_t *json, struct err *err)
{
        const char *key;
        json_t *value;

        if (json_object_size(json) == 0)
                return wrong(err, "firmware", "an object of profiles");
        json_object_foreach(json, key, value)
        {
                struct policy_firmware firmware = {0};
                int rc = pcrs_from_json(policy, value, key, &firmware.pcrs, err);

                if (rc != 0)
                        return rc;
                if (strlen(key) >= sizeof(firmware.name))
                        return wrong(err, "firmware", "named in fewer than 64 bytes");
                memcpy(firmware.name, key, strlen(key));
                rc = policy_add_firmware(policy, &firmware, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int read_applications(struct policy *policy, json_t *json, struct err *err)
{
        const char *key;
        json_t *value;

        if (json_object_size(json) == 0)
                return wrong(err, "applications", "an object of components");
        json_object_foreach(json, key, value)
        {
                int component = policy_component_from_name(key);
                struct adder adder = {policy, key, (enum policy_component)component,
                                      add_application};
                int rc;

                if (component < 0)
                        return wrong(err, "applications", "keyed by \"boot-loader\" or \"kernel\"");
                rc = digests_from_json(&adder, value, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int read_files(struct policy *policy, json_t *json, struct err *err)
{
        const char *key;
        json_t *value;

        if (json_object_size(json) == 0)
                return wrong(err, "files", "an object of paths");
        json_object_foreach(json, key, value)
        {
                const char *name = json_string_value(json_object_get(value, "component"));
                int component = name == NULL ? -1 : policy_component_from_name(name);
                struct adder adder = {policy, key, (enum policy_component)component, add_file};
                int rc;

                if (component < 0 || json_object_size(value) != 2)
                        return wrong(err, key, "an object of component and digests");
                rc = digests_from_json(&adder, json_object_get(value, "digests"), err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int read_map(struct policy *policy, json_t *json, const char *where,
                    int (*add)(const struct adder *, const struct policy_digest *, struct err *),
                    struct err *err)
{
        const char *key;
        json_t *value;

        if (!json_is_object(json))
                return wrong(err, where, "an object of names and digests");
        json_object_foreach(json, key, value)
        {
                struct adder adder = {policy, key, POLICY_BOOT_LOADER, add};
                int rc = digests_from_json(&adder, value, err);

                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int read_ima(struct policy *policy, json_t *json, struct err *err)
{
        policy->has_ima = true;
        return read_map(policy, json, "ima", add_ima, err);
}

static int read_host(struct policy *policy, json_t *json, struct err *err)
{
        return read_map(policy, json, "host", add_host, err);
}

static int read_list(struct policy *policy, json_t *json, const char *where,
                     int (*add)(struct policy *, const char *, struct err *), struct err *err)
{
        if (json_array_size(json) == 0)
                return wrong(err, where, "an array of texts");
        for (size_t i = 0; i < json_array_size(json); i++) {
                const char *text = json_string_value(json_array_get(json, i));
                int rc;

                if (text == NULL)
                        return wrong(err, where, "an array of texts");
                rc = add(policy, text, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int read_grub_commands(struct policy *policy, json_t *json, struct err *err)
{
        return read_list(policy, json, "grub_commands", policy_add_grub_command, err);
}

static int read_command_lines(struct policy *policy, json_t *json, struct err *err)
{
        return read_list(policy, json, "command_lines", policy_add_command_line, err);
}

static int read_other_pcrs(struct policy *policy, json_t *json, struct err *err)
{
        return pcrs_from_json(policy, json, "other_pcrs", &policy->other_pcrs, err);
}

static int read_ptpm(struct policy *policy, json_t *json, struct err *err)
{
        if (json_array_size(json) == 0)
                return wrong(err, "ptpm", "an array");
        for (size_t i = 0; i < json_array_size(json); i++) {
                const char *name = json_string_value(json_array_get(json, i));
                unsigned bit = name == NULL ? 0 : policy_ptpm_from_name(name);

                if (bit == 0)
                        return wrong(err, "ptpm", "of \"embedded\", \"swtpm\" and \"hardware\"");
                policy->ptpm |= bit;
        }
        return 0;
}

static int read_required(struct policy *policy, json_t *json, struct err *err)
{
        if (json_array_size(json) == 0)
                return wrong(err, "pcrs", "an array of PCR numbers that is not empty");
        policy->required = 0;
        for (size_t i = 0; i < json_array_size(json); i++) {
                const json_t *item = json_array_get(json, i);
                json_int_t pcr = json_integer_value(item);

                if (!json_is_integer(item) || pcr < 0 || pcr >= POLICY_PCR_COUNT)
                        return wrong(err, "pcrs", "an array of numbers from 0 to 23");
                policy->required |= UINT32_C(1) << pcr;
        }
        return 0;
}

static int read_max_age(struct policy *policy, json_t *json, struct err *err)
{
        json_int_t age = json_integer_value(json);

        if (!json_is_integer(json) || age < 1 || age > POLICY_AGE_MAX)
                return wrong(err, "max_age", "a number of seconds from 1 to 86400");
        policy->max_age = (uint32_t)age;
        return 0;
}

static int read_safe_clock(struct policy *policy, json_t *json, struct err *err)
{
        if (!json_is_boolean(json))
                return wrong(err, "require_safe_clock", "true or false");
        policy->require_safe_clock = json_is_true(json);
        return 0;
}

static const struct {
        const char *key;
        int (*read)(struct policy *policy, json_t *json, struct err *err);
} section_table[] = {
    {"firmware", read_firmware},
    {"applications", read_applications},
    {"grub_commands", read_grub_commands},
    {"command_lines", read_command_lines},
    {"files", read_files},
    {"ima", read_ima},
    {"other_pcrs", read_other_pcrs},
    {"host", read_host},
    {"ptpm", read_ptpm},
    {"pcrs", read_required},
    {"max_age", read_max_age},
    {"require_safe_clock", read_safe_clock},
};

static int read_section(struct policy *policy, const char *key, json_t *value, struct err *err)
{
        static const char *const header[] = {"schema", "name", "bank", HOST_BOOT};

        for (size_t i = 0; i < ARRAY_SIZE(header); i++)
                if (strcmp(header[i], key) == 0)
                        return 0;
        for (size_t i = 0; i < ARRAY_SIZE(section_table); i++)
                if (strcmp(section_table[i].key, key) == 0)
                        return section_table[i].read(policy, value, err);
        return err_set(err, ERR_MALFORMED, "policy: unknown key \"%.64s\"", key);
}

/* Schema, name and bank: what the rest is read with. */
static int read_header(json_t *root, struct policy **ret_policy, struct err *err)
{
        const json_t *schema = json_object_get(root, "schema");
        const char *name = json_string_value(json_object_get(root, "name"));
        const char *bank = json_string_value(json_object_get(root, "bank"));

        if (!json_is_integer(schema))
                return err_set(err, ERR_MALFORMED, "policy: not a policy, \"schema\" is missing");
        if (json_integer_value(schema) != POLICY_SCHEMA)
                return err_set(err, ERR_UNSUPPORTED, "policy: schema %lld is not known",
                               (long long)json_integer_value(schema));
        if (name == NULL)
                return wrong(err, "name", "a text");
        if (bank == NULL || hash_by_name(bank) == NULL)
                return wrong(err, "bank", "the name of a known hash");
        if (json_object_get(root, "pcrs") == NULL)
                return wrong(err, "pcrs", "given");
        return policy_new(name, hash_by_name(bank), ret_policy, err);
}

/* Everything but host_boot, which policy_from_json() reads: a policy never nests deeper. */
static int one_from_json(json_t *root, struct policy **ret_policy, struct err *err)
{
        struct policy AUTO_POLICY *policy = NULL;
        const char *key;
        json_t *value;
        int rc;

        if (!json_is_object(root))
                return err_set(err, ERR_MALFORMED, "policy: not an object");
        rc = read_header(root, &policy, err);
        if (rc != 0 || policy == NULL)
                return rc;
        json_object_foreach(root, key, value)
        {
                rc = read_section(policy, key, value, err);
                if (rc != 0)
                        return rc;
        }
        *ret_policy = TAKE(policy);
        return 0;
}

static int read_host_boot(struct policy *policy, json_t *json, struct err *err)
{
        struct policy AUTO_POLICY *boot = NULL;
        int rc;

        if (json_object_get(json, HOST_BOOT) != NULL)
                return wrong(err, HOST_BOOT, "a policy that does not hold another one");
        rc = one_from_json(json, &boot, err);
        if (rc == 0)
                rc = policy_set_host_boot(policy, boot, err);
        if (rc != 0)
                return err_wrap(err, HOST_BOOT);
        boot = NULL;
        return 0;
}

int policy_from_json(struct bytes text, struct policy **ret_policy, struct err *err)
{
        struct policy AUTO_POLICY *policy = NULL;
        json_t AUTO_JSON *root = NULL;
        json_t *boot;
        json_error_t error;
        int rc;

        if (text.len > POLICY_SIZE_MAX)
                return err_set(err, ERR_LIMIT, "policy of %zu bytes", text.len);
        root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
        if (root == NULL)
                return err_set(err, ERR_MALFORMED, "policy: line %d: %s", error.line, error.text);
        rc = one_from_json(root, &policy, err);
        boot = json_object_get(root, HOST_BOOT);
        if (rc == 0 && boot != NULL)
                rc = read_host_boot(policy, boot, err);
        if (rc == 0)
                *ret_policy = TAKE(policy);
        return rc;
}
