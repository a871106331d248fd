/* SPDX-License-Identifier: MIT */
/* The broadcast channel: a ring of the last messages, and in each subscriber the position of its next one. A subscriber that
 * waits gets the message straight from the sender.
 *
 * Invariants (all guarded by the lock)
 *   B1  messages have positions 0, 1, 2, ...; position p lies in slot p % capacity; kept are oldest <= p < next, at most
 *       capacity of them.
 *   B2  a subscriber waits only while its position is `next`: each message is handed to all who wait.
 *   B3  lossless: unread[slot] is how many subscribers have not received that message; the oldest one has some, unless
 *       nothing is kept. Senders wait only while capacity messages are kept. Otherwise `oldest` simply moves on.
 *   B4  after the close nobody waits.
 * What is written for a waiter is written before it is fired, and counts only if the fire wins (wait.h, W4). */
#include "exec/lock.h"
#include "exec/running.h"
#include "exec/util.h"
#include "exec/wait.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/broadcast.h>
#include <thrum/error.h>
#include <thrum/time.h>

struct thrum_broadcast {
    struct thr_lock lock;
    bool closed;
    bool lossless;        /* constant */
    size_t message_bytes; /* constant */
    size_t capacity;      /* constant */
    uint64_t oldest, next;
    int subscribers_n;
    struct thr_waitlist receivers, senders;
    char *messages;    /* behind unread */
    uint32_t unread[]; /* a slot each, if lossless */
};

/* Who waits, as their waiter's data tells. */
struct receiving {
    thrum_subscriber *subscriber;
    void *message;
};
struct sending {
    const void *message;
    int reached; /* how many subscribers; filled in */
};

/* ---- New and free ---- */

int thrum_broadcast_new(thrum_broadcast **out, size_t message_bytes, size_t capacity,
                        const thrum_broadcast_opts *opts)
{
    size_t bytes, unread_bytes;
    bool lossless = opts && opts->lossless;
    *out = NULL;
    if (message_bytes == 0 || capacity == 0 ||
        __builtin_mul_overflow(message_bytes, capacity, &bytes) ||
        __builtin_mul_overflow(lossless ? sizeof(uint32_t) : 0, capacity, &unread_bytes) ||
        bytes > SIZE_MAX / 4 || unread_bytes > SIZE_MAX / 4)
        return -EINVAL;
    struct thrum_broadcast *b = calloc(1, sizeof(*b) + unread_bytes + bytes);
    if (!b)
        return -ENOMEM;
    b->lossless = lossless;
    b->message_bytes = message_bytes;
    b->capacity = capacity;
    b->messages = (char *)b->unread + unread_bytes;
    *out = b;
    return 0;
}

void thrum_broadcast_free(thrum_broadcast *b)
{
    if (!b)
        return;
    thr_lock(&b->lock); /* whoever woke the caller is out of it then (lock.h, L2) */
    thr_unlock(&b->lock);
    free(b);
}

/* ---- Under the lock ---- */

static void *message_at(struct thrum_broadcast *b, uint64_t position)
{
    return b->messages + (size_t)(position % b->capacity) * b->message_bytes;
}

static bool is_full(const struct thrum_broadcast *b)
{
    return b->next - b->oldest == b->capacity;
}

/* One subscriber less waits for the message. Lossless only. */
static void count_read(struct thrum_broadcast *b, uint64_t position)
{
    b->unread[position % b->capacity]--;
    while (b->oldest < b->next && b->unread[b->oldest % b->capacity] == 0)
        b->oldest++;
}

/* The message at `next` is written: now it is sent. */
static void publish(struct thrum_broadcast *b, struct thr_wakeups *out)
{
    uint64_t position = b->next++;
    if (b->lossless)
        b->unread[position % b->capacity] = (uint32_t)b->subscribers_n;
    for (struct thr_waiter *w; (w = thr_waitlist_pop(&b->receivers)) != NULL;) {
        struct receiving *r = w->data;
        memcpy(r->message, message_at(b, position), b->message_bytes);
        r->subscriber->next = position + 1;
        if (!thr_waiter_fire(w, THR_FIRED_OK, out))
            r->subscriber->next = position; /* the task is about to unlink it, under our lock */
        else if (b->lossless)
            count_read(b, position);
    }
}

/* Lossless: there may be room for messages of senders that wait. */
static void admit(struct thrum_broadcast *b, struct thr_wakeups *out)
{
    for (struct thr_waiter *w; !is_full(b) && (w = thr_waitlist_pop(&b->senders)) != NULL;) {
        struct sending *s = w->data;
        s->reached = b->subscribers_n;
        memcpy(message_at(b, b->next), s->message, b->message_bytes);
        if (thr_waiter_fire(w, THR_FIRED_OK, out) && b->subscribers_n > 0)
            publish(b, out);
    }
}

