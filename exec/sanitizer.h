/* SPDX-License-Identifier: MIT */
/* exec/sanitizer.h: tells AddressSanitizer and ThreadSanitizer of stacks and switches. The one place that knows them:
 * without a sanitizer all of this is nothing. */
#ifndef THR_EXEC_SANITIZER_H
#define THR_EXEC_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define THR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define THR_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define THR_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THR_TSAN 1
#endif
#endif

#ifdef THR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef THR_TSAN
#include <sanitizer/tsan_interface.h>
void __tsan_func_exit(void); /* what the compiler calls at the end of each instrumented function */
#endif

/* True if the sanitizer has its own handlers for faults. */
static inline bool thr_sanitizer_reports_faults(void)
{
#if defined(THR_ASAN) || defined(THR_TSAN)
    return true;
#else
    return false;
#endif
}

/* Before a switch to the stack [bottom, bottom + bytes). *fake keeps what AddressSanitizer needs to come back; NULL says
 * that the running stack is left for good. */
static inline void thr_asan_leave(void **fake, const void *bottom, size_t bytes)
{
#ifdef THR_ASAN
    __sanitizer_start_switch_fiber(fake, bottom, bytes);
#else
    (void)fake, (void)bottom, (void)bytes;
#endif
}

/* After a switch, on the new stack; fake is NULL on a stack that is entered for the first time. */
static inline void thr_asan_arrive(void *fake)
{
#ifdef THR_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#else
    (void)fake;
#endif
}

/* A stack is taken up again: whatever its last user's frames left poisoned is clean now. */
static inline void thr_asan_reuse(void *bottom, size_t bytes)
{
#ifdef THR_ASAN
    __asan_unpoison_memory_region(bottom, bytes);
#else
    (void)bottom, (void)bytes;
#endif
}

/* ThreadSanitizer sees each stack as a fiber, from its first use on, whatever tasks run there one after the other. */
static inline void *thr_tsan_fiber_new(void)
{
#ifdef THR_TSAN
    return __tsan_create_fiber(0);
#else
    return NULL;
#endif
}

static inline void thr_tsan_fiber_free(void *fiber)
{
#ifdef THR_TSAN
    if (fiber)
        __tsan_destroy_fiber(fiber);
#else
    (void)fiber;
#endif
}

static inline void *thr_tsan_fiber_self(void)
{
#ifdef THR_TSAN
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

/* Directly before the switch. It also orders what the two fibers do, as the one thread beneath them does. */
static inline void thr_tsan_switch(void *fiber)
{
#ifdef THR_TSAN
    __tsan_switch_to_fiber(fiber, 0);
#else
    (void)fiber;
#endif
}

/* A stack is about to be left for good from within `frames` functions that will not return: without this each use of the
 * stack would leave them on ThreadSanitizer's own call stack, which is bounded. */
static inline void thr_tsan_leave_frames(int frames)
{
#ifdef THR_TSAN
    for (int i = 0; i < frames; i++)
        __tsan_func_exit();
#else
    (void)frames;
#endif
}

#endif
