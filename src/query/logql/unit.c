/*
 * unit.c -- durations, byte sizes and floats as the language writes them.
 */
#include "query/logql/unit.h"

#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

// --- durations ----------------------------------------------------------------------------------------

struct duration_unit {
    struct slice name;
    int64_t ns;
};
#define UNIT(name, ns) {{(const uint8_t *)(name), sizeof(name) - 1}, ns}

// From large to small, the order in which a Prometheus duration must name them.
static const struct duration_unit prom_units[] = {
    UNIT("y", 365 * NS_PER_DAY), UNIT("w", 7 * NS_PER_DAY), UNIT("d", NS_PER_DAY), UNIT("h", NS_PER_HOUR),
    UNIT("m", NS_PER_MINUTE),    UNIT("s", NS_PER_S),       UNIT("ms", NS_PER_MS),
};

bool unit_prom_duration(struct slice text, int64_t *ns_out, struct err *err)
{
    if (text.len == 0)
        return err_set(err, ERR_INPUT, "empty duration string");
    if (slice_eq(text, SLICE("0"))) {
        *ns_out = 0;
        return true;
    }
    int64_t total = 0;
    size_t unit_next = 0; // units before this one are used up
    for (size_t i = 0; i < text.len;) {
        size_t digits = i;
        int64_t number = 0;
        bool overflow = false;
        for (; i < text.len && is_digit(text.ptr[i]); i++)
            overflow |= __builtin_mul_overflow(number, 10, &number) ||
                        __builtin_add_overflow(number, text.ptr[i] - '0', &number);
        if (i == digits)
            return err_set(err, ERR_INPUT, "not a valid duration string: \"%.*s\"", SLICE_FMT(text));
        size_t name = i;
        while (i < text.len && !is_digit(text.ptr[i]))
            i++;
        struct slice unit = slice_of(text.ptr + name, i - name);
        if (unit.len == 0)
            return err_set(err, ERR_INPUT, "not a valid duration string: \"%.*s\"", SLICE_FMT(text));
        size_t at = 0;
        while (at < COUNT_OF(prom_units) && !slice_eq(unit, prom_units[at].name))
            at++;
        if (at == COUNT_OF(prom_units))
            return err_set(err, ERR_INPUT, "unknown unit \"%.*s\" in duration \"%.*s\"",
                           SLICE_FMT(unit), SLICE_FMT(text));
        if (at < unit_next)
            return err_set(err, ERR_INPUT, "not a valid duration string: \"%.*s\"", SLICE_FMT(text));
        unit_next = at + 1;
        if (overflow || __builtin_mul_overflow(number, prom_units[at].ns, &number) ||
            __builtin_add_overflow(total, number, &total))
            return err_set(err, ERR_INPUT, "duration out of range");
    }
    *ns_out = total;
    return true;
}

static const struct duration_unit go_units[] = {
    UNIT("ms", NS_PER_MS), UNIT("s", NS_PER_S), UNIT("us", NS_PER_US),         UNIT("m", NS_PER_MINUTE),
    UNIT("h", NS_PER_HOUR), UNIT("ns", 1),      UNIT("\xC2\xB5s", NS_PER_US), UNIT("\xCE\xBCs", NS_PER_US),
};

static bool go_duration_invalid(struct slice text, struct err *err)
{
    return err_set(err, ERR_INPUT, "time: invalid duration \"%.*s\"", SLICE_FMT(text));
}

bool unit_go_duration(struct slice text, int64_t *ns_out, struct err *err)
{
    struct slice s = text;
    bool negative = false;
    if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
        negative = s.ptr[0] == '-';
        s = slice_from(s, 1);
    }
    if (slice_eq(s, SLICE("0"))) {
        *ns_out = 0;
        return true;
    }
    if (s.len == 0)
        return go_duration_invalid(text, err);

    uint64_t total = 0;
    const uint64_t bound = UINT64_C(1) << 63;
    while (s.len > 0) {
        uint64_t number = 0, fraction = 0;
        double scale = 1;
        size_t i = 0;
        if (s.ptr[0] != '.' && !is_digit(s.ptr[0]))
            return go_duration_invalid(text, err);
        for (; i < s.len && is_digit(s.ptr[i]); i++) {
            if (number > bound / 10)
                return go_duration_invalid(text, err);
            number = number * 10 + (uint64_t)(s.ptr[i] - '0');
            if (number > bound)
                return go_duration_invalid(text, err);
        }
        size_t digits = i;
        if (i < s.len && s.ptr[i] == '.') {
            size_t point = i++;
            bool full = false;
            for (; i < s.len && is_digit(s.ptr[i]); i++) {
                if (full || fraction > (bound - 1) / 10) {
                    full = true; // further digits are below a nanosecond's worth
                    continue;
                }
                uint64_t next = fraction * 10 + (uint64_t)(s.ptr[i] - '0');
                if (next > bound) {
                    full = true;
                    continue;
                }
                fraction = next;
                scale *= 10;
            }
            if (i == point + 1 && digits == 0)
                return go_duration_invalid(text, err);
        }
        s = slice_from(s, i);
        i = 0;
        while (i < s.len && s.ptr[i] != '.' && !is_digit(s.ptr[i]))
            i++;
        if (i == 0)
            return err_set(err, ERR_INPUT, "time: missing unit in duration \"%.*s\"",
                           SLICE_FMT(text));
        struct slice unit = slice_of(s.ptr, i);
        s = slice_from(s, i);
        size_t at = 0;
        while (at < COUNT_OF(go_units) && !slice_eq(unit, go_units[at].name))
            at++;
        if (at == COUNT_OF(go_units))
            return err_set(err, ERR_INPUT, "time: unknown unit \"%.*s\" in duration \"%.*s\"",
                           SLICE_FMT(unit), SLICE_FMT(text));
        uint64_t unit_ns = (uint64_t)go_units[at].ns;
        if (__builtin_mul_overflow(number, unit_ns, &number) || number > bound)
            return go_duration_invalid(text, err);
        if (fraction > 0)
            number += (uint64_t)((double)fraction * ((double)unit_ns / scale));
        if (number > bound || __builtin_add_overflow(total, number, &total) || total > bound)
            return go_duration_invalid(text, err);
    }
    if (!negative && total > bound - 1)
        return go_duration_invalid(text, err);
    *ns_out = negative ? (int64_t)(0 - total) : (int64_t)total;
    return true;
}

