/* Option strings into the tables of all options that have one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "swtpm/command-line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the option. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct command_socket options;
        struct options_notes notes;
        struct err err = {0};
        char text[KEYVAL_TEXT_MAX + 2];
        const struct options_row *row;

        if (size < 1 || size > KEYVAL_TEXT_MAX)
                return 0;
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        row = &command_socket_table.rows[(size_t)data[0] % command_socket_table.n];
        command_socket_defaults(&options);
        if (options_parse(&command_socket_table, 2, (char *const[]){(char *)row->name, text},
                          &options, &notes, &err) != 0 &&
            err.code != ERR_USAGE)
                abort();
        return 0;
}
