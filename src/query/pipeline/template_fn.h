/*
 * template_fn.h -- what files of template functions share: a function is FN(name), and its file's table has a
 * row for it.
 */
#pragma once

#include "query/pipeline/template_value.h"

enum { OUTPUT_BYTES_MAX = 1 << 20 }; // of one result

// Sets the call's error and bad_arg.
bool want_kind(struct tcall *c, const struct tval *args, int n, enum tkind kind);
bool give_string(struct tval *out, struct slice s);
bool give_int(struct tval *out, int64_t i);
bool give_float(struct tval *out, double f);
bool give_bool(struct tval *out, bool b);
// Takes over the buffer.
bool give_buf(struct tcall *c, struct buf *b, struct tval *out);
// Never a NULL pointer.
struct slice of_string(const struct tval *v);
// Behind the first n characters; how many there are.
size_t skip_runes(struct slice s, size_t n);
size_t count_runes(struct slice s);

#define STRINGS(from, to)                                                                          \
    for (int n_ = (from); n_ < (to); n_++)                                                         \
        if (!want_kind(c, args, n_, T_STRING))                                                     \
            return false;
#define INT(n)                                                                                     \
    if (!want_kind(c, args, (n), T_INT))                                                           \
        return false;

#define S(n) of_string(&args[n])
#define FN(name)                                                                                   \
    static bool fn_##name(struct tcall *c, const struct tval *args, int count, struct tval *out)
#define UNUSED                                                                                     \
    (void)c;                                                                                       \
    (void)args;                                                                                    \
    (void)count

// A file's functions, ending with a row without a name.
extern const struct tfunction template_text_functions[];
extern const struct tfunction template_number_functions[];
