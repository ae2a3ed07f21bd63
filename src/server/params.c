/* params.c -- parameters of a query. */
#include "server/params.h"

#include "base/clock.h"
#include "base/labels.h"
#include "base/limits.h"
#include "server/uri.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    LIMIT_DEFAULT = 100,
    STEPS_DEFAULT = 250,
    SHORT_INTEGER_CHARS = 10, // seconds up to here, nanoseconds beyond
    NUMBER_CHARS_MAX = 400,   // longer texts are no numbers
};
#define SINCE_NS_DEFAULT NS_PER_HOUR
// Times are kept a year away from the ends of int64_t, so that adding a range cannot overflow.
#define TIME_NS_MAX (INT64_MAX - 366 * NS_PER_DAY)

// --- reading -----------------------------------------------------------------------------------------

static bool add_pair(struct params *p, size_t *room, struct slice pair, struct arena *a,
                     struct err *err)
{
    if (pair.len == 0)
        return true;
    if (memchr(pair.ptr, ';', pair.len) != NULL)
        return err_set(err, ERR_INPUT, "invalid semicolon separator in query");
    if (!arena_grow(a, (void **)&p->items, sizeof *p->items, p->count, room))
        return arena_ok(a, "parameters", err);
    size_t equals = slice_find(pair, SLICE("="));
    struct slice name = equals == SIZE_MAX ? pair : slice_of(pair.ptr, equals);
    struct slice value = equals == SIZE_MAX ? SLICE("") : slice_from(pair, equals + 1);
    struct param *param = &p->items[p->count];
    if (!uri_unescape(name, true, a, &param->name, err) ||
        !uri_unescape(value, true, a, &param->value, err))
        return false;
    p->count++;
    return true;
}

static bool add_all(struct params *p, size_t *room, struct slice text, struct arena *a,
                    struct err *err)
{
    while (text.len > 0) {
        size_t end = slice_find(text, SLICE("&"));
        struct slice pair = end == SIZE_MAX ? text : slice_of(text.ptr, end);
        if (!add_pair(p, room, pair, a, err))
            return false;
        text = end == SIZE_MAX ? SLICE("") : slice_from(text, end + 1);
    }
    return true;
}

bool params_parse(struct slice text, struct arena *a, struct params *out, struct err *err)
{
    struct params p = {0};
    size_t room = 0;
    if (!add_all(&p, &room, text, a, err))
        return false;
    *out = p;
    return true;
}

// Whether a header value names the form's media type, whatever its parameters.
static bool is_form(struct slice content_type)
{
    static const char form[] = "application/x-www-form-urlencoded";
    size_t len = sizeof form - 1;
    if (content_type.len < len || strncasecmp((const char *)content_type.ptr, form, len) != 0)
        return false;
    return content_type.len == len || strchr("; \t", content_type.ptr[len]) != NULL;
}

bool params_read(const struct request *rq, struct params *out, struct err *err)
{
    struct params p = {0};
    size_t room = 0;
    if (rq->method == METHOD_POST && is_form(rq->content_type)) {
        if (rq->body.len > SERVER_FORM_BYTES_MAX)
            return err_set(err, ERR_INPUT, "http: POST too large");
        if (!add_all(&p, &room, rq->body, rq->arena, err))
            return false;
    }
    if (!add_all(&p, &room, rq->query, rq->arena, err))
        return false;
    *out = p;
    return true;
}

struct slice params_get(const struct params *p, const char *name)
{
    struct slice wanted = slice_cstr(name);
    for (size_t i = 0; i < p->count; i++) {
        if (slice_eq(p->items[i].name, wanted))
            return p->items[i].value;
    }
    return SLICE("");
}

// --- numbers as Go reads them ------------------------------------------------------------------------

enum number_state { NUMBER_OK, NUMBER_SYNTAX, NUMBER_RANGE };

