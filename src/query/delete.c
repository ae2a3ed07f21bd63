/* delete.c -- what the text of a request to delete selects: a log query (loki-http.md 15). */
#include "query/query.h"

#include "base/limits.h"
#include "query/logql/ast.h"

#include <assert.h>
#include <stdlib.h>

enum { FILTER_ARENA_BYTES_MAX = 8 << 20 };

struct filter {
    struct arena arena; // of the query
    struct query *query;
};

static void filter_free(void *filter)
{
    struct filter *f = filter;
    if (f == NULL)
        return;
    query_free(f->query);
    arena_done(&f->arena);
    free(f);
}

static bool parse(struct slice text, void **filter_out, const struct label_matcher **matchers_out, size_t *count_out,
                  bool *by_line_out, struct err *err)
{
    struct filter *f = calloc(1, sizeof *f);
    struct err why;
    assert(f != NULL);
    arena_init(&f->arena, FILTER_ARENA_BYTES_MAX);
    struct slice kept = arena_copy(&f->arena, text);
    if (kept.ptr == NULL || !query_parse(kept, &f->arena, &f->query, &why) || query_kind(f->query) != QUERY_LOGS) {
        filter_free(f);
        return err_set(err, ERR_INPUT, "invalid query expression");
    }
    *matchers_out = query_matchers(f->query, count_out, by_line_out);
    *filter_out = f;
    return true;
}

static bool match(const void *filter, const struct store_arrival *entry, void *space)
{
    struct query_entry ignored;
    return query_match(((const struct filter *)filter)->query, entry, space, &ignored);
}

static void *space_new(void)
{
    return query_space_new();
}

static void space_free(void *space)
{
    query_space_free(space);
}

const struct store_filter_ops query_filter_ops = {parse, filter_free, match, space_new, space_free};
