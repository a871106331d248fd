/* SPDX-License-Identifier: MIT */
/* A bounded channel: many senders, many receivers, items of one size, first in first out.
 *
 * Lossless: a send that failed has not sent, a receive that failed has not taken an item. */
#ifndef THRUM_CHAN_H
#define THRUM_CHAN_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

typedef struct thrum_chan thrum_chan;

/* Makes a channel for `capacity` items of item_bytes each.
 *
 * Owns:    *out is the caller's, ended with thrum_chan_free().
 * Returns: 0, -EINVAL (capacity or size of 0, or too large), -ENOMEM; *out is then NULL.
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_new(thrum_chan **out, size_t item_bytes, size_t capacity);

/* Frees the channel and what is still in it. Nobody may be using it. NULL is allowed.
 *
 * Context: any thread. */
THRUM_API void thrum_chan_free(thrum_chan *ch);

/* Sends a copy of *item; suspends while the channel is full.
 *
 * Returns: 0, THRUM_ECLOSED, -ECANCELED, -ETIMEDOUT. On failure nothing was sent.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_send(thrum_chan *ch, const void *item);

/* Receives into *item; suspends while the channel is empty.
 *
 * Returns: 0, THRUM_ECLOSED (closed and empty), -ECANCELED, -ETIMEDOUT. On failure nothing was taken; what *item
 *          holds is then unspecified.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_recv(thrum_chan *ch, void *item);

/* The same without waiting.
 *
 * Returns: 0, -EAGAIN, THRUM_ECLOSED.
 * Context: task or any thread. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_chan_try_send(thrum_chan *ch, const void *item);
THRUM_API THRUM_MUST_CHECK int thrum_chan_try_recv(thrum_chan *ch, void *item);

/* No more sends: waiting and later senders get THRUM_ECLOSED, receivers get what is left and then THRUM_ECLOSED.
 *
 * Context: task or any thread. Does not suspend. */
THRUM_API void thrum_chan_close(thrum_chan *ch);

THRUM_END_DECLS

#endif
