/* explain.h -- what was decided for a query, for people; its texts are no interface. */
#pragma once

#include "query/pipeline/pipeline.h"
#include "query/query.h"

// One selector with its stages: what is searched first, what parsers extract, which columns are read. `how`
// says what else is known, `spared` which columns mostly are not read after all; or NULL.
void explain_selection(struct buf *b, const struct ast_logs *logs, const struct pipeline *p,
                       const struct wanted_labels *wanted, bool lengths, const char *how, const char *spared);
// What running it took.
void explain_stats(struct buf *b, const struct query_stats *stats, unsigned threads);
