/*
 * thrift.h -- a bounded reader of thrift's binary protocol (big-endian; traces-http.md 10).
 *
 * The first failure sticks in `bad`; later reads give zeros and nothing. Strings are borrowed from the input.
 */
#pragma once

#include "base/codec.h"
#include "base/slice.h"

enum thrift_type {
    THRIFT_STOP = 0,
    THRIFT_BOOL = 2,
    THRIFT_I8 = 3,
    THRIFT_DOUBLE = 4,
    THRIFT_I16 = 6,
    THRIFT_I32 = 8,
    THRIFT_I64 = 10,
    THRIFT_STRING = 11,
    THRIFT_STRUCT = 12,
    THRIFT_MAP = 13,
    THRIFT_SET = 14,
    THRIFT_LIST = 15,
};
enum { THRIFT_DEPTH_MAX = 32 }; // of structs, lists and maps that are skipped

struct thrift {
    struct rd rd;
    const char *bad; // NULL while good; static text
};

static inline struct thrift thrift_of(struct slice s)
{
    return (struct thrift){.rd = rd_of(s)};
}

// The next field of a struct: false at its end, or on a failure.
bool thrift_field(struct thrift *t, uint8_t *type_out, int16_t *id_out);
// Reads past a value.
void thrift_skip(struct thrift *t, uint8_t type);

// Values of known fields; another type is a failure.
bool thrift_bool(struct thrift *t, uint8_t type);
int32_t thrift_i32(struct thrift *t, uint8_t type);
int64_t thrift_i64(struct thrift *t, uint8_t type);
double thrift_double(struct thrift *t, uint8_t type);
struct slice thrift_string(struct thrift *t, uint8_t type);
// Enters a list of structs; the number of its elements, each of which takes a byte at least.
uint32_t thrift_structs(struct thrift *t, uint8_t type);
// Enters a struct.
void thrift_struct(struct thrift *t, uint8_t type);
