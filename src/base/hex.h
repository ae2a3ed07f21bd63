/* hex.h -- bytes as hexadecimal digits. */
#pragma once

#include "base/slice.h"

// Digits of either case to so many bytes, padded with zeros on the left. False: there is none, there are too many, or one
// is something else.
bool hex_decode(struct slice digits, uint8_t *to, size_t bytes);
