/* SPDX-License-Identifier: MIT */
/* exec/chan.h: what a channel is inside, and its operations for whoever holds its lock: chan.c and select.c.
 *
 * Invariants  N1  all but item_bytes and capacity is guarded by `lock`. The order of items is the order of the lock.
 *             N2  a receiver waits only while there is no item, a sender only while there is no place: whoever makes one
 *                 looks for waiters before it releases the lock. So between operations count > 0 means no receivers, and
 *                 senders mean a full ring. An unbuffered channel is full and empty at all times: it has waiters on one
 *                 side, or none. (A waiter whose wait has ended otherwise may be left in a list: it is passed over.)
 *             N3  a waiter is popped, its wait fired, and if that succeeded its item copied, all before the lock is released:
 *                 no item is copied in vain. A woken receiver does not return before that: it looks at the lock once more.
 *             N4  a woken sender does not return before its item was copied: it looks at its own waiter, not at the channel,
 *                 which whoever has received the last item may have freed by then.
 *             N5  items lie from `read` to `write`. A bounded channel's are a ring: from `items` to both ends. An unbounded
 *                 one's are in chunks, `read` in the first and `write` in the last one, `items` is NULL: write == write_end
 *                 means that there is no place without another chunk (or no chunk at all), read == read_end only that too.
 *             N6  chunks are allocated and freed without the lock. One empty chunk is kept, so that a channel that is filled
 *                 and drained about a chunk's edge does not allocate each time.
 * Ordering     (A) exchange of the lock, then fire  ->  (B) woken task: park, then load acquire of the lock
 *                 It sees the lock held by whoever fired, or what came after: seen free, that one is out of it.
 *              (C) unlock, store release  ->  (D) the same load
 *                 The item that was copied is there.
 *              (E) store release of a sender's `settled`  ->  (F) its load acquire: its item is not read any more. */
#ifndef THR_EXEC_CHAN_H
#define THR_EXEC_CHAN_H

#include "exec/lock.h"
#include "exec/wait.h"

#include <string.h>
#include <thrum/chan.h>

struct thr_chunk {
    struct thr_chunk *next;
    char items[];
};

/* What struct thrum_chan really is. */
struct thr_chan {
    struct thr_lock lock;
    uint32_t closed; /* 1: yes, for ever */
    size_t item_bytes, capacity, count;
    char *items, *read, *read_end, *write, *write_end;
    struct thr_waitlist senders, receivers; /* a waiter's data is its item's address */
    struct thr_chunk *first, *last, *spare;
};

_Static_assert(sizeof(struct thr_chan) == sizeof(thrum_chan), "same layout");
_Static_assert(offsetof(struct thr_chan, item_bytes) == offsetof(thrum_chan, item_bytes) &&
                   offsetof(struct thr_chan, items) == offsetof(thrum_chan, items) &&
                   offsetof(struct thr_chan, senders) == offsetof(thrum_chan, senders),
               "same layout");

static inline struct thr_chan *thr_chan_of(thrum_chan *ch)
{
    return (struct thr_chan *)(void *)ch;
}

/* What an operation leaves to be done when the lock is released. Zero-initialise. */
struct thr_chan_after {
    struct thr_wakeups wakeups;
    struct thr_chunk *empty; /* to be freed */
};

void thr_chan_after_slow(struct thr_chan_after *after);

/* Context: any thread, no lock held. */
static inline void thr_chan_after_run(struct thr_chan_after *after)
{
    if (after->wakeups.head || after->empty)
        thr_chan_after_slow(after);
}

/* Sends or receives if that is possible now. Sending to an unbounded channel may release the lock for a while.
 *
 * Returns: 0, -EAGAIN, THRUM_ECLOSED, -ENOMEM.
 * Context: any thread, under the lock. */
int thr_chan_send_now(struct thr_chan *ch, const void *item, struct thr_chan_after *after);
int thr_chan_recv_now(struct thr_chan *ch, void *item, struct thr_chan_after *after);

/* The receiver that fired this sender's wait is done with its item when this returns (N4). */
static inline void thr_chan_settle_sender(const struct thr_waiter *w)
{
    while (!thr_load(&w->settled, THR_ACQUIRE)) /* (F) */
        thr_cpu_yield(); /* a few instructions, unless that one has just lost its core */
}

/* ---- Chunks: chan_chunks.c ---- */

/* Makes write != end: takes the spare chunk, or allocates one, for which it releases the lock and takes it again.
 *
 * Returns: 0 (look at everything again) or -ENOMEM. Context: under the lock; write == end. */
int thr_chunks_grow(struct thr_chan *ch, struct thr_chan_after *after);

/* The last item of the first chunk has been taken. Context: under the lock. */
void thr_chunks_next(struct thr_chan *ch, struct thr_chan_after *after);

/* Frees them all. Context: nobody uses the channel. */
void thr_chunks_free(struct thr_chan *ch);

#endif
