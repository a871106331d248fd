/* SPDX-License-Identifier: MIT */
/* support/pages.h: content that a test can compute instead of reading it back, and SHA-256.
 *
 * A stream is named by a 64-bit seed.  Its byte at offset p is
 *
 *     alphabet[(mix(seed, p / 8) >> (8 * (p % 8))) & 63],  alphabet = A-Z a-z 0-9 '-' '\n'
 *
 * where mix(s, w) is the splitmix64 finaliser over (s + 1) * 0x9E3779B97F4A7C15 + w * 0xD1B54A32D192ED03.
 * Any piece can be made or checked alone, wherever a read happened to end; it is text without markup
 * and gzip shrinks it by about a quarter.
 */
#ifndef SUPPORT_PAGES_H
#define SUPPORT_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes [offset, offset + bytes) of the stream. */
void sup_stream_fill(uint64_t seed, uint64_t offset, void *buf, size_t bytes);

/* True if data is bytes [offset, offset + bytes) of the stream. */
bool sup_stream_match(uint64_t seed, uint64_t offset, const void *data, size_t bytes);

/* Page i is stream i, SUP_PAGE_MIN to SUP_PAGE_MAX bytes long: its size is SUP_PAGE_MIN +
 * mix(i, 2^63) % 4096, and each 64th page (i % 64 == 63) is 16 times as long; so a body spans several
 * TLS records now and then. */
#define SUP_PAGE_MIN 256
#define SUP_PAGE_MAX ((256 + 4095) * 16)
size_t sup_page_size(uint32_t i);

/* Page i in new memory, NUL added (not counted); *bytes may be NULL.  The caller frees it. */
char *sup_page_new(uint32_t i, size_t *bytes);

/* True if data is page i, whole. */
bool sup_page_match(uint32_t i, const void *data, size_t bytes);

/* -- SHA-256 (FIPS 180-4) ----------------------------------------------------------------------- */

#define SUP_SHA256_HEX 65 /* 64 digits and the NUL */

void sup_sha256_hex(const void *data, size_t bytes, char hex[SUP_SHA256_HEX]);
void sup_stream_sha256_hex(uint64_t seed, uint64_t bytes, char hex[SUP_SHA256_HEX]);
void sup_page_sha256_hex(uint32_t i, char hex[SUP_SHA256_HEX]);

#endif
