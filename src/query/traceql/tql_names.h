/*
 * tql_names.h -- what names and values of attributes share: rows of blocks in a time that a lenient filter keeps.
 */
#pragma once

#include "base/slice_set.h"
#include "query/traceql/tql_need.h"
#include "query/traceql/tql_team.h"

struct tql_looking {
    struct tql_team team;
    struct traceql *filter; // owned; NULL: none
    struct tql_need need;   // of the filter
    int64_t from_ns, to_ns;
    // Sees the rows of a block that are asked for: `rows` NULL for all. False: r->err, or the worker's memory.
    bool (*see)(void *ctx, struct tql_worker *w, struct tql_rows *r, const struct tql_bits *rows);
    void *ctx;
};

MUST_CHECK bool tql_look(struct tql_looking *l, const struct trace_tags_options *options, const struct query_context *context,
                         struct err *err);
// Releases what tql_look() made, whatever it returned.
void tql_look_done(struct tql_looking *l, struct trace_stats *stats, struct trace_warnings *warnings);
// The number of a worker.
static inline unsigned tql_worker_number(const struct tql_worker *w)
{
    return (unsigned)(w - w->team->workers);
}

// Whether one of the rows has a value in the column. Decodes it where not all rows are asked for.
MUST_CHECK bool tql_column_occurs(struct tql_rows *r, uint32_t attribute, const struct tql_bits *rows, bool *out);
// Marks, in a byte each, which resources or scopes the rows are of.
MUST_CHECK bool tql_origins_used(struct tql_rows *r, bool resources, const struct tql_bits *rows, uint8_t **out);
