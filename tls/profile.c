/* SPDX-License-Identifier: MIT */
/* Configurations as mbedTLS wants them. */
#include "tls/profile.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <mbedtls/psa_util.h>
#include <psa/crypto.h>
#include <thrum/error.h>

#include "tls/error.h"

/* Forward secret and authenticated only. AES-128 first: peers have it in hardware too. */
static const int suites[] = {
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};

/* The first is what TLS 1.3 sends a key share of: with the distributions' builds P-256 is faster than X25519. In
 * TLS 1.2 the list also says which curves a server's certificate may use, hence P-521. */
static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

/* As mbedTLS has them, but RSA's old padding before the new. A TLS 1.2 server takes the first it knows, and mbedTLS 3.6.6
 * refuses rsa_pss_* in TLS 1.2 although it offers them for the sake of TLS 1.3, which ignores rsa_pkcs1_*. */
static const uint16_t signatures[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,       MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,    MBEDTLS_TLS1_3_SIG_NONE,
};

static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;
static psa_status_t crypto_status;

/* Never undone: mbedTLS has no thread-safe way to, and other users of the library in the process may need it. */
static void crypto_start(void)
{
    crypto_status = psa_crypto_init();
}

static void set_versions(mbedtls_ssl_config *conf, const thrum_tls_opts *opts, bool tls12)
{
    mbedtls_ssl_conf_min_tls_version(conf, opts->tls13_only ? MBEDTLS_SSL_VERSION_TLS1_3
                                                            : MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(conf, tls12 ? MBEDTLS_SSL_VERSION_TLS1_2
                                                 : MBEDTLS_SSL_VERSION_TLS1_3);
}

static int configure(mbedtls_ssl_config *conf, const struct thr_tls_profile *p,
                     const thrum_tls_opts *opts, bool tls12)
{
    int err = mbedtls_ssl_config_defaults(conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                          MBEDTLS_SSL_PRESET_DEFAULT);
    if (err)
        return err;
    set_versions(conf, opts, tls12);
    mbedtls_ssl_conf_rng(conf, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_ciphersuites(conf, suites);
    mbedtls_ssl_conf_groups(conf, groups);
    mbedtls_ssl_conf_sig_algs(conf, signatures);
#if defined(MBEDTLS_SSL_RENEGOTIATION)
    mbedtls_ssl_conf_renegotiation(conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
#endif
    mbedtls_ssl_conf_authmode(conf, opts->insecure ? MBEDTLS_SSL_VERIFY_NONE
                                                   : MBEDTLS_SSL_VERIFY_REQUIRED);
    if (p->trust)
        mbedtls_ssl_conf_ca_chain(conf, thr_tls_trust_chain(p->trust), NULL);

    bool resume = !opts->no_resume;
    mbedtls_ssl_conf_session_tickets(conf, resume ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED
                                                  : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        conf, resume ? MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
                     : MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_DISABLED);
    if (!opts->alpn || !opts->alpn[0])
        return 0;
    /* mbedTLS only reads the list; its parameter lacks a const. */
    return mbedtls_ssl_conf_alpn_protocols(conf, (const char **)(uintptr_t)opts->alpn);
}

int thr_tls_profile_new(struct thr_tls_profile **out, const thrum_tls_opts *opts,
                        struct thr_tls_fault *f)
{
    *out = NULL;
    pthread_once(&crypto_once, crypto_start);
    if (crypto_status != PSA_SUCCESS) {
        thr_tls_fault_set(f, THRUM_ETLS, "the cryptographic library could not be started (%d)",
                          (int)crypto_status);
        return f->code;
    }
    struct thr_tls_profile *p = calloc(1, sizeof(*p));
    if (!p) {
        thr_tls_fault_plain(f, -ENOMEM);
        return f->code;
    }
    mbedtls_ssl_config_init(&p->conf);
    mbedtls_ssl_config_init(&p->conf_tls12);
    int err = opts->insecure ? 0 : thr_tls_trust_open(&p->trust, opts->ca_file, f);
    if (!err) {
        err = configure(&p->conf, p, opts, opts->tls12_only);
        if (!err && !opts->tls13_only)
            err = configure(&p->conf_tls12, p, opts, true);
        if (err) {
            thr_tls_fault_from_code(f, err, -1);
            err = f->code;
        }
    }
    if (err) {
        thr_tls_profile_free(p);
        return err;
    }
    *out = p;
    return 0;
}

void thr_tls_profile_free(struct thr_tls_profile *p)
{
    if (!p)
        return;
    mbedtls_ssl_config_free(&p->conf);
    mbedtls_ssl_config_free(&p->conf_tls12);
    thr_tls_trust_unref(p->trust);
    free(p);
}
