/* err.c -- one error, said once; see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
#define X(code, name) [code] = name,
    ERR_CODES(X)
#undef X
};

bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err == NULL)
        return false;
    char text[ERR_TEXT_BYTES]; // the arguments may point into err->text
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err->code = code;
    memcpy(err->text, text, sizeof text);
    return false;
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
    if (err == NULL)
        return false;
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(err, err->code, "%s: %s", text, err->text);
}

static enum err_code code_of(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case ENOENT:
        return ERR_NOT_FOUND;
    default:
        return ERR_IO;
    }
}

bool err_errno(struct err *err, int errno_value, const char *fmt, ...)
{
    if (err == NULL)
        return false;
    char text[ERR_TEXT_BYTES], reason[128];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(err, code_of(errno_value), "%s: %s", text,
                   strerror_r(errno_value, reason, sizeof reason));
}

const char *err_name(enum err_code code)
{
    return (size_t)code < COUNT_OF(names) ? names[code] : "unknown";
}
