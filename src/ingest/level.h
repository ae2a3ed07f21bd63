/*
 * level.h -- the severity of an entry: rules of loki-http.md 18.2.
 */
#pragma once

#include "base/labels.h"
#include "base/slice.h"

// Known levels, and LEVEL_NONE where nothing tells.
enum level {
    LEVEL_NONE,
    LEVEL_UNKNOWN,
    LEVEL_TRACE,
    LEVEL_DEBUG,
    LEVEL_INFO,
    LEVEL_WARN,
    LEVEL_ERROR,
    LEVEL_CRITICAL,
    LEVEL_FATAL,
    LEVELS_COUNT,
};

struct slice level_name(enum level level);
// Normalises a value, ignoring case; LEVEL_NONE when it is none of the known words.
enum level level_of_value(struct slice value);
// The first of the level names, in list order, among these pairs (stream labels, or metadata with
// normalised names). NULL when there is none.
const struct label *level_find(const struct label *pairs, size_t count);
// By OTLP's `severity_number`.
enum level level_of_severity(struct slice number);
// From the line alone: JSON, logfmt, then words; LEVEL_UNKNOWN when nothing tells.
enum level level_of_line(struct slice line);
