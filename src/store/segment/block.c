/*
 * block.c -- entries to compressed columns, and back.
 *
 *     times     u8 e, then per entry: zigzag varint of (time / 10^e) - (previous / 10^e), the first from 0;
 *               e in {0, 3, 6, 9} is the largest that divides every time of the block
 *     lengths   per entry: varint bytes of the line
 *     lines     the lines back to back, or split (split.h)
 *     metadata  varint n, then n sets: varint bytes, encoded pairs; if n > 1, per entry: varint index
 *
 * B1  What is written satisfies the reader's checks: counts agree, indices are below n, every column is
 *     consumed to its last byte.
 */
#include "store/segment/block.h"

#include "base/codec.h"
#include "base/hash.h"
#include "base/labels.h"
#include "base/limits.h"
#include "store/segment/split.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SET_SLOTS_MIN = 64,
    // Lines are split for an eighth of their bytes or more. Writing them both ways to see costs as much again, so what was found
    // holds for the next blocks as well, mostly of the same stream; that splitting wins, unless they come out worse by a quarter.
    SPLIT_GAIN = 8,
    SPLIT_WON_HOLDS = 15,
    SPLIT_LOST_HOLDS = 3,
    SPLIT_WORSE = 4,
};

struct block_writer {
    int level;
    size_t line_bytes_max;
    struct zbuf *z; // owned
    uint32_t entries_count;
    size_t line_bytes;
    int64_t *times_ns; // owned, entries_room
    size_t times_room;
    uint32_t *bytes_of; // owned, entries_room; of each line
    struct buf lengths;
    struct buf lines;
    // Whether to split: what was found for one block, and for how many more it holds.
    struct split_writer *split; // owned; NULL: never
    struct buf split_lines;
    bool split_won;
    unsigned split_holds;
    size_t split_won_raw, split_won_stored;
    // Metadata: distinct sets in order of appearance, and one index an entry.
    struct buf sets;
    uint32_t sets_count;
    uint32_t *set_of; // owned, entries_room
    uint32_t last_index; // the last entry's set
    uint32_t *slots;        // owned; set number + 1, or 0
    size_t slots_count;     // a power of two
    struct set_place {
        uint64_t hash;
        size_t pos; // in `sets`, behind the length
        size_t len;
    } *places; // owned
    size_t places_room;
    struct buf scratch;
};

struct block_writer *block_writer_new(int level, size_t line_bytes_max, bool split)
{
    struct block_writer *w = calloc(1, sizeof *w);
    assert(w != NULL);
    w->level = level;
    w->line_bytes_max = line_bytes_max;
    w->z = zbuf_new();
    w->split = split ? split_writer_new() : NULL;
    w->slots_count = SET_SLOTS_MIN;
    w->slots = calloc(w->slots_count, sizeof *w->slots);
    assert(w->slots != NULL);
    return w;
}

void block_writer_free(struct block_writer *w)
{
    if (w == NULL)
        return;
    zbuf_free(w->z);
    free(w->times_ns);
    free(w->bytes_of);
    split_writer_free(w->split);
    buf_done(&w->split_lines);
    buf_done(&w->lengths);
    buf_done(&w->lines);
    buf_done(&w->sets);
    buf_done(&w->scratch);
    free(w->set_of);
    free(w->slots);
    free(w->places);
    free(w);
}

uint32_t block_entries(const struct block_writer *w)
{
    return w->entries_count;
}

size_t block_line_bytes(const struct block_writer *w)
{
    return w->line_bytes;
}

bool block_full(const struct block_writer *w)
{
    return w->line_bytes >= w->line_bytes_max || w->entries_count >= BLOCK_ENTRIES_MAX ||
           w->sets.len >= w->line_bytes_max;
}

struct slice block_lines(const struct block_writer *w)
{
    return buf_slice(&w->lines);
}

struct slice block_sets(const struct block_writer *w)
{
    return buf_slice(&w->sets);
}

