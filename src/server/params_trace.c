/* params_trace.c -- see params_trace.h. */
#include "server/params_trace.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"

#include <inttypes.h>

enum {
    SEARCH_LIMIT_DEFAULT = 20,
    SEARCH_SPANS_DEFAULT = 3,
    METRICS_STEPS_WANTED = 240, // of a query without `step`, about
};
#define SEARCH_RANGE_NS_DEFAULT (15 * 60 * NS_PER_S)
#define STEP_FINE_NS (50 * NS_PER_MS) // of ranges below a minute
#define STEP_NS_MAX (366 * NS_PER_DAY) // so far are times from what int64_t ends with (params.c)

// --- by ID ------------------------------------------------------------------------------------------

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool params_trace_id(struct slice text, uint8_t id_out[TRACE_ID_BYTES], struct err *err)
{
    for (size_t i = 0; i < text.len; i++) {
        if (hex_digit(text.ptr[i]) >= 0)
            continue;
        uint32_t rune;
        bool valid;
        uint8_t shown[4];
        (void)utf8_decode(slice_from(text, i), &rune, &valid);
        size_t len = utf8_encode(rune, shown);
        return err_set(err, ERR_INPUT, "trace IDs can only contain hex characters: invalid character '%.*s' at position %zu",
                       (int)len, (const char *)shown, i + 1);
    }
    if (text.len > 2 * TRACE_ID_BYTES)
        return err_set(err, ERR_INPUT, "trace IDs can't be larger than 128 bits");
    uint8_t id[TRACE_ID_BYTES] = {0};
    for (size_t i = 0; i < text.len; i++) { // from the right
        int digit = hex_digit(text.ptr[text.len - 1 - i]);
        id[TRACE_ID_BYTES - 1 - i / 2] |= (uint8_t)(i % 2 == 0 ? digit : digit << 4);
    }
    memcpy(id_out, id, sizeof id);
    return true;
}

static bool hint(const struct params *p, const char *name, int64_t *out, struct err *err)
{
    struct slice text = params_get(p, name);
    *out = 0;
    return text.len == 0 || params_int(text, out, err) || err_wrap(err, "invalid %s", name);
}

static bool start_before_end(int64_t start, int64_t end, struct err *err)
{
    return start < end || err_set(err, ERR_INPUT,
                                  "http parameter start must be before end. received start=%" PRId64 " end=%" PRId64, start, end);
}

bool params_trace_hints(const struct params *p, struct err *err)
{
    static const char *const modes[] = {"", "ingesters", "blocks", "all", "external"};
    int64_t start, end;
    struct slice mode = params_get(p, "mode");
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        known = known || slice_eq(mode, slice_cstr(modes[i]));
    if (!known)
        return err_set(err, ERR_INPUT, "invalid value for mode %.*s", SLICE_FMT(mode));
    if (!hint(p, "start", &start, err) || !hint(p, "end", &end, err))
        return false;
    return start == 0 || end == 0 || start_before_end(start, end, err);
}

// --- ranges in seconds ------------------------------------------------------------------------------

struct seconds {
    uint64_t start, end;
    bool has_start, has_end;
};

static bool read_seconds(const struct params *p, const char *name, uint64_t *out, bool *has_out, struct err *err)
{
    struct slice text = params_get(p, name);
    *has_out = text.len > 0;
    *out = 0;
    return !*has_out || params_uint(text, UINT32_MAX, out, err) ||
           err_wrap(err, "error parsing date range: could not parse '%s' parameter", name);
}

static bool read_start_end(const struct params *p, struct seconds *out, struct err *err)
{
    return read_seconds(p, "start", &out->start, &out->has_start, err) && read_seconds(p, "end", &out->end, &out->has_end, err);
}

static bool only_one(struct err *err)
{
    return err_set(err, ERR_INPUT,
                   "error parsing date range: only one of start and end provided: must provide both or neither");
}

static bool too_long(const struct seconds *s, int64_t range_max_ns, struct err *err)
{
    char text[PARAMS_DURATION_BYTES];
    params_duration_text(range_max_ns, text);
    return err_set(err, ERR_INPUT, "range specified by start and end exceeds %s. received start=%" PRIu64 " end=%" PRIu64, text,
                   s->start, s->end);
}

static bool is_too_long(const struct seconds *s, int64_t range_max_ns)
{
    return range_max_ns > 0 && s->end > s->start && s->end - s->start > (uint64_t)(range_max_ns / NS_PER_S);
}

// --- search -----------------------------------------------------------------------------------------

