/* Any bytes as a grub.cfg of a disk: what it would measure is whole lines, and boots a kernel. */
#include <stdlib.h>
#include <string.h>

#include "image/grubscript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct grubscript *script = malloc(sizeof(*script));
        struct err err = {0};
        size_t lines = 0;

        if (script == NULL)
                return 0;
        if (grubscript_parse((struct bytes){data, size}, script, &err) == 0) {
                if (script->n > GRUBSCRIPT_EVENTS_MAX)
                        abort();
                for (size_t i = 0; i < script->n; i++) {
                        if (memchr(script->event[i].text, '\0', GRUBSCRIPT_TEXT_MAX) == NULL ||
                            strchr(script->event[i].text, '\n') != NULL)
                                abort();
                        lines += script->event[i].kind == GRUBSCRIPT_COMMAND_LINE;
                }
                if (lines == 0)
                        abort();
        }
        free(script);
        return 0;
}
