/* SPDX-License-Identifier: MIT */
/* The connection pool. The invariants P1 to P5 and the rules of fairness are in pool.h. */
#include "http/pool.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "exec/clock.h"
#include "exec/random.h"
#include "exec/running.h"
#include "exec/util.h"

#define BUCKETS_MIN 64

/* How many idle connections that are past their time a call closes besides its own work. */
#define EXPIRED_MAX 2

struct thr_pool_origin {
    struct thr_pool_origin *next; /* of the same bucket */
    struct thr_pool_origin *ready_prev, *ready_next;
    struct thr_waitlist waiters;
    struct thr_pool_node *newest; /* idle connections, the last released first */
    uint64_t hash;
    unsigned open_n;
    unsigned waiting_n; /* P5 */
    unsigned turns;     /* hand-overs in a row while other origins waited */
    bool ready;
    bool secure;
    uint16_t port;
    char host[];
};

/* What a waiter is given; lies on its stack. */
struct wanting {
    struct thr_waiter waiter;
    struct thr_pool_node *node; /* guarded by lock; NULL: a slot without connection */
};

/* What a locked section leaves to be done after the unlock. */
struct after {
    struct thr_wakeups wakeups;
    struct thr_pool_origin *dead; /* chained by next: to be freed */
    struct thr_pool_node *victim; /* idle no longer: to be closed */
    bool victim_has_slot;         /* its slot is to be freed then */
    unsigned expired_n;           /* how many of the victims were past their time */
};

/* ---- The table of origins --------------------------------------------------------------------------------------- */

static uint64_t hash_key(const struct thr_pool *p, const struct thr_pool_key *key)
{
    uint64_t h = p->seed ^ ((uint64_t)key->port << 1 | key->secure);
    for (const char *c = key->host; *c; c++) {
        h = (h ^ (unsigned char)*c) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 29; /* high bits into low ones: the table looks at the low ones */
    }
    return h;
}

static bool is_for(const struct thr_pool_origin *o, uint64_t hash, const struct thr_pool_key *key)
{
    return o->hash == hash && o->port == key->port && o->secure == key->secure &&
           strcmp(o->host, key->host) == 0;
}

static struct thr_pool_origin *find(struct thr_pool *p, uint64_t hash,
                                    const struct thr_pool_key *key)
{
    struct thr_pool_origin *o = p->buckets[hash & (p->buckets_n - 1)];
    while (o && !is_for(o, hash, key))
        o = o->next;
    return o;
}

static void insert(struct thr_pool *p, struct thr_pool_origin *o)
{
    struct thr_pool_origin **bucket = &p->buckets[o->hash & (p->buckets_n - 1)];
    o->next = *bucket;
    *bucket = o;
    p->origins_n++;
}

/* Removes o from the table if nobody needs it any more (P5). */
static void drop_unused(struct thr_pool *p, struct thr_pool_origin *o, struct after *after)
{
    if (o->open_n || o->waiting_n)
        return;
    THR_DEBUG_ASSERT(!o->ready && !o->newest && !o->waiters.head);
    struct thr_pool_origin **at = &p->buckets[o->hash & (p->buckets_n - 1)];
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    p->origins_n--;
    o->next = after->dead;
    after->dead = o;
}

/* Moves every origin into `buckets`, twice as many as there are, and gives the old array back. */
static struct thr_pool_origin **rehash(struct thr_pool *p, struct thr_pool_origin **buckets)
{
    struct thr_pool_origin **old = p->buckets;
    size_t old_n = p->buckets_n;
    p->buckets = buckets;
    p->buckets_n = old_n * 2;
    p->origins_n = 0;
    for (size_t i = 0; i < old_n; i++) {
        while (old[i]) {
            struct thr_pool_origin *o = old[i];
            old[i] = o->next;
            insert(p, o);
        }
    }
    return old;
}

/* Doubles the table if it is full. Without memory it stays as it is, only slower. */
static void grow_if_full(struct thr_pool *p)
{
    thr_lock(&p->lock);
    size_t n = p->buckets_n;
    bool full = p->origins_n >= n;
    thr_unlock(&p->lock);
    if (!full)
        return;
    struct thr_pool_origin **spare = calloc(n * 2, sizeof(struct thr_pool_origin *));
    if (!spare)
        return;
    thr_lock(&p->lock);
    if (p->buckets_n == n) /* nobody else was quicker */
        spare = rehash(p, spare);
    thr_unlock(&p->lock);
    free(spare);
}

