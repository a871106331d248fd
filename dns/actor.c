/* SPDX-License-Identifier: MIT */
/* The task that owns the channel: it takes what is queued, asks the servers, and answers those who wait.
 *
 * What c-ares calls back with is only noted; it is seen to (settle) when c-ares has returned. */
#include "dns/addrs.h"
#include "dns/resolver.h"
#include "exec/clock.h"
#include "exec/running.h"
#include "exec/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>

/* Once one family has given addresses the other may take this much longer. Servers that drop questions for IPv6 exist,
 * and give no sign but silence. */
#define GRACE_NS UINT64_C(250000000)

/* How long answers are kept that have no time to live: that a name or its addresses do not exist, that the servers fail
 * (short: the next try shall have its chance), and addresses while one family is missing without good reason. */
#define NEGATIVE_NS UINT64_C(5000000000)
#define FAILED_NS UINT64_C(1000000000)
#define PARTIAL_NS UINT64_C(30000000000)

#define ANSWERED_MAX 1024
#define TAKE_BATCH 32 /* look-ups that are asked before the answers that came meanwhile are given */
#define WAKE_BATCH 64

struct thr_actor {
    struct thrum_resolver *r;
    struct thr_lookup *ready;                    /* something came for them */
    struct thr_lookup *grace_first, *grace_last; /* in the order of their grace_ns */
    bool closing;
};

/* ---- What came of a look-up ---- */

/* True if the servers said so, false if they failed to say. */
static bool is_negative(int err)
{
    return err == THRUM_EDNS_NOTFOUND || err == THRUM_EDNS_NODATA;
}

