/*
 * config.c -- every setting: one table, read from flags, MSTORE_* and a YAML file.
 *
 * A setting `--head-idle` is the variable MSTORE_HEAD_IDLE and the key `head_idle`. Order of strength: flags,
 * environment, file, defaults.
 */
#include "server/server.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/limits.h"
#include "server/rules.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <yaml.h>

#define MEMORY_BYTES_DEFAULT (512 * MIB)
#define MEMORY_BYTES_MIN (64 * MIB)
#define RETENTION_NS_DEFAULT (14 * NS_PER_DAY)

enum kind { KIND_TEXT, KIND_LISTEN, KIND_BYTES, KIND_DURATION, KIND_DURABILITY, KIND_LEVEL, KIND_STYLE, KIND_BOOL, KIND_RULES };

struct setting {
    const char *name; // of the flag, without dashes
    enum kind kind;
    size_t offset; // in struct config
    const char *value_name;
    const char *help;
};

#define AT(field) offsetof(struct config, field)
static const struct setting settings[] = {
    {"data", KIND_TEXT, AT(data_dir), "DIR", "data directory (required)"},
    {"listen", KIND_LISTEN, AT(listen), "ADDR:PORT",
     "listen here instead of 127.0.0.1:3100 and 127.0.0.1:4318; repeatable"},
    {"memory", KIND_BYTES, AT(memory_bytes), "BYTES", "memory to plan with (512MiB)"},
    {"max-bytes", KIND_BYTES, AT(max_bytes), "BYTES", "drop the oldest data above this much on disk (0: no cap)"},
    {"low-water", KIND_BYTES, AT(low_water_bytes), "BYTES", "refuse pushes while the disk has less left (256MiB; 0: never)"},
    {"retention", KIND_DURATION, AT(retention_ns), "DURATION",
     "keep entries for this long, refuse older ones (14d; 0: accept and keep any age)"},
    {"retention-rules", KIND_RULES, AT(rules), "RULE",
     "keep streams of their own for longer or shorter: `{env=\"dev\"}: 24h`, `TENANT {job=\"audit\"}: 90d`; the first that\n"
     "                           matches decides; repeatable, in MSTORE_RETENTION_RULES one a line"},
    {"delete-delay", KIND_DURATION, AT(delete_delay_ns), "DURATION",
     "what a request to delete hides at once is gone for good after this (24h); until then it can be taken back"},
    {"dry-run", KIND_BOOL, AT(dry_run), NULL, "tell what would be taken away, when and why; change nothing, do not serve"},
    {"durability", KIND_DURABILITY, AT(durability_crash), "sync|crash",
     "sync: on disk before the answer. crash: a power cut may lose the last seconds, a crash of mstored "
     "nothing"},
    {"require-tenant", KIND_BOOL, AT(require_tenant), NULL, "refuse requests without X-Scope-OrgID"},
    {"multi-tenant-queries", KIND_BOOL, AT(multi_tenant_queries), NULL,
     "X-Scope-OrgID: a|b asks several tenants at once"},
    {"allow-anonymous", KIND_BOOL, AT(allow_anonymous), NULL, "listen beyond loopback without tokens"},
    {"s3", KIND_TEXT, AT(s3_url), "URL", "keep segments in an object store: https://s3.eu-central-1.amazonaws.com"},
    {"bucket", KIND_TEXT, AT(bucket), "NAME", "the bucket (with --s3)"},
    {"prefix", KIND_TEXT, AT(prefix), "PATH", "in front of every key in the bucket; one writer per prefix"},
    {"s3-region", KIND_TEXT, AT(s3_region), "REGION", "for signing (from AWS_REGION or the URL; us-east-1)"},
    {"s3-credentials", KIND_TEXT, AT(s3_credentials), "FILE",
     "shared credentials file (else AWS_*, ~/.aws/credentials, the pod's, container's or instance's role)"},
    {"s3-style", KIND_STYLE, AT(s3_style), "auto|path|host", "bucket in the path or in the host name (auto)"},
    {"s3-upload-rate", KIND_BYTES, AT(s3_upload_rate), "BYTES", "upload at most so much a second (0: no bound)"},
    {"s3-snapshot", KIND_DURATION, AT(s3_snapshot_ns), "DURATION", "publish the index for read-only servers so often (1m)"},
    {"s3-refresh", KIND_DURATION, AT(s3_refresh_ns), "DURATION", "look so often for a newer one (with --read-only; 15s)"},
    {"s3-grace", KIND_DURATION, AT(s3_grace_ns), "DURATION",
     "delete objects so long after nothing names them any more (10m)"},
    {"s3-lease", KIND_DURATION, AT(s3_lease_ns), "DURATION",
     "a writer that is silent for longer, and 10s for clocks, may be replaced by another (1m)"},
    {"cache-bytes", KIND_BYTES, AT(cache_bytes), "BYTES", "local copies of segments that are in the bucket (16GiB)"},
    {"read-only", KIND_BOOL, AT(read_only), NULL, "serve what another server writes to the bucket; take no pushes"},
    {"rebuild-index", KIND_BOOL, AT(rebuild_index), NULL, "make the index anew from the segments, then serve"},
    {"head-bytes", KIND_BYTES, AT(head_bytes), "BYTES", "seal a generation at this size (an eighth of --memory)"},
    {"head-idle", KIND_DURATION, AT(head_idle_ns), "DURATION", "seal a generation idle for this long (1h)"},
    {"query-timeout", KIND_DURATION, AT(query_timeout_ns), "DURATION", "end a query after this with 504 (1m)"},
    {"tail-duration", KIND_DURATION, AT(tail_ns), "DURATION", "close a live tail after this (1h)"},
    {"connection-idle", KIND_DURATION, AT(connection_idle_ns), "DURATION", "close a connection silent for this long (3m)"},
    {"path-prefix", KIND_TEXT, AT(path_prefix), "/PATH", "also serve everything below this path, as behind a proxy"},
    {"trace-search-range", KIND_DURATION, AT(trace_search_range_ns), "DURATION",
     "refuse searches of spans over more time (0: any)"},
    {"trace-metrics-range", KIND_DURATION, AT(trace_metrics_range_ns), "DURATION",
     "refuse metrics of spans over more time (0: any)"},
    {"log-level", KIND_LEVEL, AT(log_level), "LEVEL", "debug, info, warn or error (info)"},
};