static void rehash_sets(struct block_writer *w)
{
    free(w->slots);
    w->slots_count *= 2;
    w->slots = calloc(w->slots_count, sizeof *w->slots);
    assert(w->slots != NULL);
    for (uint32_t i = 0; i < w->sets_count; i++) {
        size_t at = w->places[i].hash & (w->slots_count - 1);
        while (w->slots[at] != 0)
            at = (at + 1) & (w->slots_count - 1);
        w->slots[at] = i + 1;
    }
}

// The number of a metadata set in this block; adds it when it is new.
static uint32_t set_index(struct block_writer *w, struct slice set)
{
    // Neighbours mostly share one set.
    const struct set_place *last = w->sets_count > 0 ? &w->places[w->last_index] : NULL;
    if (last != NULL && slice_eq(slice_of(w->sets.ptr + last->pos, last->len), set))
        return w->last_index;
    uint64_t hash = hash64(set);
    size_t at = hash & (w->slots_count - 1);
    for (; w->slots[at] != 0; at = (at + 1) & (w->slots_count - 1)) {
        const struct set_place *p = &w->places[w->slots[at] - 1];
        if (p->hash == hash && slice_eq(slice_of(w->sets.ptr + p->pos, p->len), set))
            return w->slots[at] - 1;
    }
    if (w->sets_count == w->places_room) {
        w->places_room = w->places_room == 0 ? 64 : w->places_room * 2;
        w->places = realloc(w->places, w->places_room * sizeof *w->places);
        assert(w->places != NULL);
    }
    uint32_t index = w->sets_count++;
    put_varint(&w->sets, set.len);
    w->places[index] = (struct set_place){hash, w->sets.len, set.len};
    buf_put_slice(&w->sets, set);
    w->slots[at] = index + 1;
    if ((size_t)w->sets_count * 2 > w->slots_count)
        rehash_sets(w);
    return index;
}

bool block_add(struct block_writer *w, int64_t time_ns, struct slice line, struct slice metadata)
{
    assert(w->entries_count < BLOCK_ENTRIES_MAX);
    if (w->entries_count == w->times_room) {
        w->times_room = w->times_room == 0 ? 1024 : w->times_room * 2;
        w->times_ns = realloc(w->times_ns, w->times_room * sizeof *w->times_ns);
        w->set_of = realloc(w->set_of, w->times_room * sizeof *w->set_of);
        w->bytes_of = realloc(w->bytes_of, w->times_room * sizeof *w->bytes_of);
        assert(w->times_ns != NULL && w->set_of != NULL && w->bytes_of != NULL);
    }
    uint32_t index = set_index(w, metadata);
    bool same = w->entries_count > 0 && index == w->last_index;
    w->last_index = index;
    w->times_ns[w->entries_count] = time_ns;
    w->set_of[w->entries_count] = w->last_index;
    w->bytes_of[w->entries_count] = (uint32_t)line.len;
    w->entries_count++;
    put_varint(&w->lengths, line.len);
    buf_put_slice(&w->lines, line);
    w->line_bytes += line.len;
    return same;
}

// Notes what was appended since `from` as a column.
static bool note_column(struct column_place *place, enum block_encoding encoding, size_t raw_bytes, const struct buf *out,
                        size_t from, struct err *err)
{
    if (out->bad || raw_bytes > BLOCK_RAW_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "block column of %zu bytes", raw_bytes);
    *place = (struct column_place){.encoding = (uint8_t)encoding,
                                   .raw_bytes = (uint32_t)raw_bytes,
                                   .stored_bytes = (uint32_t)(out->len - from),
                                   .check = hash64(slice_of(out->ptr + from, out->len - from))};
    return true;
}

