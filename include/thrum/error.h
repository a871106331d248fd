/* SPDX-License-Identifier: MIT */
/* Error codes. A call returns 0 or a count, or a negative code: -errno for what the system reported, unchanged, or
 * one of thrum's own below. Each layer has a block of a hundred. */
#ifndef THRUM_ERROR_H
#define THRUM_ERROR_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

/* One table feeds both the constants and thrum_strerror(): X(name, value, "words"). */
#define THRUM_ERRORS(X)                                                                            \
    X(THRUM_ECLOSED, -10000, "closed")                                                             \
    X(THRUM_ESHUTDOWN, -10001, "the runtime is shutting down")                                     \
    X(THRUM_ENOTTASK, -10002, "called outside a task")                                             \
    X(THRUM_EFORKED, -10003, "not possible in a forked child: it may only exec or _exit")          \
                                                                                                   \
    X(THRUM_EDNS_NOTFOUND, -10100, "no such host name")                                            \
    X(THRUM_EDNS_NODATA, -10101, "the host name has no address")                                   \
    X(THRUM_EDNS_SERVFAIL, -10102, "the name server failed")                                       \
    X(THRUM_EDNS_REFUSED, -10103, "the name server refused the query")                             \
    X(THRUM_EDNS_TIMEOUT, -10104, "no name server answered in time")                               \
    X(THRUM_EDNS_UNREACHABLE, -10105, "no name server could be reached")                           \
    X(THRUM_EDNS_BADNAME, -10106, "not a valid host name")                                         \
    X(THRUM_EDNS_BADANSWER, -10107, "the name server's answer makes no sense")                     \
    X(THRUM_EDNS_CONFIG, -10108, "the resolver's configuration is not valid")                      \
                                                                                                   \
    X(THRUM_ETLS, -10200, "TLS failed")                                                            \
    X(THRUM_ETLS_EXPIRED, -10201, "the certificate has expired")                                   \
    X(THRUM_ETLS_NOT_YET_VALID, -10202, "the certificate is not valid yet")                        \
    X(THRUM_ETLS_SELF_SIGNED, -10203, "the certificate is self-signed")                            \
    X(THRUM_ETLS_UNKNOWN_CA, -10204, "the certificate is signed by an unknown authority")          \
    X(THRUM_ETLS_WRONG_HOST, -10205, "the certificate is for another host")                        \
    X(THRUM_ETLS_WEAK, -10206, "the certificate uses a weak key or signature")                     \
    X(THRUM_ETLS_BAD_CERT, -10207, "the certificate is not acceptable")                            \
    X(THRUM_ETLS_HANDSHAKE, -10208, "the TLS handshake failed")                                    \
    X(THRUM_ETLS_VERSION, -10209, "no TLS version in common")                                      \
    X(THRUM_ETLS_ALERT, -10210, "the peer ended the TLS handshake with an alert")                  \
    X(THRUM_ETLS_TRUNCATED, -10211, "the TLS connection was cut off")                              \
    X(THRUM_ETLS_PROTOCOL, -10212, "the peer broke the TLS protocol")                              \
    X(THRUM_ETLS_TRUST_STORE, -10213, "the trusted certificates could not be loaded")              \
    X(THRUM_ETLS_CONFIG, -10214, "the TLS configuration is not valid")                             \
    X(THRUM_ETLS_REVOKED, -10215, "the certificate is revoked")                                    \
                                                                                                   \
    X(THRUM_EHTTP_URL, -10300, "not a valid URL")                                                  \
    X(THRUM_EHTTP_SCHEME, -10301, "the URL's scheme is not supported")                             \
    X(THRUM_EHTTP_PROTOCOL, -10302, "the server's answer is not valid HTTP")                       \
    X(THRUM_EHTTP_HEADER_LIMIT, -10303, "the response's header is too large")                      \
    X(THRUM_EHTTP_BODY_LIMIT, -10304, "the response's body is too large")                          \
    X(THRUM_EHTTP_TRUNCATED, -10305, "the response was cut off")                                   \
    X(THRUM_EHTTP_ENCODING, -10306, "the response's content encoding is damaged or unknown")       \
    X(THRUM_EHTTP_BOMB, -10307, "the response decompresses to more than is allowed")               \
    X(THRUM_EHTTP_REDIRECTS, -10308, "too many redirects")                                         \
    X(THRUM_EHTTP_REDIRECT_BAD, -10309, "the redirect cannot be followed")                         \
    X(THRUM_EHTTP_LOST, -10310, "the connection was lost before any answer")                       \
    X(THRUM_EHTTP_REQUEST, -10311, "the request is not valid")                                     \
    X(THRUM_EHTTP_STALE, -10312, "the response is no longer open")

enum thrum_error {
#define THRUM_ERROR_ENUM(name, value, words) name = (value),
    THRUM_ERRORS(THRUM_ERROR_ENUM)
#undef THRUM_ERROR_ENUM
};

/* The words for a negative code of this library or a negative errno; 0 is "success".
 *
 * Returns: a constant string, never NULL and never changed.
 * Context: any thread. */
THRUM_API const char *thrum_strerror(int code);

THRUM_END_DECLS

#endif
