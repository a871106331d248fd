/* SPDX-License-Identifier: MIT */
/* Socket addresses as values. Only numbers here: names are dns' business. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <thrum/addr.h>

/* Reads decimal digits up to the end of text; an empty text, a sign or an overflow is refused. */
static bool parse_scope(const char *text, uint32_t *out)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool parse_v6(struct sockaddr_in6 *out, const char *text)
{
    char number[INET6_ADDRSTRLEN];
    const char *percent = strchr(text, '%');
    size_t len = percent ? (size_t)(percent - text) : strlen(text);
    if (len >= sizeof(number))
        return false;
    memcpy(number, text, len);
    number[len] = '\0';
    if (inet_pton(AF_INET6, number, &out->sin6_addr) != 1)
        return false;
    return !percent || parse_scope(percent + 1, &out->sin6_scope_id);
}

int thrum_addr_parse(thrum_addr *out, const char *text, uint16_t port)
{
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &out->u.in4.sin_addr) == 1) {
        out->u.in4.sin_family = AF_INET;
    } else {
        memset(out, 0, sizeof(*out));
        if (!parse_v6(&out->u.in6, text)) {
            memset(out, 0, sizeof(*out)); /* AF_UNSPEC */
            return -EINVAL;
        }
        out->u.in6.sin6_family = AF_INET6;
    }
    thrum_addr_set_port(out, port);
    return 0;
}

char *thrum_addr_format(const thrum_addr *addr, char *text, size_t text_bytes)
{
    char number[INET6_ADDRSTRLEN] = "";
    char scope[sizeof("%4294967295")] = "";
    unsigned port = thrum_addr_port(addr);

    if (addr->u.sa.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &addr->u.in4.sin_addr, number, sizeof(number));
        (void)snprintf(text, text_bytes, "%s:%u", number, port);
    } else if (addr->u.sa.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &addr->u.in6.sin6_addr, number, sizeof(number));
        if (addr->u.in6.sin6_scope_id)
            (void)snprintf(scope, sizeof(scope), "%%%u", (unsigned)addr->u.in6.sin6_scope_id);
        (void)snprintf(text, text_bytes, "[%s%s]:%u", number, scope, port);
    } else {
        (void)snprintf(text, text_bytes, "none");
    }
    return text;
}

uint16_t thrum_addr_port(const thrum_addr *addr)
{
    switch (addr->u.sa.sa_family) {
    case AF_INET:
        return ntohs(addr->u.in4.sin_port);
    case AF_INET6:
        return ntohs(addr->u.in6.sin6_port);
    default:
        return 0;
    }
}

void thrum_addr_set_port(thrum_addr *addr, uint16_t port)
{
    if (addr->u.sa.sa_family == AF_INET)
        addr->u.in4.sin_port = htons(port);
    else if (addr->u.sa.sa_family == AF_INET6)
        addr->u.in6.sin6_port = htons(port);
}

socklen_t thrum_addr_bytes(const thrum_addr *addr)
{
    switch (addr->u.sa.sa_family) {
    case AF_INET:
        return sizeof(addr->u.in4);
    case AF_INET6:
        return sizeof(addr->u.in6);
    default:
        return 0;
    }
}

bool thrum_addr_equal(const thrum_addr *a, const thrum_addr *b)
{
    if (a->u.sa.sa_family != b->u.sa.sa_family || thrum_addr_port(a) != thrum_addr_port(b))
        return false;
    if (a->u.sa.sa_family == AF_INET)
        return a->u.in4.sin_addr.s_addr == b->u.in4.sin_addr.s_addr;
    if (a->u.sa.sa_family == AF_INET6)
        return memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, sizeof(struct in6_addr)) == 0 &&
               a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id;
    return true;
}
