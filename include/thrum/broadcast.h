/* SPDX-License-Identifier: MIT */
/* A broadcast channel: every subscriber receives every message that is sent after it subscribed, in one order for all.
 * Many senders; messages of one size, of which the last `capacity` are kept.
 *
 * A subscriber that is slower than the senders loses the oldest messages and is told how many; or, if the channel was made
 * so, the senders wait for the slowest subscriber and nothing is lost. */
#ifndef THRUM_BROADCAST_H
#define THRUM_BROADCAST_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

typedef struct thrum_broadcast thrum_broadcast;

/* A subscription, in the caller's storage; not moved while it lasts. One task at a time may receive from it. */
typedef struct thrum_subscriber {
    /* Private to the library. */
    thrum_broadcast *channel;
    uint64_t next;
    bool waiting;
} thrum_subscriber;

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_broadcast_opts {
    bool
        lossless; /* false: the oldest message makes way for a new one; true: senders wait for the slowest subscriber */
} thrum_broadcast_opts;

/* Makes a channel that keeps `capacity` messages of message_bytes each.
 *
 * Owns:    *out is the caller's, ended with thrum_broadcast_free().
 * Returns: 0, -EINVAL (a size or capacity of 0, or too large), -ENOMEM; *out is then NULL.
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_broadcast_new(thrum_broadcast **out, size_t message_bytes,
                                                   size_t capacity,
                                                   const thrum_broadcast_opts *opts);

/* Frees the channel. No call may be in progress, and none of its subscribers may be used any more but for
 * thrum_unsubscribe() before. NULL is allowed.
 *
 * Context: any thread. */
THRUM_API void thrum_broadcast_free(thrum_broadcast *b);

/* Sends a copy of *message to all who are subscribed; suspends while a lossless channel is full.
 *
 * Returns: how many subscribers will receive it (or lose it by being slow), 0 if there are none: nobody ever will;
 *          THRUM_ECLOSED, -ECANCELED, -ETIMEDOUT: nobody receives it.
 * Context: task. Suspends if the channel is lossless. */
THRUM_API int thrum_broadcast_send(thrum_broadcast *b, const void *message);

/* The same without waiting.
 *
 * Returns: how many, -EAGAIN (lossless and full), THRUM_ECLOSED.
 * Context: any thread. Does not suspend. */
THRUM_API int thrum_broadcast_try_send(thrum_broadcast *b, const void *message);

/* No more messages: senders get THRUM_ECLOSED, subscribers what was sent, then THRUM_ECLOSED.
 *
 * Context: any thread. Does not suspend. */
THRUM_API void thrum_broadcast_close(thrum_broadcast *b);

/* Subscribes to what is sent from now on. Allowed after the close.
 *
 * Owns:    the subscriber's storage is the caller's and must stay where it is until thrum_unsubscribe().
 * Context: any thread. Does not suspend, does not fail. */
THRUM_API void thrum_subscribe(thrum_subscriber *s, thrum_broadcast *b);

/* Ends the subscription. On a lossless channel senders wait for this one no longer.
 *
 * Context: any thread, while nobody receives from it. Does not suspend. */
THRUM_API void thrum_unsubscribe(thrum_subscriber *s);

/* Receives the next message into *message; suspends while there is none.
 *
 * lost: unless NULL, gets how many messages before this one were lost since the last that was received. Always 0 on a
 *       lossless channel.
 * Returns: 0; THRUM_ECLOSED (closed, and all was received), -ECANCELED, -ETIMEDOUT: nothing was taken, *lost is 0 and what
 *          *message holds is unspecified.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_receive(thrum_subscriber *s, void *message, uint64_t *lost);

/* The same without waiting.
 *
 * Returns: 0, -EAGAIN (nothing new), THRUM_ECLOSED.
 * Context: any thread. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_try_receive(thrum_subscriber *s, void *message,
                                                 uint64_t *lost);

THRUM_END_DECLS

#endif
