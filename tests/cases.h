/*
 * cases.h -- tables of text: blocks separated by blank lines, first line the input, second what comes of it.
 * Lines that begin with `;` are comments. `\n`, `\t`, `\\` and `\xHH` stand for themselves unescaped.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

// Calls run(input, out) for each case and compares what it put into `out`. Returns the number of cases.
int cases_run(const char *path, void (*run)(struct slice input, struct buf *out));