static bool put_column(struct block_writer *w, struct slice raw, struct buf *out,
                       struct column_place *place, struct err *err)
{
    size_t from = out->len;
    if (!zbuf_compress(w->z, w->level, raw, out, err))
        return false;
    enum block_encoding encoding = ENCODING_ZSTD;
    if (out->len - from >= raw.len) { // incompressible, or tiny
        out->len = from;
        buf_put_slice(out, raw);
        encoding = ENCODING_RAW;
    }
    return note_column(place, encoding, raw.len, out, from, err);
}

// Whether to take split lines by what was found before.
static bool is_split_known_to_win(const struct block_writer *w)
{
    uint64_t stored = (uint64_t)w->split_lines.len * w->split_won_raw, before = (uint64_t)w->split_won_stored * w->lines.len;
    return w->split_won && w->split_holds > 0 && stored <= before + before / SPLIT_WORSE;
}

// Lines as they are smaller. Where it is not known which way they are, both are tried.
static bool put_lines(struct block_writer *w, struct buf *out, struct column_place *place, struct err *err)
{
    struct slice lines = buf_slice(&w->lines);
    size_t from = out->len;
    bool tried = w->split != NULL && (w->split_won || w->split_holds == 0) && lines.len <= BLOCK_RAW_BYTES_MAX;
    bool split = false;
    buf_reset(&w->split_lines);
    if (tried && !split_write(w->split, w->z, w->level, lines, w->bytes_of, w->entries_count, &w->split_lines, &split, err))
        return false;
    bool known = split && is_split_known_to_win(w);
    w->split_holds -= w->split_holds > 0;
    if (!known) {
        if (!put_column(w, lines, out, place, err))
            return false;
        if (!tried)
            return true;
        w->split_won = split && w->split_lines.len <= place->stored_bytes - place->stored_bytes / SPLIT_GAIN;
        w->split_holds = w->split_won ? SPLIT_WON_HOLDS : SPLIT_LOST_HOLDS;
        w->split_won_raw = lines.len;
        w->split_won_stored = w->split_lines.len;
        if (!w->split_won)
            return true;
    }
    out->len = from;
    buf_put_slice(out, buf_slice(&w->split_lines));
    return note_column(place, ENCODING_SPLIT, lines.len, out, from, err);
}

static uint8_t time_exponent(const int64_t *times_ns, uint32_t count, int64_t *scale_out)
{
    static const struct {
        uint8_t exponent;
        int64_t scale;
    } scales[] = {{9, 1000000000}, {6, 1000000}, {3, 1000}, {0, 1}};
    size_t s = 0;
    for (uint32_t i = 0; i < count; i++)
        while (times_ns[i] % scales[s].scale != 0)
            s++;
    *scale_out = scales[s].scale;
    return scales[s].exponent;
}

static void encode_times(struct block_writer *w, struct buf *to)
{
    int64_t scale, previous = 0;
    buf_put_byte(to, time_exponent(w->times_ns, w->entries_count, &scale));
    for (uint32_t i = 0; i < w->entries_count; i++) {
        int64_t time = w->times_ns[i] / scale;
        put_zigzag(to, (int64_t)((uint64_t)time - (uint64_t)previous)); // wraps, and wraps back
        previous = time;
    }
}

static void encode_metadata(struct block_writer *w, struct buf *to)
{
    put_varint(to, w->sets_count);
    buf_put_slice(to, buf_slice(&w->sets));
    for (uint32_t i = 0; w->sets_count > 1 && i < w->entries_count; i++)
        put_varint(to, w->set_of[i]);
}

static void block_writer_reset(struct block_writer *w)
{
    w->entries_count = 0;
    w->line_bytes = 0;
    w->sets_count = 0;
    buf_reset(&w->lengths);
    buf_reset(&w->lines);
    buf_reset(&w->sets);
    memset(w->slots, 0, w->slots_count * sizeof *w->slots);
}

