#include "cli/list.h"

#include "cli/output.h"

struct list {
        const struct list_kind *kind;
        json_t *rows;
        struct cli_table *table;
};

int list_add(struct list *list, json_t *object, const char *const *cells, struct err *err)
{
        if (json_array_append_new(list->rows, object) != 0)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        return cli_table_add(list->table, cells, err);
}

static int on_answer(void *user, const struct wire_frame *frame, struct err *err)
{
        struct list *list = user;

        return list->kind->row(list, frame, err);
}

static int collect(struct cli *cli, struct list *list, struct err *err)
{
        const struct list_kind *kind = list->kind;
        const struct client_list all = {kind->request, kind->message, kind->answer, on_answer,
                                        list};
        struct client AUTO_CLIENT *client = NULL;
        int rc;

        if (list->rows == NULL || list->table == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = client_open(cli, &client, err);
        return rc != 0 ? rc : client_each(client, &all, err);
}

int list_run(struct cli *cli, const struct list_kind *kind, struct err *err)
{
        struct cli_table AUTO_CLI_TABLE *table = cli_table_new(kind->columns);
        struct list list = {.kind = kind, .rows = json_array(), .table = table};
        int rc = collect(cli, &list, err);

        if (rc == 0 && cli->format == CLI_JSON)
                return cli_print_json(cli, json_pack("{s:o}", kind->key, list.rows), err);
        json_decref(list.rows);
        return rc != 0 ? rc : cli_table_print(cli, table, err);
}
