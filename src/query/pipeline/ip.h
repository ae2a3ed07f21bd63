/*
 * ip.h -- addresses in text: `ip("10.0.0.0/8")`, logql.md 8.3.
 */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

// A closed range of addresses of one family, as 16 bytes in network order (IPv4 in the last four).
struct ip_range {
    bool v6;
    uint8_t first[16];
    uint8_t last[16];
};

// One address, a CIDR, or `from-to`.
MUST_CHECK bool ip_range_parse(struct slice text, struct ip_range *out);
// Whether an address inside the range stands in the text.
bool ip_range_found(const struct ip_range *range, struct slice text);
// The text that a line with an address of the range contains: that of its only IPv4 address, in `a`. Else empty.
struct slice ip_range_text(const struct ip_range *range, struct arena *a);
