/* SPDX-License-Identifier: MIT */
#include "exec/guard.h"

#include "exec/atomic.h"
#include "exec/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

enum {
    SELF =
        -10000, /* PIDFD_SELF_THREAD, Linux 6.14: no descriptor that a fork would leave pointing at the parent */
    MAPS_DEFAULT = 65530, /* of vm.max_map_count */
    MAPS_PER_GUARD = 4,   /* each takes two; the other half is the program's */
};

static const uint64_t CANARY = UINT64_C(0x5AFE57AC4E0F7A11);

/* What is known of MADV_GUARD_INSTALL, one at a time and many at once. Two threads that find out together find the same. */
enum { UNTRIED, WORKS, MISSING };
static thr_au32 guard_install, guard_batch;
static thr_au32 mprotect_guards_n;
static thr_au32 mprotect_guards_max; /* 0: not asked yet */

/* ---- With mprotect ---- */

static uint32_t maps_max(void)
{
    char text[32];
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return MAPS_DEFAULT;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    unsigned long max = strtoul(text, NULL, 10);
    return max == 0 || max > UINT32_MAX ? MAPS_DEFAULT : (uint32_t)max;
}

static uint32_t mprotect_budget(void)
{
    uint32_t max = thr_load(&mprotect_guards_max, THR_RELAXED);
    if (max == 0) {
        max = maps_max() / MAPS_PER_GUARD + 1;
        thr_store(&mprotect_guards_max, max, THR_RELAXED);
    }
    return max;
}

static bool guard_by_mprotect(char *at)
{
    uint32_t max = mprotect_budget();
    if (thr_fetch_add(&mprotect_guards_n, 1, THR_RELAXED) < max &&
        mprotect(at, THR_GUARD_BYTES, PROT_NONE) == 0)
        return true;
    thr_fetch_sub(&mprotect_guards_n, 1, THR_RELAXED);
    static thr_au32 warned;
    if (!thr_xchg(&warned, 1, THR_RELAXED))
        fprintf(
            stderr,
            "thrum: %u task stacks have a guard page; further ones have none, only a check when "
            "the task ends. Raise the sysctl vm.max_map_count, or use Linux 6.13, where guards "
            "need no mappings\n",
            thr_load(&mprotect_guards_n, THR_RELAXED));
    return false;
}

/* ---- With MADV_GUARD_INSTALL ---- */

/* Emulators take any advice for good and do nothing: so once in a process the kernel is asked to read a path there. */
static THR_NOINLINE bool cannot_be_read(const char *at)
{
    return access(at, F_OK) != 0 && errno == EFAULT;
}

static bool guard_one(char *at)
{
    uint32_t known = thr_load(&guard_install, THR_RELAXED);
    if (known != MISSING && madvise(at, THR_GUARD_BYTES, MADV_GUARD_INSTALL) == 0) {
        if (known == WORKS)
            return true;
        known = cannot_be_read(at) ? WORKS : MISSING;
        thr_store(&guard_install, known, THR_RELAXED);
        if (known == WORKS)
            return true;
    } else if (known == UNTRIED) {
        thr_store(&guard_install, MISSING, THR_RELAXED);
    }
    return guard_by_mprotect(at);
}

/* Only once single ones are known to work: then what the call reports can be believed. */
static bool guard_many(char *first, /* NOLINT(readability-non-const-parameter): it is advised on */
                       size_t stride, size_t n)
{
    struct iovec ranges[THR_GUARD_BATCH];
    if (n < 2 || thr_load(&guard_install, THR_RELAXED) != WORKS ||
        thr_load(&guard_batch, THR_RELAXED) == MISSING)
        return false;
    for (size_t i = 0; i < n; i++)
        ranges[i] = (struct iovec){first + i * stride, THR_GUARD_BYTES};
    long done = syscall(SYS_process_madvise, SELF, ranges, n, MADV_GUARD_INSTALL, 0U);
    if (done == (long)(n * THR_GUARD_BYTES))
        return true;
    if (done < 0 && errno != ENOMEM && errno != EINTR && errno != EAGAIN)
        thr_store(&guard_batch, MISSING, THR_RELAXED);
    return false; /* those that were made may be made once more */
}

size_t thr_guard_install(char *first, size_t stride, size_t n)
{
    size_t done = 0;
    if (n > 0 && thr_load(&guard_install, THR_RELAXED) == UNTRIED && guard_one(first))
        done = 1;
    if (guard_many(first + done * stride, stride, n - done))
        return n;
    while (done < n && guard_one(first + done * stride))
        done++;
    return done;
}

void thr_guard_gone(size_t n)
{
    if (thr_load(&guard_install, THR_RELAXED) == MISSING)
        thr_fetch_sub(&mprotect_guards_n, (uint32_t)n, THR_RELAXED);
}

/* ---- Canaries ---- */

void thr_canary_set(char *bottom)
{
    memcpy(bottom - sizeof(CANARY), &CANARY, sizeof(CANARY));
}

bool thr_canary_is_whole(const char *bottom)
{
    return memcmp(bottom - sizeof(CANARY), &CANARY, sizeof(CANARY)) == 0;
}
