/*
 * export.h -- where exported entries and spans go: one writer a format; for export.c.
 *
 * A writer is opened on a file that does not exist yet, or on standard output (path NULL) where its
 * format is text, gets entries and spans in any order, and is closed. An unfinished file is
 * removed.
 */
#pragma once

#include "base/err.h"
#include "query/query.h"
#include "store/span.h"

struct export_writer {
    bool (*entry)(struct export_writer *w, const struct query_entry *entry, struct err *err);
    bool (*span)(struct export_writer *w, const struct span *span, struct err *err);
    // Ends what was written. After it, or a failure, only free() is called.
    bool (*finish)(struct export_writer *w, struct err *err);
    void (*free)(struct export_writer *w); // removes what was not finished
};

MUST_CHECK bool export_ndjson_open(const char *path, struct export_writer **w_out, struct err *err);
// Entries and spans are apart: `path` is of the entries; spans go to its name with `.spans` before
// the suffix. To standard output go only those that `spans` says.
MUST_CHECK bool export_csv_open(const char *path, bool spans, struct export_writer **w_out,
                                struct err *err);
// Tables entries, labels, metadata, spans, attributes, events, links.
MUST_CHECK bool export_sqlite_open(const char *path, struct export_writer **w_out, struct err *err);

// --- values as text, for all formats
// -------------------------------------------------------------------

// Lower hex.
void export_hex(struct buf *b, const uint8_t *bytes, size_t count);
// A value as text: strings as they are, numbers and booleans in decimal, bytes in base64, arrays
// and maps as JSON.
void export_value_text(struct buf *b, const struct span_value *value);
void export_value_json(struct buf *b, const struct span_value *value);
void export_attributes_json(struct buf *b, const struct span_attributes *attributes);
const char *export_value_type(const struct span_value *value);
const char *export_kind(int32_t kind);     // "server", ...
const char *export_status(int32_t status); // "error", ...
