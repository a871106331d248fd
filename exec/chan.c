/* SPDX-License-Identifier: MIT */
/* An item goes from the sender's buffer into the channel or straight into a waiting receiver's; from the channel, or
 * straight from a waiting sender's, into the receiver's; and when a place falls free the first waiting sender's item moves
 * up. All of it under the lock (chan.h). */
#include "exec/chan.h"

#include "exec/running.h"
#include "exec/util.h"

#include <errno.h>
#include <stdlib.h>
#include <thrum/error.h>
#include <thrum/time.h>

/* ---- Making and ending ---- */

/* Returns: 0 and the bytes that the items need, or -EINVAL. */
static int check_sizes(size_t item_bytes, size_t capacity, size_t *bytes)
{
    *bytes = 0;
    if (item_bytes == 0)
        return -EINVAL;
    if (capacity == THRUM_UNBOUNDED) /* a chunk of a few items can be said in bytes */
        return item_bytes > SIZE_MAX / 16 ? -EINVAL : 0;
    if (__builtin_mul_overflow(item_bytes, capacity, bytes) || *bytes > SIZE_MAX / 2)
        return -EINVAL;
    return 0;
}

static void set_up(struct thr_chan *ch, size_t item_bytes, size_t capacity, char *items,
                   size_t bytes)
{
    memset(ch, 0, sizeof(*ch));
    ch->item_bytes = item_bytes;
    ch->capacity = capacity;
    if (bytes == 0)
        return;
    ch->items = ch->read = ch->write = items;
    ch->read_end = ch->write_end = items + bytes;
}

int thrum_chan_init(thrum_chan *ch, size_t item_bytes, size_t capacity, void *items)
{
    size_t bytes;
    int err = check_sizes(item_bytes, capacity, &bytes);
    if (err || (bytes > 0 && !items))
        return -EINVAL;
    set_up(thr_chan_of(ch), item_bytes, capacity, items, bytes);
    return 0;
}

void thrum_chan_fini(thrum_chan *ch)
{
    thr_chunks_free(thr_chan_of(ch));
}

int thrum_chan_new(thrum_chan **out, size_t item_bytes, size_t capacity)
{
    size_t bytes;
    *out = NULL;
    int err = check_sizes(item_bytes, capacity, &bytes);
    if (err)
        return err;
    thrum_chan *ch = malloc(sizeof(*ch) + bytes);
    if (!ch)
        return -ENOMEM;
    set_up(thr_chan_of(ch), item_bytes, capacity, (char *)(ch + 1), bytes);
    *out = ch;
    return 0;
}

void thrum_chan_free(thrum_chan *ch)
{
    if (ch)
        thrum_chan_fini(ch);
    free(ch);
}

/* ---- Items ---- */

static inline void copy_item(void *to, const void *from, size_t bytes)
{
    if (bytes == sizeof(uint64_t)) /* a pointer or a number: one move, no call */
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, bytes);
}

/* The item at `write` counts from now on. */
static inline void push(struct thr_chan *ch)
{
    ch->count++;
    ch->write += ch->item_bytes;
    if (ch->write == ch->write_end && ch->items)
        ch->write = ch->items;
}

static inline void pop(struct thr_chan *ch, void *item, struct thr_chan_after *after)
{
    copy_item(item, ch->read, ch->item_bytes);
    ch->count--;
    ch->read += ch->item_bytes;
    if (ch->read != ch->read_end)
        return;
    if (ch->items)
        ch->read = ch->items;
    else
        thr_chunks_next(ch, after);
}

/* Fires the first waiter that still waits, and returns it: good until it is settled or the lock is released (N3, N4). NULL
 * if there is none. */
static inline struct thr_waiter *fire_first(struct thr_waitlist *l, struct thr_chan_after *after)
{
    for (struct thr_waiter *w; (w = thr_waitlist_pop(l)) != NULL;)
        if (thr_waiter_fire(w, THR_FIRED_OK, &after->wakeups))
            return w;
    return NULL;
}

/* Takes the item of the first sender that still waits. Returns: false if there is none. */
static inline bool take_from_sender(struct thr_chan *ch, void *to, struct thr_chan_after *after)
{
    struct thr_waiter *w = ch->senders.head ? fire_first(&ch->senders, after) : NULL;
    if (!w)
        return false;
    copy_item(to, w->data, ch->item_bytes);
    thr_store(&w->settled, 1, THR_RELEASE); /* (E): from here on the sender may be gone */
    return true;
}

