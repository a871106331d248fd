/* SPDX-License-Identifier: MIT */
/* A bounded channel. An item goes from the sender's buffer into the ring or straight into a waiting receiver's, from the
 * ring into the receiver's; when a place falls free the first waiting sender's item moves up. All of it under the lock, so
 * the order is that of the lock, and a waiter that a timer or cancel fired first (wait.h, W5) is simply passed over. */
#include "exec/lock.h"
#include "exec/running.h"
#include "exec/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/chan.h>
#include <thrum/error.h>
#include <thrum/time.h>

struct thrum_chan {
    struct thr_lock lock;
    bool closed;                            /* all guarded by lock */
    size_t item_bytes, capacity;            /* constant */
    size_t first, count;                    /* the ring's items: first .. first + count */
    struct thr_waitlist senders, receivers; /* a waiter's data is its item's address */
    char items[];
};

int thrum_chan_new(thrum_chan **out, size_t item_bytes, size_t capacity)
{
    size_t bytes;
    *out = NULL;
    if (item_bytes == 0 || capacity == 0 || __builtin_mul_overflow(item_bytes, capacity, &bytes) ||
        bytes > SIZE_MAX / 2)
        return -EINVAL;
    struct thrum_chan *ch = malloc(sizeof(*ch) + bytes);
    if (!ch)
        return -ENOMEM;
    memset(ch, 0, sizeof(*ch));
    ch->item_bytes = item_bytes;
    ch->capacity = capacity;
    *out = ch;
    return 0;
}

void thrum_chan_free(thrum_chan *ch)
{
    free(ch);
}

static char *item_at(struct thrum_chan *ch, size_t index)
{
    return ch->items + (ch->first + index) % ch->capacity * ch->item_bytes;
}

/* Under the lock. Fires the first waiter that is still there and gives the address of its item. That stays good until the
 * lock is released: the waiter cannot leave without it (W4). */
static void *fire_first(struct thr_waitlist *l, struct thr_wakeups *out)
{
    void *item = NULL;
    thr_waitlist_fire_one(l, THR_FIRED_OK, out, &item);
    return item;
}

/* Under the lock. Returns: 0, -EAGAIN, THRUM_ECLOSED. */
static int send_now(struct thrum_chan *ch, const void *item, struct thr_wakeups *out)
{
    if (ch->closed)
        return THRUM_ECLOSED;
    void *to = fire_first(&ch->receivers, out); /* there are some only while the ring is empty */
    if (!to) {
        if (ch->count == ch->capacity)
            return -EAGAIN;
        to = item_at(ch, ch->count++);
    }
    memcpy(to, item, ch->item_bytes);
    return 0;
}

/* Under the lock. Returns: 0, -EAGAIN, THRUM_ECLOSED. */
static int recv_now(struct thrum_chan *ch, void *item, struct thr_wakeups *out)
{
    if (ch->count == 0)
        return ch->closed ? THRUM_ECLOSED : -EAGAIN;
    memcpy(item, item_at(ch, 0), ch->item_bytes);
    ch->first = (ch->first + 1) % ch->capacity;
    ch->count--;
    const void *from =
        fire_first(&ch->senders, out); /* there are some only while the ring is full */
    if (from)
        memcpy(item_at(ch, ch->count++), from, ch->item_bytes);
    return 0;
}

/* Under the lock, which it releases. */
static int wait_in(struct thrum_chan *ch, struct thr_waitlist *l, void *item)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    w.data = item;
    thr_waitlist_push(l, &w);
    thr_unlock(&ch->lock);
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    thr_lock(&ch->lock);
    thr_waitlist_remove(l, &w);
    thr_unlock(&ch->lock);
    return thr_reason_error(reason);
}

int thrum_chan_send(thrum_chan *ch, const void *item)
{
    struct thr_wakeups out = {0};
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&ch->lock);
    err = send_now(ch, item, &out);
    if (err == -EAGAIN)
        return wait_in(ch, &ch->senders, (void *)(uintptr_t)item); /* only read */
    thr_unlock(&ch->lock);
    thr_wakeups_run(&out);
    thr_task_spend();
    return err;
}

int thrum_chan_recv(thrum_chan *ch, void *item)
{
    struct thr_wakeups out = {0};
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&ch->lock);
    err = recv_now(ch, item, &out);
    if (err == -EAGAIN)
        return wait_in(ch, &ch->receivers, item);
    thr_unlock(&ch->lock);
    thr_wakeups_run(&out);
    thr_task_spend();
    return err;
}

int thrum_chan_try_send(thrum_chan *ch, const void *item)
{
    struct thr_wakeups out = {0};
    thr_lock(&ch->lock);
    int err = send_now(ch, item, &out);
    thr_unlock(&ch->lock);
    thr_wakeups_run(&out);
    return err;
}

int thrum_chan_try_recv(thrum_chan *ch, void *item)
{
    struct thr_wakeups out = {0};
    thr_lock(&ch->lock);
    int err = recv_now(ch, item, &out);
    thr_unlock(&ch->lock);
    thr_wakeups_run(&out);
    return err;
}

void thrum_chan_close(thrum_chan *ch)
{
    struct thr_wakeups out = {0};
    thr_lock(&ch->lock);
    ch->closed = true;
    thr_waitlist_fire_all(&ch->senders, THR_FIRED_CLOSED, &out);
    thr_waitlist_fire_all(&ch->receivers, THR_FIRED_CLOSED, &out);
    thr_unlock(&ch->lock);
    thr_wakeups_run(&out);
}