void config_init(struct config *c)
{
    *c = (struct config){.rules = rules_new(), .memory_bytes = MEMORY_BYTES_DEFAULT,
                         .retention_ns = RETENTION_NS_DEFAULT,
                         .delete_delay_ns = DELETE_DELAY_NS_DEFAULT,
                         .low_water_bytes = DISK_LOW_BYTES_DEFAULT,
                         .s3_snapshot_ns = FAR_SNAPSHOT_NS,
                         .s3_refresh_ns = FAR_REFRESH_NS,
                         .s3_grace_ns = FAR_GRACE_NS,
                         .s3_lease_ns = LEASE_NS,
                         .cache_bytes = FAR_CACHE_BYTES,
                         .head_idle_ns = HEAD_IDLE_NS_DEFAULT,
                         .query_timeout_ns = QUERY_TIMEOUT_NS_DEFAULT,
                         .tail_ns = TAIL_NS_DEFAULT,
                         .connection_idle_ns = SERVER_IDLE_NS_DEFAULT,
                         .log_level = DIAG_INFO};
}

void config_done(struct config *c)
{
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (settings[i].kind == KIND_TEXT)
            free(*(char **)((char *)c + settings[i].offset));
    for (unsigned i = 0; i < c->listen_count; i++)
        free(c->listen[i]);
    rules_free(c->rules);
    *c = (struct config){0};
}

static char *copy(const char *text)
{
    char *s = strdup(text);
    assert(s != NULL);
    return s;
}

// --- values -----------------------------------------------------------------------------------------

