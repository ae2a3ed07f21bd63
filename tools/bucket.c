/* bucket.c -- see bucket.h. */
#include "bucket.h"

#include "dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SCHEME[] = "s3://";

// What the arguments said, set before any command runs; NULL: nothing.
static const char *url, *region, *credentials, *style;

static const struct bucket_option {
    const char *flag, *variable;
    const char **value;
} bucket_options[] = {{"--s3", "MSTORE_S3", &url},
                      {"--s3-region", "MSTORE_S3_REGION", &region},
                      {"--s3-credentials", "MSTORE_S3_CREDENTIALS", &credentials},
                      {"--s3-style", "MSTORE_S3_STYLE", &style}};

bool dump_bucket_options(int *argc, char **argv, struct err *err)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        const struct bucket_option *o = NULL;
        for (size_t n = 0; n < COUNT_OF(bucket_options) && o == NULL; n++)
            if (strcmp(argv[i], bucket_options[n].flag) == 0)
                o = &bucket_options[n];
        if (o == NULL) {
            argv[kept++] = argv[i];
            continue;
        }
        if (++i == *argc)
            return err_set(err, ERR_INPUT, "`%s` needs a value", o->flag);
        *o->value = argv[i];
    }
    *argc = kept;
    for (size_t n = 0; n < COUNT_OF(bucket_options); n++) {
        const struct bucket_option *o = &bucket_options[n];
        const char *value = *o->value != NULL ? *o->value : getenv(o->variable);
        *o->value = value != NULL && value[0] != '\0' ? value : NULL;
    }
    if (style != NULL && strcmp(style, "auto") != 0 && strcmp(style, "path") != 0 && strcmp(style, "host") != 0)
        return err_set(err, ERR_INPUT, "--s3-style: expected auto, path or host");
    return true;
}

bool dump_is_bucket(const char *path)
{
    return strncmp(path, SCHEME, strlen(SCHEME)) == 0;
}

// Cuts `segments/GENERATION.seg` off a prefix.
static bool cut_segment(struct dump_bucket *b, struct err *err)
{
    size_t len = strlen(b->prefix), key_len = SEG_KEY_BYTES;
    char key[SEG_KEY_BYTES];
    if (!dump_ends(b->prefix, ".seg"))
        return true;
    seg_object_key(1, key);
    key_len = strlen(key);
    const char *at = len >= key_len ? b->prefix + len - key_len : "";
    if ((len > key_len && at[-1] != '/') || sscanf(at, SEG_KEY_PREFIX "%16" SCNx64 ".seg", &b->gen) != 1 || b->gen == 0)
        return err_set(err, ERR_INPUT, "s3://%s/%s: a segment is s3://BUCKET/PREFIX/segments/GENERATION.seg", b->bucket,
                       b->prefix);
    b->prefix[len - key_len] = '\0';
    return true;
}

bool dump_bucket_parse(const char *path, struct dump_bucket *out, struct err *err)
{
    const char *bucket = path + strlen(SCHEME), *slash = strchr(bucket, '/');
    size_t bucket_len = slash != NULL ? (size_t)(slash - bucket) : strlen(bucket);
    const char *prefix = slash != NULL ? slash + 1 : "";
    *out = (struct dump_bucket){0};
    if (bucket_len == 0 || bucket_len >= sizeof out->bucket || strlen(prefix) >= sizeof out->prefix)
        return err_set(err, ERR_INPUT, "%s: expected s3://BUCKET/PREFIX", path);
    if (url == NULL)
        return err_set(err, ERR_INPUT, "%s: say where with --s3 URL or MSTORE_S3, as https://s3.eu-central-1.amazonaws.com", path);
    memcpy(out->bucket, bucket, bucket_len);
    (void)snprintf(out->prefix, sizeof out->prefix, "%s", prefix);
    out->options = (struct blob_options){
        .url = url,
        .bucket = out->bucket,
        .prefix = out->prefix,
        .region = region,
        .credentials_file = credentials,
        .style = style == NULL || strcmp(style, "auto") == 0 ? BLOB_STYLE_AUTO
                 : strcmp(style, "path") == 0                ? BLOB_STYLE_PATH
                                                             : BLOB_STYLE_HOST,
    };
    return cut_segment(out, err);
}

static bool visit_live(struct blob_store *bs, const struct far_live *live,
                       bool (*visit)(void *ctx, struct seg *seg, struct err *err), void *ctx, struct err *err)
{
    for (size_t i = 0; i < live->segments.count; i++) {
        const struct far_item *s = &live->segments.items[i];
        char key[SEG_KEY_BYTES], name[BLOB_KEY_BYTES_MAX + 128];
        seg_object_key(s->gen, key);
        (void)snprintf(name, sizeof name, "%s%s", blob_name(bs), key);
        AUTO(seg_unrefp) struct seg *seg = seg_new(name, s->gen);
        seg_set_object(seg, bs, s->bytes);
        seg_set_where(seg, INDEX_IN_BUCKET);
        if (!visit(ctx, seg, err))
            return false;
    }
    return true;
}

bool dump_bucket_visit(const char *path, bool (*visit)(void *ctx, struct seg *seg, struct err *err), void *ctx,
                       struct err *err)
{
    struct dump_bucket b;
    AUTO(blob_closep) struct blob_store *bs = NULL;
    AUTO(far_live_done) struct far_live live = {0};
    AUTO(dump_scratch_done) struct dump_scratch scratch = {0};
    if (!dump_bucket_parse(path, &b, err) || !blob_open(&b.options, &bs, err))
        return false;
    if (b.gen != 0) {
        char key[SEG_KEY_BYTES];
        struct blob_info info;
        seg_object_key(b.gen, key);
        if (!blob_head(bs, key, &info, err))
            return false;
        far_items_add(&live.segments, &(struct far_item){.gen = b.gen, .bytes = info.bytes});
    } else if (!dump_scratch_make(&scratch, err) || !far_live(bs, scratch.path, &live, err)) {
        return false;
    }
    return visit_live(bs, &live, visit, ctx, err);
}
