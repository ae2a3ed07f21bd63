/*
 * unit.h -- durations, byte sizes and floats as the language writes them (logql.md 2.4 to 2.6, 10.3,
 * 10.4).
 *
 * Errors are ERR_INPUT with exactly the reference's text, because they become `__error_details__` of
 * entries and messages to the user.
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

// `1h30m`, `1w2d`, `0`; units descending, each at most once, integers.
MUST_CHECK bool unit_prom_duration(struct slice text, int64_t *ns_out, struct err *err);
// `-1.5h`, `90ms`, `1h0.5s`.
MUST_CHECK bool unit_go_duration(struct slice text, int64_t *ns_out, struct err *err);
// `1.5KiB`, `2 kb`, `1,024`; truncated to whole bytes.
MUST_CHECK bool unit_bytes(struct slice text, uint64_t *bytes_out, struct err *err);
// Decimal or hexadecimal float, `Inf`, `NaN`, underscores between digits.
MUST_CHECK bool unit_float(struct slice text, double *value_out, struct err *err);

// As ranges are printed: `1h30m`, `1m30s`, `250ms`.
enum { UNIT_DURATION_BYTES = 40 };
void unit_print_duration(int64_t ns, char out[UNIT_DURATION_BYTES]);
// As Go prints one: `1h30m0s`, `1.5s`, `250ms`, `0s`.
void unit_print_go_duration(int64_t ns, char out[UNIT_DURATION_BYTES]);
