/*
 * msgout.h -- protobuf messages as bytes or as JSON, told once for both.
 *
 * Wire form: protobuf.dev, "Encoding". JSON: the dialect of traces-http.md 11.3: fields at their default are left out, 64-bit
 * integers are strings, bytes are base64, enums are names, lists are arrays of what is put between msgout_list() and its end.
 * A text is valid UTF-8 in both: each invalid byte becomes U+FFFD.
 *
 * A field is named by its number and its JSON name; within a list the name is NULL.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

struct msgout {
    struct buf *b;
    bool json;
    bool comma; // JSON: something stands before in this object or array
};

// A place to come back to: of a message begun, or of a list.
struct msgout_mark {
    size_t pos;
    bool comma;
};

// The outermost message.
struct msgout msgout_begin(struct buf *b, bool json);
void msgout_end(struct msgout *m);

// A nested message, present even when nothing is put into it.
struct msgout_mark msgout_open(struct msgout *m, uint32_t field, const char *name);
void msgout_close(struct msgout *m, struct msgout_mark mark);
// A repeated field: an array in JSON, nothing by itself in protobuf.
struct msgout_mark msgout_list(struct msgout *m, const char *name);
void msgout_list_end(struct msgout *m, struct msgout_mark mark);
// An entry of a map<string, message>: an object's member in JSON, a message of key 1 and value 2 in protobuf.
struct msgout_mark msgout_map(struct msgout *m, const char *name); // ends with msgout_map_end()
void msgout_map_end(struct msgout *m, struct msgout_mark mark);
struct msgout_entry {
    struct msgout_mark outer, inner;
};
struct msgout_entry msgout_entry(struct msgout *m, uint32_t field, struct slice key);
void msgout_entry_end(struct msgout *m, struct msgout_entry entry);

// Left out at their default.
void msgout_string(struct msgout *m, uint32_t field, const char *name, struct slice text);
void msgout_bytes(struct msgout *m, uint32_t field, const char *name, struct slice bytes);
void msgout_u32(struct msgout *m, uint32_t field, const char *name, uint32_t value);
void msgout_u64(struct msgout *m, uint32_t field, const char *name, uint64_t value);
void msgout_fixed32(struct msgout *m, uint32_t field, const char *name, uint32_t value);
void msgout_fixed64(struct msgout *m, uint32_t field, const char *name, uint64_t value);
void msgout_double(struct msgout *m, uint32_t field, const char *name, double value);
// A number without a name among the `count` names stays a number.
void msgout_enum(struct msgout *m, uint32_t field, const char *name, int32_t value, const char *const *names,
                 uint32_t count);

// Members of a oneof: always present.
void msgout_one_string(struct msgout *m, uint32_t field, const char *name, struct slice text);
void msgout_one_bytes(struct msgout *m, uint32_t field, const char *name, struct slice bytes);
void msgout_one_bool(struct msgout *m, uint32_t field, const char *name, bool value);
void msgout_one_i64(struct msgout *m, uint32_t field, const char *name, int64_t value);
void msgout_one_double(struct msgout *m, uint32_t field, const char *name, double value);