static bool parse_bytes(const char *text, uint64_t *out, struct err *err)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},          {"B", 1},         {"KB", 1000},       {"MB", 1000000},
                 {"GB", 1000000000}, {"TB", 1000000000000}, {"KiB", KIB}, {"MiB", MIB},
                 {"GiB", GIB},     {"TiB", 1024 * GIB}};
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < COUNT_OF(units) && isdigit((unsigned char)text[0]) && errno == 0; i++)
        if (strcasecmp(end, units[i].name) == 0 && number * (double)units[i].bytes < 9e18) {
            *out = (uint64_t)(number * (double)units[i].bytes);
            return true;
        }
    return err_set(err, ERR_INPUT, "`%s` is no size (try 64MiB or 10GB)", text);
}

static bool parse_bool(const char *text, bool *out, struct err *err)
{
    if (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0)
        *out = true;
    else if (strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0)
        *out = false;
    else
        return err_set(err, ERR_INPUT, "`%s` is neither true nor false", text);
    return true;
}

static bool add_listen(struct config *c, const char *text, struct err *err)
{
    if (c->listen_count == SERVER_LISTEN_MAX)
        return err_set(err, ERR_INPUT, "more than %d addresses", SERVER_LISTEN_MAX);
    c->listen[c->listen_count++] = copy(text);
    return true;
}

static const char *const styles[] = {[BLOB_STYLE_AUTO] = "auto", [BLOB_STYLE_PATH] = "path", [BLOB_STYLE_HOST] = "host"};

static bool set_value(struct config *c, const struct setting *s, const char *text, struct err *err)
{
    void *to = (char *)c + s->offset;
    switch (s->kind) {
    case KIND_TEXT:
        free(*(char **)to);
        *(char **)to = copy(text);
        return true;
    case KIND_LISTEN:
        return add_listen(c, text, err);
    case KIND_BYTES:
        return parse_bytes(text, to, err);
    case KIND_DURATION: {
        struct err why;
        return query_parse_duration(slice_cstr(text), to, &why) ||
               err_set(err, ERR_INPUT, "`%s` is no duration (try 14d or 1h30m)", text);
    }
    case KIND_DURABILITY:
        *(bool *)to = strcmp(text, "crash") == 0;
        return *(bool *)to || strcmp(text, "sync") == 0 ||
               err_set(err, ERR_INPUT, "`%s` is neither sync nor crash", text);
    case KIND_LEVEL: {
        enum diag_level level;
        if (!diag_level_parse(text, &level))
            return err_set(err, ERR_INPUT, "`%s` is none of debug, info, warn, error", text);
        *(int *)to = level;
        return true;
    }
    case KIND_STYLE:
        for (size_t i = 0; i < COUNT_OF(styles); i++)
            if (strcmp(text, styles[i]) == 0) {
                *(int *)to = (int)i;
                return true;
            }
        return err_set(err, ERR_INPUT, "`%s` is none of auto, path, host", text);
    case KIND_BOOL:
        return parse_bool(text, to, err);
    case KIND_RULES:
        return rules_add(*(struct rules **)to, text, err);
    }
    return false;
}

static const struct setting *find_setting(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (strlen(settings[i].name) == len && strncmp(settings[i].name, name, len) == 0)
            return &settings[i];
    return NULL;
}

static bool is_list(const struct setting *s)
{
    return s->kind == KIND_LISTEN || s->kind == KIND_RULES;
}

// --- sources ----------------------------------------------------------------------------------------

// What was set so far, so that a weaker source does not touch it.
struct sources {
    struct config *config;
    bool set[COUNT_OF(settings)];
    bool set_here[COUNT_OF(settings)]; // by the source being read
    char *file; // owned
};

static bool offer(struct sources *s, const struct setting *setting, const char *text, struct err *err)
{
    size_t i = (size_t)(setting - settings);
    if (s->set[i])
        return true;
    s->set_here[i] = true;
    return set_value(s->config, setting, text, err);
}

static void end_source(struct sources *s)
{
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        s->set[i] = s->set[i] || s->set_here[i];
        s->set_here[i] = false;
    }
}