/* Returns: how many receive it, -EAGAIN, THRUM_ECLOSED. */
static int send_now(struct thrum_broadcast *b, const void *message, struct thr_wakeups *out)
{
    if (b->closed)
        return THRUM_ECLOSED;
    if (b->subscribers_n == 0)
        return 0;
    if (is_full(b)) {
        if (b->lossless)
            return -EAGAIN;
        b->oldest++;
    }
    memcpy(message_at(b, b->next), message, b->message_bytes);
    publish(b, out);
    return b->subscribers_n;
}

/* Returns: 0, -EAGAIN, THRUM_ECLOSED. */
static int receive_now(struct thrum_broadcast *b, thrum_subscriber *s, void *message,
                       uint64_t *lost, struct thr_wakeups *out)
{
    if (s->next == b->next)
        return b->closed ? THRUM_ECLOSED : -EAGAIN;
    if (s->next < b->oldest) {
        if (lost)
            *lost = b->oldest - s->next;
        s->next = b->oldest;
    }
    memcpy(message, message_at(b, s->next), b->message_bytes);
    s->next++;
    if (b->lossless) {
        count_read(b, s->next - 1);
        admit(b, out);
    }
    return 0;
}

/* ---- Waiting ---- */

/* Under the lock, which it releases. */
static int wait_in(struct thrum_broadcast *b, struct thr_waitlist *l, void *data)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    w.data = data;
    thr_waitlist_push(l, &w);
    thr_unlock(&b->lock);
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    if (reason == THR_FIRED_TIMEOUT || reason == THR_FIRED_CANCEL) {
        thr_lock(&b->lock);
        thr_waitlist_remove(l, &w);
        thr_unlock(&b->lock);
    }
    return thr_reason_error(reason);
}

int thrum_broadcast_send(thrum_broadcast *b, const void *message)
{
    struct thr_wakeups out = {0};
    int n = thr_task_cancelled();
    if (n)
        return n;
    thr_lock(&b->lock);
    n = send_now(b, message, &out);
    if (n == -EAGAIN) {
        struct sending s = {message, 0};
        int err = wait_in(b, &b->senders, &s);
        return err ? err : s.reached;
    }
    thr_unlock(&b->lock);
    thr_wakeups_run(&out);
    thr_task_spend();
    return n;
}

int thrum_broadcast_try_send(thrum_broadcast *b, const void *message)
{
    struct thr_wakeups out = {0};
    thr_lock(&b->lock);
    int n = send_now(b, message, &out);
    thr_unlock(&b->lock);
    thr_wakeups_run(&out);
    return n;
}

int thrum_receive(thrum_subscriber *s, void *message, uint64_t *lost)
{
    struct thrum_broadcast *b = s->channel;
    struct thr_wakeups out = {0};
    if (lost)
        *lost = 0;
    int err = thr_task_cancelled();
    if (err)
        return err;
    THR_ASSERT(!s->waiting); /* one task at a time */
    thr_lock(&b->lock);
    err = receive_now(b, s, message, lost, &out);
    if (err == -EAGAIN) {
        struct receiving r = {s, message};
        s->waiting = true;
        err = wait_in(b, &b->receivers, &r);
        s->waiting = false;
        return err;
    }
    thr_unlock(&b->lock);
    thr_wakeups_run(&out);
    thr_task_spend();
    return err;
}

int thrum_try_receive(thrum_subscriber *s, void *message, uint64_t *lost)
{
    struct thrum_broadcast *b = s->channel;
    struct thr_wakeups out = {0};
    if (lost)
        *lost = 0;
    THR_ASSERT(!s->waiting); /* one task at a time */
    thr_lock(&b->lock);
    int err = receive_now(b, s, message, lost, &out);
    thr_unlock(&b->lock);
    thr_wakeups_run(&out);
    return err;
}

/* ---- Subscribing, closing ---- */

void thrum_subscribe(thrum_subscriber *s, thrum_broadcast *b)
{
    thr_lock(&b->lock);
    THR_ASSERT(b->subscribers_n < INT_MAX);
    b->subscribers_n++;
    *s = (thrum_subscriber){.channel = b, .next = b->next};
    thr_unlock(&b->lock);
}

void thrum_unsubscribe(thrum_subscriber *s)
{
    struct thrum_broadcast *b = s->channel;
    struct thr_wakeups out = {0};
    THR_ASSERT(b && !s->waiting);
    thr_lock(&b->lock);
    b->subscribers_n--;
    if (b->lossless) {
        for (uint64_t p = s->next; p < b->next; p++)
            count_read(b, p);
        admit(b, &out);
    }
    thr_unlock(&b->lock);
    thr_wakeups_run(&out);
    s->channel = NULL;
}

void thrum_broadcast_close(thrum_broadcast *b)
{
    struct thr_wakeups out = {0};
    thr_lock(&b->lock);
    b->closed = true;
    thr_waitlist_fire_all(&b->senders, THR_FIRED_CLOSED, &out);
    thr_waitlist_fire_all(&b->receivers, THR_FIRED_CLOSED, &out); /* they have all: B2 */
    thr_unlock(&b->lock);
    thr_wakeups_run(&out);
}
