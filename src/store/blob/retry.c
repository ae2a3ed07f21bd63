/*
 * retry.c -- see retry.h.
 *
 * Pauses are drawn from [0, bound] ("full jitter"): servers that were interrupted together do not
 * come back together.
 */
#include "store/blob/retry.h"

#include "base/attr.h"
#include "base/clock.h"
#include "base/limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

enum retry_verdict retry_judge(int status, struct slice code)
{
    static const int passing[] = {408, 409, 425, 429, 500, 502, 503, 504};
    static const char *const stale[] = {"ExpiredToken", "TokenRefreshRequired",
                                        "ExpiredTokenException"};
    static const char *const passing_codes[] = {"RequestTimeout", "SlowDown", "BadDigest",
                                                "IncompleteBody", "InternalError"};
    if (status >= 200 && status < 300)
        return RETRY_DONE;
    for (size_t i = 0; i < COUNT_OF(stale); i++)
        if (slice_eq(code, slice_cstr(stale[i])))
            return RETRY_CREDENTIALS;
    for (size_t i = 0; i < COUNT_OF(passing); i++)
        if (status == passing[i])
            return RETRY_LATER;
    for (size_t i = 0; i < COUNT_OF(passing_codes); i++) // with status 400
        if (slice_eq(code, slice_cstr(passing_codes[i])))
            return RETRY_LATER;
    return RETRY_NEVER;
}

int64_t retry_pause_ns(uint32_t attempt, int64_t retry_after_ns, uint64_t random)
{
    int64_t bound_ns = RETRY_PAUSE_NS;
    for (uint32_t i = 1; i < attempt && bound_ns < RETRY_PAUSE_NS_MAX; i++)
        bound_ns *= 2;
    if (bound_ns > RETRY_PAUSE_NS_MAX)
        bound_ns = RETRY_PAUSE_NS_MAX;
    int64_t pause_ns = (int64_t)(random % (uint64_t)(bound_ns + 1));
    if (retry_after_ns > RETRY_AFTER_NS_MAX)
        retry_after_ns = RETRY_AFTER_NS_MAX;
    return pause_ns > retry_after_ns ? pause_ns : retry_after_ns;
}

int64_t retry_after_ns(struct slice header, int64_t now_s)
{
    char text[64];
    if (header.len == 0 || header.len >= sizeof text)
        return 0;
    memcpy(text, header.ptr, header.len);
    text[header.len] = '\0';
    int64_t seconds;
    struct tm tm = {0};
    if (isdigit((unsigned char)text[0]) && header.len < 10)
        seconds = strtoll(text, NULL, 10);
    else if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) != NULL)
        seconds = timegm(&tm) - now_s;
    else
        return 0;
    if (seconds > RETRY_AFTER_NS_MAX / NS_PER_S)
        return RETRY_AFTER_NS_MAX;
    return seconds < 0 ? 0 : seconds * NS_PER_S;
}