void unit_print_duration(int64_t ns, char out[UNIT_DURATION_BYTES])
{
    // Prometheus form where it is exact, else Go's seconds with a fraction.
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    size_t pos = 0;
    if (left == 0) {
        memcpy(out, "0s", 3);
        return;
    }
    if (ns < 0)
        out[pos++] = '-';
    if (left % (uint64_t)NS_PER_MS != 0) {
        (void)snprintf(out + pos, UNIT_DURATION_BYTES - pos, "%" PRIu64 "ns", left);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(prom_units); i++) {
        uint64_t unit_ns = (uint64_t)prom_units[i].ns;
        // Weeks and years only where nothing is left over: `1y3d` reads worse than `368d`.
        if (i < 2 && left % unit_ns != 0)
            continue;
        if (left >= unit_ns)
            pos += (size_t)snprintf(out + pos, UNIT_DURATION_BYTES - pos, "%" PRIu64 "%.*s",
                                    left / unit_ns, SLICE_FMT(prom_units[i].name));
        left %= unit_ns;
    }
}

// A whole number, the rest of it as digits without trailing zeros, and its unit.
static void print_fraction(char *out, size_t room, uint64_t whole, uint64_t rest, uint64_t unit, const char *name)
{
    char digits[16] = "";
    size_t len = 0;
    if (rest > 0)
        digits[len++] = '.';
    for (; rest > 0; rest %= unit) {
        unit /= 10;
        digits[len++] = (char)('0' + rest / unit);
    }
    (void)snprintf(out, room, "%" PRIu64 "%s%s", whole, digits, name);
}

void unit_print_go_duration(int64_t ns, char out[UNIT_DURATION_BYTES])
{
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    size_t pos = 0;
    if (ns < 0)
        out[pos++] = '-';
    static const struct {
        uint64_t ns;
        const char *name;
    } small[] = {{1000000, "ms"}, {1000, "\xc2\xb5s"}, {1, "ns"}};
    for (size_t i = 0; left > 0 && left < (uint64_t)NS_PER_S && i < COUNT_OF(small); i++)
        if (left >= small[i].ns) {
            print_fraction(out + pos, UNIT_DURATION_BYTES - pos, left / small[i].ns, left % small[i].ns, small[i].ns,
                           small[i].name);
            return;
        }
    uint64_t seconds = left / (uint64_t)NS_PER_S, hours = seconds / 3600, minutes = seconds / 60 % 60;
    if (hours > 0)
        pos += (size_t)snprintf(out + pos, UNIT_DURATION_BYTES - pos, "%" PRIu64 "h", hours);
    if (hours > 0 || minutes > 0)
        pos += (size_t)snprintf(out + pos, UNIT_DURATION_BYTES - pos, "%" PRIu64 "m", minutes);
    print_fraction(out + pos, UNIT_DURATION_BYTES - pos, seconds % 60, left % (uint64_t)NS_PER_S, (uint64_t)NS_PER_S, "s");
}

// --- bytes --------------------------------------------------------------------------------------------

static bool bytes_scale(struct slice unit, double *scale_out)
{
    static const char prefixes[] = "kmgtpe";
    if (unit.len == 0 || slice_eq(unit, SLICE("b"))) {
        *scale_out = 1;
        return true;
    }
    const char *at = strchr(prefixes, unit.ptr[0]);
    if (at == NULL || unit.ptr[0] == 0 || unit.len > 3)
        return false;
    struct slice rest = slice_from(unit, 1);
    bool binary = rest.len > 0 && rest.ptr[0] == 'i';
    if (binary)
        rest = slice_from(rest, 1);
    if (rest.len > 1 || (rest.len == 1 && rest.ptr[0] != 'b'))
        return false;
    double scale = 1;
    for (const char *p = prefixes; p <= at; p++)
        scale *= binary ? 1024 : 1000;
    *scale_out = scale;
    return true;
}

