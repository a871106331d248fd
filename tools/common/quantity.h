/* SPDX-License-Identifier: MIT */
/* tools/common/quantity.h: numbers, times and sizes, read from and written for people. */
#ifndef TOOLS_COMMON_QUANTITY_H
#define TOOLS_COMMON_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a whole decimal number in [min, max]. */
bool thr_quantity_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* Reads seconds, with up to nine decimals ("2", "0.5"), at most 10^9 of them, as nanoseconds. */
bool thr_quantity_seconds(const char *text, uint64_t *ns);

/* The longest text the functions below write, with its NUL. */
#define THR_QUANTITY_TEXT_MAX 32

/* "999 B", "1.5 kB", "12.3 MB". Returns text. */
char *thr_quantity_bytes(uint64_t bytes, char text[THR_QUANTITY_TEXT_MAX]);

/* "1,234,567". Returns text. */
char *thr_quantity_count(uint64_t count, char text[THR_QUANTITY_TEXT_MAX]);

/* "250 ms", "2 s", "1.5 s". Returns text. */
char *thr_quantity_time(uint64_t ns, char text[THR_QUANTITY_TEXT_MAX]);

#endif