static enum number_state read_int(struct slice text, int64_t *out)
{
    size_t i = 0;
    bool negative = false;
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        negative = text.ptr[0] == '-';
        i = 1;
    }
    if (i == text.len)
        return NUMBER_SYNTAX;
    for (size_t k = i; k < text.len; k++) {
        if (!isdigit(text.ptr[k]))
            return NUMBER_SYNTAX;
    }
    int64_t value = 0;
    for (; i < text.len; i++) {
        int digit = text.ptr[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value)) // negative has the wider range
            return NUMBER_RANGE;
    }
    if (!negative && __builtin_sub_overflow(0, value, &value))
        return NUMBER_RANGE;
    *out = value;
    return NUMBER_OK;
}

static bool read_float(struct slice text, double *out)
{
    char copy[NUMBER_CHARS_MAX + 1];
    if (text.len == 0 || text.len > NUMBER_CHARS_MAX || isspace(text.ptr[0]) ||
        memchr(text.ptr, '\0', text.len) != NULL || memchr(text.ptr, '(', text.len) != NULL)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end;
    errno = 0;
    double value = strtod(copy, &end);
    if (*end != '\0' || (errno == ERANGE && isinf(value)))
        return false;
    *out = value;
    return true;
}

// Fails with Go's text: strconv.Atoi: parsing "abc": invalid syntax
static bool number_error(enum number_state state, const char *function, struct slice text,
                         struct err *err)
{
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_BYTES);
    labels_quote(&quoted, slice_of(text.ptr, text.len < 200 ? text.len : 200));
    err_set(err, ERR_INPUT, "strconv.%s: parsing %.*s: %s", function, SLICE_FMT(buf_slice(&quoted)),
            state == NUMBER_RANGE ? "value out of range" : "invalid syntax");
    buf_done(&quoted);
    return false;
}

bool params_int(struct slice text, int64_t *out, struct err *err)
{
    enum number_state state = read_int(text, out);
    return state == NUMBER_OK || number_error(state, "ParseInt", text, err);
}

bool params_uint(struct slice text, uint64_t max, uint64_t *out, struct err *err)
{
    int64_t value = 0;
    bool is_signed = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
    enum number_state state = is_signed ? NUMBER_SYNTAX : read_int(text, &value);
    if (state == NUMBER_OK && (uint64_t)value > max)
        state = NUMBER_RANGE;
    if (state != NUMBER_OK)
        return number_error(state, "ParseUint", text, err);
    *out = (uint64_t)value;
    return true;
}

// --- times -------------------------------------------------------------------------------------------

static int64_t clamp_time(__int128 ns)
{
    return ns > TIME_NS_MAX ? TIME_NS_MAX : ns < -TIME_NS_MAX ? -TIME_NS_MAX : (int64_t)ns;
}

// Seconds with a fraction rounded to milliseconds.
static int64_t time_of_float(double seconds)
{
    if (isnan(seconds))
        return 0;
    double whole;
    double fraction = modf(seconds, &whole);
    if (fabs(whole) >= 9.3e9)
        return whole > 0 ? TIME_NS_MAX : -TIME_NS_MAX;
    return clamp_time((__int128)whole * NS_PER_S + (__int128)(round(fraction * 1000)) * NS_PER_MS);
}

// loki-http.md 4.1
static bool read_time(struct slice text, int64_t *out, struct err *err)
{
    double seconds;
    if (memchr(text.ptr, '.', text.len) != NULL && read_float(text, &seconds)) {
        *out = time_of_float(seconds);
        return true;
    }
    int64_t value;
    enum number_state state = read_int(text, &value);
    if (state != NUMBER_OK) {
        if (!clock_parse_rfc3339(text, &value))
            return number_error(state, "ParseInt", text, err);
        *out = clamp_time(value);
        return true;
    }
    *out = clamp_time(text.len <= SHORT_INTEGER_CHARS ? (__int128)value * NS_PER_S : value);
    return true;
}

