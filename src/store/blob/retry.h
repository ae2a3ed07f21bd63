/*
 * retry.h -- which answers of an object store are worth asking again, and when.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

enum retry_verdict {
    RETRY_DONE,        // 2xx
    RETRY_LATER,       // after a pause
    RETRY_CREDENTIALS, // once, with fresh credentials
    RETRY_NEVER,
};

// `code` is the <Code> of the answer's XML, or empty.
enum retry_verdict retry_judge(int status, struct slice code);
// How long to wait after attempt 1, 2, ...: a random share (`random` is any number) of a bound that
// doubles from RETRY_PAUSE_NS to RETRY_PAUSE_NS_MAX, and at least what the server asked for (0:
// nothing), up to RETRY_AFTER_NS_MAX.
int64_t retry_pause_ns(uint32_t attempt, int64_t retry_after_ns, uint64_t random);
// A Retry-After header: seconds or a date, `now_s` being the server's or our time. 0 when it is
// neither, or past.
int64_t retry_after_ns(struct slice header, int64_t now_s);
