/* SPDX-License-Identifier: MIT */
/* Text that grows. */
#include "tools/common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for n more bytes and the NUL behind them. */
static bool reserve(struct thr_text *t, size_t n)
{
    if (t->failed)
        return false;
    if (n < t->max - t->n)
        return true;

    size_t max = t->max ? t->max : 128;
    while (max - t->n <= n)
        max *= 2;
    char *data = realloc(t->data, max);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->max = max;
    return true;
}

void thr_text_add(struct thr_text *t, const void *data, size_t n)
{
    if (!reserve(t, n))
        return;
    memcpy(t->data + t->n, data, n);
    t->n += n;
    t->data[t->n] = '\0';
}

void thr_text_adds(struct thr_text *t, const char *string)
{
    thr_text_add(t, string, strlen(string));
}

void thr_text_addf(struct thr_text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0) {
        t->failed = true;
    } else if (reserve(t, (size_t)n)) {
        vsnprintf(t->data + t->n, (size_t)n + 1, format, again);
        t->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void thr_text_add_plain(struct thr_text *t, const char *string)
{
    size_t start = t->n;
    thr_text_adds(t, string);
    if (t->failed)
        return;
    for (size_t i = start; i < t->n; i++) {
        unsigned char c = (unsigned char)t->data[i];
        if (c < 0x20 || c == 0x7F)
            t->data[i] = '?';
    }
}

void thr_text_clear(struct thr_text *t)
{
    t->n = 0;
    t->failed = false;
    if (t->data)
        t->data[0] = '\0';
}

void thr_text_fini(struct thr_text *t)
{
    free(t->data);
    *t = (struct thr_text){0};
}
