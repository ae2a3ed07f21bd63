/* base64.h -- RFC 4648, section 4: the standard alphabet, with padding. */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

void base64_encode(struct buf *b, struct slice bytes);
// Line breaks are skipped. False at a byte that does not belong there, whose place is *bad_at_out; `b` then
// holds what came before.
MUST_CHECK bool base64_decode(struct buf *b, struct slice text, size_t *bad_at_out);