static struct thr_pool_origin *origin_new(uint64_t hash, const struct thr_pool_key *key)
{
    size_t host_bytes = strlen(key->host) + 1;
    struct thr_pool_origin *o = calloc(1, sizeof(*o) + host_bytes);
    if (!o)
        return NULL;
    o->hash = hash;
    o->port = key->port;
    o->secure = key->secure;
    memcpy(o->host, key->host, host_bytes);
    return o;
}

/* Returns with the lock held and key's origin; or, out of memory, with neither. */
static struct thr_pool_origin *lock_origin(struct thr_pool *p, const struct thr_pool_key *key)
{
    uint64_t hash = hash_key(p, key);
    thr_lock(&p->lock);
    struct thr_pool_origin *o = find(p, hash, key);
    if (o)
        return o;

    thr_unlock(&p->lock); /* memory is not asked for under the lock */
    struct thr_pool_origin *fresh = origin_new(hash, key);
    if (!fresh)
        return NULL;
    grow_if_full(p);
    thr_lock(&p->lock);
    o = find(p, hash, key);
    if (!o) {
        insert(p, fresh);
        return fresh;
    }
    free(fresh); /* somebody was quicker; so seldom that it may be under the lock */
    return o;
}

/* ---- Idle connections ------------------------------------------------------------------------------------------- */

static void idle_push(struct thr_pool *p, struct thr_pool_node *node)
{
    struct thr_pool_origin *o = node->origin;
    node->newer = NULL;
    node->older = o->newest;
    if (o->newest)
        o->newest->newer = node;
    o->newest = node;

    node->age_newer = NULL;
    node->age_older = p->aged.newest;
    if (p->aged.newest)
        p->aged.newest->age_newer = node;
    else
        p->aged.oldest = node;
    p->aged.newest = node;
    p->idle_n++;
}

static void idle_remove(struct thr_pool *p, struct thr_pool_node *node)
{
    if (node->newer)
        node->newer->older = node->older;
    else
        node->origin->newest = node->older;
    if (node->older)
        node->older->newer = node->newer;

    if (node->age_newer)
        node->age_newer->age_older = node->age_older;
    else
        p->aged.newest = node->age_older;
    if (node->age_older)
        node->age_older->age_newer = node->age_newer;
    else
        p->aged.oldest = node->age_newer;
    p->idle_n--;
}

static struct thr_pool_node *idle_pop(struct thr_pool *p, struct thr_pool_origin *o)
{
    struct thr_pool_node *node = o->newest;
    if (node)
        idle_remove(p, node);
    return node;
}

/* ---- Slots and who waits for them ------------------------------------------------------------------------------- */

static void ready_remove(struct thr_pool *p, struct thr_pool_origin *o)
{
    if (!o->ready)
        return;
    if (o->ready_prev)
        o->ready_prev->ready_next = o->ready_next;
    else
        p->ready_head = o->ready_next;
    if (o->ready_next)
        o->ready_next->ready_prev = o->ready_prev;
    else
        p->ready_tail = o->ready_prev;
    o->ready_prev = NULL;
    o->ready_next = NULL;
    o->ready = false;
}

/* Puts o into the ready queue, at its end, or takes it out: as P3 wants it. */
static void ready_update(struct thr_pool *p, struct thr_pool_origin *o)
{
    bool wanted = o->waiters.head && o->open_n < p->per_host_max;
    if (!wanted) {
        ready_remove(p, o);
        return;
    }
    if (o->ready)
        return;
    o->ready_prev = p->ready_tail;
    if (p->ready_tail)
        p->ready_tail->ready_next = o;
    else
        p->ready_head = o;
    p->ready_tail = o;
    o->ready = true;
}

/* Hands free slots to the origins of the ready queue, in turn. */
static void dispatch(struct thr_pool *p, struct after *after)
{
    while (p->ready_head && p->open_n < p->total_max) {
        struct thr_pool_origin *o = p->ready_head;
        void *data = NULL;
        ready_remove(p, o);
        if (thr_waitlist_fire_one(&o->waiters, THR_FIRED_OK, &after->wakeups, &data)) {
            struct wanting *wanting = data; /* alive: its task takes the lock before it leaves */
            wanting->node = NULL;
            o->open_n++;
            p->open_n++;
        }
        ready_update(p, o);
    }
}

static void slot_free(struct thr_pool *p, struct thr_pool_origin *o, struct after *after)
{
    o->open_n--;
    p->open_n--;
    ready_update(p, o);
    dispatch(p, after);
    drop_unused(p, o, after);
}

