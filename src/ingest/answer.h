/* answer.h -- the answers of the push APIs, each in its own form: loki-http.md 17, 19; traces-http.md 6, 9, 10. */
#pragma once

#include "ingest/ingest.h"

// Everything was stored, but `rejected` spans for the reasons in `text` (OTLP alone can tell them).
void answer_stored(enum push_api api, struct slice content_type, uint64_t rejected, struct slice text, struct arena *a,
                   struct push_answer *answer_out);
// The request was refused: status by the error.
void answer_error(enum push_api api, struct slice content_type, const struct err *why, struct arena *a,
                  struct push_answer *answer_out);
