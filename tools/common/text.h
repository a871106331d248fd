/* SPDX-License-Identifier: MIT */
/* tools/common/text.h: text that grows.
 *
 * Appending never reports a failure by itself: once memory ran out `failed` stays set, the text stops
 * growing, and the one place that uses the text looks. It is always NUL-terminated unless it is empty.
 */
#ifndef TOOLS_COMMON_TEXT_H
#define TOOLS_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Starts from zero. */
struct thr_text {
    char *data;
    size_t n;
    size_t max;
    bool failed;
};

void thr_text_add(struct thr_text *t, const void *data, size_t n);
void thr_text_adds(struct thr_text *t, const char *string);
void thr_text_addf(struct thr_text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds a string for a person to read: control bytes (a server may have chosen them) become '?', so that
 * no terminal acts on them and no line is broken. */
void thr_text_add_plain(struct thr_text *t, const char *string);

/* Empties the text and keeps its memory. */
void thr_text_clear(struct thr_text *t);
void thr_text_fini(struct thr_text *t);

#endif
