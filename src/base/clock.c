/* clock.c -- wall and monotonic time; see clock.h. */
#include "base/clock.h"

#include <stdatomic.h>
#include <ctype.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t wall_set_ns;

static int64_t now_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_wall_ns(void)
{
    int64_t set_ns = atomic_load_explicit(&wall_set_ns, memory_order_relaxed);
    return set_ns != 0 ? set_ns : now_of(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
    return now_of(CLOCK_MONOTONIC);
}

void clock_set_wall_ns(int64_t now_ns)
{
    atomic_store_explicit(&wall_set_ns, now_ns, memory_order_relaxed);
}

void clock_rfc3339(int64_t time_ns, char out[CLOCK_RFC3339_BYTES])
{
    int64_t seconds = time_ns / NS_PER_S, fraction = time_ns % NS_PER_S;
    if (fraction < 0) {
        fraction += NS_PER_S;
        seconds--;
    }
    // The nanosecond range of int64_t lies inside the years 1677 to 2262: nothing to clamp.
    struct tm tm;
    time_t t = (time_t)seconds;
    (void)gmtime_r(&t, &tm);
    size_t len = strftime(out, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    if (fraction != 0) {
        len += (size_t)snprintf(out + len, CLOCK_RFC3339_BYTES - len, ".%09d", (int)fraction);
        while (out[len - 1] == '0')
            len--;
    }
    (void)snprintf(out + len, CLOCK_RFC3339_BYTES - len, "Z");
}

// --- reading ------------------------------------------------------------------------------------------

// Days since 1970-01-01 in the proleptic Gregorian calendar.
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

struct reader {
    struct slice text;
    bool bad;
};

static int take_digits(struct reader *r, size_t count)
{
    if (r->text.len < count)
        r->bad = true;
    int value = 0;
    for (size_t i = 0; i < count && !r->bad; i++) {
        if (!isdigit(r->text.ptr[i]))
            r->bad = true;
        value = value * 10 + (r->text.ptr[i] - '0');
    }
    if (!r->bad)
        r->text = slice_from(r->text, count);
    return r->bad ? 0 : value;
}

static void take_char(struct reader *r, char c)
{
    if (r->text.len == 0 || r->text.ptr[0] != (uint8_t)c)
        r->bad = true;
    else
        r->text = slice_from(r->text, 1);
}

// Optional `.digits`; digits past the ninth are dropped.
static int64_t take_fraction(struct reader *r)
{
    if (r->text.len < 2 || (r->text.ptr[0] != '.' && r->text.ptr[0] != ',') ||
        !isdigit(r->text.ptr[1]))
        return 0;
    int64_t ns = 0;
    int64_t unit = NS_PER_S / 10;
    size_t i = 1;
    for (; i < r->text.len && isdigit(r->text.ptr[i]); i++, unit /= 10)
        ns += unit * (r->text.ptr[i] - '0');
    r->text = slice_from(r->text, i);
    return ns;
}

static int64_t take_zone_s(struct reader *r)
{
    if (r->text.len == 1 && r->text.ptr[0] == 'Z') {
        take_char(r, 'Z');
        return 0;
    }
    bool west = r->text.len > 0 && r->text.ptr[0] == '-';
    take_char(r, west ? '-' : '+');
    int hours = take_digits(r, 2);
    take_char(r, ':');
    int minutes = take_digits(r, 2);
    r->bad |= hours > 24 || minutes > 60;
    int64_t seconds = hours * INT64_C(3600) + minutes * INT64_C(60);
    return west ? -seconds : seconds;
}

bool clock_parse_rfc3339(struct slice text, int64_t *time_ns_out)
{
    struct reader r = {text, false};
    int year = take_digits(&r, 4);
    take_char(&r, '-');
    int month = take_digits(&r, 2);
    take_char(&r, '-');
    int day = take_digits(&r, 2);
    take_char(&r, 'T');
    int hour = take_digits(&r, 2);
    take_char(&r, ':');
    int minute = take_digits(&r, 2);
    take_char(&r, ':');
    int second = take_digits(&r, 2);
    int64_t fraction_ns = take_fraction(&r);
    int64_t zone_s = take_zone_s(&r);
    if (r.bad || r.text.len > 0 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59)
        return false;
    int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone_s;
    __int128 ns = (__int128)seconds * NS_PER_S + fraction_ns;
    *time_ns_out = ns > INT64_MAX ? INT64_MAX : ns < INT64_MIN ? INT64_MIN : (int64_t)ns;
    return true;
}
