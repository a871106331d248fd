/* SPDX-License-Identifier: MIT */
/* tls/profile.h: what a configuration means to mbedTLS. Never changes once made: all connections and workers share it.
 *
 * For the files that know mbedTLS; others pass the pointer on. */
#ifndef THR_TLS_PROFILE_H
#define THR_TLS_PROFILE_H

#include "tls/fault.h"
#include "tls/trust.h"

#include <mbedtls/ssl.h>
#include <thrum/tls.h>

struct thr_tls_profile {
    mbedtls_ssl_config conf;
    mbedtls_ssl_config
        conf_tls12; /* the same without TLS 1.3: for servers that hybrid hellos of mbedTLS fail with */
    struct thr_tls_trust *trust; /* NULL if insecure */
};

/* Makes the profile and reads the trusted certificates.
 *
 * Owns:    *out is the caller's; opts and its strings are borrowed for as long as the profile lives.
 * Returns: 0; THRUM_ETLS_TRUST_STORE, THRUM_ETLS_CONFIG, THRUM_ETLS, -ENOMEM, which *f then has too.
 * Context: any thread; reads files. */
int thr_tls_profile_new(struct thr_tls_profile **out, const thrum_tls_opts *opts,
                        struct thr_tls_fault *f);

/* NULL is allowed. */
void thr_tls_profile_free(struct thr_tls_profile *p);

#endif
