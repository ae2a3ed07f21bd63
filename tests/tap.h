/*
 * tap.h -- Test Anything Protocol: one line per check, a plan at the end.
 *
 *     int main(void) { test_this(); test_that(); return tap_done(); }
 *
 * A test program that ends before tap_done() printed no plan and therefore fails.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

// Counts and prints one check. Returns `good`.
bool tap_ok(bool good, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define ok(good, ...) tap_ok((good), __FILE__, __LINE__, __VA_ARGS__)

// As ok(), and shows both sides when they differ.
bool tap_int(int64_t got, int64_t want, const char *file, int line, const char *name);
#define is_int(got, want, name) tap_int((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, name)
bool tap_text(struct slice got, const char *want, const char *file, int line, const char *name);
#define is_text(got, want, name) tap_text((got), (want), __FILE__, __LINE__, name)

// For what has to work before anything can be tested: prints the error and exits.
void tap_must(bool good, const struct err *err, const char *file, int line, const char *what);
#define must(call, err) tap_must((call), (err), __FILE__, __LINE__, #call)

// Prints the plan; the exit status.
int tap_done(void);

// A fresh directory under $TMPDIR (or /tmp), removed with all it holds when the process ends.
const char *tap_dir(void);
