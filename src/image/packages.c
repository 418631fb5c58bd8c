#include "image/packages.h"

#include <stdio.h>
#include <string.h>

#include "image/tool.h"

#define USR          "/usr"
#define OUTPUT_MAX   (1U << 20)
#define GRUB_PACKAGE "grub-efi-amd64-bin"

/* Arguments of one dpkg-query call; the strings are owned. */
struct arguments {
        const char *argv[2 * FILESET_COUNT_MAX + 8];
        char *owned[2 * FILESET_COUNT_MAX + 8];
        size_t n;
        size_t n_owned;
};

static void arguments_done(struct arguments *arguments)
{
        for (size_t i = 0; i < arguments->n_owned; i++)
                free(arguments->owned[i]);
}

static void start_query(struct arguments *arguments, const char *option)
{
        memset(arguments, 0, sizeof(*arguments));
        arguments->argv[arguments->n++] = "dpkg-query";
        arguments->argv[arguments->n++] = option;
}

static int add_copy(struct arguments *arguments, const char *text, size_t len, struct err *err)
{
        char *copy;

        if (arguments->n + 1 == ARRAY_SIZE(arguments->argv))
                return err_set(err, ERR_LIMIT, "too many files for dpkg-query");
        copy = strndup(text, len);
        if (copy == NULL)
                return err_set(err, ERR_NO_MEMORY, "dpkg-query");
        arguments->owned[arguments->n_owned++] = copy;
        arguments->argv[arguments->n++] = copy;
        return 0;
}

/* dpkg knows a file by the path that its package used, with or without /usr. */
static int add_both_paths(struct arguments *arguments, const char *path, struct err *err)
{
        int rc;

        rc = add_copy(arguments, path, strlen(path), err);
        if (rc == 0 && strncmp(path, USR "/", strlen(USR) + 1) == 0)
                rc = add_copy(arguments, path + strlen(USR), strlen(path) - strlen(USR), err);
        return rc;
}

static int query(const struct arguments *arguments, char **ret_text, struct err *err)
{
        /* dpkg-query -S fails when one of the paths is unknown, after it listed the others. */
        const struct tool tool = {.package = "dpkg",
                                  .argv = arguments->argv,
                                  .stdin_fd = -1,
                                  .stdout_fd = -1,
                                  .may_fail = true};
        uint8_t *text = NULL;
        size_t len;
        int rc;

        rc = tool_capture(&tool, OUTPUT_MAX, &text, &len, err);
        if (rc < 0)
                return rc;
        *ret_text = (char *)text;
        return 0;
}

/* Lines "libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6": the package ends at the last ": ". */
static int add_owners(struct arguments *arguments, const char *text, struct err *err)
{
        int rc = 0;

        while (rc == 0 && *text != '\0') {
                size_t n = strcspn(text, "\n");
                const char *end = memmem(text, n, ": ", 2);

                if (end != NULL && memchr(text, ' ', (size_t)(end - text)) == NULL)
                        rc = add_copy(arguments, text, (size_t)(end - text), err);
                text += n + (text[n] == '\n' ? 1 : 0);
        }
        return rc;
}

/* Lines "libc6 2.36-9". */
static json_t *versions(const char *text)
{
        json_t *object = json_object();

        while (*text != '\0') {
                size_t n = strcspn(text, "\n");
                const char *space = memchr(text, ' ', n);

                if (space != NULL) {
                        size_t name_len = (size_t)(space - text);
                        AUTO_FREE char *name = strndup(text, name_len);

                        if (name != NULL)
                                (void)json_object_set_new(
                                    object, name, json_stringn(space + 1, n - name_len - 1));
                }
                text += n + (text[n] == '\n' ? 1 : 0);
        }
        return object;
}

/* Which packages own the files, as dpkg-query -S says it. */
static int find_owners(const struct fileset *set, char **ret_text, struct err *err)
{
        struct arguments find;
        int rc = 0;

        start_query(&find, "-S");
        for (size_t i = 0; rc == 0 && i < set->n; i++)
                if (set->entry[i].source != NULL)
                        rc = add_both_paths(&find, set->entry[i].source, err);
        if (rc == 0)
                rc = query(&find, ret_text, err);
        arguments_done(&find);
        return rc;
}

static int show_versions(const char *owners, char **ret_text, struct err *err)
{
        struct arguments show;
        int rc;

        start_query(&show, "-W");
        show.argv[show.n++] = "-f=${Package} ${Version}\n";
        rc = add_copy(&show, GRUB_PACKAGE, strlen(GRUB_PACKAGE), err);
        if (rc == 0)
                rc = add_owners(&show, owners, err);
        if (rc == 0)
                rc = query(&show, ret_text, err);
        arguments_done(&show);
        return rc;
}

int packages_of(const struct fileset *set, json_t **ret_packages, struct err *err)
{
        char *owners = NULL;
        char *lines = NULL;
        int rc;

        rc = find_owners(set, &owners, err);
        if (rc == 0)
                rc = show_versions(owners, &lines, err);
        if (rc == 0)
                *ret_packages = versions(lines);
        free(owners);
        free(lines);
        return rc < 0 ? err_wrap(err, "packages of the initramfs") : 0;
}
