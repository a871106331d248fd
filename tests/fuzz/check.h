/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: an assertion that stays on, and pieces of random sizes.
 *
 * A target does not only look for crashes: it parses each input whole and in pieces and stops where
 * the two differ, or where a promise of the header does not hold. */
#ifndef FUZZ_CHECK_H
#define FUZZ_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The size of the next piece: 1 to max, or all where *seed is 0. */
static inline size_t piece(uint32_t *seed, size_t max, size_t all)
{
    if (*seed == 0)
        return all;
    *seed = *seed * 1664525u + 1013904223u;
    if (*seed == 0)
        *seed = 1;
    size_t n = 1 + (*seed >> 8) % max;
    return n < all ? n : all;
}

#endif
