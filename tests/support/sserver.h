/* SPDX-License-Identifier: MIT */
/* support/sserver.h: `openssl s_server`, for what nginx cannot be told: one protocol version, one
 * cipher, any ALPN, no session tickets, a client hello that is answered by a retry request, and so on.
 *
 * It serves one connection at a time and closes each after one answer.
 */
#ifndef SUPPORT_SSERVER_H
#define SUPPORT_SSERVER_H

#include "support/certs.h"
#include "support/util.h"

enum sup_sserver_mode {
    SUP_SSERVER_WWW, /* answers any GET with a page about the connection (HTTP/1.0 200, text/html) */
    SUP_SSERVER_FILES, /* serves the files of opts.root with a status line (-WWW) */
    SUP_SSERVER_ECHO, /* sends each line back reversed (-rev): a TLS server without HTTP; the connection
                        * stays open */
};

struct sup_sserver;

struct sup_sserver_opts {
    enum sup_sserver_mode mode;
    enum sup_cert cert;
    const char *tls;          /* "1.2" or "1.3": that version only; NULL: both */
    const char *alpn;         /* "h2,http/1.1"; NULL: the extension is ignored */
    const char *ciphers;      /* TLS 1.2 cipher list, as in ciphers(1) */
    const char *ciphersuites; /* TLS 1.3 suites */
    const char *groups; /* "P-384": forces a retry request on a client that guesses otherwise */
    const char *root;   /* for SUP_SSERVER_FILES */
    bool no_tickets;
    const char *const *extra; /* further arguments, ends in NULL */
};

/* Starts it and waits until it listens; opts may be NULL (the www mode with the good certificate). */
struct sup_sserver *sup_sserver_start(const struct sup_sserver_opts *opts);
void sup_sserver_stop(struct sup_sserver *s);

uint16_t sup_sserver_port(const struct sup_sserver *s);

/* Its output: what it accepted and why a handshake failed ("alert unknown ca"). */
const char *sup_sserver_output(const struct sup_sserver *s);

#endif
