#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run.h"

static volatile sig_atomic_t signal_came;

static void note_signal(int number)
{
        signal_came = number;
}

bool cli_interrupted(void)
{
        return signal_came != 0;
}

int cli_catch_signals(struct err *err)
{
        /* One shot: the second signal finds the default action and ends a verb that hangs. */
        struct sigaction once = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
        struct sigaction ignore = {.sa_handler = SIG_IGN};

        if (sigaction(SIGINT, &once, NULL) < 0 || sigaction(SIGTERM, &once, NULL) < 0 ||
            sigaction(SIGPIPE, &ignore, NULL) < 0)
                return err_set_errno(err, errno, "sigaction");
        return 0;
}

const char *cli_arg(const struct cli *cli, size_t i)
{
        return i < cli->n_args ? cli->args[i] : NULL;
}

static const struct cli_value *value_at(const struct cli *cli, const char *name, size_t n)
{
        for (size_t i = 0; i < cli->n_values; i++)
                if (strcmp(cli->values[i].option->name, name) == 0 && n-- == 0)
                        return &cli->values[i];
        return NULL;
}

const char *cli_option_at(const struct cli *cli, const char *name, size_t i)
{
        const struct cli_value *value = value_at(cli, name, i);

        return value != NULL ? value->text : NULL;
}

const char *cli_option(const struct cli *cli, const char *name)
{
        const char *last = NULL;
        const char *text;

        for (size_t i = 0; (text = cli_option_at(cli, name, i)) != NULL; i++)
                last = text;
        return last;
}

bool cli_switch(const struct cli *cli, const char *name)
{
        return value_at(cli, name, 0) != NULL;
}

int cli_option_number(const struct cli *cli, const char *name, uint64_t min, uint64_t max,
                      uint64_t fallback, uint64_t *ret_number, struct err *err)
{
        const char *text = cli_option(cli, name);
        unsigned long long number;
        char *end = NULL;

        if (text == NULL) {
                *ret_number = fallback;
                return 0;
        }
        errno = 0;
        number = strtoull(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || number < min ||
            number > max)
                return err_set(err, ERR_USAGE, "--%s is a number from %llu to %llu, not \"%s\"",
                               name, (unsigned long long)min, (unsigned long long)max, text);
        *ret_number = number;
        return 0;
}
