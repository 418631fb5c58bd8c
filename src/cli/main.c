/*
 * catena: the one command for operators, tenants and challengers.
 */
#include <locale.h>

#include "cli/cli.h"
#include "cli/run.h"

#define CLI_VERBS(name) extern const struct cli_verb cli_##name##_verbs[];
#include "cli/verbs.def"
#undef CLI_VERBS

static const struct cli_verb *const all_verbs[] = {
#define CLI_VERBS(name) cli_##name##_verbs,
#include "cli/verbs.def"
#undef CLI_VERBS
    NULL,
};

int main(int argc, char **argv)
{
        /* Only the character set: numbers in documents must not follow the user's locale. */
        (void)setlocale(LC_CTYPE, "");
        return cli_run(all_verbs, argc, argv);
}