/* No family has addresses: what could not be found out counts more than a "no", and "no address" more than "no name". */
static int combined_error(int a, int b)
{
    if (!is_negative(a))
        return a;
    if (!is_negative(b))
        return b;
    return a == THRUM_EDNS_NODATA || b == THRUM_EDNS_NODATA ? THRUM_EDNS_NODATA
                                                            : THRUM_EDNS_NOTFOUND;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static uint64_t good_until(const struct thr_lookup *l, uint64_t now)
{
    uint64_t until = THRUM_NEVER;
    for (int i = 0; i < THR_FAMILIES; i++) {
        const struct thr_half *h = &l->half[i];
        if (h->addrs_n)
            until = min_u64(until, h->expires_ns);
        else if (!h->done || !is_negative(h->err))
            until = min_u64(until, now + PARTIAL_NS);
    }
    return until;
}

struct answer {
    int err;
    unsigned addrs_n;
    thrum_addr *addrs;
    uint64_t expires_ns;
};

static int merge(struct answer *a, const struct thr_lookup *l)
{
    thrum_addrs all;
    thr_addrs_interleave(&all, l->half[THR_V6].addrs, l->half[THR_V6].addrs_n,
                         l->half[THR_V4].addrs, l->half[THR_V4].addrs_n);
    a->addrs = malloc(all.n * sizeof(all.at[0]));
    if (!a->addrs)
        return -ENOMEM;
    memcpy(a->addrs, all.at, all.n * sizeof(all.at[0]));
    a->addrs_n = all.n;
    return 0;
}

/* What the halves amount to, as far as they are done. */
static void make_answer(struct answer *a, const struct thr_lookup *l)
{
    uint64_t now = thr_clock_now();
    *a = (struct answer){.expires_ns = now};
    if (l->half[THR_V6].addrs_n + l->half[THR_V4].addrs_n > 0) {
        a->err = merge(a, l);
        a->expires_ns = good_until(l, now);
    } else {
        a->err = combined_error(l->half[THR_V4].err, l->half[THR_V6].err);
        a->expires_ns = now + (is_negative(a->err) ? NEGATIVE_NS : FAILED_NS);
    }
}

/* ---- Answering ---- */

static void wake_waiters(struct thrum_resolver *r, struct thr_lookup *l)
{
    bool more = true;
    while (more) {
        struct thr_wakeups wakeups = {0};
        thr_lock(&r->lock);
        for (int i = 0; i < WAKE_BATCH && more; i++)
            more = thr_waitlist_fire_one(&l->waiters, THR_FIRED_OK, &wakeups, NULL);
        thr_unlock(&r->lock);
        thr_wakeups_run(&wakeups);
    }
}

/* Puts the answer into l, in the place of an earlier one, and wakes those who wait. Takes a->addrs. */
static void give(struct thrum_resolver *r, struct thr_lookup *l, const struct answer *a)
{
    bool keep = a->err != -ENOMEM && a->err != -ECANCELED; /* those are not the name's fault */
    bool first = !l->answered;                             /* only this task writes it (R3) */
    struct thr_lookup *forgotten = NULL;
    thr_lock(&r->lock);
    thrum_addr *old = l->addrs;
    l->err = a->err;
    l->addrs = a->addrs;
    l->addrs_n = a->addrs_n;
    l->expires_ns = a->expires_ns;
    if (first)
        forgotten = thr_lookups_answered(&r->lookups, l, ANSWERED_MAX);
    if (!keep && l->in_table)
        (void)thr_lookups_remove(&r->lookups, l); /* never the last: the actor has one, too */
    thr_unlock(&r->lock);
    free(old);
    thr_lookup_free(forgotten);
    if (first)
        wake_waiters(r, l);
}

static void answer(struct thr_actor *a, struct thr_lookup *l)
{
    struct answer answer;
    if (a->closing)
        answer = (struct answer){.err = -ECANCELED};
    else
        make_answer(&answer, l);
    give(a->r, l, &answer);
}

static void let_go(struct thrum_resolver *r, struct thr_lookup *l)
{
    thr_lock(&r->lock);
    bool last = thr_lookup_unref(l);
    thr_unlock(&r->lock);
    if (last)
        thr_lookup_free(l);
}

/* ---- Waiting for the slower family ---- */

static void grace_begin(struct thr_actor *a, struct thr_lookup *l)
{
    l->in_grace = true;
    l->grace_ns = thr_clock_after(GRACE_NS);
    l->next = NULL;
    l->prev = a->grace_last;
    *(l->prev ? &l->prev->next : &a->grace_first) = l;
    a->grace_last = l;
}

static void grace_end(struct thr_actor *a, struct thr_lookup *l)
{
    *(l->prev ? &l->prev->next : &a->grace_first) = l->next;
    *(l->next ? &l->next->prev : &a->grace_last) = l->prev;
    l->prev = l->next = NULL;
    l->in_grace = false;
}

static void settle_grace(struct thr_actor *a)
{
    struct thr_lookup *l = a->grace_first;
    uint64_t now = l ? thr_clock_now() : 0;
    while ((l = a->grace_first) && now >= l->grace_ns) {
        grace_end(a, l);
        answer(a, l); /* with what there is; the rest is added when it comes */
    }
}

/* ---- Replies ---- */

static void on_reply(void *arg, const struct thr_reply *reply)
{
    struct thr_half *h = arg;
    struct thr_lookup *l = h->lookup;
    h->done = true;
    h->err = reply->err;
    h->addrs = reply->addrs;
    h->addrs_n = reply->addrs_n;
    h->expires_ns = reply->err ? 0 : thr_clock_after(reply->ttl_ns);
    if (!l->is_ready) {
        l->is_ready = true;
        l->ready_next = l->actor->ready;
        l->actor->ready = l;
    }
}

static void settle_lookup(struct thr_actor *a, struct thr_lookup *l)
{
    const struct thr_half *v6 = &l->half[THR_V6], *v4 = &l->half[THR_V4];
    if (v6->done && v4->done) {
        if (l->in_grace)
            grace_end(a, l);
        /* If it is answered already this is the slower family: news only if it has addresses. */
        if (!l->answered || (v6->addrs_n && v4->addrs_n))
            answer(a, l);
        let_go(a->r, l);
    } else if (v6->addrs_n || v4->addrs_n) {
        grace_begin(a, l);
    }
}

/* Sees to everything that came. Context: not within a call of the channel. */
static void settle(struct thr_actor *a)
{
    for (struct thr_lookup *l; (l = a->ready) != NULL;) {
        a->ready = l->ready_next;
        l->is_ready = false;
        settle_lookup(a, l);
    }
    settle_grace(a);
}

/* ---- Questions ---- */

static void ask(struct thr_actor *a, struct thr_lookup *l)
{
    static const int family[THR_FAMILIES] = {[THR_V6] = AF_INET6, [THR_V4] = AF_INET};
    l->actor = a;
    for (int i = 0; i < THR_FAMILIES; i++) {
        thr_channel_ask(a->r->channel, l->name, family[i], on_reply, &l->half[i]);
        thr_channel_drain(a->r->channel);
    }
}

/* How many look-ups may be begun: each is two questions, so a most of 1 counts as 2, or nothing would go on. */
static size_t room(const struct thrum_resolver *r)
{
    size_t questions = thr_channel_questions(r->channel);
    size_t most = r->questions_max < 2 ? 2 : r->questions_max;
    if (questions >= most)
        return 0;
    return min_size(most - questions, thr_channel_room(r->channel)) / 2;
}

/* Takes up to n look-ups out of the queue, with the queue's references. Returns: how many; or -ECANCELED when closed. */
static int take(struct thrum_resolver *r, struct thr_lookup *out[], size_t n)
{
    size_t got = 0;
    thr_lock(&r->lock);
    bool closed = r->closed;
    while (!closed && got < n && r->queue_first) {
        out[got] = r->queue_first;
        thr_resolver_dequeue(r, out[got++]);
    }
    thr_unlock(&r->lock);
    return closed ? -ECANCELED : (int)got;
}

/* Asks for all that is queued and has room. */
static int take_all(struct thr_actor *a)
{
    struct thr_lookup *batch[TAKE_BATCH];
    int n;
    do {
        n = take(a->r, batch, min_size(room(a->r), TAKE_BATCH));
        for (int i = 0; i < n; i++)
            ask(a, batch[i]);
        if (n > 0) {
            settle(a);
            thr_task_spend();
        }
    } while (n > 0);
    return n;
}

/* Gives the table more buckets if it has grown. The memory is had, and given back, without the lock. */
static void grow_table(struct thrum_resolver *r)
{
    thr_lock(&r->lock);
    size_t buckets_n = thr_lookups_wanted(&r->lookups);
    thr_unlock(&r->lock);
    struct thr_lookup **buckets = buckets_n ? calloc(buckets_n, sizeof(struct thr_lookup *)) : NULL;
    if (!buckets)
        return; /* no need, or no memory: then it is slower */
    thr_lock(&r->lock);
    struct thr_lookup **old = thr_lookups_rehash(&r->lookups, buckets, buckets_n);
    thr_unlock(&r->lock);
    free(old);
}

/* ---- The end ---- */

static void close_down(struct thr_actor *a)
{
    struct thrum_resolver *r = a->r;
    a->closing = true;
    thr_lock(&r->lock);
    r->closed = true; /* R1 */
    struct thr_lookup *queue = r->queue_first;
    for (struct thr_lookup *l = queue; l; l = l->next)
        l->queued = false;
    r->queue_first = r->queue_last = NULL;
    thr_unlock(&r->lock);

    thr_channel_free(r->channel);
    r->channel = NULL;
    settle(a);
    for (struct thr_lookup *l = queue, *next; l; l = next) {
        next = l->next;
        answer(a, l);
        let_go(r, l);
    }
}

int thr_actor_run(void *arg)
{
    struct thr_actor a = {.r = arg};
    int err;
    do {
        err = take_all(&a);
        if (err)
            break;
        grow_table(a.r);
        uint64_t deadline_ns = a.grace_first ? a.grace_first->grace_ns : THRUM_NEVER;
        err = thr_channel_wait(a.r->channel, &a.r->bell, deadline_ns);
        if (!err) {
            thr_channel_process(a.r->channel);
            settle(&a);
            thr_task_spend(); /* the wait may have found news each time without suspending */
        }
    } while (!err);
    close_down(&a);
    return err;
}
