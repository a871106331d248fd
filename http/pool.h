/* SPDX-License-Identifier: MIT */
/* http/pool.h: the connections of a client, kept by origin, within limits.
 *
 * A *slot* is the right to have one connection open; a *lease* is a slot in use, with its connection or with none yet.
 * Whoever leases without a connection opens one himself, on his own task, and puts it into the lease.
 *
 * Roles        acquire, release: any task of any worker.
 * Invariants   P1  open_n, of the pool and of each origin, counts its slots: leased ones and idle connections. A slot is
 *                  free only after its connection is closed, so the limits hold for descriptors, too.
 *              P2  an origin with idle connections has no waiters: what is released goes to the first waiter.
 *              P3  an origin is in the ready queue exactly if it has waiters and is below its own limit; then the
 *                  total limit is reached, and no connection is idle anywhere (it would be closed for the waiter).
 *              P4  a waiter that was fired by the pool has a slot (and perhaps a connection), given to it under the
 *                  lock; one that ended otherwise has nothing. The wait protocol decides which (exec/wait.h, W2, W5).
 *              P5  an origin is freed when it has no slot and nobody waits: `waiting_n` is counted down by the waiting
 *                  task itself, which may still be on its way here after it has been taken off the list.
 * Fairness     Within an origin waiters are served in order. Under the total limit the origins take turns: a slot that
 *              comes free goes to the origin at the head of the ready queue, which then goes to its end. A connection
 *              that can be used again goes to a waiter of its own origin, but while others wait at most
 *              THR_POOL_TURNS times in a row: then it is closed for them, so that a busy origin starves nobody.
 * Progress     One lock, held for a bounded number of steps, never across a system call or suspension; acquire and
 *              release are O(1) (growing the hash table apart). A lock an origin was weighed: the total limit and
 *              the ready queue span all of them, and a request costs a hundred times what the lock is held for. */
#ifndef THR_HTTP_POOL_H
#define THR_HTTP_POOL_H

#include "exec/lock.h"
#include "exec/wait.h"

struct thr_pool_origin;

/* The head of every connection that a pool keeps. All fields belong to the pool. */
struct thr_pool_node {
    struct thr_pool_origin *origin;
    struct thr_pool_node *newer, *older;         /* of the same origin's idle ones */
    struct thr_pool_node *age_newer, *age_older; /* of all idle ones */
    uint64_t idle_since;
    uint64_t idle_until;
};

/* What the pool does with a connection. */
struct thr_pool_ops {
    void (*close)(struct thr_pool_node *node);    /* ends it; may suspend, cannot fail */
    bool (*is_quiet)(struct thr_pool_node *node); /* nothing has arrived on it since its release */
};

/* Zero is the default of every field. */
struct thr_pool_opts {
    unsigned per_host_max; /* 0: no limit */
    unsigned total_max;    /* 0: no limit */
    unsigned idle_max;     /* 0: no idle connection is kept */
};

/* Whom a connection leads to. */
struct thr_pool_key {
    const char *host; /* lower case */
    uint16_t port;
    bool secure;
};

struct thr_pool_list {
    struct thr_pool_node *oldest, *newest;
};

struct thr_pool {
    const struct thr_pool_ops *ops;
    unsigned per_host_max, total_max, idle_max;
    uint64_t seed; /* of the hash: a server must not choose who collides */
    struct thr_lock lock;
    /* All below is guarded by lock. */
    struct thr_pool_origin **buckets;
    size_t buckets_n; /* a power of two */
    size_t origins_n;
    unsigned open_n;
    unsigned idle_n;
    unsigned waiting_n;        /* tasks in line, of all origins */
    struct thr_pool_list aged; /* every idle connection, by the time of release */
    struct thr_pool_origin *ready_head, *ready_tail; /* P3 */
};

struct thr_pool_lease {
    struct thr_pool_origin *origin; /* NULL: no lease */
    struct thr_pool_node *node;     /* NULL: a slot without connection */
};

/* How often in a row a connection stays with its origin while others wait. */
#define THR_POOL_TURNS 8

/* Returns: 0 or -ENOMEM. */
int thr_pool_init(struct thr_pool *p, const struct thr_pool_ops *ops,
                  const struct thr_pool_opts *opts);

/* Closes the idle connections. There must be no lease and no waiter. Accepts a zeroed pool.
 * Context: task. May suspend. */
void thr_pool_fini(struct thr_pool *p);

/* Leases a slot for key: with the idle connection released last that is still quiet, in time and, unless age_max_ns is
 * THRUM_NEVER, not idle for longer than that; else without one.
 *
 * Returns: 0; -ENOMEM; -ECANCELED, -ETIMEDOUT: nothing was taken then.
 * Context: task. Suspends while the limits allow no connection. */
int thr_pool_acquire(struct thr_pool *p, const struct thr_pool_key *key, uint64_t age_max_ns,
                     struct thr_pool_lease *out);

/* Ends a lease: its connection, if it has one, is kept for keep_ns at most, or closed if that is 0.
 *
 * Owns:    takes the lease, which is empty afterwards; an empty one is allowed.
 * Context: task. May suspend to close connections; cannot be interrupted. */
void thr_pool_release(struct thr_pool *p, struct thr_pool_lease *lease, uint64_t keep_ns);

struct thr_pool_counts {
    unsigned idle_n;    /* connections kept for reuse */
    unsigned open_n;    /* slots taken, with those */
    unsigned waiting_n; /* tasks that wait for one */
};

/* The counts at one moment. */
struct thr_pool_counts thr_pool_counts(struct thr_pool *p);

#endif
