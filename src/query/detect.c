/* detect.c -- see detect.h. */
#include "query/detect.h"

#include "base/clock.h"
#include "base/labels.h"
#include "query/logql/unit.h"
#include "query/pipeline/extract.h"

struct detect {
    struct arena *a;
    struct slice_set names;
    struct detected_field *fields; // by number in `names`
    size_t fields_room;
    uint32_t fields_max;
    struct slice stream; // labels of the entry in hand
    bool json;           // its line is a JSON object
};

// --- types ------------------------------------------------------------------------------------------

static bool is_int(struct slice v)
{
    size_t from = v.len > 0 && (v.ptr[0] == '-' || v.ptr[0] == '+');
    if (v.len == from || v.len - from > 19)
        return false;
    for (size_t i = from; i < v.len; i++)
        if (v.ptr[i] < '0' || v.ptr[i] > '9')
            return false;
    return true;
}

static bool is_bool(struct slice v)
{
    static const char *const words[] = {"true", "True", "TRUE", "t", "T", "false", "False", "FALSE", "f", "F"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (slice_eq(v, slice_cstr(words[i])))
            return true;
    return false;
}

static const char *type_of(struct slice v)
{
    double number;
    int64_t ns;
    uint64_t bytes;
    return is_int(v)                        ? "int"
           : unit_float(v, &number, NULL)   ? "float"
           : is_bool(v)                     ? "boolean"
           : unit_go_duration(v, &ns, NULL) ? "duration"
           : unit_bytes(v, &bytes, NULL)    ? "bytes"
                                            : "string";
}

// --- fields -----------------------------------------------------------------------------------------

// NULL when it finds no place any more.
static struct detected_field *field_of(struct detect *d, struct slice name)
{
    if (labels_find(d->stream, name).len > 0)
        name = slice_cstr(arena_printf(d->a, "%.*s_extracted", SLICE_FMT(name)));
    size_t before = d->names.count;
    if (before == d->fields_max) { // only known ones
        for (size_t i = 0; i < before; i++)
            if (slice_eq(d->names.items[i], name))
                return &d->fields[i];
        return NULL;
    }
    size_t number = slice_set_add(&d->names, name);
    if (number == SIZE_MAX)
        return NULL;
    if (d->names.count > before) {
        if (!arena_grow(d->a, (void **)&d->fields, sizeof *d->fields, number, &d->fields_room))
            return NULL;
        d->fields[number] = (struct detected_field){.name = d->names.items[number], .values = {.arena = d->a}};
    }
    return &d->fields[number];
}

static struct detected_field *note(struct detect *d, struct slice name, struct slice value)
{
    if (slice_eq(name, SLICE("__error__")) || slice_eq(name, SLICE("__error_details__")))
        return NULL;
    struct detected_field *f = field_of(d, name);
    if (f == NULL || slice_set_add(&f->values, value) == SIZE_MAX)
        return NULL;
    f->type = type_of(value);
    return f;
}

static void note_json(void *ctx, struct slice name, struct slice value, const struct slice *path, size_t path_count)
{
    struct detect *d = ctx;
    struct detected_field *f = note(d, name, value);
    if (f == NULL)
        return;
    f->json = true;
    struct slice *copy = f->path == NULL ? arena_array(d->a, path_count, sizeof *copy) : NULL;
    if (copy == NULL)
        return;
    for (size_t i = 0; i < path_count; i++)
        copy[i] = arena_copy(d->a, path[i]);
    f->path = copy;
    f->path_count = path_count;
}

static void note_logfmt(void *ctx, struct slice name, struct slice value, const struct slice *path, size_t path_count)
{
    (void)path;
    (void)path_count;
    struct detected_field *f = note(ctx, name, value);
    if (f != NULL)
        f->logfmt = true;
}

static void note_entry(struct detect *d, struct slice stream, const struct result_entry *e)
{
    struct label l;
    d->stream = stream;
    d->json = extract_json_fields(e->line, d->a, NULL, NULL);
    for (struct labels_walk w = labels_walk(e->metadata); labels_next(&w, &l);)
        (void)note(d, l.name, l.value);
    for (struct labels_walk w = labels_walk(e->parsed); labels_next(&w, &l);) {
        d->stream = LABELS_EMPTY; // it has its visible name already
        struct detected_field *f = note(d, l.name, l.value);
        if (f != NULL)
            *(d->json ? &f->json : &f->logfmt) = true;
        d->stream = stream;
    }
    if (d->json)
        (void)extract_json_fields(e->line, d->a, note_json, d);
    else
        extract_logfmt_fields(e->line, d->a, note_logfmt, d);
}

bool query_detect_fields(const struct query *query, const struct query_range *range, const struct query_context *context,
                         uint32_t fields_max, int64_t budget_ns, struct detected_fields *out, struct err *err)
{
    struct query_context categorized = *context;
    struct query_result result;
    categorized.categorize = true;
    categorized.sample_until_mono_ns = clock_mono_ns() + budget_ns;
    if (query_kind(query) != QUERY_LOGS)
        return err_set(err, ERR_INPUT, "only log selector is supported");
    if (!query_run(query, range, &categorized, &result, err))
        return false;
    struct detect d = {.a = context->arena, .names = {.arena = context->arena}, .fields_max = fields_max};
    for (uint32_t i = 0; i < result.streams_count; i++)
        for (uint32_t n = 0; n < result.streams[i].entries_count; n++)
            note_entry(&d, result.streams[i].labels, &result.streams[i].entries[n]);
    *out = (struct detected_fields){d.fields, d.names.count, result.stats.lines_scanned, result.sampled};
    return arena_ok(context->arena, "detected fields", err);
}

// --- labels -----------------------------------------------------------------------------------------

static bool is_uuid(struct slice v)
{
    static const size_t dashes[] = {8, 13, 18, 23};
    if (v.len != 36)
        return false;
    for (size_t i = 0, dash = 0; i < v.len; i++) {
        uint8_t c = v.ptr[i];
        bool hex = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
        if (dash < COUNT_OF(dashes) && i == dashes[dash] ? c != '-' : !hex)
            return false;
        dash += dash < COUNT_OF(dashes) && i == dashes[dash];
    }
    return true;
}

bool query_label_is_id(struct slice name, const struct slice *values, size_t count)
{
    static const char *const kept[] = {"cluster", "namespace", "instance", "pod"};
    bool flags = count <= 2;
    double number;
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        if (slice_eq(name, slice_cstr(kept[i])))
            return false;
    for (size_t i = 0; i < count; i++)
        flags = flags && (slice_eq(values[i], SLICE("0")) || slice_eq(values[i], SLICE("1")));
    for (size_t i = 0; i < count; i++)
        if (!unit_float(values[i], &number, NULL) && !is_uuid(values[i]))
            return false;
    return !flags;
}
