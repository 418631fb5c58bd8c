#include "evlog/policy.h"

#include <string.h>

/*
 * gcc 12's analyzer loses what an array inside a struct owns once the array has grown; the leak
 * sanitizer guards these.
 */
#if defined(CATENA_ANALYZER)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

static const char *const component_names[POLICY_COMPONENT_COUNT] = {
    [POLICY_BOOT_LOADER] = "boot-loader",
    [POLICY_KERNEL] = "kernel",
    [POLICY_COMMAND_LINE] = "command-line",
    [POLICY_INITRD] = "initrd",
};

static const struct {
        enum policy_ptpm ptpm;
        const char *name;
} ptpm_table[] = {
    {POLICY_PTPM_EMBEDDED, "embedded"},
    {POLICY_PTPM_SWTPM, "swtpm"},
    {POLICY_PTPM_HARDWARE, "hardware"},
};

const char *policy_component_name(enum policy_component component)
{
        return component_names[component];
}

int policy_component_from_name(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(component_names); i++)
                if (strcmp(component_names[i], name) == 0)
                        return (int)i;
        return -1;
}

const char *policy_ptpm_name(enum policy_ptpm ptpm)
{
        for (size_t i = 0; i < ARRAY_SIZE(ptpm_table); i++)
                if (ptpm_table[i].ptpm == ptpm)
                        return ptpm_table[i].name;
        return "unknown";
}

unsigned policy_ptpm_from_name(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(ptpm_table); i++)
                if (strcmp(ptpm_table[i].name, name) == 0)
                        return ptpm_table[i].ptpm;
        return 0;
}

static int check_text(const char *text, size_t max, struct err *err)
{
        size_t len = strnlen(text, max);

        if (len == 0 || len >= max)
                return err_set(err, ERR_MALFORMED, "policy: empty text or one of over %zu bytes",
                               max - 1);
        for (size_t i = 0; i < len; i++)
                if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
                        return err_set(err, ERR_MALFORMED, "policy: control character in a text");
        return 0;
}

int policy_new(const char *name, const struct hash_alg *bank, struct policy **ret_policy,
               struct err *err)
{
        struct policy AUTO_POLICY *policy = NULL;
        int rc = check_text(name, POLICY_NAME_MAX, err);

        if (rc != 0)
                return rc;
        if (bank == NULL)
                return err_set(err, ERR_UNSUPPORTED, "policy: unknown bank");
        policy = calloc(1, sizeof(*policy));
        if (policy == NULL)
                return err_set(err, ERR_NO_MEMORY, "policy");
        memcpy(policy->name, name, strlen(name));
        policy->bank = bank;
        policy->required = POLICY_REQUIRED_MASK;
        policy->max_age = POLICY_AGE_DEFAULT;
        *ret_policy = TAKE(policy);
        return 0;
}

static void map_done(struct policy_map *map)
{
        for (size_t i = 0; i < map->count; i++) {
                free(map->entries[i].name);
                free(map->entries[i].digests);
        }
        free(map->entries);
}

static void list_done(struct policy_list *list)
{
        for (size_t i = 0; i < list->count; i++)
                free(list->items[i]);
        free(list->items);
}

static void free_one(struct policy *policy)
{
        if (policy == NULL)
                return;
        free(policy->firmware);
        map_done(&policy->applications);
        list_done(&policy->grub_commands);
        list_done(&policy->command_lines);
        map_done(&policy->files);
        map_done(&policy->ima);
        map_done(&policy->host);
        free(policy);
}

void policy_free(struct policy *policy)
{
        if (policy != NULL)
                free_one(policy->host_boot);
        free_one(policy);
}

/* Grows an array by one element, by powers of two. NULL: out of memory or over the limit. */
static void *grow(void *array, size_t count, size_t size, size_t max)
{
        if (count >= max)
                return NULL;
        if (count != 0 && (count & (count - 1)) != 0)
                return array;
        return reallocarray(array, count == 0 ? 1 : 2 * count, size);
}

static int too_much(size_t count, size_t max, const char *what, struct err *err)
{
        if (count >= max)
                return err_set(err, ERR_LIMIT, "policy: more than %zu %s", max, what);
        return err_set(err, ERR_NO_MEMORY, "policy");
}

static int compare_digests(const struct policy_digest *a, const struct policy_digest *b)
{
        if (a->alg != b->alg)
                return a->alg->tpm_id < b->alg->tpm_id ? -1 : 1;
        return memcmp(a->data, b->data, a->alg->size);
}

static int entry_add(struct policy_entry *entry, const struct policy_digest *digest,
                     struct err *err)
{
        struct policy_digest *digests;
        size_t at = 0;