static bool time_param(const struct params *p, const char *name, int64_t fallback_ns, int64_t *out,
                       struct err *err)
{
    struct slice text = params_get(p, name);
    *out = fallback_ns;
    if (text.len == 0 || read_time(text, out, err))
        return true;
    return err_wrap(err, "could not parse '%s' parameter", name);
}

bool params_range(const struct params *p, int64_t now_ns, struct params_range *out, struct err *err)
{
    int64_t since_ns = SINCE_NS_DEFAULT;
    struct slice since = params_get(p, "since");
    struct err why;
    if (since.len > 0 && !query_parse_duration(since, &since_ns, &why))
        return err_set(err, ERR_INPUT, "could not parse 'since' parameter: %s", why.text);
    struct params_range range;
    if (!time_param(p, "end", now_ns, &range.to_ns, err))
        return false;
    int64_t newest_ns = range.to_ns < now_ns ? range.to_ns : now_ns;
    if (!time_param(p, "start", clamp_time((__int128)newest_ns - since_ns), &range.from_ns, err))
        return false;
    *out = range;
    return true;
}

bool params_instant(const struct params *p, int64_t now_ns, int64_t *time_ns_out, struct err *err)
{
    struct slice text = params_get(p, "time");
    if (text.len > 0)
        return read_time(text, time_ns_out, err);
    *time_ns_out = now_ns;
    return true;
}

// --- the others --------------------------------------------------------------------------------------

bool params_count(const struct params *p, const char *name, uint32_t *inout, struct err *err)
{
    struct slice text = params_get(p, name);
    int64_t count = *inout;
    enum number_state state = text.len == 0 ? NUMBER_OK : read_int(text, &count);
    if (state != NUMBER_OK)
        return number_error(state, "Atoi", text, err);
    if (count <= 0)
        return err_set(err, ERR_INPUT, "limit must be a positive value");
    *inout = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    return true;
}

bool params_limit(const struct params *p, uint32_t *limit_out, struct err *err)
{
    *limit_out = LIMIT_DEFAULT;
    return params_count(p, "limit", limit_out, err);
}

bool params_entries_ok(uint32_t limit, struct err *err)
{
    return limit <= QUERY_ENTRIES_MAX ||
           err_set(err, ERR_LIMIT,
                   "max entries limit per query exceeded, limit > max_entries_limit_per_query (%u > %u)", limit,
                   (unsigned)QUERY_ENTRIES_MAX);
}

bool params_forward(const struct params *p, bool *forward_out, struct err *err)
{
    struct slice text = params_get(p, "direction");
    bool forward = text.len == 7 && strncasecmp((const char *)text.ptr, "forward", 7) == 0;
    bool backward = text.len == 8 && strncasecmp((const char *)text.ptr, "backward", 8) == 0;
    if (text.len > 0 && !forward && !backward)
        return err_set(err, ERR_INPUT, "invalid direction '%.*s'", SLICE_FMT(text));
    *forward_out = forward;
    return true;
}

bool params_seconds(struct slice text, bool (*duration)(struct slice text, int64_t *ns_out, struct err *err), int64_t *ns_out,
                    struct err *err)
{
    double seconds;
    if (read_float(text, &seconds) && !isnan(seconds)) {
        double ns = seconds * (double)NS_PER_S;
        if (fabs(ns) < 9.2e18) {
            *ns_out = (int64_t)ns;
            return true;
        }
    } else if (duration(text, ns_out, NULL)) {
        return true;
    }
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_BYTES);
    labels_quote(&quoted, slice_of(text.ptr, text.len < 200 ? text.len : 200));
    err_set(err, ERR_INPUT, "cannot parse %.*s to a valid duration", SLICE_FMT(buf_slice(&quoted)));
    buf_done(&quoted);
    return false;
}

