/* SPDX-License-Identifier: MIT */
/* Channels: many senders, many receivers, items of one size, first in first out.
 *
 *   bounded     holds up to `capacity` items: a send waits while it is full, a receive while it is empty
 *   unbuffered  capacity 0: a send waits for a receive and the other way round; the item goes from one to the other
 *   unbounded   capacity THRUM_UNBOUNDED: a send never waits; memory grows in pieces of 4 KiB and is given back
 *
 * Lossless: a send that failed has not sent, a receive that failed has not taken an item. Those who wait are served first
 * come, first served. Every wait ends with an enclosing deadline (thrum_timeout_begin()) or cancel at the latest; to wait
 * for several channels, or with a time limit of its own, there is thrum_select(). */
#ifndef THRUM_CHAN_H
#define THRUM_CHAN_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

/* A channel's capacity without an end. */
#define THRUM_UNBOUNDED SIZE_MAX

/* A channel, in storage of the caller's or made by thrum_chan_new(). Never moved while it is used. */
typedef struct thrum_chan {
    /* Private to the library. */
    uint32_t lock, closed;
    size_t item_bytes, capacity, count;
    char *items, *read, *read_end, *write, *write_end;
    void *senders[2], *receivers[2];
    void *chunks[3];
} thrum_chan;

/* The initialiser of a bounded channel that keeps its items in an array: as many as that has elements, of their type.
 *
 *     static struct job jobs[64];
 *     static thrum_chan queue = THRUM_CHAN_INIT(jobs); */
#define THRUM_CHAN_INIT(array)                                                                     \
    {                                                                                              \
        .item_bytes = sizeof((array)[0]), .capacity = sizeof(array) / sizeof((array)[0]),          \
        .items = (char *)(array), .read = (char *)(array),                                         \
        .read_end = (char *)(array) + sizeof(array), .write = (char *)(array),                     \
        .write_end = (char *)(array) + sizeof(array)                                               \
    }

/* The same for channels without an array. An unbounded one that was used is ended with thrum_chan_fini(). */
#define THRUM_CHAN_UNBUFFERED_INIT(type)                                                           \
    {                                                                                              \
        .item_bytes = sizeof(type)                                                                 \
    }
#define THRUM_CHAN_UNBOUNDED_INIT(type)                                                            \
    {                                                                                              \
        .item_bytes = sizeof(type), .capacity = THRUM_UNBOUNDED                                    \
    }

/* Makes a channel in *ch for items of item_bytes each. items: room for capacity * item_bytes bytes, of any alignment, if
 * the channel is bounded; not used otherwise.
 *
 * Owns:    ch and items stay the caller's and must stay where they are until the channel is not used any more; ended with
 *          thrum_chan_fini(), which a bounded or unbuffered channel does not need.
 * Returns: 0, -EINVAL (a size of 0, too large, or no room given).
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_init(thrum_chan *ch, size_t item_bytes, size_t capacity,
                                               void *items);

/* Frees what an unbounded channel has allocated, and drops the items. Nobody may be using it; it may not be used again
 * before another init. A zeroed channel is allowed.
 *
 * Context: any thread. */
THRUM_API void thrum_chan_fini(thrum_chan *ch);

/* Makes a channel on the heap for items of item_bytes each.
 *
 * Owns:    *out is the caller's, ended with thrum_chan_free().
 * Returns: 0, -EINVAL (a size of 0, or too large), -ENOMEM; *out is then NULL.
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_new(thrum_chan **out, size_t item_bytes, size_t capacity);

/* Frees the channel and what is still in it. Nobody may be using it. NULL is allowed.
 *
 * Context: any thread. */
THRUM_API void thrum_chan_free(thrum_chan *ch);

/* Sends a copy of *item; suspends while the channel is full (unbuffered: until it is received).
 *
 * Returns: 0, THRUM_ECLOSED, -ECANCELED, -ETIMEDOUT, -ENOMEM (unbounded only). On failure nothing was sent.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_send(thrum_chan *ch, const void *item);

/* Receives into *item; suspends while the channel is empty (unbuffered: until something is sent).
 *
 * Returns: 0, THRUM_ECLOSED (closed and empty), -ECANCELED, -ETIMEDOUT. On failure nothing was taken, and *item is as it
 *          was.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_recv(thrum_chan *ch, void *item);

/* The same without waiting: an unbuffered channel sends to a receiver that waits, and receives from a sender that does.
 *
 * Returns: 0, -EAGAIN, THRUM_ECLOSED, -ENOMEM (sending to an unbounded one).
 * Context: task or any thread. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_try_send(thrum_chan *ch, const void *item);
THRUM_API THRUM_MUST_CHECK int thrum_chan_try_recv(thrum_chan *ch, void *item);

/* No more sends: waiting and later senders get THRUM_ECLOSED, receivers get what is left and then THRUM_ECLOSED. Once more
 * does nothing.
 *
 * Context: task or any thread. Does not suspend. */
THRUM_API void thrum_chan_close(thrum_chan *ch);

/* How many items are in it, not counting those of senders that wait: already another number perhaps, if others use it.
 *
 * Context: task or any thread. Does not suspend. */
THRUM_API size_t thrum_chan_count(thrum_chan *ch);

THRUM_END_DECLS

#endif