int thr_chan_send_now(struct thr_chan *ch, const void *item, struct thr_chan_after *after)
{
    for (int err = 0; !err; err = thr_chunks_grow(ch, after)) {
        if (ch->closed)
            return THRUM_ECLOSED;
        struct thr_waiter *w = ch->receivers.head ? fire_first(&ch->receivers, after) : NULL;
        if (w) {
            copy_item(w->data, item, ch->item_bytes);
            return 0;
        }
        if (ch->count >= ch->capacity)
            return -EAGAIN;
        if (THR_UNLIKELY(ch->write == ch->write_end))
            continue; /* unbounded */
        copy_item(ch->write, item, ch->item_bytes);
        push(ch);
        return 0;
    }
    return -ENOMEM;
}

int thr_chan_recv_now(struct thr_chan *ch, void *item, struct thr_chan_after *after)
{
    if (ch->count > 0) {
        pop(ch, item, after);
        if (take_from_sender(ch, ch->write, after))
            push(ch); /* N2: the place just made */
        return 0;
    }
    if (take_from_sender(ch, item, after)) /* unbuffered */
        return 0;
    return ch->closed ? THRUM_ECLOSED : -EAGAIN;
}

/* ---- With and without waiting ---- */

/* The sender that fired this receiver's wait, or who closed the channel, is out of it when this returns (N3). */
static inline void settle_receiver(struct thr_chan *ch)
{
    if (THR_UNLIKELY(thr_load(&ch->lock.word, THR_ACQUIRE) != 0)) { /* (B), (D) */
        thr_lock(&ch->lock);
        thr_unlock(&ch->lock);
    }
}

/* Under the lock, which it releases. */
static THR_NOINLINE int wait_in(struct thr_chan *ch, struct thr_waitlist *l, void *item)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    w.data = item;
    thr_waitlist_push(l, &w);
    thr_unlock(&ch->lock);
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    if (reason == THR_FIRED_OK && l == &ch->senders) {
        thr_chan_settle_sender(&w);
    } else if (reason == THR_FIRED_OK || reason == THR_FIRED_CLOSED) {
        settle_receiver(ch);
    } else {
        thr_lock(&ch->lock);
        thr_waitlist_remove(l, &w);
        thr_unlock(&ch->lock);
    }
    return thr_reason_error(reason);
}

int thrum_chan_send(thrum_chan *chan, const void *item)
{
    struct thr_chan *ch = thr_chan_of(chan);
    struct thr_chan_after after = {0};
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&ch->lock);
    err = thr_chan_send_now(ch, item, &after);
    if (err == -EAGAIN)
        return wait_in(ch, &ch->senders, (void *)(uintptr_t)item); /* only read */
    thr_unlock(&ch->lock);
    thr_chan_after_run(&after);
    thr_task_spend();
    return err;
}

int thrum_chan_recv(thrum_chan *chan, void *item)
{
    struct thr_chan *ch = thr_chan_of(chan);
    struct thr_chan_after after = {0};
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&ch->lock);
    err = thr_chan_recv_now(ch, item, &after);
    if (err == -EAGAIN)
        return wait_in(ch, &ch->receivers, item);
    thr_unlock(&ch->lock);
    thr_chan_after_run(&after);
    thr_task_spend();
    return err;
}

int thrum_chan_try_send(thrum_chan *chan, const void *item)
{
    struct thr_chan *ch = thr_chan_of(chan);
    struct thr_chan_after after = {0};
    thr_lock(&ch->lock);
    int err = thr_chan_send_now(ch, item, &after);
    thr_unlock(&ch->lock);
    thr_chan_after_run(&after);
    return err;
}

int thrum_chan_try_recv(thrum_chan *chan, void *item)
{
    struct thr_chan *ch = thr_chan_of(chan);
    struct thr_chan_after after = {0};
    thr_lock(&ch->lock);
    int err = thr_chan_recv_now(ch, item, &after);
    thr_unlock(&ch->lock);
    thr_chan_after_run(&after);
    return err;
}

void thrum_chan_close(thrum_chan *chan)
{
    struct thr_chan *ch = thr_chan_of(chan);
    struct thr_wakeups out = {0};
    thr_lock(&ch->lock);
    ch->closed = 1;
    thr_waitlist_fire_all(&ch->senders, THR_FIRED_CLOSED, &out);
    thr_waitlist_fire_all(&ch->receivers, THR_FIRED_CLOSED, &out);
    thr_unlock(&ch->lock);
    thr_wakeups_run(&out);
}

size_t thrum_chan_count(thrum_chan *chan)
{
    struct thr_chan *ch = thr_chan_of(chan);
    thr_lock(&ch->lock);
    size_t count = ch->count;
    thr_unlock(&ch->lock);
    return count;
}
