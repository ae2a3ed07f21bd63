/*
 * otlp_value.h -- values and attributes of OpenTelemetry's protocol (opentelemetry-proto, common/v1), as both of its
 * encodings carry them.
 *
 * Everything lives in the arena of the request, or borrows from its body.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "ingest/json.h"
#include "base/pb.h"

enum { OTLP_DEPTH_MAX = 64 }; // of values in values; 400

enum otlp_kind { OTLP_NONE, OTLP_STRING, OTLP_BOOL, OTLP_INT, OTLP_DOUBLE, OTLP_ARRAY, OTLP_MAP, OTLP_BYTES };

struct otlp_pair;

struct otlp_list { // of an array (without keys), a map, or attributes
    struct otlp_pair *items;
    size_t count, room;
};

struct otlp_value {
    enum otlp_kind kind;
    union {
        struct slice text; // STRING, BYTES
        bool flag;
        int64_t integer;
        double number;
        struct otlp_list list; // ARRAY, MAP
    };
};

struct otlp_pair {
    struct slice key;
    struct otlp_value value;
};

// --- from the wire ------------------------------------------------------------------------------------

// An AnyValue, a KeyValue added to a list. False with p->bad set.
MUST_CHECK bool otlp_pb_value(struct pb *p, struct slice bytes, struct arena *a, struct otlp_value *out);
MUST_CHECK bool otlp_pb_pair(struct pb *p, struct slice bytes, struct arena *a, struct otlp_list *list);
// False with j->what set, where it stays.
bool otlp_json_value(struct json *j, struct otlp_value *out);
// An array of KeyValues; replaces what the list held.
bool otlp_json_pairs(struct json *j, struct otlp_list *list);

// Whether a key is that name, in camelCase or in snake_case.
bool otlp_json_is(struct slice key, const char *camel);
// Numbers as such or in a string; what does not fit is a failure.
uint64_t otlp_json_uint(struct json *j);
uint32_t otlp_json_uint32(struct json *j);
int64_t otlp_json_int(struct json *j);
// An identifier in hex: empty, or `bytes` of them.
struct slice otlp_json_id(struct json *j, size_t bytes);

// --- as text (loki-http.md 19.2) -----------------------------------------------------------------------

// Appends: a string as it is, numbers and booleans as text, arrays and maps as JSON with sorted keys, bytes in
// base64.
void otlp_text(struct buf *b, const struct otlp_value *v);
// Visits the scalar leaves of a value as name and text: maps are flattened with `_`. Empty maps and absent
// values give nothing. False when the arena is full or visit returned false.
MUST_CHECK bool otlp_flatten(struct slice name, const struct otlp_value *v, struct arena *a,
                             bool (*visit)(void *ctx, struct slice name, struct slice text), void *ctx);
