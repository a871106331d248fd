/* SPDX-License-Identifier: MIT */
/* tools/fetch/retry.h: whether a request is worth another try, and when. */
#ifndef TOOLS_FETCH_RETRY_H
#define TOOLS_FETCH_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* True if sending a request twice does no more than sending it once (RFC 9110 section 9.2.2). NULL: GET. */
bool thr_retry_method(const char *method);

/* True for a failure that may pass: no connection, a lost or silent one, a name server in trouble. */
bool thr_retry_error(int err);

/* True for 408, 429 and 5xx. */
bool thr_retry_status(int status);

/* The seconds of a Retry-After field, as nanoseconds; 0 if there is none or it is a date. */
uint64_t thr_retry_after(const char *value);

/* How long to wait before try number `tried` + 1, tried >= 1: 0.5 s, doubled each time, and up to half as
 * much again by chance, so that many that failed together do not come back together; or what the server
 * asked for if that is longer; 60 s at most. */
uint64_t thr_retry_wait(uint64_t tried, uint64_t after_ns, uint64_t random);

#endif