        while (at < entry->count && compare_digests(&entry->digests[at], digest) < 0)
                at++;
        if (at < entry->count && compare_digests(&entry->digests[at], digest) == 0)
                return 0;
        digests = grow(entry->digests, entry->count, sizeof(*digests), POLICY_DIGESTS_MAX);
        if (digests == NULL)
                return too_much(entry->count, POLICY_DIGESTS_MAX, "digests of one name", err);
        entry->digests = digests;
        memmove(digests + at + 1, digests + at, (entry->count - at) * sizeof(*digests));
        digests[at] = *digest;
        entry->count++;
        return 0;
}

/* Position of name, or where it would be inserted. */
static size_t map_search(const struct policy_map *map, const char *name, bool *ret_found)
{
        size_t low = 0;
        size_t high = map->count;

        *ret_found = false;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(map->entries[middle].name, name);

                if (order == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static int map_insert(struct policy_map *map, size_t at, const char *name,
                      enum policy_component component, struct err *err)
{
        struct policy_entry *entries =
            grow(map->entries, map->count, sizeof(*entries), POLICY_ENTRIES_MAX);
        char *copy;

        if (entries == NULL)
                return too_much(map->count, POLICY_ENTRIES_MAX, "names", err);
        map->entries = entries;
        copy = strdup(name);
        if (copy == NULL)
                return err_set(err, ERR_NO_MEMORY, "policy");
        memmove(entries + at + 1, entries + at, (map->count - at) * sizeof(*entries));
        entries[at] = (struct policy_entry){.name = copy, .component = component};
        map->count++;
        return 0;
}

static int map_add(struct policy_map *map, const char *name, enum policy_component component,
                   const struct policy_digest *digest, struct err *err)
{
        bool found;
        size_t at;
        int rc = check_text(name, POLICY_TEXT_MAX, err);

        if (rc != 0)
                return rc;
        if (digest->alg == NULL)
                return err_set(err, ERR_UNSUPPORTED, "policy: %s has an unknown hash", name);
        at = map_search(map, name, &found);
        if (!found)
                rc = map_insert(map, at, name, component, err);
        else if (map->entries[at].component != component)
                rc = err_set(err, ERR_MALFORMED, "policy: %s is both %s and %s", name,
                             policy_component_name(map->entries[at].component),
                             policy_component_name(component));
        return rc != 0 ? rc : entry_add(&map->entries[at], digest, err);
}

static int list_add(struct policy_list *list, const char *text, struct err *err)
{
        char **items;
        int rc = check_text(text, POLICY_TEXT_MAX, err);

        if (rc != 0)
                return rc;
        items = grow(list->items, list->count, sizeof(*items), POLICY_ENTRIES_MAX);
        if (items == NULL)
                return too_much(list->count, POLICY_ENTRIES_MAX, "texts", err);
        list->items = items;
        items[list->count] = strdup(text);
        if (items[list->count] == NULL)
                return err_set(err, ERR_NO_MEMORY, "policy");
        list->count++;
        return 0;
}

/* Whether both give the same PCRs the same values. */
static bool pcrs_equal(const struct policy_pcrs *a, const struct policy_pcrs *b, size_t size)
{
        if (a->mask != b->mask)
                return false;
        for (size_t i = 0; i < POLICY_PCR_COUNT; i++)
                if ((a->mask & UINT32_C(1) << i) != 0 &&
                    memcmp(a->values[i], b->values[i], size) != 0)
                        return false;
        return true;
}

int policy_add_firmware(struct policy *policy, const struct policy_firmware *firmware,
                        struct err *err)
{
        struct policy_firmware *profiles;
        size_t at = 0;
        int rc = check_text(firmware->name, POLICY_NAME_MAX, err);

        if (rc != 0)
                return rc;
        if (firmware->pcrs.mask == 0 || (firmware->pcrs.mask & ~POLICY_FIRMWARE_MASK) != 0)
                return err_set(err, ERR_MALFORMED,
                               "policy: firmware profile %s gives no PCR or one beyond 0-3, 5-7",
                               firmware->name);
        while (at < policy->firmware_count && strcmp(policy->firmware[at].name, firmware->name) < 0)
                at++;
        if (at < policy->firmware_count && strcmp(policy->firmware[at].name, firmware->name) == 0) {
                if (pcrs_equal(&policy->firmware[at].pcrs, &firmware->pcrs, policy->bank->size))
                        return 0;
                return err_set(err, ERR_CONFLICT, "policy: two firmware profiles %s differ",
                               firmware->name);
        }
        profiles =
            grow(policy->firmware, policy->firmware_count, sizeof(*profiles), POLICY_PROFILES_MAX);
        if (profiles == NULL)
                return too_much(policy->firmware_count, POLICY_PROFILES_MAX, "profiles", err);
        policy->firmware = profiles;
        memmove(profiles + at + 1, profiles + at,
                (policy->firmware_count - at) * sizeof(*profiles));
        profiles[at] = *firmware;
        policy->firmware_count++;
        return 0;
}

int policy_add_application(struct policy *policy, enum policy_component component,
                           const struct policy_digest *digest, struct err *err)
{
        if (component != POLICY_BOOT_LOADER && component != POLICY_KERNEL)
                return err_set(err, ERR_MALFORMED, "policy: %s is no application",
                               policy_component_name(component));
        return map_add(&policy->applications, policy_component_name(component), component, digest,
                       err);
}

int policy_add_grub_command(struct policy *policy, const char *command, struct err *err)
{
        return list_add(&policy->grub_commands, command, err);
}

int policy_add_command_line(struct policy *policy, const char *command_line, struct err *err)
{
        for (size_t i = 0; i < policy->command_lines.count; i++)
                if (strcmp(policy->command_lines.items[i], command_line) == 0)
                        return 0;
        return list_add(&policy->command_lines, command_line, err);
}

int policy_add_file(struct policy *policy, const char *path, enum policy_component component,
                    const struct policy_digest *digest, struct err *err)
{
        return map_add(&policy->files, path, component, digest, err);
}

int policy_add_ima_file(struct policy *policy, const char *path, const struct policy_digest *digest,
                        struct err *err)
{
        policy->has_ima = true;
        return map_add(&policy->ima, path, POLICY_BOOT_LOADER, digest, err);
}

int policy_add_host(struct policy *policy, const char *component,
                    const struct policy_digest *digest, struct err *err)
{
        return map_add(&policy->host, component, POLICY_BOOT_LOADER, digest, err);
}

int policy_set_host_boot(struct policy *policy, struct policy *boot, struct err *err)
{
        /* Hosts quote SHA-256 only. */
        if (boot->bank->tpm_id != HASH_TPM_SHA256)
                return err_set(err, ERR_MALFORMED, "policy: \"host_boot\" must be of bank sha256");
        if (boot->host.count != 0 || boot->ptpm != 0 || boot->host_boot != NULL)
                return err_set(err, ERR_MALFORMED,
                               "policy: \"host_boot\" must not speak of hosts itself");
        free_one(policy->host_boot);
        policy->host_boot = boot;
        return 0;
}

/* Whether one of the command's words after the first is this path, with or without a device. */
static bool command_names(const char *command, const char *path)
{
        const char *slash = path[0] == '(' ? strchr(path, ')') : NULL;
        const char *bare = slash == NULL ? path : slash + 1;
        const char *word = strchr(command, ' ');

        while (word != NULL) {
                size_t len;

                word += strspn(word, " ");
                len = strcspn(word, " ");
                if ((len == strlen(path) && strncmp(word, path, len) == 0) ||
                    (len == strlen(bare) && len != 0 && strncmp(word, bare, len) == 0))
                        return true;
                word = strchr(word, ' ');
        }
        return false;
}

enum policy_component policy_classify_file(const struct policy_list *grub_commands,
                                           const char *path)
{
        if (strcmp(path, "LOADED_IMAGE::LoadOptions") == 0)
                return POLICY_COMMAND_LINE;
        if (strcmp(path, "Linux initrd") == 0)
                return POLICY_INITRD;
        for (size_t i = 0; i < grub_commands->count; i++) {
                const char *command = grub_commands->items[i];

                if (!command_names(command, path))
                        continue;
                if (strncmp(command, "linux", 5) == 0)
                        return POLICY_KERNEL;
                if (strncmp(command, "initrd", 6) == 0)
                        return POLICY_INITRD;
        }
        return POLICY_BOOT_LOADER;
}

const struct policy_entry *policy_map_find(const struct policy_map *map, const char *name)
{
        bool found;
        size_t at = map_search(map, name, &found);

        return found ? &map->entries[at] : NULL;
}

bool policy_entry_has(const struct policy_entry *entry, const struct policy_digest *digest)
{
        for (size_t i = 0; i < entry->count; i++)
                if (compare_digests(&entry->digests[i], digest) == 0)
                        return true;
        return false;
}

bool policy_is_empty(const struct policy *policy)
{
        return policy->firmware_count == 0 && policy->applications.count == 0 &&
               policy->grub_commands.count == 0 && policy->command_lines.count == 0 &&
               policy->files.count == 0 && policy->ima.count == 0 && policy->other_pcrs.mask == 0 &&
               policy->host.count == 0 && policy->host_boot == NULL;
}
