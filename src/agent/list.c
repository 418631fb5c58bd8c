#include "agent/list.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

static bool has_control(const char *path, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)path[i] < 0x20 || path[i] == 0x7F)
                        return true;
        return false;
}

static int check_path(const char *path, size_t len, unsigned line, struct err *err)
{
        if (path[0] != '/')
                return err_set(err, ERR_MALFORMED, "line %u: not an absolute path", line);
        if (len >= PATH_MAX)
                return err_set(err, ERR_MALFORMED, "line %u: the path is too long", line);
        if (has_control(path, len))
                return err_set(err, ERR_MALFORMED, "line %u: a control character", line);
        if (strstr(path, "/../") != NULL || (len >= 3 && strcmp(path + len - 3, "/..") == 0))
                return err_set(err, ERR_MALFORMED, "line %u: \"..\" in a path", line);
        return 0;
}

/* text has len bytes and a NUL behind them. */
static int split(struct list *list, size_t len, struct err *err)
{
        char *at = list->text;
        const char *end = at + len;

        for (unsigned line = 1; at < end; line++) {
                char *stop = memchr(at, '\n', (size_t)(end - at));
                size_t n = stop != NULL ? (size_t)(stop - at) : (size_t)(end - at);
                const char *path = at;

                at[n] = '\0';
                at += n + 1;
                if (n == 0 || path[0] == '#')
                        continue;
                if (check_path(path, n, line, err) != 0)
                        return err->code;
                if (list->n == LIST_ENTRIES_MAX)
                        return err_set(err, ERR_LIMIT, "line %u: more than %d paths", line,
                                       LIST_ENTRIES_MAX);
                list->paths[list->n++] = path;
        }
        return 0;
}

int list_parse(const void *data, size_t len, struct list *ret_list, struct err *err)
{
        struct list AUTO_LIST list = {0};

        if (len > LIST_BYTES_MAX)
                return err_set(err, ERR_LIMIT, "a list has at most %u bytes", LIST_BYTES_MAX);
        list.text = malloc(len + 1);
        if (list.text == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (len > 0)
                memcpy(list.text, data, len);
        list.text[len] = '\0';
        if (split(&list, len, err) != 0)
                return err->code;
        *ret_list = list;
        list.text = NULL;
        return 0;
}

int list_read(const char *path, struct list *ret_list, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc = fs_read_file(path, LIST_BYTES_MAX, &data, &len, err);

        if (rc != 0 && rc != ERR_NOT_FOUND)
                return rc;
        if (list_parse(data, len, ret_list, err) != 0)
                return err_wrap(err, "%s", path);
        return 0;
}

void list_done(struct list *list)
{
        free(list->text);
        *list = (struct list){0};
}
