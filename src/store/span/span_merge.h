/*
 * span_merge.h -- the spans of several segments into one: tenant by tenant, each span once, traces together.
 */
#pragma once

#include "store/segment/seg_merge.h"

// After all entries were written. What expired or is deleted is left out. On false *reading_out is the input that was read last.
MUST_CHECK bool span_merge(const struct seg_merge_options *options, struct seg_writer *w, struct seg_merge_stats *stats,
                           uint32_t *reading_out, struct err *err);
