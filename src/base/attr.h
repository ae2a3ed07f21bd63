/* attr.h -- compiler attributes that the house style leans on. */
#pragma once

#include <stddef.h>

// Runs f(&variable) when the variable leaves scope: release stands beside acquisition.
#define AUTO(f) __attribute__((cleanup(f), unused))
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

// Moves an owned pointer (or fd) out of an AUTO variable.
#define MOVE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) moved_ = (p);                                                                \
        (p) = NULL;                                                                                \
        moved_;                                                                                    \
    })
#define MOVE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int moved_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        moved_;                                                                                    \
    })
