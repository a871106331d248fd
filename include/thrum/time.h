/* SPDX-License-Identifier: MIT */
/* Time: nanoseconds of CLOCK_MONOTONIC in a uint64_t. A deadline is absolute, a timeout is relative. */
#ifndef THRUM_TIME_H
#define THRUM_TIME_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

#define THRUM_NANOSECOND UINT64_C(1)
#define THRUM_MICROSECOND (UINT64_C(1000) * THRUM_NANOSECOND)
#define THRUM_MILLISECOND (UINT64_C(1000) * THRUM_MICROSECOND)
#define THRUM_SECOND (UINT64_C(1000) * THRUM_MILLISECOND)

/* A deadline that never comes. */
#define THRUM_NEVER UINT64_MAX

/* The monotonic clock now.
 *
 * Context: any thread. */
THRUM_API uint64_t thrum_now(void);

THRUM_END_DECLS

#endif
