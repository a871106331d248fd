/* SPDX-License-Identifier: MIT */
/* The queue of work. An item goes from the producer's buffer into the store or straight into a waiting consumer's, and from
 * the store into the consumer's; when a place falls free the first waiting producer's item moves up.
 *
 * Invariants (all guarded by the lock)
 *   Q1  consumers wait only while the store is empty, producers only while it is full: never both.
 *   Q2  unfinished = items in the store (or being thrown away) + items taken and not reported done.
 *   Q3  after the shutdown nobody waits to put, and once the store is empty nobody waits to get.
 *   Q4  priorities: the store is a binary heap; an entry is the item, then its number, which decides among equals.
 * An item is copied to or from a waiter before that is fired, and counts only if the fire wins (wait.h, W4): whoever was
 * ended by a timer or a cancel first is passed over and takes nothing along. */
#include "exec/items.h"
#include "exec/lock.h"
#include "exec/running.h"
#include "exec/util.h"
#include "exec/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>
#include <thrum/queue.h>
#include <thrum/time.h>

struct thrum_queue {
    struct thr_lock lock;
    bool closed;
    size_t item_bytes;     /* constant */
    size_t number_at;      /* constant: where in an entry its number is */
    thrum_queue_opts opts; /* constant */
    uint64_t next_number;
    size_t unfinished;
    struct thr_items items;
    struct thr_waitlist putters, getters, joiners; /* data of the first two: the item's address */
    max_align_t entry[];                           /* room for one, to move others around */
};

/* ---- New and free ---- */

/* The largest alignment that a type of so many bytes can have, up to malloc()'s. */
static size_t alignment_of(size_t bytes)
{
    size_t lowest_bit = bytes & (~bytes + 1);
    return lowest_bit < _Alignof(max_align_t) ? lowest_bit : _Alignof(max_align_t);
}

static size_t rounded_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Returns: how large an entry is; 0 if it cannot be. */
static size_t entry_bytes(size_t item_bytes, thrum_queue_order order, size_t *number_at)
{
    *number_at = 0;
    if (item_bytes > SIZE_MAX / 8)
        return 0;
    if (order != THRUM_QUEUE_PRIORITY)
        return item_bytes;
    size_t align = alignment_of(item_bytes);
    *number_at = rounded_up(item_bytes, sizeof(uint64_t));
    return rounded_up(*number_at + sizeof(uint64_t), align > 8 ? align : 8);
}

int thrum_queue_new(thrum_queue **out, size_t item_bytes, const thrum_queue_opts *opts)
{
    static const thrum_queue_opts defaults;
    size_t number_at;
    *out = NULL;
    if (!opts)
        opts = &defaults;
    if ((unsigned)opts->order > THRUM_QUEUE_PRIORITY ||
        (opts->order == THRUM_QUEUE_PRIORITY && !opts->compare))
        return -EINVAL;
    size_t bytes = entry_bytes(item_bytes, opts->order, &number_at);
    if (bytes == 0)
        return -EINVAL;
    struct thrum_queue *q = calloc(1, sizeof(*q) + bytes);
    if (!q)
        return -ENOMEM;
    q->item_bytes = item_bytes;
    q->number_at = number_at;
    q->opts = *opts;
    int err = thr_items_init(&q->items, bytes, opts->max);
    if (err) {
        thr_items_fini(&q->items);
        free(q);
        return err;
    }
    *out = q;
    return 0;
}

/* Items that nobody can reach any more. Without the lock. */
static void drop_all(const struct thrum_queue *q, struct thr_items *items)
{
    for (size_t i = 0; q->opts.drop && i < items->count; i++)
        q->opts.drop(thr_items_at(items, i), q->opts.arg);
    thr_items_fini(items);
}

void thrum_queue_free(thrum_queue *q)
{
    if (!q)
        return;
    thr_lock(&q->lock); /* whoever woke the caller is out of it then (lock.h, L2) */
    thr_unlock(&q->lock);
    drop_all(q, &q->items);
    free(q);
}

/* ---- The heap ---- */

static bool is_before(const struct thrum_queue *q, const char *a, const char *b)
{
    uint64_t number_a, number_b;
    int order = q->opts.compare(a, b, q->opts.arg);
    if (order != 0)
        return order < 0;
    memcpy(&number_a, a + q->number_at, sizeof(number_a));
    memcpy(&number_b, b + q->number_at, sizeof(number_b));
    return number_a < number_b;
}

/* The last entry moves to where it belongs. */
static void sift_up(struct thrum_queue *q)
{
    size_t at = q->items.count - 1;
    char *entry = thr_items_at(&q->items, at);
    if (at == 0 || !is_before(q, entry, thr_items_at(&q->items, (at - 1) / 2)))
        return;
    memcpy(q->entry, entry, q->items.bytes);
    while (at > 0) {
        const char *above = thr_items_at(&q->items, (at - 1) / 2);
        if (!is_before(q, (const char *)q->entry, above))
            break;
        memcpy(thr_items_at(&q->items, at), above, q->items.bytes);
        at = (at - 1) / 2;
    }
    memcpy(thr_items_at(&q->items, at), q->entry, q->items.bytes);
}

