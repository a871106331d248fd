/* SPDX-License-Identifier: MIT */
/* The epoll backend: one epoll set a worker, and an eventfd as its bell.
 *
 * Roles        poll with a timeout: the owner.  poll without, watch, unwatch, wake: any thread.
 * The bell     state: AWAKE, RUNG (awake, a ring waits), ASLEEP (the owner waits in epoll or is about to), ROUSED (asleep,
 *              the eventfd has been written).
 * Invariants   P1  a wake that finds ASLEEP writes to the eventfd; one that finds AWAKE leaves RUNG behind, and the
 *                  owner's next sleep does not happen. So a wake costs a system call only if somebody sleeps.
 *              P2  the eventfd is registered edge-triggered and never read: each write is an edge.
 *              P3  whoever harvests the bell's edge in the owner's place, while ROUSED says that the owner has not come
 *                  back, writes again. At worst the owner's next sleep ends early.
 * Ordering     wake: what was published, then a read-modify-write of the state, also if it changes nothing. Owner: exchange
 *              of the state, then it looks for work. All sequentially consistent: one of the two sees the other. */
#include "exec/atomic.h"
#include "exec/util.h"
#include "io/fd.h"
#include "io/loop.h"
#include "io/sys.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define EVENTS_N 64

enum { AWAKE, RUNG, ASLEEP, ROUSED };

struct epoll_loop {
    int epfd;
    int bell_fd;
    THR_APART thr_au32 state;
};

/* Set once epoll_pwait2() turned out to be missing (before 5.11), or forbidden by a filter that does not know it. */
static thr_au32 pwait2_missing;

static void loop_close(void *loop)
{
    struct epoll_loop *l = loop;
    if (!l)
        return;
    thr_fd_forget_loop(l);
    if (l->bell_fd >= 0)
        thr_sys_close(l->bell_fd);
    if (l->epfd >= 0)
        thr_sys_close(l->epfd);
    free(l);
}

static int loop_open(void **loop, unsigned worker_index)
{
    (void)worker_index;
    *loop = NULL;
    struct epoll_loop *l = aligned_alloc(_Alignof(struct epoll_loop), sizeof(*l));
    if (!l)
        return -ENOMEM;
    *l = (struct epoll_loop){.epfd = -1, .bell_fd = -1, .state = {AWAKE}};

    int err = 0;
    l->epfd = thr_sys_epoll_create();
    if (l->epfd < 0)
        err = l->epfd;
    if (!err) {
        l->bell_fd = thr_sys_eventfd();
        err = l->bell_fd < 0 ? l->bell_fd : 0;
    }
    if (!err)
        err = thr_sys_epoll_add(l->epfd, l->bell_fd, EPOLLIN | EPOLLET, THR_LOOP_OWN_KEY);
    if (err) {
        loop_close(l);
        return err;
    }
    *loop = l;
    return 0;
}

static void loop_wake(void *loop)
{
    struct epoll_loop *l = loop;
    uint32_t before = thr_load(&l->state, THR_RELAXED);
    uint32_t after;
    do {
        after = before == AWAKE || before == RUNG ? RUNG : ROUSED;
    } while (!thr_cas_weak(&l->state, &before, after, THR_SEQ_CST, THR_RELAXED));
    if (before == ASLEEP)
        thr_sys_eventfd_signal(l->bell_fd); /* P1 */
}

/* What an event means for the two sides. An error or hang-up lets both go on and find out. */
static uint32_t ready_bits(uint32_t events)
{
    uint32_t what = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        what |= THR_FD_READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        what |= THR_FD_WRITABLE;
    if (events & (EPOLLRDHUP |
                  EPOLLHUP)) /* not EPOLLERR: an error is taken once, then reads may block again */
        what |= THR_FD_ENDED;
    return what;
}

/* Returns the number delivered, without the bell's. */
static unsigned deliver(struct epoll_loop *l, const struct epoll_event *events, int n, bool owner,
                        struct thr_wakeups *out)
{
    unsigned delivered = 0;
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 != THR_LOOP_OWN_KEY) {
            thr_fd_deliver(events[i].data.u64, ready_bits(events[i].events), out);
            delivered++;
        } else if (!owner && thr_load(&l->state, THR_SEQ_CST) == ROUSED) {
            thr_sys_eventfd_signal(l->bell_fd); /* P3 */
        }
    }
    return delivered;
}

/* In milliseconds, rounded up: a wait that ends early would only be begun again. */
static int timeout_ms(uint64_t timeout_ns)
{
    uint64_t ms = timeout_ns / 1000000U + (timeout_ns % 1000000U != 0);
    if (timeout_ns == UINT64_MAX)
        return -1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static int harvest(struct epoll_loop *l, struct epoll_event *events, uint64_t timeout_ns)
{
    int n = -ENOSYS;
    if (timeout_ns != 0 && !thr_load(&pwait2_missing, THR_RELAXED)) {
        n = thr_sys_epoll_pwait2(l->epfd, events, EVENTS_N, timeout_ns);
        if (n == -ENOSYS || n == -EPERM)
            thr_store(&pwait2_missing, 1, THR_RELAXED);
        else
            return n;
    }
    return thr_sys_epoll_wait(l->epfd, events, EVENTS_N, timeout_ms(timeout_ns));
}

/* The owner's poll with a timeout: sleeps unless the bell has been rung. */
static int sleep_in(struct epoll_loop *l, struct epoll_event *events, uint64_t timeout_ns)
{
    uint32_t awake = AWAKE;
    if (!thr_cas(&l->state, &awake, ASLEEP, THR_SEQ_CST, THR_SEQ_CST))
        timeout_ns = 0; /* RUNG */
    int n = harvest(l, events, timeout_ns);
    thr_xchg(&l->state, AWAKE,
             THR_SEQ_CST); /* takes every ring up to here: its work is looked for next */
    return n;
}

static unsigned loop_poll(void *loop, uint64_t timeout_ns, struct thr_wakeups *out)
{
    struct epoll_loop *l = loop;
    struct epoll_event events[EVENTS_N];
    bool owner = timeout_ns != 0;
    int n = owner ? sleep_in(l, events, timeout_ns) : harvest(l, events, 0);
    if (n == -EINTR)
        n = 0; /* a signal: the worker goes round once */
    THR_ASSERT(n >= 0);
    return deliver(l, events, n, owner, out);
}

static int loop_watch(void *loop, int fd, uint64_t key)
{
    const struct epoll_loop *l = loop;
    return thr_sys_epoll_add(l->epfd, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, key);
}

static void loop_unwatch(void *loop, int fd)
{
    const struct epoll_loop *l = loop;
    (void)thr_sys_epoll_del(l->epfd, fd); /* fails only if it is not registered: just as good */
}

static const struct thr_loop_backend epoll_backend = {
    .driver = {.name = "epoll",
               .open = loop_open,
               .close = loop_close,
               .poll = loop_poll,
               .wake = loop_wake},
    .watch = loop_watch,
    .unwatch = loop_unwatch,
};

/* fd.c calls this, so a program that links any of io statically gets this file, and with it the constructor. */
const struct thr_loop_backend *thr_loop_backend(void)
{
    return &epoll_backend;
}

__attribute__((constructor)) static void install(void)
{
    thr_driver_install(&epoll_backend.driver);
}
