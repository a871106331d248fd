/* SPDX-License-Identifier: MIT */
/* What the tests of io share: running a task, checking in tasks, connections over loopback, counting descriptors. */
#ifndef TESTS_IO_LOOPBACK_H
#define TESTS_IO_LOOPBACK_H

#include "io/fd.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>
#include <thrum/runtime.h>
#include <thrum/sync.h>
#include <thrum/task.h>
#include <thrum/tcp.h>
#include <thrum/time.h>

#define MS THRUM_MILLISECOND

/* A task cannot use cmocka's asserts: it says what was wrong, and its result fails the test. Only where leaving at once
 * leaves nothing behind that another task waits for; `run` ends what hangs. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -(1000000 + __LINE__);                                                          \
        }                                                                                          \
    } while (0)

/* CHECK for results, which it prints. */
#define CHECK_IS(expression, expected)                                                             \
    do {                                                                                           \
        long long is_ = (long long)(expression), should_ = (long long)(expected);                  \
        if (is_ != should_) {                                                                      \
            fprintf(stderr, "%s:%d: %s is %lld, should be %lld\n", __FILE__, __LINE__,             \
                    #expression, is_, should_);                                                    \
            return -(1000000 + __LINE__);                                                          \
        }                                                                                          \
    } while (0)

struct limited {
    thrum_fn *fn;
    void *arg;
};

static inline int run_limited(void *arg)
{
    struct limited *l = arg;
    thrum_timeout limit;
    thrum_timeout_begin(&limit, 100 * THRUM_SECOND);
    int result = l->fn(l->arg);
    return thrum_timeout_end(&limit) && result >= 0 ? -ETIMEDOUT : result;
}

/* fn(arg) as the first task on so many workers; ends with -ETIMEDOUT if it hangs. */
static inline int run(thrum_fn *fn, void *arg, unsigned workers)
{
    struct limited l = {fn, arg};
    return thrum_run(run_limited, &l, &(thrum_run_opts){.workers = workers});
}

static inline size_t open_descriptors(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static inline thrum_addr loopback(uint16_t port)
{
    thrum_addr addr;
    if (thrum_addr_parse(&addr, "127.0.0.1", port))
        abort();
    return addr;
}

/* Listens on a free port of 127.0.0.1; *addr says which. */
static inline int listen_loopback(thrum_listener **out, thrum_addr *addr)
{
    thrum_addr any = loopback(0);
    int err = thrum_tcp_listen(out, &any, NULL);
    return err ? err : thrum_listener_local(*out, addr);
}

/* Two ends of one connection. */
struct pair {
    thrum_tcp *client, *server;
};

static inline int pair_open(struct pair *p)
{
    thrum_listener *l;
    thrum_addr addr;
    *p = (struct pair){NULL, NULL};
    int err = listen_loopback(&l, &addr);
    if (err)
        return err;
    err = thrum_tcp_connect(&p->client, &addr, NULL); /* the backlog takes it */
    if (!err)
        err = thrum_tcp_accept(l, &p->server);
    thrum_listener_close(l);
    return err;
}

static inline void pair_close(struct pair *p)
{
    thrum_tcp_close(p->client);
    thrum_tcp_close(p->server);
    *p = (struct pair){NULL, NULL};
}

/* Sleeps until a task waits on that side of the descriptor. */
static inline int until_waiting(struct thr_fd *f, enum thr_fd_side side)
{
    bool waiting = false;
    int err = 0;
    while (!waiting && !err) {
        thr_lock(&f->lock);
        waiting = f->waiters[side] != NULL;
        thr_unlock(&f->lock);
        if (!waiting)
            err = thrum_sleep(100 * THRUM_MICROSECOND);
    }
    return err;
}

/* Byte i of the test data: any shift or loss shows. */
static inline unsigned char data_byte(size_t i)
{
    return (unsigned char)((i * 2654435761U) >> 13);
}

static inline void data_fill(unsigned char *buf, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++)
        buf[i] = data_byte(from + i);
}

static inline bool data_matches(const unsigned char *buf, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++) {
        if (buf[i] != data_byte(from + i))
            return false;
    }
    return true;
}

#endif