/* Takes an idle connection out for good. Its slot is freed after it was closed (P1), or passed on by the caller. */
static void evict(struct thr_pool *p, struct thr_pool_node *node, bool with_slot,
                  struct after *after)
{
    idle_remove(p, node);
    after->victim = node;
    after->victim_has_slot = with_slot;
}

/* Takes out the oldest idle connection if it is past its time, and there is nothing else to be closed. */
static void expire(struct thr_pool *p, uint64_t now, struct after *after)
{
    struct thr_pool_node *oldest = p->aged.oldest;
    if (!oldest || oldest->idle_until > now || after->victim || after->expired_n == EXPIRED_MAX)
        return;
    after->expired_n++;
    evict(p, oldest, true, after);
}

/* Does what a locked section left over. Closing may suspend, so it comes last and without any lock. */
static void finish(struct thr_pool *p, struct after *after)
{
    for (;;) {
        thr_wakeups_run(&after->wakeups);
        while (after->dead) {
            struct thr_pool_origin *o = after->dead;
            after->dead = o->next;
            free(o);
        }
        struct thr_pool_node *victim = after->victim;
        if (!victim)
            return;
        struct thr_pool_origin *o = victim->origin;
        after->victim = NULL;
        p->ops->close(victim);
        if (after->victim_has_slot) {
            uint64_t now = thr_clock_now();
            thr_lock(&p->lock);
            slot_free(p, o, after);
            expire(p, now, after);
            thr_unlock(&p->lock);
        }
    }
}

/* ---- Acquire ---------------------------------------------------------------------------------------------------- */

/* Takes what is to be had at once: an idle connection, a free slot, the slot of another origin's idle connection. */
static bool take_now(struct thr_pool *p, struct thr_pool_origin *o, struct thr_pool_lease *out,
                     struct after *after)
{
    out->node = idle_pop(p, o);
    bool got = out->node != NULL;
    if (!got && o->open_n < p->per_host_max) {
        struct thr_pool_node *oldest = p->aged.oldest;
        if (p->open_n < p->total_max) {
            p->open_n++;
            got = true;
        } else if (oldest) {
            evict(p, oldest, false, after);
            oldest->origin->open_n--;
            drop_unused(p, oldest->origin, after);
            got = true;
        }
        o->open_n += got;
    }
    out->origin = got ? o : NULL;
    return got;
}

/* Waits in o's line. Called with the lock held, which it gives up. */
static int wait_in_line(struct thr_pool *p, struct thr_pool_origin *o, struct thr_pool_lease *out)
{
    struct wanting wanting = {.node = NULL};
    thr_wait_begin(&wanting.waiter, false);
    wanting.waiter.data = &wanting;
    thr_waitlist_push(&o->waiters, &wanting.waiter);
    o->waiting_n++;
    p->waiting_n++;
    ready_update(p, o);
    thr_unlock(&p->lock);

    enum thr_reason reason = thr_wait_park(THRUM_NEVER);

    struct after after = {0};
    thr_lock(&p->lock);
    thr_waitlist_remove(&o->waiters, &wanting.waiter);
    o->waiting_n--;
    p->waiting_n--;
    ready_update(p, o);
    drop_unused(p, o, &after);
    if (reason == THR_FIRED_OK) { /* P4 */
        out->origin = o;
        out->node = wanting.node;
    }
    thr_unlock(&p->lock);
    finish(p, &after);
    return thr_reason_error(reason);
}

static bool is_usable(struct thr_pool *p, struct thr_pool_node *node, uint64_t age_max_ns)
{
    uint64_t now = thr_clock_now();
    if (now >= node->idle_until || now - node->idle_since > age_max_ns)
        return false;
    return p->ops->is_quiet(node);
}

/* Closes the leased connection if it cannot be used and takes the next one, until one can or none is left. */
static void weed(struct thr_pool *p, struct thr_pool_lease *lease, uint64_t age_max_ns)
{
    while (lease->node && !is_usable(p, lease->node, age_max_ns)) {
        p->ops->close(lease->node);
        struct after after = {0};
        thr_lock(&p->lock);
        lease->node = idle_pop(p, lease->origin);
        if (lease->node) /* it brings a slot of its own, and we have one */
            slot_free(p, lease->origin, &after);
        thr_unlock(&p->lock);
        finish(p, &after);
    }
}

int thr_pool_acquire(struct thr_pool *p, const struct thr_pool_key *key, uint64_t age_max_ns,
                     struct thr_pool_lease *out)
{
    memset(out, 0, sizeof(*out));
    int err = thr_task_cancelled();
    if (err)
        return err;
    uint64_t now = thr_clock_now();
    struct thr_pool_origin *o = lock_origin(p, key);
    if (!o)
        return -ENOMEM;

