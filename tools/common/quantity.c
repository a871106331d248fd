/* SPDX-License-Identifier: MIT */
/* Numbers, times and sizes, read from and written for people. */
#include "tools/common/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

/* Reads digits at *text up to a limit, and moves *text behind them. */
static bool read_digits(const char **text, uint64_t max, uint64_t *out)
{
    const char *p = *text;
    uint64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (p == *text)
        return false;
    *text = p;
    *out = value;
    return true;
}

bool thr_quantity_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value;
    if (max < 9 || !read_digits(&text, max, &value) || *text || value < min)
        return false;
    *out = value;
    return true;
}

bool thr_quantity_seconds(const char *text, uint64_t *ns)
{
    uint64_t whole;
    if (!read_digits(&text, SECOND, &whole))
        return false;
    uint64_t rest = 0;
    if (*text == '.') {
        uint64_t scale = SECOND;
        for (text++; *text >= '0' && *text <= '9' && scale > 1; text++) {
            scale /= 10;
            rest += scale * (uint64_t)(*text - '0');
        }
        if (scale == SECOND)
            return false;
    }
    if (*text)
        return false;
    *ns = whole * SECOND + rest;
    return true;
}

char *thr_quantity_bytes(uint64_t bytes, char text[THR_QUANTITY_TEXT_MAX])
{
    static const char units[] = "kMGTPE";
    if (bytes < 1000) {
        snprintf(text, THR_QUANTITY_TEXT_MAX, "%" PRIu64 " B", bytes);
        return text;
    }
    unsigned unit = 0;
    double value = (double)bytes / 1000;
    while (value >= 999.95 && units[unit + 1]) {
        value /= 1000;
        unit++;
    }
    snprintf(text, THR_QUANTITY_TEXT_MAX, "%.1f %cB", value, units[unit]);
    return text;
}

char *thr_quantity_count(uint64_t count, char text[THR_QUANTITY_TEXT_MAX])
{
    char digits[24];
    size_t n = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

char *thr_quantity_time(uint64_t ns, char text[THR_QUANTITY_TEXT_MAX])
{
    if (ns < SECOND)
        snprintf(text, THR_QUANTITY_TEXT_MAX, "%" PRIu64 " ms", ns / (SECOND / 1000));
    else
        snprintf(text, THR_QUANTITY_TEXT_MAX, "%.6g s", (double)ns / (double)SECOND);
    return text;
}
