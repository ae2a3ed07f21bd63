/* generate.c -- see generate.h. */
#include "generate.h"

#include "base/attr.h"

#include <string.h>

unsigned generate_number(struct generator *g, unsigned below)
{
    g->state ^= g->state >> 12;
    g->state ^= g->state << 25;
    g->state ^= g->state >> 27;
    return (unsigned)((g->state * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % below;
}

static bool chance(struct generator *g, unsigned percent)
{
    return generate_number(g, 100) < percent;
}

#define PICK(g, words) (words)[generate_number(g, COUNT_OF(words))]

// --- lines ------------------------------------------------------------------------------------------

static const char *const streams[GENERATED_STREAMS] = {
    "{app=\"json\", env=\"prod\", host=\"h0\"}", "{app=\"json\", env=\"dev\", host=\"h1\"}",
    "{app=\"logfmt\", env=\"prod\", host=\"h0\"}", "{app=\"logfmt\", env=\"dev\", level=\"info\"}",
    "{app=\"nginx\", env=\"prod\"}", "{app=\"nginx\", env=\"dev\", host=\"h2\"}",
    "{app=\"mixed\", env=\"prod\"}", "{app=\"mixed\", env=\"dev\", status=\"up\"}"};
static const char *const words[] = {"error", "timeout", "cart", "GET", "user", "x", "caf\xc3\xa9", "10.1.2.3", "a.b"};
static const char *const levels[] = {"info", "warn", "error", "debug"};
static const char *const values[] = {"12", "0.5", "-3", "250ms", "1.5s", "2h", "10KB", "5MiB", "", "abc", "10.1.2.3"};

const char *generate_stream(unsigned number)
{
    return streams[number];
}

static void json_line(struct generator *g, struct buf *b)
{
    buf_printf(b, "{\"level\":\"%s\",\"msg\":\"%s %s\",\"status\":%u,\"duration\":\"%ums\",\"size\":\"%uKB\"", PICK(g, levels),
               PICK(g, words), PICK(g, words), 200 + generate_number(g, 4) * 100, generate_number(g, 900),
               generate_number(g, 90));
    if (chance(g, 40))
        buf_printf(b, ",\"req\":{\"method\":\"%s\",\"id\":%u},\"list\":[1,2]", chance(g, 50) ? "GET" : "POST",
                   generate_number(g, 50));
    if (chance(g, 20))
        buf_printf(b, ",\"app\":\"inner\",\"v\":\"%s\",\"quote\":\"a\\\"b\\u00e9\"", PICK(g, values));
    buf_put_cstr(b, chance(g, 95) ? "}" : "");
}

static void logfmt_line(struct generator *g, struct buf *b)
{
    buf_printf(b, "level=%s msg=\"%s %s\" status=%u duration=%ums size=%uKB", PICK(g, levels), PICK(g, words),
               PICK(g, words), 200 + generate_number(g, 4) * 100, generate_number(g, 900), generate_number(g, 90));
    if (chance(g, 30))
        buf_printf(b, " v=%s flag env=inner", PICK(g, values));
    if (chance(g, 5))
        buf_put_cstr(b, " bad\"key=1");
}

static void nginx_line(struct generator *g, struct buf *b)
{
    buf_printf(b, "10.%u.2.%u - - \"%s /%s/%u HTTP/1.1\" %u %u", generate_number(g, 3), generate_number(g, 250),
               chance(g, 80) ? "GET" : "POST", PICK(g, words), generate_number(g, 20),
               200 + generate_number(g, 4) * 100, generate_number(g, 5000));
}

void generate_line(struct generator *g, unsigned stream, struct buf *b)
{
    unsigned kind = stream < 6 ? stream / 2 : generate_number(g, 5);
    if (kind == 0)
        json_line(g, b);
    else if (kind == 1)
        logfmt_line(g, b);
    else if (kind == 2)
        nginx_line(g, b);
    else
        for (unsigned n = generate_number(g, 6); n > 0; n--)
            buf_printf(b, "%s%s", PICK(g, words), chance(g, 20) ? "\x1b[31m" : chance(g, 3) ? "\xff" : " ");
}

// --- log queries ------------------------------------------------------------------------------------

static void selector(struct generator *g, struct buf *b)
{
    static const char *const selectors[] = {
        "{app=\"json\"}", "{app=\"logfmt\"}", "{app=\"nginx\"}", "{app=\"mixed\"}", "{app=~\".+\"}", "{env=\"prod\"}",
        "{app=~\"json|logfmt\", env!=\"dev\"}", "{env=~\"p.*\", host!~\"h1|h2\"}", "{app!=\"mixed\", env=\"dev\"}",
        "{app=\"json\", host=\"\"}"};
    buf_put_cstr(b, PICK(g, selectors));
}

static void quote(struct buf *b, const char *text)
{
    bool plain = strchr(text, '`') == NULL;
    buf_printf(b, plain ? "`%s`" : "\"%s\"", text);
}

static void line_filter(struct generator *g, struct buf *b)
{
    static const char *const ops[] = {"|=", "!=", "|~", "!~", "|>", "!>"};
    static const char *const regexes[] = {"err.*", "(?i)ERROR", "time(out)?", "[0-9]+ms", "status.:?=?[45]00", "GET|POST", "^\\{", "x$",
                                          "caf.", "a\\.b", "HTTP/1\\.1\" 40{2}", "us+er", "\\bcart\\b.*(error|x)"};
    static const char *const patterns[] = {"<_>error<_>", "<_> - - <_>", "level=<_> <_>", "{<_>}", "<_>GET <_>"};
    unsigned op = generate_number(g, COUNT_OF(ops));
    buf_printf(b, " %s ", ops[op]);
    if (op < 2 && chance(g, 10))
        buf_put_cstr(b, "ip(\"10.1.0.0/16\")");
    else
        quote(b, op < 2 ? PICK(g, words) : op < 4 ? PICK(g, regexes) : PICK(g, patterns));
    if (op < 4 && chance(g, 15)) {
        buf_put_cstr(b, " or ");
        quote(b, PICK(g, words));
    }
}

static void parser(struct generator *g, struct buf *b)
{
    static const char *const parsers[] = {
        "json", "logfmt", "json", "logfmt", "json level, m=\"req.method\"", "logfmt level, d=\"duration\"",
        "logfmt --keep-empty", "logfmt --strict", "unpack",
        "pattern `<ip> - - \"<method> <path> <_>\" <status> <size>`", "regexp `(?P<level>error|warn|info)`",
        "regexp `^(?P<first>\\S+) (?P<rest>.*)$`"};
    buf_printf(b, " | %s", PICK(g, parsers));
    if (chance(g, 75))
        buf_put_cstr(b, " | __error__=\"\"");
}

static void label_filter(struct generator *g, struct buf *b)
{
    static const char *const filters[] = {
        "level=\"error\"", "level!=\"info\"", "level=~\"e.*|w.*\"", "status>=400", "status!=500", "status==200",
        "duration>250ms", "duration<=0.5s", "size>20KB", "size<1MiB", "v=\"\"", "msg!~\".*cart.*\"", "env=\"prod\"",
        "ip=ip(\"10.1.0.0/16\")", "req_method=\"GET\"", "trace!=\"\"", "level=\"error\" or status>300",
        "(level=\"warn\" and status<500) or duration>800ms", "level=\"info\", env=\"dev\"", "app_extracted=\"inner\""};
    buf_printf(b, " | %s", PICK(g, filters));
}

static void rewrite(struct generator *g, struct buf *b)
{
    static const char *const stages[] = {
        "line_format `{{.level}} {{.msg}}`", "line_format \"{{ .app | ToUpper }}-{{ .status }}\"",
        "label_format lvl=level", "label_format both=`{{.level}}/{{.env}}`, env=host", "decolorize", "drop level=~\".*\"",
        "drop app, status=\"200\"", "keep level, app=~\".*\"", "keep status, env=\"prod\"", "drop __error__=~\".*\""};
    buf_printf(b, " | %s", PICK(g, stages));
}

static void stages(struct generator *g, struct buf *b)
{
    for (unsigned n = generate_number(g, 5); n > 0; n--) {
        unsigned kind = generate_number(g, 10);
        (kind < 4 ? line_filter : kind < 7 ? parser : kind < 9 ? label_filter : rewrite)(g, b);
    }
}

void generate_logs(struct generator *g, struct buf *b)
{
    selector(g, b);
    stages(g, b);
}

// --- metric queries ---------------------------------------------------------------------------------

static void grouping(struct generator *g, struct buf *b)
{
    static const char *const lists[] = {"()", "(app)", "(level)", "(env, level)", "(app, host)", "(status, missing)", "(app, app)"};
    buf_printf(b, " %s %s", chance(g, 70) ? "by" : "without", PICK(g, lists));
}

static void range_of(struct generator *g, struct buf *b)
{
    static const char *const ranges[] = {"[10s]", "[1m]", "[7s]", "[45s]", "[5m]", "[1s]"};
    buf_put_cstr(b, PICK(g, ranges));
    if (chance(g, 15))
        buf_put_cstr(b, chance(g, 50) ? " offset 20s" : " offset -15s");
}

static void range_aggregation(struct generator *g, struct buf *b)
{
    static const char *const counts[] = {"count_over_time", "rate", "bytes_over_time", "bytes_rate"};
    static const char *const unwrapped[] = {"sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "stddev_over_time",
                                            "stdvar_over_time", "first_over_time", "last_over_time", "rate",
                                            "quantile_over_time"};
    static const char *const unwraps[] = {"unwrap status", "unwrap duration(duration)", "unwrap bytes(size)", "unwrap v",
                                          "unwrap duration_seconds(d)"};
    if (chance(g, 55)) {
        buf_printf(b, "%s(", PICK(g, counts));
        generate_logs(g, b);
        range_of(g, b);
        buf_put_byte(b, ')');
        return;
    }
    unsigned fn = generate_number(g, COUNT_OF(unwrapped));
    buf_printf(b, "%s(%s", unwrapped[fn], fn == 9 ? "0.75, " : "");
    generate_logs(g, b);
    buf_printf(b, " | %s | __error__=\"\"", PICK(g, unwraps));
    range_of(g, b);
    buf_put_byte(b, ')');
    if (fn > 0 && fn != 8 && chance(g, 40))
        grouping(g, b);
}

void generate_aggregation(struct generator *g, struct buf *b)
{
    static const char *const aggregations[] = {"sum", "sum", "min", "max", "avg", "count"};
    if (chance(g, 35)) {
        range_aggregation(g, b);
        return;
    }
    const char *fn = PICK(g, aggregations);
    buf_put_cstr(b, fn);
    bool before = chance(g, 50), grouped = chance(g, 75);
    if (grouped && before)
        grouping(g, b);
    buf_put_cstr(b, " (");
    range_aggregation(g, b);
    buf_put_byte(b, ')');
    if (grouped && !before)
        grouping(g, b);
}

void generate_metric(struct generator *g, struct buf *b)
{
    static const char *const ops[] = {"+", "-", "*", "/", "%", "^", "and", "or", "unless", ">", "< bool", "==", "!= bool", ">= on(app)",
                                      "/ ignoring(level)", "* on(env) group_left(host)"};
    unsigned kind = generate_number(g, 10);
    if (kind < 5) {
        generate_aggregation(g, b);
    } else if (kind < 7) {
        generate_aggregation(g, b);
        buf_printf(b, " %s ", PICK(g, ops));
        generate_metric(g, b);
    } else if (kind == 7) {
        buf_printf(b, "topk(%u, ", generate_number(g, 4) + 1);
        generate_aggregation(g, b);
        buf_put_byte(b, ')');
    } else if (kind == 8) {
        buf_put_cstr(b, "label_replace(");
        generate_aggregation(g, b);
        buf_put_cstr(b, ", \"dst\", \"$1\", \"app\", \"(.*)\")");
    } else {
        buf_put_byte(b, '(');
        generate_aggregation(g, b);
        buf_printf(b, " %s %u)", chance(g, 50) ? "*" : ">", generate_number(g, 10));
    }
}

// --- broken ones ------------------------------------------------------------------------------------

void generate_broken(struct generator *g, struct buf *b)
{
    static const char *const pieces[] = {"(", ")", "{", "}", "[", "]", "|", "=", "=~", "\"", "`", "by", "sum", "rate", "[5m]", "json", ",",
                                         "1", "or", "unwrap", "5m", "#", "offset", "| json", "count_over_time("};
    size_t from = b->len;
    if (chance(g, 50))
        generate_logs(g, b);
    else
        generate_metric(g, b);
    for (unsigned n = generate_number(g, 3) + 1; n > 0 && b->len > from + 2; n--) {
        size_t at = from + generate_number(g, (unsigned)(b->len - from)), len = generate_number(g, 4) + 1;
        if (chance(g, 50)) { // drop
            len = len < b->len - at ? len : b->len - at;
            memmove(b->ptr + at, b->ptr + at + len, b->len - at - len);
            b->len -= len;
        } else { // put in
            const char *piece = PICK(g, pieces);
            size_t bytes = strlen(piece), behind = b->len - at;
            buf_put_cstr(b, piece);
            memmove(b->ptr + at + bytes, b->ptr + at, behind);
            memcpy(b->ptr + at, piece, bytes);
        }
    }
}
