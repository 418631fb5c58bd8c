/* Any bytes as a configuration file: what is taken lies within the table's bounds. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct settings {
        char text[8];
        char choice[8];
        uint64_t number;
};

static const struct conf_key keys[] = {
    {"a", "text", CONF_TEXT, offsetof(struct settings, text), 8, "fallen", 0, 0, NULL, ""},
    {"a", "choice", CONF_CHOICE, offsetof(struct settings, choice), 8, "on", 0, 0, "on off", ""},
    {"b", "number", CONF_NUMBER, offsetof(struct settings, number), 0, "7", 5, 500, NULL, ""},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct settings settings;
        struct err err = {0};
        char *text = malloc(size + 1);
        int rc;

        if (text == NULL)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        memset(&settings, 0xa5, sizeof(settings));
        rc = conf_parse("conf", text, size, keys, ARRAY_SIZE(keys), &settings, &err);
        free(text);
        if (rc != 0)
                return 0;
        if (memchr(settings.text, '\0', sizeof(settings.text)) == NULL || settings.number < 5 ||
            settings.number > 500 ||
            (strcmp(settings.choice, "on") != 0 && strcmp(settings.choice, "off") != 0))
                abort();
        return 0;
}
