#include "swtpm/keyval.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#define MODE_MAX 0777

struct pair {
        char *key;
        char *value; /* NULL: none was given */
};

bool keyval_is_choice(const char *choices, const char *word)
{
        const size_t len = strlen(word);

        while (*choices != '\0') {
                const size_t n = strcspn(choices, " ");

                if (n == len && memcmp(choices, word, n) == 0)
                        return true;
                choices += n;
                choices += strspn(choices, " ");
        }
        return false;
}

static int put_text(const char *value, const struct keyval_key *key, void *place)
{
        const size_t len = strlen(value);

        if (len == 0 || len >= key->size)
                return ERR_USAGE;
        if (key->kind == KEYVAL_CHOICE && !keyval_is_choice(key->choices, value))
                return ERR_USAGE;
        memcpy(place, value, len + 1);
        return 0;
}

static int get_number(const char *value, int base, unsigned long max, unsigned long *ret)
{
        char *end = NULL;
        unsigned long number;

        if (value[0] < '0' || value[0] > '9')
                return ERR_USAGE;
        errno = 0;
        number = strtoul(value, &end, base);
        if (errno != 0 || *end != '\0' || number > max)
                return ERR_USAGE;
        *ret = number;
        return 0;
}

static int put_number(const char *value, const struct keyval_key *key, void *place)
{
        unsigned long number;

        if (get_number(value, 10, INT_MAX, &number) != 0)
                return ERR_USAGE;
        (void)key;
        *(int *)place = (int)number;
        return 0;
}

static int put_mode(const char *value, const struct keyval_key *key, void *place)
{
        unsigned long number;

        if (get_number(value, 8, MODE_MAX, &number) != 0)
                return ERR_USAGE;
        (void)key;
        *(unsigned *)place = (unsigned)number;
        return 0;
}

static int put_flag(const char *value, const struct keyval_key *key, void *place)
{
        (void)key;
        if (!keyval_is_choice("true false", value))
                return ERR_USAGE;
        *(bool *)place = value[0] == 't';
        return 0;
}

int keyval_put(const char *option, const struct keyval_key *key, const char *value, void *ret,
               struct err *err)
{
        static int (*const puts[])(const char *value, const struct keyval_key *key, void *place) = {
            [KEYVAL_TEXT] = put_text,   [KEYVAL_NUMBER] = put_number, [KEYVAL_MODE] = put_mode,
            [KEYVAL_CHOICE] = put_text, [KEYVAL_FLAG] = put_flag,
        };

        if (value == NULL && key->kind == KEYVAL_FLAG)
                value = "true";
        if (value == NULL)
                return err_set(err, ERR_USAGE, "%s: %s needs a value", option, key->name);
        if (puts[key->kind](value, key, (uint8_t *)ret + key->offset) != 0)
                return err_set(err, ERR_USAGE, "%s: \"%.200s\" is no value for %s", option, value,
                               key->name);
        return 0;
}

static int put_pair(const char *option, const struct pair *pair, const struct keyval_table *table,
                    uint64_t *seen, void *ret, struct err *err)
{
        for (size_t i = 0; i < table->n; i++) {
                if (strcmp(table->keys[i].name, pair->key) != 0)
                        continue;
                if ((*seen & (UINT64_C(1) << i)) != 0)
                        return err_set(err, ERR_USAGE, "%s: %s twice", option, pair->key);
                *seen |= UINT64_C(1) << i;
                return keyval_put(option, &table->keys[i], pair->value, ret, err);
        }
        return err_set(err, ERR_USAGE, "%s: unknown key \"%.200s\"", option, pair->key);
}

int keyval_parse(const char *option, const char *text, const struct keyval_table *table, void *ret,
                 struct err *err)
{
        char AUTO_FREE *copy = NULL;
        uint64_t seen = 0;
        char *rest;
        int rc = 0;

        if (strlen(text) > KEYVAL_TEXT_MAX)
                return err_set(err, ERR_USAGE, "%s: too long", option);
        copy = strdup(text);
        if (copy == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rest = copy;
        while (rc == 0 && rest != NULL) {
                char *word = strsep(&rest, ",");
                char *key = strsep(&word, "=");

                rc = put_pair(option, &(struct pair){key, word}, table, &seen, ret, err);
        }
        return rc;
}
