/* SPDX-License-Identifier: MIT */
/* exec/atomic.h: every atomic of exec and io goes through here.
 *
 * One place to state it means one place to replace: a controller that runs the scheduler's virtual workers under a
 * seed, or a model checker, needs to see each access. The wrappers are structs, so that a plain access does not compile;
 * they have no padding and no special layout, so that public storage (struct thrum_waitq) can hold one. */
#ifndef THR_EXEC_ATOMIC_H
#define THR_EXEC_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t v;
} thr_au8;
typedef struct {
    uint32_t v;
} thr_au32;
typedef struct {
    uint64_t v;
} thr_au64;
typedef struct {
    int64_t v;
} thr_ai64;
typedef struct {
    size_t v;
} thr_asize;
typedef struct {
    void *v;
} thr_aptr;

#define THR_RELAXED __ATOMIC_RELAXED
#define THR_ACQUIRE __ATOMIC_ACQUIRE
#define THR_RELEASE __ATOMIC_RELEASE
#define THR_ACQ_REL __ATOMIC_ACQ_REL
#define THR_SEQ_CST __ATOMIC_SEQ_CST

/* a is a pointer to one of the wrappers, order one of the above. */
#define thr_load(a, order) __atomic_load_n(&(a)->v, order)
#define thr_store(a, value, order) __atomic_store_n(&(a)->v, (value), order)
#define thr_xchg(a, value, order) __atomic_exchange_n(&(a)->v, (value), order)
#define thr_fetch_add(a, n, order) __atomic_fetch_add(&(a)->v, (n), order)
#define thr_fetch_sub(a, n, order) __atomic_fetch_sub(&(a)->v, (n), order)
#define thr_fetch_or(a, bits, order) __atomic_fetch_or(&(a)->v, (bits), order)
#define thr_fetch_and(a, bits, order) __atomic_fetch_and(&(a)->v, (bits), order)

/* Compare and swap; on failure *expected has what was there. The weak form may fail for no reason: for loops. */
#define thr_cas(a, expected, desired, success, failure)                                            \
    __atomic_compare_exchange_n(&(a)->v, (expected), (desired), false, success, failure)
#define thr_cas_weak(a, expected, desired, success, failure)                                       \
    __atomic_compare_exchange_n(&(a)->v, (expected), (desired), true, success, failure)

/* A counter that one thread writes and others may read at any time: no read-modify-write needed. */
#define thr_count(a, n) thr_store((a), thr_load((a), THR_RELAXED) + (n), THR_RELAXED)

/* A full fence. Orders on accesses are preferred, since ThreadSanitizer does not see fences (gcc even refuses the builtin
 * with it); fence.h has its use. */
static inline void thr_fence_full(void)
{
#if defined(__x86_64__)
    __asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc"); /* half the cost of mfence */
#elif defined(__aarch64__)
    __asm__ volatile("dmb ish" ::: "memory");
#endif
}

/* Tells the processor that this is a spinning loop. */
static inline void thr_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

/* The distance at which two threads' writes do not disturb each other (two lines: prefetchers fetch pairs). */
#define THR_CACHE_LINE 64
#define THR_APART _Alignas(2 * THR_CACHE_LINE)

#endif
