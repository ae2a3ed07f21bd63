/* seg_section.c -- see seg_section.h. */
#include "store/segment/seg_section.h"

#include "base/limits.h"

const struct seg_section_place *seg_section_find(const struct seg_footer *f, enum seg_section kind)
{
    for (uint32_t i = 0; i < f->sections_count; i++)
        if (f->sections[i].kind == kind)
            return &f->sections[i];
    return NULL;
}

bool seg_section_fits(const struct seg_footer *f, const struct seg_section_place *s)
{
    return s != NULL && s->stored_bytes <= f->totals.file_bytes && s->pos <= f->totals.file_bytes - s->stored_bytes;
}

bool seg_section_read(const struct seg_source *source, const struct seg_footer *f, enum seg_section kind, struct arena *a,
                      struct slice *raw_out, struct err *err)
{
    const struct seg_section_place *s = seg_section_find(f, kind);
    if (!seg_section_fits(f, s) || s->encoding != ENCODING_ZSTD || s->raw_bytes > SEGMENT_TABLE_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "footer: section %u is missing or out of bounds", (unsigned)kind);
    struct arena_mark mark = arena_mark(a);
    uint8_t *raw = arena_alloc(a, s->raw_bytes + 1);
    uint8_t *stored = arena_alloc(a, s->stored_bytes + 1);
    if (raw == NULL || stored == NULL)
        return arena_ok(a, "segment table", err);
    if (!seg_source_read(source, s->pos, stored, s->stored_bytes, err))
        return false;
    if (hash64(slice_of(stored, s->stored_bytes)) != s->check)
        return err_set(err, ERR_CORRUPT, "section %u: checksum does not match", (unsigned)kind);
    struct zbuf *z = zbuf_new();
    bool good = zbuf_decompress(z, slice_of(stored, s->stored_bytes), raw, s->raw_bytes, err);
    zbuf_free(z);
    if (!good) {
        arena_rewind(a, mark);
        return false;
    }
    *raw_out = slice_of(raw, s->raw_bytes);
    return true;
}
