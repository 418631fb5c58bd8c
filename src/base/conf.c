#include "base/conf.h"

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

struct parsing {
        const struct conf_key *keys;
        size_t n_keys;
        char *conf;
        struct err *err;
};

static int set_text(const struct conf_key *key, const char *value, char *at, struct err *err)
{
        if (strlen(value) >= key->size)
                return err_set(err, ERR_USAGE, "%s.%s: longer than %zu bytes", key->section,
                               key->name, key->size - 1);
        (void)snprintf(at, key->size, "%s", value);
        return 0;
}

static int set_number(const struct conf_key *key, const char *value, char *at, struct err *err)
{
        unsigned long long number;
        char *end = NULL;

        errno = 0;
        number = strtoull(value, &end, 10);
        if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number < key->min ||
            number > key->max)
                return err_set(err, ERR_USAGE, "%s.%s: '%s' is not a number from %llu to %llu",
                               key->section, key->name, value, (unsigned long long)key->min,
                               (unsigned long long)key->max);
        memcpy(at, &(uint64_t){number}, sizeof(uint64_t));
        return 0;
}

/* Whether word is one of the words in list, which are apart by one space. */
static bool is_one_of(const char *word, const char *list)
{
        size_t n = strlen(word);

        while (n > 0) {
                const char *end = strchrnul(list, ' ');

                if ((size_t)(end - list) == n && memcmp(list, word, n) == 0)
                        return true;
                if (*end == '\0')
                        return false;
                list = end + 1;
        }
        return false;
}

static int set_value(const struct conf_key *key, const char *value, char *conf, struct err *err)
{
        char *at = conf + key->offset;

        if (key->kind == CONF_NUMBER)
                return set_number(key, value, at, err);
        if (key->kind == CONF_CHOICE && !is_one_of(value, key->choices))
                return err_set(err, ERR_USAGE, "%s.%s: '%s' is none of: %s", key->section,
                               key->name, value, key->choices);
        return set_text(key, value, at, err);
}

/* libinih's handler: 1 goes on, 0 stops at this line. */
static int on_value(void *user, const char *section, const char *name, const char *value)
{
        struct parsing *parsing = user;

        for (size_t i = 0; i < parsing->n_keys; i++) {
                const struct conf_key *key = &parsing->keys[i];

                if (strcmp(key->section, section) == 0 && strcmp(key->name, name) == 0)
                        return set_value(key, value, parsing->conf, parsing->err) == 0;
        }
        (void)err_set(parsing->err, ERR_USAGE, "unknown key %.64s.%.64s", section, name);
        return 0;
}

int conf_parse(const char *name, const char *text, size_t len, const struct conf_key *keys,
               size_t n_keys, void *ret_conf, struct err *err)
{
        struct parsing parsing = {.keys = keys, .n_keys = n_keys, .conf = ret_conf, .err = err};
        int line;

        for (size_t i = 0; i < n_keys; i++)
                if (set_value(&keys[i], keys[i].fallback, ret_conf, err) != 0)
                        abort(); /* our own table */
        if (strlen(text) != len)
                return err_set(err, ERR_USAGE, "%s: holds a NUL byte", name);
        err->code = ERR_OK;
        line = ini_parse_string(text, on_value, &parsing);
        if (line == 0)
                return 0;
        if (err->code == ERR_OK)
                (void)err_set(err, ERR_USAGE, "neither a section nor a key");
        return err_wrap(err, "%s:%d", name, line);
}

int conf_load(const char *path, const struct conf_key *keys, size_t n_keys, void *ret_conf,
              struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc = fs_read_file(path, CONF_FILE_MAX, &data, &len, err);

        if (rc == ERR_NOT_FOUND)
                return conf_parse(path, "", 0, keys, n_keys, ret_conf, err);
        if (rc != 0)
                return rc;
        return conf_parse(path, (const char *)data, len, keys, n_keys, ret_conf, err);
}