static bool read_flag(struct sources *s, int argc, char **argv, int *i, struct err *err)
{
    const char *flag = argv[*i];
    if (strncmp(flag, "--", 2) != 0)
        return err_set(err, ERR_INPUT, "unexpected argument `%s` (see --help)", flag);
    const char *equals = strchr(flag, '=');
    size_t len = (equals != NULL ? (size_t)(equals - flag) : strlen(flag)) - 2;
    const struct setting *setting = find_setting(flag + 2, len);
    bool config = len == strlen("config") && strncmp(flag + 2, "config", len) == 0;
    if (setting == NULL && !config)
        return err_set(err, ERR_INPUT, "unknown flag `%.*s` (see --help)", (int)len + 2, flag);
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (value == NULL && setting != NULL && setting->kind == KIND_BOOL)
        value = "true";
    if (value == NULL && *i + 1 < argc)
        value = argv[++*i];
    if (value == NULL)
        return err_set(err, ERR_INPUT, "flag `%s` needs a value", flag);
    if (config) {
        free(s->file);
        s->file = copy(value);
        return true;
    }
    return offer(s, setting, value, err) || err_wrap(err, "flag --%s", setting->name);
}

static bool read_environment(struct sources *s, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        char name[64] = "MSTORE_";
        size_t len = strlen(name);
        for (const char *p = settings[i].name; *p != '\0'; p++)
            name[len++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
        name[len] = '\0';
        const char *value = getenv(name);
        if (value == NULL)
            continue;
        char *list = copy(value), *rest = list, *one;
        bool good = true;
        if (!is_list(&settings[i]))
            good = offer(s, &settings[i], value, err);
        const char *between = settings[i].kind == KIND_LISTEN ? "," : "\n";
        while (good && is_list(&settings[i]) && (one = strsep(&rest, between)) != NULL)
            good = offer(s, &settings[i], one, err);
        free(list);
        if (!good)
            return err_wrap(err, "variable %s", name);
    }
    const char *file = getenv("MSTORE_CONFIG");
    if (file != NULL && s->file == NULL)
        s->file = copy(file);
    return true;
}

static const struct setting *setting_of_key(const char *key)
{
    char name[64];
    size_t len = 0;
    for (; key[len] != '\0' && len < sizeof name; len++)
        name[len] = key[len] == '_' ? '-' : key[len];
    return find_setting(name, len);
}

// The value of a key: a scalar, or for `listen` and `retention_rules` a sequence of them.
static bool read_node(struct sources *s, yaml_document_t *doc, const struct setting *setting,
                      const yaml_node_t *node, struct err *err)
{
    if (node->type == YAML_SCALAR_NODE)
        return offer(s, setting, (const char *)node->data.scalar.value, err);
    if (node->type != YAML_SEQUENCE_NODE || !is_list(setting))
        return err_set(err, ERR_INPUT, "expected a single value");
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        const yaml_node_t *item = yaml_document_get_node(doc, *i);
        if (item->type != YAML_SCALAR_NODE)
            return err_set(err, ERR_INPUT, "expected a list of texts");
        if (!offer(s, setting, (const char *)item->data.scalar.value, err))
            return false;
    }
    return true;
}

static bool read_document(struct sources *s, yaml_document_t *doc, struct err *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc);
    if (root == NULL)
        return true; // empty
    if (root->type != YAML_MAPPING_NODE)
        return err_set(err, ERR_INPUT, "%s: expected `key: value` lines", s->file);
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(doc, p->key);
        const yaml_node_t *value = yaml_document_get_node(doc, p->value);
        size_t line = key->start_mark.line + 1;
        const char *name = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "";
        const struct setting *setting = setting_of_key(name);
        if (setting == NULL)
            return err_set(err, ERR_INPUT, "%s:%zu: unknown key `%s`", s->file, line, name);
        if (!read_node(s, doc, setting, value, err))
            return err_wrap(err, "%s:%zu: key `%s`", s->file, line, name);
    }
    return true;
}

