/* literal.h -- text that every match of a regular expression contains. */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

// The longest such text that is plain to see in a valid pattern without flags: outside groups and classes.
// Empty when there is none. It lives in `a`.
struct slice literal_of_regex(struct slice pattern, struct arena *a);
