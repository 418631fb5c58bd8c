#include "swtpm/options.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NAME_SIZE 64

struct cursor {
        char *const *argv;
        int argc;
        int at;
        const char *value; /* behind an equals sign; NULL: none */
};

static const struct options_row *find(const struct options_table *table, const char *name)
{
        for (size_t i = 0; i < table->n; i++) {
                const struct options_row *row = &table->rows[i];

                if (strcmp(row->name, name) == 0 ||
                    (row->letters != NULL && keyval_is_choice(row->letters, name)))
                        return row;
        }
        return NULL;
}

/* Splits "--name=value" of the cursor's present argument. */
static int take_name(struct cursor *cursor, char ret_name[NAME_SIZE], struct err *err)
{
        const char *word = cursor->argv[cursor->at];
        const char *equals = word[0] == '-' && word[1] == '-' ? strchr(word, '=') : NULL;
        const size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);

        cursor->at++;
        cursor->value = equals == NULL ? NULL : equals + 1;
        if (len == 0 || len >= NAME_SIZE)
                return err_set(err, ERR_USAGE, "unknown option %.60s", word);
        memcpy(ret_name, word, len);
        ret_name[len] = '\0';
        return 0;
}

static int put_value(const struct options_row *row, const char *value, void *ret, struct err *err)
{
        /* Everything but a list of keys is a list of one key, which has the option's name. */
        static const enum keyval_kind kinds[] = {[OPTIONS_TEXT] = KEYVAL_TEXT,
                                                 [OPTIONS_CHOICE] = KEYVAL_CHOICE,
                                                 [OPTIONS_NUMBER] = KEYVAL_NUMBER};
        const struct keyval_key key = {
            .name = row->name,
            .kind = kinds[row->kind],
            .offset = row->offset,
            .size = row->size,
            .choices = row->choices,
        };

        return keyval_put(row->name, &key, value, ret, err);
}

static int put_option(struct cursor *cursor, const struct options_row *row, void *ret,
                      struct err *err)
{
        uint8_t *place = (uint8_t *)ret + row->offset;

        if (row->kind == OPTIONS_FLAG) {
                if (cursor->value != NULL)
                        return err_set(err, ERR_USAGE, "%s takes no value", row->name);
                *(bool *)place = true;
                return 0;
        }
        if (cursor->value == NULL && cursor->at == cursor->argc)
                return err_set(err, ERR_USAGE, "%s needs a value", row->name);
        if (cursor->value == NULL)
                cursor->value = cursor->argv[cursor->at++];
        if (row->kind == OPTIONS_KEYS)
                return keyval_parse(row->name, cursor->value, row->keys, place, err);
        return put_value(row, cursor->value, ret, err);
}

int options_parse(const struct options_table *table, int argc, char *const *argv, void *ret,
                  struct options_notes *ret_notes, struct err *err)
{
        struct cursor cursor = {.argv = argv, .argc = argc};
        uint64_t seen = 0;

        ret_notes->n = 0;
        while (cursor.at < argc) {
                const struct options_row *row;
                char name[NAME_SIZE];
                uint64_t bit;
                int rc = take_name(&cursor, name, err);

                if (rc != 0)
                        return rc;
                row = find(table, name);
                if (row == NULL)
                        return err_set(err, ERR_USAGE, "unknown option %s", name);
                bit = UINT64_C(1) << (row - table->rows);
                if ((seen & bit) != 0)
                        return err_set(err, ERR_USAGE, "%s twice", name);
                seen |= bit;
                rc = put_option(&cursor, row, ret, err);
                if (rc != 0)
                        return rc;
                if (row->note != NULL && ret_notes->n < OPTIONS_NOTES_MAX)
                        ret_notes->rows[ret_notes->n++] = row;
        }
        return 0;
}

/* ---- help ---- */

static const char *value_word(const struct options_row *row)
{
        static const char *const words[] = {
            [OPTIONS_FLAG] = "",          [OPTIONS_TEXT] = " TEXT", [OPTIONS_CHOICE] = " ",
            [OPTIONS_NUMBER] = " NUMBER", [OPTIONS_KEYS] = " ",
        };

        return words[row->kind];
}

static void print_key(const struct keyval_key *key, FILE *out)
{
        static const char *const words[] = {
            [KEYVAL_TEXT] = "=TEXT", [KEYVAL_NUMBER] = "=NUMBER", [KEYVAL_MODE] = "=OCTAL",
            [KEYVAL_CHOICE] = "=",   [KEYVAL_FLAG] = "",
        };

        (void)fprintf(out, "%s%s", key->name, words[key->kind]);
        for (const char *at = key->choices; at != NULL && *at != '\0'; at++)
                (void)fputc(*at == ' ' ? '|' : *at, out);
}

void options_print(const struct options_table *table, FILE *out)
{
        for (size_t i = 0; i < table->n; i++) {
                const struct options_row *row = &table->rows[i];

                (void)fprintf(out, "  %s%s%s%s%s", row->name, row->letters == NULL ? "" : ", ",
                              row->letters == NULL ? "" : row->letters, value_word(row),
                              row->choices == NULL ? "" : row->choices);
                for (size_t k = 0; row->keys != NULL && k < row->keys->n; k++) {
                        (void)fputs(k == 0 ? "" : ",", out);
                        print_key(&row->keys->keys[k], out);
                }
                (void)fputs("\n", out);
                if (row->note != NULL)
                        (void)fprintf(out, "      is taken, but %s\n", row->note);
        }
}