/* The first entry was taken: the last one, which is about to be dropped from its place, moves to where it belongs. */
static void sift_down(struct thrum_queue *q)
{
    size_t n = q->items.count - 1, at = 0;
    const char *last = thr_items_at(&q->items, n);
    for (size_t below = 1; below < n; below = 2 * at + 1) {
        const char *next = thr_items_at(&q->items, below);
        if (below + 1 < n) {
            const char *other = thr_items_at(&q->items, below + 1);
            if (is_before(q, other, next)) {
                next = other;
                below++;
            }
        }
        if (!is_before(q, next, last))
            break;
        memcpy(thr_items_at(&q->items, at), next, q->items.bytes);
        at = below;
    }
    if (at < n)
        memcpy(thr_items_at(&q->items, at), last, q->items.bytes);
}

/* ---- Under the lock ---- */

/* The item that was written to the room at the back is now in the queue. */
static void count_in(struct thrum_queue *q)
{
    if (q->opts.order == THRUM_QUEUE_PRIORITY) {
        char *entry = thr_items_at(&q->items, q->items.count);
        memcpy(entry + q->number_at, &q->next_number, sizeof(q->next_number));
        q->next_number++;
        thr_items_push(&q->items);
        sift_up(q);
    } else {
        thr_items_push(&q->items);
    }
    q->unfinished++;
}

/* Returns: NULL, or memory to be freed without the lock. */
static void *take(struct thrum_queue *q, void *item)
{
    bool last = q->opts.order == THRUM_QUEUE_LIFO;
    memcpy(item, thr_items_at(&q->items, last ? q->items.count - 1 : 0), q->item_bytes);
    if (q->opts.order == THRUM_QUEUE_FIFO)
        return thr_items_drop_first(&q->items);
    if (q->opts.order == THRUM_QUEUE_PRIORITY)
        sift_down(q);
    return thr_items_drop_last(&q->items);
}

/* Gives the item to the first consumer that still waits. Returns: false if there is none. */
static bool hand_over(struct thrum_queue *q, const void *item, struct thr_wakeups *out)
{
    for (struct thr_waiter *w; (w = thr_waitlist_pop(&q->getters)) != NULL;) {
        memcpy(w->data, item, q->item_bytes);
        if (!thr_waiter_fire(w, THR_FIRED_OK, out))
            continue;
        q->unfinished++;
        return true;
    }
    return false;
}

/* A place is free: the first producer that still waits has put. */
static void move_up(struct thrum_queue *q, struct thr_wakeups *out)
{
    for (struct thr_waiter *w; (w = thr_waitlist_pop(&q->putters)) != NULL;) {
        bool room = thr_items_room(&q->items); /* reserved (items.h, M2) */
        THR_ASSERT(room);
        memcpy(thr_items_at(&q->items, q->items.count), w->data, q->item_bytes);
        if (!thr_waiter_fire(w, THR_FIRED_OK, out))
            continue;
        count_in(q);
        return;
    }
}

static bool is_full(const struct thrum_queue *q)
{
    return q->opts.max && q->items.count >= q->opts.max;
}

/* Makes room at the back, with the memory in *more if it needs that. */
static bool make_room(struct thrum_queue *q, struct thr_items_more *more)
{
    if (thr_items_room(&q->items))
        return true;
    if (!more->chunk)
        return false;
    thr_items_add(&q->items, more);
    return thr_items_room(&q->items);
}

/* Returns: 0, -EAGAIN, THRUM_ECLOSED; -ENOBUFS: there is no room, nor the memory for it. */
static int put_now(struct thrum_queue *q, const void *item, struct thr_items_more *more,
                   struct thr_wakeups *out)
{
    if (q->closed)
        return THRUM_ECLOSED;
    if (hand_over(q, item, out))
        return 0;
    if (is_full(q))
        return -EAGAIN;
    if (!make_room(q, more))
        return -ENOBUFS;
    memcpy(thr_items_at(&q->items, q->items.count), item, q->item_bytes);
    count_in(q);
    return 0;
}

/* Returns: 0, -EAGAIN, THRUM_ECLOSED. */
static int get_now(struct thrum_queue *q, void *item, void **garbage, struct thr_wakeups *out)
{
    *garbage = NULL;
    if (q->items.count == 0)
        return q->closed ? THRUM_ECLOSED : -EAGAIN;
    *garbage = take(q, item);
    move_up(q, out);
    return 0;
}

