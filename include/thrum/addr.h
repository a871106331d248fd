/* SPDX-License-Identifier: MIT */
/* A socket address: IPv4 or IPv6 with a port, by value. */
#ifndef THRUM_ADDR_H
#define THRUM_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <thrum/common.h>

THRUM_BEGIN_DECLS

typedef struct thrum_addr {
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } u; /* u.sa.sa_family is AF_INET, AF_INET6, or AF_UNSPEC for none */
} thrum_addr;

/* The longest text thrum_addr_format() writes, with its NUL: "[v6%scope]:port". */
#define THRUM_ADDR_TEXT_MAX 64

/* Reads a numeric IPv4 or IPv6 address (without brackets; a numeric %scope is allowed) and sets the port.
 *
 * Returns: 0, or -EINVAL if text is not an address.
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_addr_parse(thrum_addr *out, const char *text, uint16_t port);

/* Writes "1.2.3.4:80" or "[::1]:80" to text, cut to text_bytes, and returns text.
 *
 * Context: any thread. */
THRUM_API char *thrum_addr_format(const thrum_addr *addr, char *text, size_t text_bytes);

/* Context: any thread. */
THRUM_API uint16_t thrum_addr_port(const thrum_addr *addr);
THRUM_API void thrum_addr_set_port(thrum_addr *addr, uint16_t port);
THRUM_API socklen_t thrum_addr_bytes(const thrum_addr *addr);
THRUM_API bool thrum_addr_equal(const thrum_addr *a, const thrum_addr *b);

THRUM_END_DECLS

#endif
