/*
 * detect.h -- which fields lines have, from a sample of the newest: loki-http.md 12.
 */
#pragma once

#include "base/slice_set.h"
#include "query/query.h"

struct detected_field {
    struct slice name;
    const char *type;        // of the last value: int, float, boolean, duration, bytes, string
    struct slice_set values; // distinct ones of the sample
    bool json, logfmt;       // found in lines by that parser; neither: structured metadata alone
    const struct slice *path; // of a JSON field: its keys
    size_t path_count;
};

struct detected_fields {
    struct detected_field *items; // in the order met
    size_t count;
    uint64_t lines; // that were looked at
    bool sampled;   // the time budget ended before `range->limit` entries were found
};

// Of the newest `range->limit` entries of a log query, or of those found in budget_ns; at most fields_max fields.
// ERR_INPUT for a metric query.
MUST_CHECK bool query_detect_fields(const struct query *query, const struct query_range *range,
                                    const struct query_context *context, uint32_t fields_max, int64_t budget_ns,
                                    struct detected_fields *out, struct err *err);

// Whether all these values of a label look like identifiers, so that it is no use for choosing streams (12.1).
bool query_label_is_id(struct slice name, const struct slice *values, size_t count);
