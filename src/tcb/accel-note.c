#include "tcb/accel-note.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"

#define NOTE     "run/accel"
#define BOOT_ID  "/proc/sys/kernel/random/boot_id"
#define NOTE_MAX 128

/* "<boot id> kvm\n": the boot that it holds for, and what was found. */
static int make_note(const char *word, char ret_note[NOTE_MAX], struct err *err)
{
        uint8_t AUTO_FREE *boot = NULL;
        size_t len;

        if (fs_read_file(BOOT_ID, NOTE_MAX / 2, &boot, &len, err) != 0)
                return err->code;
        while (len > 0 && boot[len - 1] == '\n')
                len--;
        (void)snprintf(ret_note, NOTE_MAX, "%.*s %s\n", (int)len, (const char *)boot, word);
        return 0;
}

static const struct {
        enum accel_memory memory;
        const char *word;
} words[] = {{ACCEL_KVM_WORKS, "kvm"}, {ACCEL_KVM_FAILS, "tcg"}};

enum accel_memory accel_note_get(const struct tcb_config *config)
{
        uint8_t AUTO_FREE *data = NULL;
        char path[PATH_MAX];
        char note[NOTE_MAX];
        struct err err = {0};
        size_t len;

        if (tcb_config_path(config, NOTE, path, &err) != 0 ||
            fs_read_file(path, NOTE_MAX, &data, &len, &err) != 0)
                return ACCEL_UNKNOWN;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (make_note(words[i].word, note, &err) == 0 && len == strlen(note) &&
                    memcmp(data, note, len) == 0)
                        return words[i].memory;
        return ACCEL_UNKNOWN;
}

void accel_note_put(const struct tcb_config *config, enum accel_memory memory)
{
        char path[PATH_MAX];
        char note[NOTE_MAX];
        struct err err = {0};
        size_t i = 0;

        while (i < ARRAY_SIZE(words) && words[i].memory != memory)
                i++;
        if (i == ARRAY_SIZE(words))
                return;
        if (tcb_config_path(config, NOTE, path, &err) != 0 ||
            make_note(words[i].word, note, &err) != 0 ||
            fs_write_file(path, note, strlen(note), 0600, &err) != 0)
                log_warning((&(struct log_fields){.op = "accel", .err = &err}),
                            "what was found out about KVM is not kept");
}
