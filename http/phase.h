/* SPDX-License-Identifier: MIT */
/* http/phase.h: keeping a thrum_http_info: which phase an exchange is in, how long each took, and the sentence that
 * says what went wrong.
 *
 * An exchange always has an info, its caller's or its own, so that nobody below asks whether there is one. */
#ifndef THR_HTTP_PHASE_H
#define THR_HTTP_PHASE_H

#include <thrum/http.h>

/* Clears all of it and notes the start. */
void thr_info_begin(thrum_http_info *info);

/* Forgets what belongs to the hop before: timings, peer, TLS, counts. */
void thr_info_begin_hop(thrum_http_info *info);

/* The same, but for the time spent in the pool: a further connection for the same hop. */
void thr_info_begin_attempt(thrum_http_info *info);

/* The nanoseconds since *mark, which moves to now. */
uint64_t thr_info_lap(uint64_t *mark);

/* Writes the sentence, cut where it is too long. Control bytes that a server smuggled into it become '?'. */
void thr_info_detail(thrum_http_info *info, const char *format, ...) THRUM_PRINTF(2, 3);

/* True for failures that say nothing of the server: no memory, a deadline or cancel of the task. */
bool thr_is_our_own(int err);

/* Sets the total time: the exchange ends here. */
void thr_info_end(thrum_http_info *info);

/* The length of a "host:port" text, NUL included; a longer host is cut. */
#define THR_WHERE_BYTES 96

/* Writes "host:port" (an IPv6 address in brackets) to text and returns it: what a sentence calls the server. */
const char *thr_where(char text[THR_WHERE_BYTES], const char *host, uint16_t port);

#endif
