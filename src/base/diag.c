/* diag.c -- our own messages on standard error; see diag.h. */
#include "base/diag.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DIAG_LINE_BYTES = 4096, DIAG_QUOTE_BYTES = 1024 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static atomic_int level_min = DIAG_INFO;

void diag_set_level(enum diag_level level)
{
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

enum diag_level diag_level(void)
{
    return (enum diag_level)atomic_load_explicit(&level_min, memory_order_relaxed);
}

bool diag_level_parse(const char *text, enum diag_level *level_out)
{
    for (size_t i = 0; i < COUNT_OF(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level_out = (enum diag_level)i;
            return true;
        }
    }
    return false;
}

const char *diag_level_name(enum diag_level level)
{
    return level_names[level];
}

const char *diag_quote(const char *text)
{
    static _Thread_local char quoted[DIAG_QUOTE_BYTES];
    size_t len = 0;
    for (; *text != '\0' && len + 5 < sizeof quoted; text++) {
        uint8_t c = (uint8_t)*text;
        if (c == '"' || c == '\\') {
            quoted[len++] = '\\';
            quoted[len++] = (char)c;
        } else if (c == '\n') {
            quoted[len++] = '\\';
            quoted[len++] = 'n';
        } else if (c < 0x20 || c == 0x7f) {
            len += (size_t)snprintf(quoted + len, 5, "\\x%02x", c);
        } else {
            quoted[len++] = (char)c;
        }
    }
    quoted[len] = '\0';
    return quoted;
}

void diag(enum diag_level level, const char *msg, const char *fmt, ...)
{
    if (level < diag_level())
        return;
    char time[CLOCK_RFC3339_BYTES], line[DIAG_LINE_BYTES];
    clock_rfc3339(clock_wall_ns() / NS_PER_MS * NS_PER_MS, time);
    int at = snprintf(line, sizeof line - 1, "ts=%s level=%s msg=\"%s\"", time, level_names[level], msg);
    size_t len = (size_t)at < sizeof line - 1 ? (size_t)at : sizeof line - 2;
    if (fmt[0] != '\0' && len + 2 < sizeof line) {
        line[len++] = ' ';
        va_list args;
        va_start(args, fmt);
        int more = vsnprintf(line + len, sizeof line - 1 - len, fmt, args);
        va_end(args);
        size_t room = sizeof line - 2 - len;
        len += more < 0 ? 0 : (size_t)more < room ? (size_t)more : room;
    }
    line[len++] = '\n';
    // One write, so that lines of several threads do not mix. Nobody can be told when it fails.
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}
