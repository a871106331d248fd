/* SPDX-License-Identifier: MIT */
/* TLS 1.2 and 1.3 on top of any stream, by mbedTLS 3.6. A TLS connection is a thrum_stream. */
#ifndef THRUM_TLS_H
#define THRUM_TLS_H

#include <thrum/common.h>
#include <thrum/stream.h>

THRUM_BEGIN_DECLS

typedef struct thrum_tls_config thrum_tls_config;
typedef struct thrum_tls thrum_tls;

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_tls_opts {
    const char
        *ca_file; /* NULL: the system's trusted certificates. A PEM file that takes their place */
    const char *const
        *alpn;       /* NULL: none offered. Protocol names, most wanted first, NULL at the end */
    bool insecure;   /* false: the peer's certificate and host name are verified */
    bool tls12_only; /* false: TLS 1.3 is offered too */
    bool tls13_only; /* false: TLS 1.2 is offered too */
    bool no_resume;  /* false: sessions are kept and resumed, by host and port */
} thrum_tls_opts;

/* Makes a client configuration, to be shared by all connections and workers. The trusted certificates are read at the
 * first handshake.
 *
 * Owns:    *out is the caller's, counted: each connection holds a reference too; ended with thrum_tls_config_unref().
 *          opts and its strings are copied.
 * Returns: 0, -ENOMEM, THRUM_ETLS_CONFIG; *out is then NULL.
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_tls_config_new(thrum_tls_config **out,
                                                    const thrum_tls_opts *opts);
THRUM_API void thrum_tls_config_unref(thrum_tls_config *config);

/* Reads the trusted certificates now instead of at the first handshake, to report a bad file early.
 *
 * Returns: 0, -ENOMEM, THRUM_ETLS_TRUST_STORE; detail (unless NULL) then has a sentence of up to detail_bytes.
 * Context: task or any thread. Does not suspend, but reads files. */
THRUM_API THRUM_MUST_CHECK int thrum_tls_config_load(thrum_tls_config *config, char *detail,
                                                     size_t detail_bytes);

/* Does a client's handshake on a connected stream.
 *
 * host is the name or the numeric address that the certificate must be for; a name is sent as SNI (RFC 6066), an
 * address is not. Sessions are resumed by host and port.
 *
 * Owns:    takes stream, also on failure (it is then closed). *out is the caller's, ended with thrum_tls_close().
 * Returns: 0; THRUM_ETLS_* with a sentence in detail (unless NULL); what the stream reported; -ETIMEDOUT,
 *          -ECANCELED, -ENOMEM. *out is then NULL.
 * Context: task. Suspends; yields between the handshake's steps. */
THRUM_API THRUM_MUST_CHECK int thrum_tls_connect(thrum_tls **out, thrum_tls_config *config,
                                                 thrum_stream *stream, const char *host,
                                                 uint16_t port, char *detail, size_t detail_bytes);

/* The connection as a stream; the same object: close either, once. Its read returns 0 only after the peer's
 * close_notify, and THRUM_ETLS_TRUNCATED if the connection ended without one (RFC 8446 section 6.1). */
THRUM_API thrum_stream *thrum_tls_stream(thrum_tls *tls);

/* Sends close_notify if that is possible at once, closes the stream below and frees tls. NULL is allowed.
 *
 * Owns:    takes tls. Context: task. */
THRUM_API void thrum_tls_close(thrum_tls *tls);

/* Facts of the connection: "TLSv1.3", the cipher suite's name, the agreed ALPN protocol or NULL, resumed or not.
 *
 * Owns: the strings live as long as tls. Context: task. Does not suspend. */
THRUM_API const char *thrum_tls_version(const thrum_tls *tls);
THRUM_API const char *thrum_tls_cipher(const thrum_tls *tls);
THRUM_API const char *thrum_tls_alpn(const thrum_tls *tls);
THRUM_API bool thrum_tls_was_resumed(const thrum_tls *tls);

/* True if nothing has been received that was not read yet, not even undecrypted bytes. For keep-alive pools, together
 * with thrum_tcp_is_quiet() of the connection below.
 *
 * Context: task; nobody may be reading. Does not suspend. */
THRUM_API bool thrum_tls_is_quiet(thrum_tls *tls);

THRUM_END_DECLS

#endif