static bool read_file(struct sources *s, struct err *err)
{
    FILE *f = fopen(s->file, "rb");
    if (f == NULL)
        return err_errno(err, errno, "%s: open", s->file);
    yaml_parser_t parser;
    yaml_document_t doc;
    int ready = yaml_parser_initialize(&parser);
    assert(ready);
    yaml_parser_set_input_file(&parser, f);
    bool good = yaml_parser_load(&parser, &doc) != 0;
    if (!good) {
        (void)err_set(err, ERR_INPUT, "%s:%zu: %s", s->file, parser.problem_mark.line + 1,
                      parser.problem != NULL ? parser.problem : "not YAML");
    } else {
        good = read_document(s, &doc, err);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    (void)fclose(f);
    return good;
}

// --- checks -----------------------------------------------------------------------------------------

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

void config_complete(struct config *c)
{
    if (c->head_bytes == 0)
        c->head_bytes = c->memory_bytes / 8;
    if (c->listen_count > 0)
        return;
    c->listen[c->listen_count++] = copy("127.0.0.1:3100");
    c->listen[c->listen_count++] = copy("127.0.0.1:4318");
}

static bool is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static bool check_bucket(const struct config *c, struct err *err)
{
    if (is_empty(c->s3_url) != is_empty(c->bucket))
        return err_set(err, ERR_INPUT, "--s3 and --bucket go together");
    if (c->read_only && is_empty(c->s3_url))
        return err_set(err, ERR_INPUT, "--read-only serves a bucket: --s3 URL --bucket NAME");
    if (c->s3_snapshot_ns <= 0 || c->s3_refresh_ns <= 0 || c->s3_grace_ns <= 0)
        return err_set(err, ERR_INPUT, "--s3-snapshot, --s3-refresh, --s3-grace: longer than 0s");
    if (c->s3_lease_ns < LEASE_NS_MIN || c->s3_lease_ns > NS_PER_DAY)
        return err_set(err, ERR_INPUT, "--s3-lease: 3s to 1d");
    return true;
}

static bool check(struct config *c, struct err *err)
{
    if (c->data_dir == NULL || c->data_dir[0] == '\0')
        return err_set(err, ERR_INPUT, "no data directory: --data DIR (see --help)");
    if (c->memory_bytes < MEMORY_BYTES_MIN)
        return err_set(err, ERR_INPUT, "--memory: at least %llu MiB", (unsigned long long)(MEMORY_BYTES_MIN / MIB));
    if (c->connection_idle_ns < NS_PER_S)
        return err_set(err, ERR_INPUT, "--connection-idle: at least 1s");
    if (c->query_timeout_ns <= 0 || c->tail_ns <= 0)
        return err_set(err, ERR_INPUT, "--query-timeout, --tail-duration: longer than 0s");
    if (c->path_prefix != NULL && (c->path_prefix[0] != '/' || c->path_prefix[strlen(c->path_prefix) - 1] == '/'))
        return err_set(err, ERR_INPUT, "--path-prefix %s: expected /path", c->path_prefix);
    c->retention.period_ns = c->retention_ns;
    c->retention.rules = rules_items(c->rules, &c->retention.rules_count);
    if (!check_bucket(c, err))
        return false;
    for (unsigned i = 0; i < c->listen_count && !c->allow_anonymous; i++)
        if (!is_loopback(c->listen[i]))
            return err_set(err, ERR_INPUT,
                           "--listen %s is reachable from other machines and nothing asks for a token: "
                           "say --allow-anonymous if that is meant", c->listen[i]);
    config_complete(c);
    return true;
}

static const char *help(void)
{
    static char text[8192];
    size_t len = (size_t)snprintf(
        text, sizeof text,
        "mstored -- stores logs and answers Loki clients, on one machine.\n\n"
        "usage: mstored --data DIR [flags]\n\n");
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        char flag[64];
        (void)snprintf(flag, sizeof flag, "--%s %s", settings[i].name,
                       settings[i].value_name != NULL ? settings[i].value_name : "");
        len += (size_t)snprintf(text + len, sizeof text - len, "  %-24s %s\n", flag, settings[i].help);
    }
    (void)snprintf(text + len, sizeof text - len,
                   "  %-24s %s\n  %-24s %s\n\n"
                   "Each flag is also a variable (MSTORE_HEAD_IDLE) and a key of the file (head_idle); flags\n"
                   "win over variables, variables over the file. Sizes take KiB MiB GiB KB MB GB, durations\n"
                   "14d 1h30m 90s.\n",
                   "--config FILE", "read settings from a YAML file", "--version, --help", "");
    return text;
}

