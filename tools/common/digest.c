/* SPDX-License-Identifier: MIT */
/* SHA-256 of a body as it passes. mbedTLS's own code for it cannot fail (the values it returns are for
 * hardware that computes digests), so they are not looked at. */
#include "tools/common/digest.h"

#include <mbedtls/sha256.h>
#include <stdlib.h>

struct thr_digest {
    mbedtls_sha256_context sha;
};

struct thr_digest *thr_digest_new(void)
{
    struct thr_digest *d = malloc(sizeof(*d));
    if (d) {
        mbedtls_sha256_init(&d->sha);
        (void)mbedtls_sha256_starts(&d->sha, 0);
    }
    return d;
}

void thr_digest_add(struct thr_digest *d, const void *data, size_t n)
{
    if (d)
        (void)mbedtls_sha256_update(&d->sha, data, n);
}

void thr_digest_end(struct thr_digest *d, char hex[THR_DIGEST_HEX_MAX])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[32];
    hex[0] = '\0';
    if (!d)
        return;
    (void)mbedtls_sha256_finish(&d->sha, sum);
    mbedtls_sha256_free(&d->sha);
    free(d);
    for (size_t i = 0; i < sizeof(sum); i++) {
        hex[2 * i] = digits[sum[i] >> 4];
        hex[2 * i + 1] = digits[sum[i] & 15];
    }
    hex[2 * sizeof(sum)] = '\0';
}
