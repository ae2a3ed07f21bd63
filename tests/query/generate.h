/*
 * generate.h -- queries and lines from LogQL's grammar and a seed: the same seed makes the same text.
 */
#pragma once

#include "base/buf.h"

#include <stdint.h>

struct generator {
    uint64_t state; // not 0
};

unsigned generate_number(struct generator *g, unsigned below);

// `{...} | ...`: over the streams and lines that generate_line() makes.
void generate_logs(struct generator *g, struct buf *b);
// One range aggregation, or one vector aggregation of it.
void generate_aggregation(struct generator *g, struct buf *b);
// Any metric expression: binary operations, label_replace, literals.
void generate_metric(struct generator *g, struct buf *b);
// A query with some of its bytes or words dropped, doubled or exchanged; mostly not a query any more.
void generate_broken(struct generator *g, struct buf *b);

enum { GENERATED_STREAMS = 8 };
// Labels of a stream, as `{app="..."}`.
const char *generate_stream(unsigned number);
// A line as that stream has them: JSON, logfmt, access log, or anything.
void generate_line(struct generator *g, unsigned stream, struct buf *b);
