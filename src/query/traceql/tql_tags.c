/*
 * tql_tags.c -- see tql_tags.h.
 *
 * Each tag becomes a filter and `&&` joins them, as different spans may satisfy different tags. Strings contain the tag's
 * value; `http.status_code` may be the number, too.
 */
#include "query/traceql/tql_tags.h"

// A pattern for what contains the text.
static void put_contains(struct buf *b, struct slice text)
{
    struct buf pattern;
    buf_init(&pattern, 0);
    buf_put_cstr(&pattern, ".*");
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("\\.+*?()|[]{}^$", text.ptr[i]) != NULL && text.ptr[i] != 0)
            buf_put_byte(&pattern, '\\');
        buf_put_byte(&pattern, text.ptr[i]);
    }
    buf_put_cstr(&pattern, ".*");
    tql_print_value(b, tql_string(buf_slice(&pattern)));
    buf_done(&pattern);
}

static void put_attribute(struct buf *b, enum tql_scope scope, const struct label *tag)
{
    struct tql_attr attr = {.scope = scope, .name = tag->name};
    tql_print_attr(b, &attr);
    buf_put_cstr(b, " =~ ");
    put_contains(b, tag->value);
}

static bool is_number(struct slice text)
{
    bool digits = text.len > 0 && text.len < 19;
    for (size_t i = 0; i < text.len; i++)
        digits = digits && text.ptr[i] >= '0' && text.ptr[i] <= '9';
    return digits;
}

static void put_tag(struct buf *b, const struct label *tag)
{
    static const struct {
        const char *tag, *attribute;
    } special[] = {{"name", "name"}, {"root.name", "rootName"}, {"root.service.name", "rootServiceName"}};
    for (size_t i = 0; i < COUNT_OF(special); i++)
        if (slice_eq(tag->name, slice_cstr(special[i].tag))) {
            buf_printf(b, "{ %s =~ ", special[i].attribute);
            put_contains(b, tag->value);
            buf_put_cstr(b, " }");
            return;
        }
    if (slice_eq(tag->name, SLICE("status.code"))) {
        bool known = slice_eq(tag->value, SLICE("ok")) || slice_eq(tag->value, SLICE("error")) || slice_eq(tag->value, SLICE("unset"));
        buf_printf(b, known ? "{ status = %.*s }" : "{ false }", SLICE_FMT(tag->value));
        return;
    }
    buf_put_cstr(b, "{ (");
    put_attribute(b, TQL_SCOPE_SPAN, tag);
    buf_put_cstr(b, ") || (");
    put_attribute(b, TQL_SCOPE_RESOURCE, tag);
    if (slice_eq(tag->name, SLICE("http.status_code")) && is_number(tag->value))
        buf_printf(b, ") || (span.http.status_code = %.*s", SLICE_FMT(tag->value));
    buf_put_cstr(b, ") }");
}

bool tql_tags_query(const struct trace_search_options *options, struct arena *a, struct traceql **out, struct err *err)
{
    struct buf b;
    bool syntax;
    buf_init(&b, 0);
    buf_put_cstr(&b, "{ true");
    if (options->duration_min_ns > 0)
        buf_printf(&b, " && traceDuration >= %lluns", (unsigned long long)options->duration_min_ns);
    if (options->duration_max_ns > 0)
        buf_printf(&b, " && traceDuration <= %lluns", (unsigned long long)options->duration_max_ns);
    buf_put_cstr(&b, " }");
    for (uint32_t i = 0; i < options->tags_count; i++) {
        buf_put_cstr(&b, " && ");
        put_tag(&b, &options->tags[i]);
    }
    bool good = traceql_parse(buf_slice(&b), a, out, &syntax, err);
    buf_done(&b);
    return good;
}