    struct after after = {0};
    if (take_now(p, o, out, &after)) {
        expire(p, now, &after);
        thr_unlock(&p->lock);
        finish(p, &after);
    } else {
        err = wait_in_line(p, o, out);
    }
    if (!err)
        weed(p, out, age_max_ns);
    return err;
}

/* ---- Release ---------------------------------------------------------------------------------------------------- */

/* True if o must give way now: other origins wait, and it has kept its connections to itself often enough. */
static bool gives_way(struct thr_pool *p, struct thr_pool_origin *o)
{
    bool others_wait = p->ready_head && (p->ready_head != o || o->ready_next);
    o->turns = others_wait ? o->turns + 1 : 0;
    if (o->turns <= THR_POOL_TURNS)
        return false;
    o->turns = 0;
    ready_remove(p, o); /* slot_free() puts it back: at the end */
    return true;
}

/* Gives a connection that can be used again to the first waiter of its origin, or keeps it.
 * Returns: false if it must be closed, because others wait for its slot. */
static bool pass_on(struct thr_pool *p, struct thr_pool_node *node, struct after *after)
{
    struct thr_pool_origin *o = node->origin;
    void *data = NULL;
    if (o->waiters.head && gives_way(p, o))
        return false;
    if (thr_waitlist_fire_one(&o->waiters, THR_FIRED_OK, &after->wakeups, &data)) {
        ((struct wanting *)data)->node = node;
        ready_update(p, o);
        return true;
    }
    ready_update(p, o);
    if (p->ready_head || p->idle_max == 0)
        return false;
    idle_push(p, node);
    if (p->idle_n > p->idle_max)
        evict(p, p->aged.oldest, true, after);
    return true;
}

void thr_pool_release(struct thr_pool *p, struct thr_pool_lease *lease, uint64_t keep_ns)
{
    struct thr_pool_origin *o = lease->origin;
    struct thr_pool_node *node = lease->node;
    struct after after = {0};
    memset(lease, 0, sizeof(*lease));
    if (!o)
        return;

    bool kept = false;
    uint64_t now = thr_clock_now();
    if (node && keep_ns) {
        node->origin = o;
        node->idle_since = now;
        node->idle_until = thr_clock_after(keep_ns);
        thr_lock(&p->lock);
        kept = pass_on(p, node, &after);
        expire(p, now, &after);
        thr_unlock(&p->lock);
    }
    if (!kept) {
        if (node)
            p->ops->close(node);
        thr_lock(&p->lock);
        slot_free(p, o, &after);
        expire(p, now, &after);
        thr_unlock(&p->lock);
    }
    finish(p, &after);
}

/* ---- The pool --------------------------------------------------------------------------------------------------- */

int thr_pool_init(struct thr_pool *p, const struct thr_pool_ops *ops,
                  const struct thr_pool_opts *opts)
{
    memset(p, 0, sizeof(*p));
    p->ops = ops;
    p->per_host_max = opts->per_host_max ? opts->per_host_max : UINT_MAX;
    p->total_max = opts->total_max ? opts->total_max : UINT_MAX;
    p->idle_max = opts->idle_max;
    thr_lock_init(&p->lock);

    struct thr_random random;
    thr_random_init(&random, thr_clock_now() ^ (uint64_t)(uintptr_t)p);
    p->seed = thr_random_next(&random);
    p->buckets_n = BUCKETS_MIN;
    p->buckets = calloc(p->buckets_n, sizeof(struct thr_pool_origin *));
    return p->buckets ? 0 : -ENOMEM;
}

void thr_pool_fini(struct thr_pool *p)
{
    if (!p->buckets)
        return;
    THR_ASSERT(p->open_n == p->idle_n); /* else a response is still open */
    for (;;) {
        struct after after = {0};
        thr_lock(&p->lock);
        if (p->aged.oldest)
            evict(p, p->aged.oldest, true, &after);
        thr_unlock(&p->lock);
        if (!after.victim)
            break;
        finish(p, &after);
    }
    THR_ASSERT(p->origins_n == 0);
    free(p->buckets);
    p->buckets = NULL;
}

struct thr_pool_counts thr_pool_counts(struct thr_pool *p)
{
    thr_lock(&p->lock);
    struct thr_pool_counts counts = {p->idle_n, p->open_n, p->waiting_n};
    thr_unlock(&p->lock);
    return counts;
}
