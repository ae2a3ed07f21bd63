/* shortest.h -- a double as the shortest decimal that reads as it again; the digits of Go's strconv, JavaScript and JSON. */
#pragma once

enum { SHORTEST_BYTES = 32 };

// Writes a finite value as `-d.ddde-xx` (without the point where it has one digit) and returns its digits, 1 to 17.
int shortest_decimal(double value, char text[SHORTEST_BYTES]);
