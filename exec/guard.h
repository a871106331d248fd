/* SPDX-License-Identifier: MIT */
/* exec/guard.h: what lies below a stack, so that an overflow faults instead of writing into the neighbour.
 *
 * Guards are made with MADV_GUARD_INSTALL (Linux 6.13), which needs no mapping of its own: many in one call where the
 * kernel lets a process advise itself (process_madvise(2); a third less than one call each). On older kernels they are
 * made with mprotect, up to a budget, since each costs two of the mappings that vm.max_map_count limits, and the program
 * wants some too; beyond that there is a canary, a known value right below the stack, checked when it is given back.
 *
 * Guards survive MADV_DONTNEED and fork. */
#ifndef THR_EXEC_GUARD_H
#define THR_EXEC_GUARD_H

#include <stdbool.h>
#include <stddef.h>

enum {
    THR_GUARD_BYTES = 16 * 1024, /* a frame is smaller, or touches each of its pages in turn */
    THR_GUARD_BATCH = 32,
};

/* Makes n guards (at most THR_GUARD_BATCH), the i-th at first + i * stride. Must come before the first touch of them.
 * Returns: how many there are now, the first ones; the others need a canary. Context: any thread. */
size_t thr_guard_install(char *first, size_t stride, size_t n);

/* So many guards were unmapped. */
void thr_guard_gone(size_t n);

/* The canary of the stack whose lowest byte is at bottom: what an overflow writes to first. */
void thr_canary_set(char *bottom);
bool thr_canary_is_whole(const char *bottom);

#endif
