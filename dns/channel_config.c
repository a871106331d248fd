/* SPDX-License-Identifier: MIT */
/* How the c-ares channel is set up. */
#include "dns/channel_config.h"
#include "exec/util.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>
#include <thrum/time.h>

#define TRY_TIMEOUT_MS 2000
#define TRY_TIMEOUT_MS_MAX 60000
#define TRIES 3
#define TRIES_MAX 10 /* c-ares doubles the time limit with each */

/* What fits through any path unfragmented (the DNS flag day of 2020). */
#define EDNS_BYTES 1232

/* Answers to a burst of questions arrive faster than they are read. The kernel cuts it to net.core.rmem_max. */
#define RECEIVE_BUFFER_BYTES (1 << 20)

/* ---- Servers ---- */

static bool is_padding(char c)
{
    return c == ' ' || c == '\t';
}

/* "53" to a port; 0 if it is none. */
static uint16_t parse_port(const char *text)
{
    unsigned port = 0;
    if (!*text)
        return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || (port = port * 10 + (unsigned)(*text - '0')) > 65535)
            return 0;
    }
    return (uint16_t)port;
}

/* "1.2.3.4", "1.2.3.4:53", "::1", "[::1]", "[::1]:53"; text is changed. */
static int parse_server(thrum_addr *out, char *text)
{
    const char *host = text;
    uint16_t port = 53;
    char *colon = strrchr(text, ':'), *close = strchr(text, ']');
    bool bracketed = text[0] == '[';
    if (bracketed) {
        if (!close || (close[1] && close[1] != ':'))
            return THRUM_EDNS_CONFIG;
        host = text + 1;
        colon = close[1] ? close + 1 : NULL;
        *close = '\0';
    } else if (colon && memchr(text, ':', (size_t)(colon - text))) {
        colon = NULL; /* more than one: an IPv6 address */
    }
    if (colon) {
        *colon = '\0';
        port = parse_port(colon + 1);
    }
    if (!port || thrum_addr_parse(out, host, port) != 0 ||
        (bracketed && out->u.sa.sa_family != AF_INET6))
        return THRUM_EDNS_CONFIG;
    return 0;
}

/* Writes one server, the n bytes at item, to out, which has THRUM_ADDR_TEXT_MAX bytes. */
static int write_server(char *out, const char *item, size_t n)
{
    char text[THRUM_ADDR_TEXT_MAX];
    while (n && is_padding(item[n - 1]))
        n--;
    if (n == 0 || n >= sizeof(text))
        return THRUM_EDNS_CONFIG;
    memcpy(text, item, n);
    text[n] = '\0';
    thrum_addr addr;
    int err = parse_server(&addr, text);
    if (!err)
        thrum_addr_format(&addr, out, THRUM_ADDR_TEXT_MAX);
    return err;
}

int thr_servers_normalise(char **out, const char *servers)
{
    *out = NULL;
    size_t servers_n = 1;
    for (const char *c = servers; *c; c++)
        servers_n += *c == ',';
    char *list = malloc(servers_n * THRUM_ADDR_TEXT_MAX);
    if (!list)
        return -ENOMEM;
    int err = 0;
    char *end = list;
    for (const char *item = servers; !err && item;) {
        item += strspn(item, " \t");
        size_t n = strcspn(item, ",");
        if (end != list)
            *end++ = ','; /* in the place of the NUL */
        err = write_server(end, item, n);
        end += err ? 0 : strlen(end);
        item = item[n] ? item + n + 1 : NULL;
    }
    if (err) {
        free(list);
        return err;
    }
    *out = list;
    return 0;
}

/* ---- The channel ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

/* c-ares counts its users without a lock; this is the one call, for the life of the process. */
static void library_start(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int config_error(int status)
{
    return status == ARES_ENOMEM ? -ENOMEM : THRUM_EDNS_CONFIG;
}

static int options_read(struct ares_options *out, const thrum_resolver_opts *opts)
{
    uint64_t ms = opts->try_timeout_ns / THRUM_MILLISECOND;
    if (opts->try_timeout_ns % THRUM_MILLISECOND)
        ms++;
    if (ms > TRY_TIMEOUT_MS_MAX || opts->tries > TRIES_MAX)
        return THRUM_EDNS_CONFIG;
    out->timeout = ms ? (int)ms : TRY_TIMEOUT_MS;
    out->tries = opts->tries ? (int)opts->tries : TRIES;
    return 0;
}

static int set_servers(ares_channel channel, const char *servers)
{
    char *list;
    int err = thr_servers_normalise(&list, servers);
    if (err)
        return err;
    int status = ares_set_servers_ports_csv(channel, list);
    free(list);
    return status == ARES_SUCCESS ? 0 : config_error(status);
}

int thr_channel_configure(ares_channel *out, const thrum_resolver_opts *opts, bool candid,
                          ares_sock_state_cb socket_cb, void *arg)
{
    *out = NULL;
    pthread_once(&library_once, library_start);
    if (library_status != ARES_SUCCESS)
        return config_error(library_status);

    /* Name servers only: the hosts file is ours, and 1.18 would read it at each look-up. */
    char lookups[] = "b";
    /* Not STAYOPEN: new sockets have new ports, and a port that is hard to guess keeps forgers out. */
    int flags = ARES_FLAG_EDNS | (candid ? ARES_FLAG_NOCHECKRESP : 0);
    struct ares_options options = {
        .flags = flags,
        .ednspsz = EDNS_BYTES,
        .lookups = lookups,
        .socket_receive_buffer_size = RECEIVE_BUFFER_BYTES,
        .sock_state_cb = socket_cb,
        .sock_state_cb_data = arg,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_RCVBUF |
               ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
#ifdef ARES_OPT_QUERY_CACHE
    options.qcache_max_ttl = 0; /* no cache below ours */
    mask |= ARES_OPT_QUERY_CACHE;
#endif
    int err = options_read(&options, opts);
    if (err)
        return err;
    if (candid)
        options.tries = 1;
    int status = ares_init_options(out, &options, mask); /* the rest is as resolv.conf has it */
    if (status != ARES_SUCCESS) {
        *out = NULL;
        return config_error(status);
    }
    err = opts->servers ? set_servers(*out, opts->servers) : 0;
    if (err) {
        ares_destroy(*out);
        *out = NULL;
    }
    return err;
}