static bool search_range(const struct params *p, int64_t now_ns, int64_t range_max_ns, struct trace_search_options *out,
                         struct err *err)
{
    struct slice since = params_get(p, "since");
    struct seconds s;
    struct err why;
    if (since.len > 0) { // wins over the others
        int64_t since_ns;
        if (!query_parse_duration(since, &since_ns, &why))
            return err_set(err, ERR_INPUT, "error parsing date range: could not parse 'since' parameter: %s", why.text);
        s = (struct seconds){.end = (uint64_t)(now_ns / NS_PER_S)};
        s.start = since_ns / NS_PER_S > (int64_t)s.end ? 0 : s.end - (uint64_t)(since_ns / NS_PER_S);
        out->from_ns = now_ns - since_ns;
        out->to_ns = now_ns;
        return !is_too_long(&s, range_max_ns) || too_long(&s, range_max_ns, err);
    }
    if (!read_start_end(p, &s, err))
        return false;
    out->from_ns = now_ns - SEARCH_RANGE_NS_DEFAULT;
    out->to_ns = now_ns;
    if (!s.has_start && !s.has_end)
        return true;
    if (!s.has_start)
        return only_one(err);
    if (!start_before_end((int64_t)s.start, (int64_t)s.end, err))
        return false;
    out->from_ns = (int64_t)s.start * NS_PER_S;
    out->to_ns = (int64_t)s.end * NS_PER_S;
    return !is_too_long(&s, range_max_ns) || too_long(&s, range_max_ns, err);
}

static bool search_sizes(const struct params *p, struct trace_search_options *out, struct err *err)
{
    struct slice limit_text = params_get(p, "limit"), spans_text = params_get(p, "spss");
    uint64_t limit = SEARCH_LIMIT_DEFAULT, spans = SEARCH_SPANS_DEFAULT;
    if (limit_text.len > 0 && !params_uint(limit_text, UINT32_MAX, &limit, err))
        return err_wrap(err, "invalid limit");
    if (limit == 0)
        return err_set(err, ERR_INPUT, "invalid limit: must be a positive number");
    if (limit > TRACE_SEARCH_LIMIT_MAX)
        return err_set(err, ERR_INPUT, "limit %" PRIu64 " exceeds max limit %d", limit, TRACE_SEARCH_LIMIT_MAX);
    if (spans_text.len > 0 && !params_uint(spans_text, UINT32_MAX, &spans, err))
        return err_wrap(err, "invalid spss");
    if (spans > TRACE_SEARCH_SPANS_MAX)
        return err_set(err, ERR_INPUT, "spans per span set exceeds %d. received %" PRIu64, TRACE_SEARCH_SPANS_MAX, spans);
    out->limit = (uint32_t)limit;
    out->spans_per_set = spans == 0 ? SEARCH_SPANS_DEFAULT : (uint32_t)spans;
    return true;
}

static bool search_duration(const struct params *p, const char *name, uint64_t *ns_out, struct err *err)
{
    struct slice text = params_get(p, name);
    int64_t ns = 0;
    if (text.len > 0 && !query_parse_go_duration(text, &ns, err))
        return err_wrap(err, "invalid %s", name);
    *ns_out = ns < 0 ? 0 : (uint64_t)ns;
    return true;
}

bool params_trace_search(const struct params *p, int64_t now_ns, int64_t range_max_ns, struct arena *a,
                         struct trace_search_options *out, struct err *err)
{
    struct trace_search_options o = {.log_filter = params_get(p, "logs")};
    struct slice tags = params_get(p, "tags");
    if (tags.len > 0 && params_get(p, "q").len > 0)
        return err_set(err, ERR_INPUT, "invalid request: can't specify tags and q in the same query");
    if (!search_range(p, now_ns, range_max_ns, &o, err) || !params_trace_tags(tags, a, &o.tags, &o.tags_count, err) ||
        !search_duration(p, "minDuration", &o.duration_min_ns, err) ||
        !search_duration(p, "maxDuration", &o.duration_max_ns, err))
        return false;
    if (o.duration_max_ns > 0 && o.duration_max_ns < o.duration_min_ns)
        return err_set(err, ERR_INPUT, "invalid maxDuration: must be greater than minDuration");
    if (!search_sizes(p, &o, err))
        return false;
    *out = o;
    return true;
}

// --- tags of a search ---------------------------------------------------------------------------------

struct logfmt {
    struct slice text;
    size_t pos;
    struct arena *a;
};

static bool is_blank(uint8_t c)
{
    return c <= ' ';
}

static bool unexpected(const struct logfmt *l, struct err *err)
{
    return err_set(err, ERR_INPUT, "invalid tags: unexpected '%c' at pos %zu", l->text.ptr[l->pos], l->pos + 1);
}

