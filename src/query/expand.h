/* expand.h -- replacement texts with groups, as Go's Regexp.Expand: $1, ${1}, $name, $$. */
#pragma once

#include "base/buf.h"
#include "query/regex.h"

// `spans` are those of regex_find() over `value`. Groups that there are not, and the unmatched, are empty.
void expand(struct buf *out, struct slice text, const struct regex *regex, struct slice value,
            size_t (*spans)[2], size_t groups);
