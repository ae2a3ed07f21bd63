/* explain.c -- see explain.h. */
#include "query/explain.h"

#include "base/limits.h"

#include <inttypes.h>

static void put_bytes(struct buf *b, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < COUNT_OF(units); unit++)
        value /= 1000;
    buf_printf(b, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void explain_filters(struct buf *b, const struct pipeline *p)
{
    AUTO(arena_done) struct arena a;
    struct pipeline_clause *clauses;
    arena_init(&a, QUERY_ARENA_BYTES_MAX);
    uint32_t count = pipeline_clauses(p, &a, &clauses);
    for (uint32_t i = 0; i < count; i++) {
        buf_put_cstr(b, i == 0 ? "  filters    pass by blocks without " : ", and without ");
        for (uint32_t n = 0; n < clauses[i].clause.texts_count; n++) {
            buf_put_cstr(b, n > 0 ? " or " : "");
            labels_quote(b, clauses[i].clause.texts[n]);
        }
        if (clauses[i].label.ptr != NULL)
            buf_printf(b, " (streams without %.*s)", SLICE_FMT(clauses[i].label));
    }
    buf_put_cstr(b, count > 0 ? "\n" : "");
}

static bool has_parser(const struct ast_stage *stages)
{
    for (const struct ast_stage *s = stages; s != NULL; s = s->next)
        if (s->kind == STAGE_JSON || s->kind == STAGE_LOGFMT || s->kind == STAGE_REGEXP || s->kind == STAGE_PATTERN ||
            s->kind == STAGE_UNPACK)
            return true;
    return false;
}

static void explain_labels(struct buf *b, const struct wanted_labels *w)
{
    buf_put_cstr(b, "  parsers    ");
    if (!w->limited)
        buf_put_cstr(b, "extract every label\n");
    else if (w->count == 0)
        buf_put_cstr(b, "are not run: no label is used\n");
    else {
        buf_put_cstr(b, "extract only");
        for (size_t i = 0; i < w->count; i++)
            buf_printf(b, "%s %.*s", i > 0 ? "," : "", SLICE_FMT(w->names[i]));
        buf_put_cstr(b, w->preserve_errors ? "\n" : ", and stop when they are found\n");
    }
}

void explain_selection(struct buf *b, const struct ast_logs *logs, const struct pipeline *p,
                       const struct wanted_labels *wanted, bool lengths, const char *how, const char *spared)
{
    struct needle needle = pipeline_needle(p);
    buf_put_cstr(b, "selection    ");
    ast_print_selector(b, logs);
    buf_put_cstr(b, "\n  index      decides streams and times\n");
    for (const struct ast_stage *s = logs->stages; s != NULL; s = s->next)
        if (s->kind == STAGE_TRACE_ID)
            buf_printf(b, "  traces     the index knows when %.*s has entries\n", SLICE_FMT(s->text));
    if (how != NULL)
        buf_printf(b, "  totals     %s\n", how);
    explain_filters(b, p);
    if (needle.text.len > 0) {
        buf_put_cstr(b, "  searched   ");
        labels_quote(b, needle.text);
        buf_put_cstr(b, " over whole blocks, before any stage\n");
    }
    if (has_parser(logs->stages))
        explain_labels(b, wanted);
    buf_printf(b, "  columns    times%s%s\n",
               pipeline_reads_lines(p) ? ", lines" : lengths ? ", lengths" : "",
               how == NULL ? ", metadata" : "");
    if (spared != NULL)
        buf_printf(b, "  spared     %s\n", spared);
}

void explain_stats(struct buf *b, const struct query_stats *s, unsigned threads)
{
    buf_printf(b, "streams      %" PRIu64 " matched\n", s->streams_matched);
    buf_printf(b, "runs         %" PRIu64 " selected, %" PRIu64 " pruned by time, %" PRIu64 " by filters, %" PRIu64
               " answered from totals, %" PRIu64 " loaded\n",
               s->runs_selected, s->runs_pruned, s->runs_filtered, s->runs_from_totals, s->runs_loaded);
    buf_printf(b, "blocks       %" PRIu64 " decoded, ", s->blocks_decoded);
    put_bytes(b, s->compressed_bytes);
    buf_put_cstr(b, " to ");
    put_bytes(b, s->decoded_bytes);
    buf_put_cstr(b, "\nmemory       ");
    put_bytes(b, s->head_bytes);
    buf_printf(b, " in %" PRIu64 " lines not sealed yet\n", s->head_lines);
    buf_printf(b, "lines        %" PRIu64 " scanned (", s->lines_scanned);
    put_bytes(b, s->bytes_scanned);
    buf_printf(b, "), %" PRIu64 " kept\n", s->lines_matched);
    buf_printf(b, "time         %.3f ms on up to %u threads\n", (double)s->exec_ns / 1e6, threads);
}
