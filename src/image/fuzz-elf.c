/* Any bytes as an ELF file: what is found lies inside the input. */
#include <stdlib.h>
#include <string.h>

#include "image/elfinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct elfinfo info;
        struct err err = {0};

        if (elfinfo_parse((struct bytes){data, size}, &info, &err) < 0)
                return 0;
        for (size_t i = 0; i < info.n_needed; i++)
                if (strlen(info.needed[i]) > ELFINFO_NAME_MAX)
                        abort();
        if (info.interpreter != NULL && strlen(info.interpreter) > ELFINFO_NAME_MAX)
                abort();
        return 0;
}
