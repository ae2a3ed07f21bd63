/*
 * diag.h -- our own messages ("diag"): leveled logfmt lines on standard error.
 *
 *     ts=2026-11-01T00:00:00.123Z level=info msg="listening" addr=127.0.0.1:3100
 *
 * Only server/, main.c and the tools call it; library code returns errors. Any thread; a line is
 * written whole.
 */
#pragma once

#include "base/attr.h"

#include <stdbool.h>

enum diag_level { DIAG_DEBUG, DIAG_INFO, DIAG_WARN, DIAG_ERROR };

void diag_set_level(enum diag_level level);
enum diag_level diag_level(void);
// "debug", "info", "warn", "error"; false for anything else.
bool diag_level_parse(const char *text, enum diag_level *level_out);
const char *diag_level_name(enum diag_level level);

// `msg` is plain text of ours, put between quotes; fmt adds further fields, already in logfmt: "addr=%s port=%d", or "".
void diag(enum diag_level level, const char *msg, const char *fmt, ...) PRINTF_LIKE(3, 4);
// Makes a text safe as a quoted logfmt value (quotes, backslashes, control bytes) in a static
// per-thread buffer; cut at 1 KiB.
const char *diag_quote(const char *text);
