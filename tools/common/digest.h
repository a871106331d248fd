/* SPDX-License-Identifier: MIT */
/* tools/common/digest.h: SHA-256 (FIPS 180-4) of a body as it passes. */
#ifndef TOOLS_COMMON_DIGEST_H
#define TOOLS_COMMON_DIGEST_H

#include <stddef.h>

#define THR_DIGEST_HEX_MAX 65 /* 64 digits and the NUL */

struct thr_digest;

/* Returns: a digest, ended with thr_digest_end(), or NULL without memory. */
struct thr_digest *thr_digest_new(void);

/* NULL is allowed, and then does nothing. */
void thr_digest_add(struct thr_digest *d, const void *data, size_t n);

/* Writes 64 hexadecimal digits, "" for NULL. Owns: takes d. */
void thr_digest_end(struct thr_digest *d, char hex[THR_DIGEST_HEX_MAX]);

#endif
