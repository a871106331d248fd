/* SPDX-License-Identifier: MIT */
/* What the resolver's tests share: look-ups in a runtime, whose results the test asserts on afterwards. */
#ifndef TESTS_DNS_RUN_H
#define TESTS_DNS_RUN_H

#include <stdio.h>
#include <string.h>
#include <thrum/thrum.h>

#define PORT 8080

/* One look-up. */
struct asked {
    const char *host;
    uint64_t timeout_ns; /* 0: none */
    uint64_t wait_ns;    /* slept before it */
    int err;             /* filled in, as what follows */
    uint64_t took_ns;
    thrum_addrs out;
};

/* Look-ups one after the other, by one resolver. */
struct session {
    thrum_resolver_opts opts;
    unsigned workers; /* 0: 2 */
    struct asked *asks;
    size_t asks_n;
};

static inline void ask_one(thrum_resolver *r, struct asked *a)
{
    if (a->wait_ns)
        (void)thrum_sleep(a->wait_ns);
    uint64_t start = thrum_now();
    thrum_timeout limit;
    thrum_timeout_begin(&limit, a->timeout_ns ? a->timeout_ns : THRUM_NEVER);
    a->err = thrum_resolve(r, a->host, PORT, &a->out);
    (void)thrum_timeout_end(&limit);
    a->took_ns = thrum_now() - start;
}

static inline int session_task(void *arg)
{
    struct session *s = arg;
    thrum_resolver *r;
    int err = thrum_resolver_new(&r, &s->opts);
    for (size_t i = 0; !err && i < s->asks_n; i++)
        ask_one(r, &s->asks[i]);
    thrum_resolver_free(r);
    return err;
}

/* Returns: 0, or why there was no resolver or runtime. */
static inline int session_run(struct session *s)
{
    return thrum_run(session_task, s, &(thrum_run_opts){.workers = s->workers ? s->workers : 2});
}

static inline struct asked ask_alone(const char *servers, const char *host)
{
    struct asked a = {.host = host};
    struct session s = {.opts = {.servers = servers,
                                 .hosts_path = "",
                                 .try_timeout_ns = 100 * THRUM_MILLISECOND,
                                 .tries = 2},
                        .asks = &a,
                        .asks_n = 1};
    int err = session_run(&s);
    if (err)
        a.err = err;
    return a;
}

/* The addresses as one string, "[::1] 127.0.0.1"; "wrong port" if one has not PORT. */
static inline const char *addrs_text(const thrum_addrs *addrs)
{
    static char all[THRUM_ADDRS_MAX * THRUM_ADDR_TEXT_MAX];
    size_t n = 0;
    all[0] = '\0';
    for (unsigned i = 0; i < addrs->n; i++) {
        if (thrum_addr_port(&addrs->at[i]) != PORT)
            return "wrong port";
        if (i)
            all[n++] = ' ';
        thrum_addr_format(&addrs->at[i], all + n, sizeof(all) - n);
        n = (size_t)(strrchr(all, ':') - all);
        all[n] = '\0';
    }
    return all;
}

#endif