bool block_flush(struct block_writer *w, struct buf *const to[COLUMNS_COUNT], struct block_place *place, struct err *err)
{
    assert(w->entries_count > 0);
    struct block_place p = {.entries_count = w->entries_count,
                            .min_ns = w->times_ns[0],
                            .max_ns = w->times_ns[0]};
    for (uint32_t i = 1; i < w->entries_count; i++) {
        p.min_ns = w->times_ns[i] < p.min_ns ? w->times_ns[i] : p.min_ns;
        p.max_ns = w->times_ns[i] > p.max_ns ? w->times_ns[i] : p.max_ns;
    }
    buf_reset(&w->scratch);
    encode_times(w, &w->scratch);
    if (!put_column(w, buf_slice(&w->scratch), to[COLUMN_TIMES], &p.columns[COLUMN_TIMES], err) ||
        !put_column(w, buf_slice(&w->lengths), to[COLUMN_LENGTHS], &p.columns[COLUMN_LENGTHS], err) ||
        !put_lines(w, to[COLUMN_LINES], &p.columns[COLUMN_LINES], err))
        return false;
    buf_reset(&w->scratch);
    encode_metadata(w, &w->scratch);
    if (!put_column(w, buf_slice(&w->scratch), to[COLUMN_METADATA], &p.columns[COLUMN_METADATA], err))
        return false;
    block_writer_reset(w);
    *place = p;
    return true;
}

// --- reading ----------------------------------------------------------------------------------------

void block_done(struct block *b)
{
    free(b->times_ns);
    free(b->line_bytes);
    free(b->lines);
    free(b->line_text);
    free(b->metadata);
    free(b->metadata_text);
    *b = (struct block){0};
}

void block_reset(struct block *b, uint32_t entries_count)
{
    assert(entries_count <= BLOCK_ENTRIES_MAX);
    b->columns = 0;
    b->entries_count = entries_count;
    if (entries_count <= b->entries_room)
        return;
    free(b->times_ns);
    free(b->line_bytes);
    free(b->lines);
    free(b->metadata);
    b->entries_room = entries_count;
    b->times_ns = calloc(entries_count, sizeof *b->times_ns);
    b->line_bytes = calloc(entries_count, sizeof *b->line_bytes);
    b->lines = calloc(entries_count, sizeof *b->lines);
    b->metadata = calloc(entries_count, sizeof *b->metadata);
    assert(b->times_ns && b->line_bytes && b->lines && b->metadata);
}

static bool decode_times(struct block *b, struct slice raw)
{
    static const int64_t scales[] = {1, 0, 0, 1000, 0, 0, 1000000, 0, 0, 1000000000};
    struct rd r = rd_of(raw);
    uint8_t exponent = rd_u8(&r);
    if (exponent >= COUNT_OF(scales) || scales[exponent] == 0)
        return false;
    int64_t scale = scales[exponent], time = 0;
    for (uint32_t i = 0; i < b->entries_count; i++) {
        time = (int64_t)((uint64_t)time + (uint64_t)rd_zigzag(&r));
        if (__builtin_mul_overflow(time, scale, &b->times_ns[i]))
            return false;
    }
    return !r.bad && rd_left(&r) == 0;
}

static bool decode_lengths(struct block *b, struct slice raw)
{
    struct rd r = rd_of(raw);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->entries_count; i++) {
        uint64_t bytes = rd_varint(&r);
        if (bytes > BLOCK_RAW_BYTES_MAX)
            return false;
        b->line_bytes[i] = (uint32_t)bytes;
        sum += bytes;
    }
    return !r.bad && rd_left(&r) == 0 && sum <= BLOCK_RAW_BYTES_MAX;
}

static bool place_lines(struct block *b, size_t text_bytes)
{
    const uint8_t *at = b->line_text;
    for (uint32_t i = 0; i < b->entries_count; i++) {
        b->lines[i] = at;
        at += b->line_bytes[i];
    }
    return (size_t)(at - b->line_text) == text_bytes;
}