bool config_read(struct config *c, int argc, char **argv, const char **show_out, struct err *err)
{
    struct sources s = {.config = c};
    bool good = true;
    *show_out = NULL;
    for (int i = 1; i < argc && good; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            *show_out = help();
        else if (strcmp(argv[i], "--version") == 0)
            *show_out = "mstored " MSTORE_VERSION "\n";
        else
            good = read_flag(&s, argc, argv, &i, err);
        if (*show_out != NULL)
            break;
    }
    end_source(&s);
    if (good && *show_out == NULL) {
        good = read_environment(&s, err);
        end_source(&s);
        good = good && (s.file == NULL || read_file(&s, err)) && check(c, err);
    }
    free(s.file);
    return good;
}

static void put_duration(struct buf *b, int64_t ns)
{
    bool whole = ns % NS_PER_S == 0;
    buf_printf(b, whole ? "%" PRId64 "s" : "%" PRId64 "ms", ns / (whole ? NS_PER_S : NS_PER_MS));
}

static void print_rules(const struct rules *rules, struct buf *b)
{
    size_t count;
    const struct retention_rule *items = rules_items(rules, &count);
    buf_put_byte(b, '[');
    for (size_t i = 0; i < count; i++) {
        buf_put_cstr(b, i > 0 ? ", '" : "'");
        for (const char *p = items[i].text; *p != '\0'; p++) // YAML doubles what ends the text
            buf_put_slice(b, *p == '\'' ? SLICE("''") : slice_of(p, 1));
        buf_put_byte(b, '\'');
    }
    buf_put_byte(b, ']');
}

static void put_setting(struct buf *b, const struct config *c, const struct setting *s)
{
    const void *from = (const char *)c + s->offset;
    for (const char *p = s->name; *p != '\0'; p++)
        buf_put_byte(b, *p == '-' ? '_' : (uint8_t)*p);
    buf_put_cstr(b, ": ");
    switch (s->kind) {
    case KIND_TEXT:
        buf_put_cstr(b, *(char *const *)from != NULL ? *(char *const *)from : "");
        break;
    case KIND_LISTEN:
        buf_put_byte(b, '[');
        for (unsigned n = 0; n < c->listen_count; n++)
            buf_printf(b, "%s\"%s\"", n > 0 ? ", " : "", c->listen[n]);
        buf_put_byte(b, ']');
        break;
    case KIND_BYTES:
        buf_printf(b, "%" PRIu64, *(const uint64_t *)from);
        break;
    case KIND_DURATION:
        put_duration(b, *(const int64_t *)from);
        break;
    case KIND_DURABILITY:
        buf_put_cstr(b, *(const bool *)from ? "crash" : "sync");
        break;
    case KIND_LEVEL:
        buf_put_cstr(b, diag_level_name((enum diag_level)(*(const int *)from)));
        break;
    case KIND_STYLE:
        buf_put_cstr(b, styles[*(const int *)from]);
        break;
    case KIND_BOOL:
        buf_put_cstr(b, *(const bool *)from ? "true" : "false");
        break;
    case KIND_RULES:
        print_rules(c->rules, b);
        break;
    }
    buf_put_byte(b, '\n');
}

void config_print_yaml(const struct config *c, const struct config *except, struct buf *b)
{
    struct buf line, other;
    buf_init(&line, 0);
    buf_init(&other, 0);
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        buf_reset(&line);
        buf_reset(&other);
        put_setting(&line, c, &settings[i]);
        if (except != NULL)
            put_setting(&other, except, &settings[i]);
        if (!slice_eq(buf_slice(&line), buf_slice(&other)))
            buf_put_slice(b, buf_slice(&line));
    }
    buf_done(&line);
    buf_done(&other);
}
