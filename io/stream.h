/* SPDX-License-Identifier: MIT */
/* io/stream.h: for the functions that read or write a stream more than once. */
#ifndef THR_IO_STREAM_H
#define THR_IO_STREAM_H

#include <thrum/stream.h>

/* Between these a close of s in another task waits, where the kind of stream can do that (TCP, TLS). Without it the second
 * read might find s freed, although its caller was "in" the call when the close began.
 *
 * Returns: 0 or THRUM_ECLOSED. Context: task. May suspend briefly. unpin is the last access to s. */
int thr_stream_pin(thrum_stream *s);
void thr_stream_unpin(thrum_stream *s);

#endif
