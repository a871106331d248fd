/* SPDX-License-Identifier: MIT */
/* A watched variable: the latest value only, as Tokio's watch: configuration, state, progress. Whoever waits for a change
 * sees the latest value, perhaps not each one between, but never misses the last; reading takes no lock, so that many tasks
 * can look at it all the time.
 *
 *     static struct config config = {.level = 3};
 *     static thrum_watch watch = THRUM_WATCH_INIT(config); // from now on used through the watch alone
 *
 *     uint64_t seen = 0;                                   // nothing seen yet: the first wait returns at once
 *     struct config mine;
 *     while (thrum_watch_wait(&watch, &seen, &mine) == 0)
 *         apply(&mine);
 *
 * In the caller's storage with its variable; never moved in use; it allocates nothing and needs no end: when no call is in
 * progress the storage may be reused. */
#ifndef THRUM_WATCH_H
#define THRUM_WATCH_H

#include <thrum/common.h>
#include <thrum/sync.h>

THRUM_BEGIN_DECLS

typedef struct thrum_watch {
    /* Private to the library. */
    struct thrum_waitq q;
    uint64_t sequence;
    void *value;
    size_t bytes;
} thrum_watch;

/* Watches the variable, of any type that can be copied; its value counts as version 1. A variable that is larger than
 * a few hundred bytes is better watched through a pointer, or its copies cost more than the waiting. */
/* clang-format off */
#define THRUM_WATCH_INIT(variable) {THRUM_WAITQ_INIT(0), 2, &(variable), sizeof(variable)}
/* clang-format on */

/* The same for storage that cannot be initialised statically.
 *
 * Owns:    value's storage, of `bytes` bytes, is the caller's, and from now on only the watch's to read and write.
 * Context: any thread, before anybody else uses the watch. Does not suspend. */
THRUM_API void thrum_watch_init(thrum_watch *w, void *value, size_t bytes);

/* Stores a copy of *value as the next version and wakes all who wait, also if it is equal to the one before.
 *
 * Returns: 0, THRUM_ECLOSED (nothing was stored).
 * Context: any thread. Does not suspend. */
THRUM_API int thrum_watch_set(thrum_watch *w, const void *value);

/* Copies the latest value to *value (unless NULL): one version as a whole, however many set it meanwhile. Also when it is
 * closed.
 *
 * Returns: its version, 1 or more.
 * Context: any thread. Does not suspend. */
THRUM_API uint64_t thrum_watch_get(thrum_watch *w, void *value);

/* Waits until the version is another than *seen (0: as if nothing was seen), then copies the latest value to *value (unless
 * NULL) and stores its version in *seen.
 *
 * Returns: 0; THRUM_ECLOSED (closed, and the last version is seen), -ECANCELED, -ETIMEDOUT: *seen and *value are then as
 *          they were.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_watch_wait(thrum_watch *w, uint64_t *seen, void *value);

/* No more versions: those who wait get THRUM_ECLOSED once they have seen the last.
 *
 * Context: any thread. Does not suspend. */
THRUM_API void thrum_watch_close(thrum_watch *w);

THRUM_END_DECLS

#endif
