/* gzip.h -- responses compressed for clients that ask for it. */
#pragma once

#include "base/buf.h"

// Whether an Accept-Encoding header names gzip, not with q=0.
bool gzip_wanted(struct slice accept_encoding);
// Replaces the contents by one gzip member; left as it is when memory is short or it would grow.
bool gzip_body(struct buf *body);
