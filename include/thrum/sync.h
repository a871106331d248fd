/* SPDX-License-Identifier: MIT */
/* Locks and events between tasks. All live in the caller's storage, and start from zero or their initialiser; none
 * allocates, and none needs an end: when no task waits on it the storage may be reused.
 *
 * Every wait ends with 0, -ECANCELED or -ETIMEDOUT (an enclosing deadline); a wait that ended in failure has taken
 * nothing, so no lock or permit is lost to a deadline or a cancel. */
#ifndef THRUM_SYNC_H
#define THRUM_SYNC_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

/* What a primitive's waiters are kept in; private to the library. */
struct thrum_waitq {
    uint32_t lock;
    uint32_t extra;
    void *head, *tail;
};

/* A mutex that suspends the task, not the thread. First come, first served when contended. Not recursive. */
typedef struct thrum_mutex {
    struct thrum_waitq q;
} thrum_mutex;
#define THRUM_MUTEX_INIT                                                                           \
    {                                                                                              \
        {                                                                                          \
            0, 0, NULL, NULL                                                                       \
        }                                                                                          \
    }

/* Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_mutex_lock(thrum_mutex *m);
/* Locks even in a cancelled scope: for clean-up. Context: task. Suspends. */
THRUM_API void thrum_mutex_lock_shielded(thrum_mutex *m);
/* Returns: true if it is now the caller's. Context: task. Does not suspend. */
THRUM_API bool thrum_mutex_trylock(thrum_mutex *m);
/* Context: the task that holds it. Does not suspend. */
THRUM_API void thrum_mutex_unlock(thrum_mutex *m);

/* An event: once set it stays set, and every wait returns at once, until it is cleared. */
typedef struct thrum_event {
    struct thrum_waitq q;
} thrum_event;
#define THRUM_EVENT_INIT                                                                           \
    {                                                                                              \
        {                                                                                          \
            0, 0, NULL, NULL                                                                       \
        }                                                                                          \
    }

/* Sets it and wakes all who wait. What the caller wrote before is visible to who wakes.
 * Context: task or any thread. Does not suspend. */
THRUM_API void thrum_event_set(thrum_event *e);
/* Context: task or any thread. Does not suspend. */
THRUM_API void thrum_event_clear(thrum_event *e);
THRUM_API bool thrum_event_is_set(thrum_event *e);
/* Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_event_wait(thrum_event *e);

/* A counting semaphore. First come, first served. */
typedef struct thrum_sem {
    struct thrum_waitq q;
} thrum_sem;
#define THRUM_SEM_INIT(permits)                                                                    \
    {                                                                                              \
        {                                                                                          \
            0, (permits), NULL, NULL                                                               \
        }                                                                                          \
    }

/* For storage that cannot be initialised statically. Context: any thread. */
THRUM_API void thrum_sem_init(thrum_sem *s, uint32_t permits);
/* Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_sem_acquire(thrum_sem *s);
/* Returns: true if a permit was taken. Context: task or any thread. Does not suspend. */
THRUM_API bool thrum_sem_try_acquire(thrum_sem *s);
/* Context: task or any thread. Does not suspend. */
THRUM_API void thrum_sem_release(thrum_sem *s);

/* A wait group: a count of things not done yet; wait returns when it is zero. */
typedef struct thrum_wait_group {
    struct thrum_waitq q;
} thrum_wait_group;
#define THRUM_WAIT_GROUP_INIT                                                                      \
    {                                                                                              \
        {                                                                                          \
            0, 0, NULL, NULL                                                                       \
        }                                                                                          \
    }

/* Context: task or any thread. Does not suspend. */
THRUM_API void thrum_wait_group_add(thrum_wait_group *g, uint32_t n);
THRUM_API void thrum_wait_group_done(thrum_wait_group *g);
/* Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_wait_group_wait(thrum_wait_group *g);

THRUM_END_DECLS

#endif
