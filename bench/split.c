/*
 * split.c -- what splitting lines wins and costs: size, time to write and to read, against zstd on
 * the same blocks.
 *
 *     split [--level N] [FILE...]
 *
 * Lines are those of each FILE, or of the generator. One line of a table for each.
 */
#include "store/segment/split.h"
#include "base/limits.h"
#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GENERATED_BYTES = 16 * 1024 * 1024, LINE_ROOM = 1024, ROUNDS = 9 };

struct lines {
    struct buf text;
    struct buf lengths; // u32 each
};

struct block {
    struct slice text;
    const uint32_t *line_bytes;
    uint32_t count;
    struct buf plain, split;
};

static int level = 5;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_line(struct lines *l, const char *line, size_t len)
{
    uint32_t bytes = (uint32_t)len;
    buf_put(&l->text, line, len);
    buf_put(&l->lengths, &bytes, sizeof bytes);
}

static void generate(struct lines *l, int (*make)(uint64_t *, char *, size_t))
{
    uint64_t seed = 1;
    char line[LINE_ROOM];
    while (l->text.len < GENERATED_BYTES)
        add_line(l, line, (size_t)make(&seed, line, sizeof line));
}

static void read_file(struct lines *l, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    for (ssize_t len; (len = getline(&line, &room, f)) > 0;)
        add_line(l, line, (size_t)len - (line[len - 1] == '\n'));
    free(line);
    (void)fclose(f);
}

static size_t cut(const struct lines *l, struct block **blocks_out)
{
    const uint32_t *line_bytes = (const uint32_t *)(const void *)l->lengths.ptr;
    size_t count = l->lengths.len / sizeof *line_bytes, blocks = 0, pos = 0;
    *blocks_out = calloc(l->text.len / COMPACT_BLOCK_LINE_BYTES + 2, sizeof **blocks_out);
    for (size_t i = 0; i < count;) {
        struct block *b = &(*blocks_out)[blocks++];
        size_t from = pos;
        b->line_bytes = line_bytes + i;
        for (; i < count && pos - from < COMPACT_BLOCK_LINE_BYTES && b->count < BLOCK_ENTRIES_MAX;
             b->count++)
            pos += line_bytes[i++];
        b->text = slice_of(l->text.ptr + from, pos - from);
    }
    return blocks;
}

static void check(bool good, const struct err *err)
{
    if (good)
        return;
    fprintf(stderr, "split: %s\n", err->text);
    exit(1);
}

// Seconds to read all blocks one way.
static double read_blocks(const struct block *blocks, size_t count, bool split, struct zbuf *z,
                          struct buf *scratch, uint8_t *to)
{
    struct err err;
    double begun = cpu_seconds();
    for (size_t i = 0; i < count; i++) {
        const struct block *b = &blocks[i];
        if (split && b->split.len > 0)
            check(split_read(buf_slice(&b->split), b->line_bytes, b->count, to, b->text.len, z,
                             scratch, &err),
                  &err);
        else
            check(zbuf_decompress(z, buf_slice(&b->plain), to, b->text.len, &err), &err);
    }
    return cpu_seconds() - begun;
}

static void measure(const char *name, const struct lines *l)
{
    struct block *blocks;
    struct zbuf *z = zbuf_new();
    struct split_writer *w = split_writer_new();
    struct buf scratch = {0};
    struct err err;
    size_t count = cut(l, &blocks), plain = 0, split = 0, whole = 0;
    double write[2] = {0}, read[2] = {1e9, 1e9};
    for (size_t i = 0; i < count; i++) {
        struct block *b = &blocks[i];
        bool is_split;
        double begun = cpu_seconds();
        check(zbuf_compress(z, level, b->text, &b->plain, &err), &err);
        double between = cpu_seconds();
        check(
            split_write(w, z, level, b->text, b->line_bytes, b->count, &b->split, &is_split, &err),
            &err);
        write[0] += between - begun;
        write[1] += cpu_seconds() - between;
        plain += b->plain.len;
        split += is_split ? b->split.len : b->plain.len;
        whole += !is_split;
    }
    uint8_t *to = malloc(l->text.len + SPLIT_PAD_BYTES);
    for (int round = 0; round < 2 * ROUNDS; round++) {
        double seconds = read_blocks(blocks, count, round % 2, z, &scratch, to);
        read[round % 2] = seconds < read[round % 2] ? seconds : read[round % 2];
    }
    double mb = (double)l->text.len / 1e6;
    printf("| %s | %.4f | %.4f | %.3f | %.0f | %.0f | %.0f | %.0f | %.2f | %zu of %zu |\n", name,
           (double)plain / 1e6 / mb, (double)split / 1e6 / mb, (double)split / (double)plain,
           mb / write[0], mb / write[1], mb / read[0], mb / read[1], read[0] / read[1],
           count - whole, count);
    for (size_t i = 0; i < count; i++) {
        buf_done(&blocks[i].plain);
        buf_done(&blocks[i].split);
    }
    free(blocks);
    free(to);
    buf_done(&scratch);
    split_writer_free(w);
    zbuf_free(z);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*make)(uint64_t *, char *, size_t);
    } generated[] = {{"nginx", line_nginx}, {"JSON", line_json}, {"logfmt", line_logfmt}};
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--level") == 0) {
        level = atoi(argv[2]);
        first = 3;
    }
    printf("| lines | zstd | split | split/zstd | write MB/s | split | read MB/s | split | "
           "split/zstd | blocks split |\n"
           "|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof generated / sizeof *generated && first == argc; i++) {
        struct lines l = {0};
        generate(&l, generated[i].make);
        measure(generated[i].name, &l);
        buf_done(&l.text);
        buf_done(&l.lengths);
    }
    for (int i = first; i < argc; i++) {
        struct lines l = {0};
        const char *slash = strrchr(argv[i], '/');
        read_file(&l, argv[i]);
        measure(slash != NULL ? slash + 1 : argv[i], &l);
        buf_done(&l.text);
        buf_done(&l.lengths);
    }
    return 0;
}
