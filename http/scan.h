/* SPDX-License-Identifier: MIT */
/* http/scan.h: the one loop that looks at every byte of a head, and the table of token characters.
 *
 * The scan stops at what may end a line or is forbidden in it: control bytes but tab.  It tests eight
 * bytes at a time in a plain 64-bit word (no vector instructions, so every platform has the same
 * code): the head of a 700-byte response is scanned in about 90 steps. */
#ifndef THR_HTTP_SCAN_H
#define THR_HTTP_SCAN_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define THR_SCAN_ONES UINT64_C(0x0101010101010101)
#define THR_SCAN_HIGHS UINT64_C(0x8080808080808080)

/* 1 for the characters of a token (RFC 9110, 5.6.2). */
extern const unsigned char thr_scan_token[256];

static inline bool thr_scan_is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7F;
}

/* The high bit of each byte of word that is below 0x20 or is 0x7F.  A borrow may also mark bytes above
 * a marked one, so only the lowest mark counts. */
static inline uint64_t thr_scan_marks(uint64_t word)
{
    uint64_t low = (word - 0x20 * THR_SCAN_ONES) & ~word;
    uint64_t del = word ^ 0x7F * THR_SCAN_ONES;
    return (low | ((del - THR_SCAN_ONES) & ~del)) & THR_SCAN_HIGHS;
}

/* The first control byte other than tab in [p, end), or end. */
static inline const char *thr_scan_control(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        uint64_t marks = thr_scan_marks(le64toh(word)); /* the first byte is the lowest */
        if (!marks) {
            p += 8;
            continue;
        }
        p += __builtin_ctzll(marks) / 8;
        if (*p != '\t')
            return p;
        p++;
    }
    while (p < end && !thr_scan_is_control((unsigned char)*p))
        p++;
    return p;
}

#endif