bool params_step(const struct params *p, const struct params_range *range, int64_t *step_ns_out,
                 struct err *err)
{
    struct slice text = params_get(p, "step");
    int64_t length_ns = params_length(range->from_ns, range->to_ns);
    int64_t step_ns = length_ns / STEPS_DEFAULT / NS_PER_S * NS_PER_S;
    if (step_ns < NS_PER_S)
        step_ns = NS_PER_S;
    if (text.len > 0 && !params_seconds(text, query_parse_duration, &step_ns, err))
        return false;
    if (step_ns <= 0)
        return err_set(err, ERR_INPUT,
                       "zero or negative query resolution step widths are not accepted. Try a "
                       "positive integer");
    if (length_ns / step_ns > QUERY_POINTS_MAX)
        return err_set(err, ERR_INPUT,
                       "exceeded maximum resolution of 11,000 points per time series. Try "
                       "increasing the value of the step parameter");
    *step_ns_out = step_ns;
    return true;
}

bool params_interval(const struct params *p, int64_t *interval_ns_out, struct err *err)
{
    struct slice text = params_get(p, "interval");
    int64_t interval_ns = 0;
    if (text.len > 0 && !params_seconds(text, query_parse_duration, &interval_ns, err))
        return false;
    if (interval_ns < 0)
        return err_set(err, ERR_INPUT, "interval must be >= 0");
    *interval_ns_out = interval_ns;
    return true;
}

// --- ranges ------------------------------------------------------------------------------------------

bool params_length_ok(const struct params_range *range, struct err *err)
{
    int64_t length_ns = params_length(range->from_ns, range->to_ns);
    if (length_ns <= QUERY_LENGTH_NS_MAX)
        return true;
    char text[PARAMS_DURATION_BYTES];
    params_duration_text(length_ns, text);
    return err_set(err, ERR_LIMIT,
                   "the query time range exceeds the limit (query length: %s, limit: 30d1h)", text);
}

bool params_ordered(const struct params_range *range, struct err *err)
{
    return range->to_ns >= range->from_ns ||
           err_set(err, ERR_INPUT, "end timestamp must not be before or equal to start time");
}

void params_align(struct params_range *range, int64_t step_ns)
{
    int64_t below = range->from_ns % step_ns;
    if (__builtin_sub_overflow(range->from_ns, below < 0 ? below + step_ns : below, &range->from_ns))
        range->from_ns = INT64_MIN;
    int64_t above = range->to_ns % step_ns;
    if (__builtin_add_overflow(range->to_ns, above > 0 ? step_ns - above : -above, &range->to_ns))
        range->to_ns = INT64_MAX;
}

void params_duration_text(int64_t ns, char out[PARAMS_DURATION_BYTES])
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t left = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    if (left < (uint64_t)NS_PER_S) {
        bool ms = left >= (uint64_t)NS_PER_MS;
        bool us = left >= (uint64_t)NS_PER_US;
        double unit = ms ? 1e6 : us ? 1e3 : 1;
        (void)snprintf(out, PARAMS_DURATION_BYTES, "%s%.9g%s", sign, (double)left / unit,
                 left == 0 ? "s" : ms ? "ms" : us ? "µs" : "ns");
        return;
    }
    uint64_t seconds = left / (uint64_t)NS_PER_S;
    char fraction[16] = "";
    if (left % (uint64_t)NS_PER_S != 0) {
        (void)snprintf(fraction, sizeof fraction, ".%09" PRIu64, left % (uint64_t)NS_PER_S);
        size_t len = strlen(fraction);
        while (fraction[len - 1] == '0')
            fraction[--len] = '\0';
    }
    int len = snprintf(out, PARAMS_DURATION_BYTES, "%s", sign);
    if (seconds >= 3600)
        len += snprintf(out + len, PARAMS_DURATION_BYTES - len, "%" PRIu64 "h", seconds / 3600);
    if (seconds >= 60)
        len += snprintf(out + len, PARAMS_DURATION_BYTES - len, "%" PRIu64 "m", seconds / 60 % 60);
    snprintf(out + len, PARAMS_DURATION_BYTES - len, "%" PRIu64 "%ss", seconds % 60, fraction);
}
