#include "tcb/config-manual.h"

#include <string.h>

#include "tcb/config.h"

static const char header[] =
    ".TH CATENA.CONF 5 \"\" \"catena " CATENA_VERSION "\" \"File Formats\"\n"
    ".SH NAME\n"
    "catena.conf \\- configuration of a host's trusted core\n"
    ".SH SYNOPSIS\n"
    ".I STATE/catena.conf\n"
    "with \\-\\-state, otherwise\n"
    ".I /etc/catena/catena.conf\n"
    ".SH DESCRIPTION\n"
    "INI: sections, and keys with their values. A missing file means the values below. An unknown\n"
    "section or key, or a value out of range, is an error that names the line; catena\\-tcb does "
    "not\n"
    "start with it.\n";

/* '-' is a hyphen to troff and '.' or ''' at the start of a line a request. */
static void put_text(FILE *out, const char *text)
{
        if (text[0] == '.' || text[0] == '\'')
                (void)fputs("\\&", out);
        for (; *text != '\0'; text++)
                (void)(*text == '-' || *text == '\\' ? fprintf(out, "\\%c", *text)
                                                     : fputc(*text, out));
}

static void put_key(FILE *out, const struct conf_key *key)
{
        (void)fprintf(out, ".TP\n\\fB%s\\fR\n", key->name);
        put_text(out, key->doc);
        if (key->kind == CONF_NUMBER)
                (void)fprintf(out, " From %llu to %llu.", (unsigned long long)key->min,
                              (unsigned long long)key->max);
        if (key->kind == CONF_CHOICE) {
                (void)fputs(" One of: ", out);
                put_text(out, key->choices);
                (void)fputc('.', out);
        }
        (void)fputs(" Default: ", out);
        put_text(out, key->fallback[0] == '\0' ? "none" : key->fallback);
        (void)fputs(".\n", out);
}

void tcb_config_manual(FILE *out)
{
        const char *section = "";

        (void)fputs(header, out);
        for (size_t i = 0; i < tcb_config_n_keys; i++) {
                const struct conf_key *key = &tcb_config_keys[i];

                if (strcmp(section, key->section) != 0)
                        (void)fprintf(out, ".SH [%s]\n", key->section);
                section = key->section;
                put_key(out, key);
        }
        (void)fputs(".SH SEE ALSO\n.BR catena\\-tcb (8),\n.BR catena (1)\n", out);
}
