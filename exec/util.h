/* SPDX-License-Identifier: MIT */
/* Small things that every file of the library uses. */
#ifndef THR_EXEC_UTIL_H
#define THR_EXEC_UTIL_H

#include <stddef.h>

#define THR_NOINLINE __attribute__((noinline))
#define THR_NORETURN __attribute__((noreturn))
#define THR_LIKELY(x) __builtin_expect(!!(x), 1)
#define THR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define THR_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* The object that holds `member` at address ptr. */
#define THR_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Prints "thrum: FILE:LINE: what" and aborts: for bugs, the caller's or ours, never for input or lack of memory. */
THR_NORETURN void thr_panic(const char *file, int line, const char *what);

/* Stays on in release: cheap conditions only. */
#define THR_ASSERT(x)                                                                              \
    (THR_LIKELY(x) ? (void)0 : thr_panic(__FILE__, __LINE__, "assertion failed: " #x))

/* For conditions that cost something; off when NDEBUG is defined. */
#ifdef NDEBUG
#define THR_DEBUG_ASSERT(x) ((void)0)
#else
#define THR_DEBUG_ASSERT(x) THR_ASSERT(x)
#endif

#endif