static bool decode_metadata(struct block *b, struct slice raw, struct slice **sets)
{
    struct rd r = rd_of(raw);
    uint32_t count = (uint32_t)rd_varint_max(&r, b->entries_count);
    if (r.bad || count == 0)
        return false;
    *sets = calloc(count, sizeof **sets);
    assert(*sets != NULL);
    // Every set must be a whole encoded label set: those who walk it later trust it.
    for (uint32_t i = 0; i < count; i++) {
        (*sets)[i] = rd_prefixed(&r);
        if (!labels_valid((*sets)[i]))
            return false;
    }
    for (uint32_t i = 0; i < b->entries_count; i++)
        b->metadata[i] = (*sets)[count > 1 ? rd_varint_max(&r, count - 1) : 0];
    return !r.bad && rd_left(&r) == 0;
}

static uint8_t *room_for(uint8_t **ptr, size_t *room, size_t bytes)
{
    if (bytes > *room) {
        free(*ptr);
        *ptr = malloc(bytes);
        assert(*ptr != NULL);
        *room = bytes;
    }
    return *ptr;
}

static bool decode_into(struct block *b, enum block_column column, struct slice raw)
{
    struct slice *sets = NULL;
    bool good = false;
    switch (column) {
    case COLUMN_TIMES:
        return decode_times(b, raw);
    case COLUMN_LENGTHS:
        return decode_lengths(b, raw);
    case COLUMN_LINES:
        return place_lines(b, raw.len);
    case COLUMN_METADATA:
        good = decode_metadata(b, raw, &sets);
        free(sets);
        return good;
    default:
        return false;
    }
}

bool block_decode(struct block *b, enum block_column column, const struct column_place *place,
                  struct slice stored, struct zbuf *z, struct buf *scratch, struct err *err)
{
    static const char *const names[] = {"times", "lengths", "lines", "metadata"};
    assert(column != COLUMN_LINES || (b->columns & 1u << COLUMN_LENGTHS));
    if (stored.len != place->stored_bytes || hash64(stored) != place->check)
        return err_set(err, ERR_CORRUPT, "column %s: checksum does not match", names[column]);

    // Lines and metadata stay; the other columns are only read through.
    uint8_t *to = column == COLUMN_LINES ? room_for(&b->line_text, &b->line_room, place->raw_bytes + SPLIT_PAD_BYTES)
                  : column == COLUMN_METADATA
                      ? room_for(&b->metadata_text, &b->metadata_room, place->raw_bytes + 1)
                      : NULL;
    if (to == NULL) {
        buf_reset(scratch);
        to = buf_reserve(scratch, place->raw_bytes + 1);
        if (to == NULL)
            return err_set(err, ERR_LIMIT, "column %s: no memory for %u bytes", names[column],
                           place->raw_bytes);
    }
    if (place->encoding == ENCODING_RAW && place->raw_bytes == place->stored_bytes) {
        if (stored.len > 0)
            memcpy(to, stored.ptr, stored.len);
    } else if (place->encoding == ENCODING_SPLIT && column == COLUMN_LINES) {
        if (!place_lines(b, place->raw_bytes))
            return err_set(err, ERR_CORRUPT, "column lines: the lengths are of other lines");
        if (!split_read(stored, b->line_bytes, b->entries_count, to, place->raw_bytes, z, scratch, err))
            return err_wrap(err, "column lines");
    } else if (place->encoding != ENCODING_ZSTD) {
        return err_set(err, ERR_CORRUPT, "column %s: encoding %u is not known here", names[column],
                       place->encoding);
    } else if (!zbuf_decompress(z, stored, to, place->raw_bytes, err)) {
        return err_wrap(err, "column %s", names[column]);
    }
    if (!decode_into(b, column, slice_of(to, place->raw_bytes)))
        return err_set(err, ERR_CORRUPT, "column %s: contents do not add up", names[column]);
    b->columns |= 1u << column;
    return true;
}
