/* template_value.h -- values of templates, and the functions over them; for template.c and template_parse.c. */
#pragma once

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

enum tkind { T_NIL, T_BOOL, T_INT, T_FLOAT, T_STRING, T_LIST, T_MAP, T_TIME };

struct tval {
    enum tkind kind;
    int64_t i; // bool, int, time in ns
    double f;
    struct slice s;
    struct tval *items; // list, map
    struct slice *keys; // map, ascending
    size_t count;
};

struct tcall {
    struct arena *a;
    struct slice error;               // set on failure; text
    int bad_arg;                      // the argument that has a wrong type; -1: the call itself failed
};

struct tfunction {
    const char *name;
    int args_min, args_max; // args_max -1: any number
    bool (*run)(struct tcall *c, const struct tval *args, int count, struct tval *out);
};

const struct tfunction *tfunction_find(struct slice name);
bool tval_is_true(const struct tval *v);
void tval_print(struct buf *b, const struct tval *v);
const char *tval_type(const struct tval *v);
bool tcall_fail(struct tcall *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
