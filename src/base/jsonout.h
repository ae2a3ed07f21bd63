/* jsonout.h -- values as JSON text (RFC 8259), appended to a buffer. */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

// A string; every invalid UTF-8 byte becomes U+FFFD.
void jsonout_string(struct buf *b, struct slice text);
// An encoded label set (labels.h) as an object.
void jsonout_labels(struct buf *b, struct slice labels);
// Without quotes: the shortest decimal that reads back as the same double, never with an exponent; NaN,
// +Inf, -Inf.
void jsonout_number(struct buf *b, double value);