/* So many items are done. */
static void count_done(struct thrum_queue *q, size_t n, struct thr_wakeups *out)
{
    q->unfinished -= n;
    if (q->unfinished == 0)
        thr_waitlist_fire_all(&q->joiners, THR_FIRED_OK, out);
}

/* ---- Waiting ---- */

/* Under the lock, which it releases. */
static int wait_in(struct thrum_queue *q, struct thr_waitlist *l, void *data)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    w.data = data;
    thr_waitlist_push(l, &w);
    thr_unlock(&q->lock);
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    if (reason == THR_FIRED_TIMEOUT || reason == THR_FIRED_CANCEL) {
        thr_lock(&q->lock);
        thr_waitlist_remove(l, &w);
        thr_unlock(&q->lock);
    }
    return thr_reason_error(reason);
}

/* Puts, getting the memory that it takes.
 *
 * Returns: 0, THRUM_ECLOSED, -ENOMEM; -EAGAIN: it is full, and the lock is held. */
static int put_or_hold(struct thrum_queue *q, const void *item)
{
    struct thr_wakeups out = {0};
    struct thr_items_more more = {0};
    int err;
    thr_lock(&q->lock);
    while ((err = put_now(q, item, &more, &out)) == -ENOBUFS) {
        struct thr_items_more wanted;
        thr_items_want(&q->items, &wanted);
        thr_unlock(&q->lock);
        thr_items_more_free(&more); /* others used up what was brought */
        more = wanted;
        err = thr_items_more_get(&more);
        if (err)
            return err;
        thr_lock(&q->lock);
    }
    if (err == -EAGAIN)
        return err; /* it is bounded, so nothing was brought */
    thr_unlock(&q->lock);
    thr_items_more_free(&more);
    thr_wakeups_run(&out);
    return err;
}

int thrum_queue_put(thrum_queue *q, const void *item)
{
    int err = thr_task_cancelled();
    if (err)
        return err;
    err = put_or_hold(q, item);
    if (err == -EAGAIN)
        return wait_in(q, &q->putters, (void *)(uintptr_t)item); /* only read */
    thr_task_spend();
    return err;
}

int thrum_queue_try_put(thrum_queue *q, const void *item)
{
    int err = put_or_hold(q, item);
    if (err == -EAGAIN)
        thr_unlock(&q->lock);
    return err;
}

int thrum_queue_get(thrum_queue *q, void *item)
{
    struct thr_wakeups out = {0};
    void *garbage;
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&q->lock);
    err = get_now(q, item, &garbage, &out);
    if (err == -EAGAIN)
        return wait_in(q, &q->getters, item);
    thr_unlock(&q->lock);
    free(garbage);
    thr_wakeups_run(&out);
    thr_task_spend();
    return err;
}

int thrum_queue_try_get(thrum_queue *q, void *item)
{
    struct thr_wakeups out = {0};
    void *garbage;
    thr_lock(&q->lock);
    int err = get_now(q, item, &garbage, &out);
    thr_unlock(&q->lock);
    free(garbage);
    thr_wakeups_run(&out);
    return err;
}

/* ---- Done, joined, shut down ---- */

void thrum_queue_task_done(thrum_queue *q)
{
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    THR_ASSERT(q->unfinished > q->items.count); /* Q2: as many as were taken */
    count_done(q, 1, &out);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

int thrum_queue_join(thrum_queue *q)
{
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&q->lock);
    if (q->unfinished)
        return wait_in(q, &q->joiners, NULL);
    thr_unlock(&q->lock);
    thr_task_spend();
    return 0;
}

/* Throws away what is in it, and counts it as done only then: what the items need outlives a join. */
static void empty(struct thrum_queue *q)
{
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    struct thr_items items = q->items;
    memset(&q->items, 0, sizeof(q->items)); /* nothing is ever put again */
    thr_unlock(&q->lock);
    size_t n = items.count;
    drop_all(q, &items);
    thr_lock(&q->lock);
    count_done(q, n, &out);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

void thrum_queue_shutdown(thrum_queue *q, bool immediate)
{
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    q->closed = true;
    thr_waitlist_fire_all(&q->putters, THR_FIRED_CLOSED, &out);
    thr_waitlist_fire_all(&q->getters, THR_FIRED_CLOSED, &out); /* it is empty: Q1 */
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
    if (immediate)
        empty(q);
}

/* ---- Looking ---- */

size_t thrum_queue_size(thrum_queue *q)
{
    thr_lock(&q->lock);
    size_t n = q->items.count;
    thr_unlock(&q->lock);
    return n;
}

bool thrum_queue_is_empty(thrum_queue *q)
{
    return thrum_queue_size(q) == 0;
}

bool thrum_queue_is_full(thrum_queue *q)
{
    return q->opts.max && thrum_queue_size(q) >= q->opts.max;
}
