/* SPDX-License-Identifier: MIT */
/* support/pages.c: the streams of pages.h, and SHA-256 as FIPS 180-4 states it. */
#include "support/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t seed, uint64_t word)
{
    uint64_t x = (seed + 1) * 0x9E3779B97F4A7C15u + word * 0xD1B54A32D192ED03u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

void sup_stream_fill(uint64_t seed, uint64_t offset, void *buf, size_t bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-\n";
    char *out = buf;
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++) {
        uint64_t p = offset + i;
        if (i == 0 || p % 8 == 0)
            word = mix(seed, p / 8);
        out[i] = alphabet[(word >> (8 * (p % 8))) & 63];
    }
}

bool sup_stream_match(uint64_t seed, uint64_t offset, const void *data, size_t bytes)
{
    const char *at = data;
    char want[512];
    while (bytes > 0) {
        size_t n = bytes < sizeof(want) ? bytes : sizeof(want);
        sup_stream_fill(seed, offset, want, n);
        if (memcmp(at, want, n) != 0)
            return false;
        at += n;
        offset += n;
        bytes -= n;
    }
    return true;
}

size_t sup_page_size(uint32_t i)
{
    size_t bytes = SUP_PAGE_MIN + (size_t)(mix(i, (uint64_t)1 << 63) % 4096);
    return i % 64 == 63 ? bytes * 16 : bytes;
}

char *sup_page_new(uint32_t i, size_t *bytes)
{
    size_t n = sup_page_size(i);
    char *page = malloc(n + 1);
    if (!page)
        abort();
    sup_stream_fill(i, 0, page, n);
    page[n] = '\0';
    if (bytes)
        *bytes = n;
    return page;
}

bool sup_page_match(uint32_t i, const void *data, size_t bytes)
{
    return bytes == sup_page_size(i) && sup_stream_match(i, 0, data, bytes);
}

/* -- SHA-256 ------------------------------------------------------------------------------------ */

struct sha256 {
    uint32_t h[8];
    uint64_t bytes;
    unsigned char block[64];
};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return (x >> n) | (x << (32 - n));
}

/* The 64 words are the fractional parts of the cube roots of the first 64 primes (section 4.2.2). */
static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* Section 6.2.2, for the block that is full. */
static void sha256_block(struct sha256 *s)
{
    uint32_t w[64];
    uint32_t v[8]; /* a to h */
    for (int t = 0; t < 16; t++) {
        const unsigned char *b = s->block + 4 * t;
        w[t] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ (w[t - 15] >> 3);
        uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    memcpy(v, s->h, sizeof(v));
    for (int t = 0; t < 64; t++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha256_k[t] + w[t];
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[0] = t1 + t2;
        v[4] += t1;
    }
    for (int i = 0; i < 8; i++)
        s->h[i] += v[i];
}

static void sha256_init(struct sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->h, start, sizeof(start));
    s->bytes = 0;
}

static void sha256_add(struct sha256 *s, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    while (bytes > 0) {
        size_t used = (size_t)(s->bytes % 64);
        size_t n = bytes < 64 - used ? bytes : 64 - used;
        memcpy(s->block + used, at, n);
        s->bytes += n;
        at += n;
        bytes -= n;
        if (s->bytes % 64 == 0)
            sha256_block(s);
    }
}

static void sha256_end(struct sha256 *s, char hex[SUP_SHA256_HEX])
{
    static const unsigned char padding[64] = {0x80};
    unsigned char length[8];
    uint64_t bits = s->bytes * 8;
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_add(s, padding, 1 + (size_t)((119 - s->bytes % 64) % 64));
    sha256_add(s, length, sizeof(length));
    for (int i = 0; i < 8; i++)
        snprintf(hex + 8 * (size_t)i, 9, "%08x", (unsigned)s->h[i]);
}

void sup_sha256_hex(const void *data, size_t bytes, char hex[SUP_SHA256_HEX])
{
    struct sha256 s;
    sha256_init(&s);
    if (bytes > 0)
        sha256_add(&s, data, bytes);
    sha256_end(&s, hex);
}

void sup_stream_sha256_hex(uint64_t seed, uint64_t bytes, char hex[SUP_SHA256_HEX])
{
    struct sha256 s;
    sha256_init(&s);
    for (uint64_t at = 0; at < bytes;) {
        char piece[512];
        size_t n = bytes - at < sizeof(piece) ? (size_t)(bytes - at) : sizeof(piece);
        sup_stream_fill(seed, at, piece, n);
        sha256_add(&s, piece, n);
        at += n;
    }
    sha256_end(&s, hex);
}

void sup_page_sha256_hex(uint32_t i, char hex[SUP_SHA256_HEX])
{
    sup_stream_sha256_hex(i, sup_page_size(i), hex);
}