// What stands until a blank, `=` or a quote.
static struct slice bare_word(struct logfmt *l)
{
    size_t from = l->pos;
    while (l->pos < l->text.len && !is_blank(l->text.ptr[l->pos]) && l->text.ptr[l->pos] != '=' && l->text.ptr[l->pos] != '"')
        l->pos++;
    return slice_of(l->text.ptr + from, l->pos - from);
}

static bool quoted_word(struct logfmt *l, struct slice *out, struct err *err)
{
    uint8_t *to = arena_alloc(l->a, l->text.len - l->pos);
    size_t len = 0;
    if (to == NULL)
        return arena_ok(l->a, "tags", err);
    for (l->pos++; l->pos < l->text.len && l->text.ptr[l->pos] != '"'; l->pos++) {
        uint8_t c = l->text.ptr[l->pos];
        if (c == '\\' && l->pos + 1 < l->text.len) {
            c = l->text.ptr[++l->pos];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        to[len++] = c;
    }
    if (l->pos >= l->text.len)
        return err_set(err, ERR_INPUT, "invalid tags: unterminated quoted value at pos %zu", l->text.len + 1);
    l->pos++;
    *out = slice_of(to, len);
    return true;
}

static bool read_tag(struct logfmt *l, struct label *out, struct err *err)
{
    *out = (struct label){.name = bare_word(l)};
    if (out->name.len == 0)
        return unexpected(l, err);
    if (l->pos == l->text.len || is_blank(l->text.ptr[l->pos]))
        return true; // a key alone
    if (l->text.ptr[l->pos] != '=')
        return unexpected(l, err);
    l->pos++;
    if (l->pos < l->text.len && l->text.ptr[l->pos] == '"')
        return quoted_word(l, &out->value, err);
    out->value = bare_word(l);
    return l->pos == l->text.len || is_blank(l->text.ptr[l->pos]) || unexpected(l, err);
}

bool params_trace_tags(struct slice text, struct arena *a, const struct label **tags_out, uint32_t *count_out, struct err *err)
{
    struct logfmt l = {.text = text, .a = a};
    struct label *tags = NULL;
    size_t room = 0;
    uint32_t count = 0;
    for (;;) {
        while (l.pos < text.len && is_blank(text.ptr[l.pos]))
            l.pos++;
        if (l.pos == text.len)
            break;
        if (!arena_grow(a, (void **)&tags, sizeof *tags, count, &room))
            return arena_ok(a, "tags", err);
        if (!read_tag(&l, &tags[count], err))
            return false;
        for (uint32_t i = 0; i < count; i++)
            if (slice_eq(tags[i].name, tags[count].name))
                return err_set(err, ERR_INPUT, "invalid tags: tag %.*s has been set twice", SLICE_FMT(tags[i].name));
        count++;
    }
    *tags_out = tags;
    *count_out = count;
    return true;
}

// --- names and values ---------------------------------------------------------------------------------

bool params_trace_names(const struct params *p, int64_t range_max_ns, struct trace_tags_options *out, struct err *err)
{
    struct trace_tags_options o = {.from_ns = 0, .to_ns = INT64_MAX, .filter = params_get(p, "q")};
    struct seconds s;
    if (!read_start_end(p, &s, err))
        return false;
    if (s.has_start != s.has_end)
        return only_one(err);
    if (s.has_start) {
        if (range_max_ns > 0 && (s.end < s.start || is_too_long(&s, range_max_ns)))
            return too_long(&s, range_max_ns, err);
        if (s.end < s.start)
            return start_before_end((int64_t)s.start, (int64_t)s.end, err);
        o.from_ns = (int64_t)s.start * NS_PER_S;
        o.to_ns = (int64_t)s.end * NS_PER_S;
    }
    uint64_t limit;
    if (params_uint(params_get(p, "limit"), UINT32_MAX, &limit, NULL)) // what is no number is none
        o.limit = (uint32_t)limit;
    *out = o;
    return true;
}

bool params_trace_scope(const struct params *p, bool all_intrinsics, unsigned *scopes_out, bool *intrinsics_out, struct err *err)
{
    static const struct {
        const char *name;
        unsigned scopes;
    } table[] = {{"trace", 0},
                 {"resource", 1U << TRACE_SCOPE_RESOURCE},
                 {"span", 1U << TRACE_SCOPE_SPAN},
                 {"event", 1U << TRACE_SCOPE_EVENT},
                 {"link", 1U << TRACE_SCOPE_LINK},
                 {"instrumentation", 1U << TRACE_SCOPE_INSTRUMENTATION},
                 {"intrinsic", 0}};
    struct slice scope = params_get(p, "scope");
    if (scope.len == 0 || slice_eq(scope, SLICE("none"))) {
        *scopes_out = (1U << TRACE_SCOPES_COUNT) - 1;
        *intrinsics_out = all_intrinsics;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (slice_eq(scope, slice_cstr(table[i].name))) {
            *scopes_out = table[i].scopes;
            *intrinsics_out = slice_eq(scope, SLICE("intrinsic"));
            return true;
        }
    return err_set(err, ERR_INPUT, "invalid scope: %.*s", SLICE_FMT(scope));
}

// --- metrics ------------------------------------------------------------------------------------------

// About 240 of them, of a round length.
static int64_t default_step(int64_t length_ns)
{
    static const int64_t grains_s[] = {3600, 300, 60, 15, 5, 1};
    int64_t step_ns = length_ns / METRICS_STEPS_WANTED;
    if (length_ns < 60 * NS_PER_S)
        return step_ns < STEP_FINE_NS ? STEP_FINE_NS : step_ns / STEP_FINE_NS * STEP_FINE_NS;
    for (size_t i = 0; i < COUNT_OF(grains_s); i++)
        if (step_ns >= grains_s[i] * NS_PER_S)
            return step_ns / (grains_s[i] * NS_PER_S) * (grains_s[i] * NS_PER_S);
    return NS_PER_S;
}

static bool metrics_step(const struct params *p, const struct params_range *range, int64_t *step_ns_out, struct err *err)
{
    struct slice text = params_get(p, "step");
    int64_t length_ns = params_length(range->from_ns, range->to_ns), step_ns = default_step(length_ns);
    if (text.len > 0 && !params_seconds(text, query_parse_go_duration, &step_ns, err))
        return err_wrap(err, "could not parse 'step' parameter");
    if (step_ns <= 0 || length_ns / step_ns > TRACE_METRICS_STEPS_MAX) {
        char step[PARAMS_DURATION_BYTES], least[PARAMS_DURATION_BYTES];
        params_duration_text(step_ns, step);
        params_duration_text(length_ns / TRACE_METRICS_STEPS_MAX, least);
        return err_set(err, ERR_INPUT, "step of %s is too small, minimum step for given range is %s", step, least);
    }
    if (step_ns > STEP_NS_MAX) {
        char step[PARAMS_DURATION_BYTES], most[PARAMS_DURATION_BYTES];
        params_duration_text(step_ns, step);
        params_duration_text(STEP_NS_MAX, most);
        return err_set(err, ERR_INPUT, "step of %s is too large, maximum step is %s", step, most);
    }
    *step_ns_out = step_ns;
    return true;
}

// No span is older than the epoch.
static bool metrics_range(const struct params *p, int64_t now_ns, bool instant, struct params_range *out, struct err *err)
{
    if (!params_range(p, now_ns, out, err))
        return false;
    if (out->from_ns > out->to_ns || (instant && out->from_ns == out->to_ns))
        return err_set(err, ERR_INPUT, "end must be greater than start");
    if (out->from_ns < 0)
        out->from_ns = 0;
    if (out->to_ns < 0)
        out->to_ns = 0;
    return true;
}

// Whole buckets: the one that ends at or before the start is the first (15.1).
static void align(struct params_range *range, int64_t step_ns)
{
    params_align(range, step_ns);
    range->from_ns -= step_ns;
}

bool params_trace_metrics(const struct params *p, int64_t now_ns, bool instant, int64_t range_max_ns,
                          struct trace_metrics_options *out, struct err *err)
{
    struct params_range range;
    struct trace_metrics_options o = {.instant = instant, .exemplars_max = instant ? 0 : TRACE_METRICS_EXEMPLARS_MAX,
                                      .series_max = TRACE_METRICS_SERIES_MAX};
    if (!metrics_range(p, now_ns, instant, &range, err))
        return false;
    o.step_ns = params_length(range.from_ns, range.to_ns);
    if (!instant) {
        if (!metrics_step(p, &range, &o.step_ns, err))
            return false;
        align(&range, o.step_ns);
    }
    if (range_max_ns > 0 && params_length(range.from_ns, range.to_ns) > range_max_ns) {
        char text[PARAMS_DURATION_BYTES];
        params_duration_text(range_max_ns, text);
        return err_set(err, ERR_INPUT, "metrics query time range exceeds the maximum allowed duration of %s", text);
    }
    uint64_t number;
    if (!instant && params_uint(params_get(p, "exemplars"), UINT32_MAX, &number, NULL) && number > 0 &&
        number < TRACE_METRICS_EXEMPLARS_MAX)
        o.exemplars_max = (uint32_t)number;
    if (params_uint(params_get(p, "maxSeries"), UINT32_MAX, &number, NULL) && number > 0 && number < TRACE_METRICS_SERIES_MAX)
        o.series_max = (uint32_t)number;
    o.from_ns = range.from_ns;
    o.to_ns = range.to_ns;
    *out = o;
    return true;
}
