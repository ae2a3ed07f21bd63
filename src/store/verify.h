/* verify.h -- what the parts of store_verify() share. */
#pragma once

#include "store/segment/seg.h"

struct verify;

void verify_problem(struct verify *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
void verify_count_spans(struct verify *v, uint32_t spans); // of one block
void verify_spans(struct verify *v, struct seg *seg);
// For segments that passed all else.
void verify_deep(struct verify *v, struct seg *seg, const struct seg_directory *d);
void verify_deep_index(struct verify *v, struct index_read *read, struct seg *seg, uint64_t gen, const struct seg_directory *d);
