/* SPDX-License-Identifier: MIT */
/* thrum/url.h: a URL that HTTP can fetch, parsed once.
 *
 * The rules are those of the WHATWG URL standard for the schemes http, https, ws and wss, with three
 * differences, each on the side of the caller's bytes or of refusing:
 *
 *   - Path and query go on the wire as they were given.  Only what cannot travel in a request line is
 *     percent-encoded (spaces, control bytes, DEL, bytes above 0x7E); WHATWG would also encode
 *     " < > ` { } and so break signed URLs.  thrum_url_normalise() does that, on request.
 *   - A backslash, tab, CR or LF in front of or inside the host is refused, where a browser repairs
 *     it: filters that read such a URL otherwise than the client does are how servers are attacked.
 *     In a path a backslash is a slash, and tab, CR and LF are left out, as in a browser.
 *   - Host names outside ASCII are refused (give the xn-- form, which is taken as it is), and so are
 *     names that no DNS can hold: over 253 bytes, or a lone dot.
 *
 * As in a browser: spaces and control bytes around the text are ignored, `http:host` and `http:///host`
 * are `http://host`, the host is lower-cased and percent-decoded, IPv4 addresses may be written in
 * octal, hexadecimal or with fewer parts, `.` and `..` segments (also as %2e) are resolved, the
 * default port is dropped, an empty path is `/`.
 *
 * User and password are kept apart: no string that this header gives out for logging, sending
 * or comparing contains them, except the two accessors that name them.
 *
 * A thrum_url never changes after it is made and may be read from any thread. */
#ifndef THRUM_URL_H
#define THRUM_URL_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

/* The longest text that is accepted, and the longest URL that resolving may give. */
#define THRUM_URL_BYTES_MAX 65535

typedef struct thrum_url thrum_url;

/* Parses the len bytes at text, an absolute URL, into *out.
 *
 * When it fails and why is not NULL, *why is a sentence part naming the fault ("port is above 65535").
 *
 * Owns:    *out is the caller's, freed with thrum_url_free(); text is only borrowed; *why is static.
 * Returns: 0; THRUM_EHTTP_URL for a malformed URL; THRUM_EHTTP_SCHEME for a well-formed scheme that is
 *          not http, https, ws or wss; -ENOMEM.  *out is NULL on failure.
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_url_parse_n(thrum_url **out, const char *text, size_t len,
                                                 const char **why);

/* thrum_url_parse_n() of a string. */
THRUM_API THRUM_MUST_CHECK int thrum_url_parse(thrum_url **out, const char *text);

/* Parses the len bytes at ref, absolute or relative, against base (a Location field, an href).
 *
 * The fragment of base is not inherited; a redirect that wants it asks thrum_url_fragment(base).
 * User and password are inherited only where the host is (WHATWG).
 *
 * Owns, Returns, Context: as thrum_url_parse_n(); base is only borrowed. */
THRUM_API THRUM_MUST_CHECK int thrum_url_resolve(thrum_url **out, const thrum_url *base,
                                                 const char *ref, size_t len, const char **why);

/* Makes the form in which two URLs for the same thing most often become equal: %xx of unreserved
 * characters decoded, other %xx in capitals, what WHATWG encodes in path and query encoded, the
 * fragment dropped.  Never for sending a URL that somebody else gave: it may change its meaning there.
 *
 * Owns:    *out is the caller's.
 * Returns: 0, -ENOMEM, or THRUM_EHTTP_URL where the result would be too long.
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_url_normalise(thrum_url **out, const thrum_url *url);

/* Returns: 0 with a copy in *out, or -ENOMEM. */
THRUM_API THRUM_MUST_CHECK int thrum_url_clone(thrum_url **out, const thrum_url *url);

/* NULL is allowed. */
THRUM_API void thrum_url_free(thrum_url *url);

/* The accessors below give strings that live as long as the URL. */

/* The whole URL without user, password and fragment: what is shown, logged and compared. */
THRUM_API const char *thrum_url_text(const thrum_url *url);

/* "http", "https", "ws" or "wss". */
THRUM_API const char *thrum_url_scheme(const thrum_url *url);

/* True for https and wss. */
THRUM_API bool thrum_url_is_secure(const thrum_url *url);

/* The host as it is resolved and verified: lower case, an IPv6 address without its brackets. */
THRUM_API const char *thrum_url_host(const thrum_url *url);

/* True if the host is a literal IPv4 or IPv6 address: nothing to resolve, no SNI. */
THRUM_API bool thrum_url_host_is_ip(const thrum_url *url);

/* The port, the scheme's default (80, 443) where the URL has none. */
THRUM_API uint16_t thrum_url_port(const thrum_url *url);

/* What the Host field carries: the host, brackets included, and the port unless it is the default. */
THRUM_API const char *thrum_url_authority(const thrum_url *url);

/* What the request line carries (origin form): the path, and `?` with the query if there is one. */
THRUM_API const char *thrum_url_target(const thrum_url *url);

/* The length of the path, which is where thrum_url_target() starts. */
THRUM_API size_t thrum_url_path_len(const thrum_url *url);

/* The query without its `?`; NULL if there is none, "" if it is empty. */
THRUM_API const char *thrum_url_query(const thrum_url *url);

/* The fragment without its `#`; NULL if there is none. */
THRUM_API const char *thrum_url_fragment(const thrum_url *url);

/* User and password, percent-decoded, as Basic authentication wants them; NULL if not given.  Secret:
 * not for logs. */
THRUM_API const char *thrum_url_user(const thrum_url *url);
THRUM_API const char *thrum_url_password(const thrum_url *url);

/* True if scheme, host and port are equal: the origin of RFC 6454, across which credentials are not
 * carried. */
THRUM_API bool thrum_url_same_origin(const thrum_url *a, const thrum_url *b);

THRUM_END_DECLS

#endif