bool unit_bytes(struct slice text, uint64_t *bytes_out, struct err *err)
{
    size_t end = 0;
    uint8_t digits[64];
    size_t digits_len = 0;
    for (; end < text.len; end++) {
        uint8_t c = text.ptr[end];
        if (!is_digit(c) && c != '.' && c != ',')
            break;
        if (c == ',')
            continue;
        if (digits_len == sizeof digits)
            return err_set(err, ERR_INPUT, "too large: %.*s", SLICE_FMT(text));
        digits[digits_len++] = c;
    }
    double number;
    if (!unit_float(slice_of(digits, digits_len), &number, err))
        return false;

    struct slice unit = slice_from(text, end);
    while (unit.len > 0 && isspace(unit.ptr[0]))
        unit = slice_from(unit, 1);
    while (unit.len > 0 && isspace(unit.ptr[unit.len - 1]))
        unit.len--;
    uint8_t lower[64];
    size_t lower_len = unit.len < sizeof lower ? unit.len : sizeof lower;
    for (size_t i = 0; i < lower_len; i++)
        lower[i] = (uint8_t)tolower(unit.ptr[i]);
    double scale;
    if (unit.len > sizeof lower || !bytes_scale(slice_of(lower, lower_len), &scale))
        return err_set(err, ERR_INPUT, "unhandled size name: %.*s", (int)lower_len,
                       (const char *)lower);
    number *= scale;
    if (!(number < 18446744073709551616.0))
        return err_set(err, ERR_INPUT, "too large: %.*s", SLICE_FMT(text));
    *bytes_out = (uint64_t)number;
    return true;
}

// --- floats -------------------------------------------------------------------------------------------

static bool float_special(struct slice s, double *value_out)
{
    bool negative = false;
    if (s.len > 0 && (s.ptr[0] == '+' || s.ptr[0] == '-')) {
        negative = s.ptr[0] == '-';
        s = slice_from(s, 1);
    } else if (s.len == 3 && strncasecmp((const char *)s.ptr, "nan", 3) == 0) {
        *value_out = NAN;
        return true;
    }
    if ((s.len == 3 && strncasecmp((const char *)s.ptr, "inf", 3) == 0) ||
        (s.len == 8 && strncasecmp((const char *)s.ptr, "infinity", 8) == 0)) {
        *value_out = negative ? -INFINITY : INFINITY;
        return true;
    }
    return false;
}

// Checks the syntax and copies without underscores; strtod() alone would take more.
static size_t float_normalise(struct slice s, char *out, size_t room)
{
    size_t i = 0, n = 0;
    if (s.len >= room)
        return 0;
    if (i < s.len && (s.ptr[i] == '+' || s.ptr[i] == '-'))
        out[n++] = (char)s.ptr[i++];
    bool hex = i + 1 < s.len && s.ptr[i] == '0' && (s.ptr[i + 1] | 32) == 'x';
    if (hex) {
        out[n++] = '0';
        out[n++] = 'x';
        i += 2;
    }
    bool digits = false, point = false, after_digit = hex;
    for (; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (is_digit(c) || (hex && isxdigit(c))) {
            digits = after_digit = true;
        } else if (c == '_') {
            bool before = i + 1 < s.len && (is_digit(s.ptr[i + 1]) || (hex && isxdigit(s.ptr[i + 1])));
            if (!after_digit || !before)
                return 0;
            after_digit = false;
            continue;
        } else if (c == '.' && !point) {
            point = true;
            after_digit = false;
        } else {
            break;
        }
        out[n++] = (char)c;
    }
    if (!digits)
        return 0;
    bool exponent = i < s.len && (s.ptr[i] | 32) == (hex ? 'p' : 'e');
    if (hex && !exponent)
        return 0;
    if (exponent) {
        out[n++] = (char)s.ptr[i++];
        if (i < s.len && (s.ptr[i] == '+' || s.ptr[i] == '-'))
            out[n++] = (char)s.ptr[i++];
        size_t first = i;
        for (; i < s.len && is_digit(s.ptr[i]); i++)
            out[n++] = (char)s.ptr[i];
        if (i == first)
            return 0;
    }
    out[n] = 0;
    return i == s.len ? n : 0;
}

bool unit_float(struct slice text, double *value_out, struct err *err)
{
    if (float_special(text, value_out))
        return true;
    char digits[512];
    if (float_normalise(text, digits, sizeof digits) == 0)
        return err_set(err, ERR_INPUT, "strconv.ParseFloat: parsing \"%.*s\": invalid syntax",
                       SLICE_FMT(text));
    double value = strtod(digits, NULL);
    if (isinf(value))
        return err_set(err, ERR_INPUT, "strconv.ParseFloat: parsing \"%.*s\": value out of range",
                       SLICE_FMT(text));
    *value_out = value;
    return true;
}
