/* SPDX-License-Identifier: MIT */
/* Locks and meetings between tasks: mutex, readers-writer lock, condition variable, semaphore, event, wait group, latch,
 * barrier, once.
 *
 * All live in the caller's storage, start from their initialiser (those from zero that take no number), allocate nothing
 * and need no end: when no call is in progress on one its storage may be reused, and a call that waited, or found what it
 * would wait for, returns only when those who made it so are out of the object. They must not be moved or copied in use.
 *
 * A wait is bounded by the enclosing thrum_timeout and ended by cancel: it then returns -ETIMEDOUT or -ECANCELED and has
 * taken nothing, so no lock, permit or signal is lost. One that was served in the same moment has succeeded. In a
 * cancelled scope every call that may suspend returns -ECANCELED at once; what can be had without waiting is had even after
 * the deadline has passed.
 *
 * `Context: any thread` means tasks, and threads that run none, such as a program's own: they may set, release, signal and
 * try, but only a task can wait. */
#ifndef THRUM_SYNC_H
#define THRUM_SYNC_H

#include <thrum/common.h>
#include <thrum/runtime.h>

THRUM_BEGIN_DECLS

/* What a primitive's waiters are kept in; private to the library. */
struct thrum_waitq {
    uint32_t lock;
    uint32_t extra;
    void *head, *tail;
};
/* clang-format off */
#define THRUM_WAITQ_INIT(extra) {0, (extra), NULL, NULL}

/* ---- Mutex ------------------------------------------------------------------------------------------------------- */

/* A mutex that suspends the task, not the thread. Not recursive.
 *
 * Those that wait are woken in the order in which they came. A task that comes by while it is free may take it before
 * them, which spares a switch; but from when a task is the first that waits it is unlocked at most THRUM_MUTEX_PASSES_MAX
 * times for such others, then it is kept for that task. So nobody waits for ever, however the others behave. */
typedef struct thrum_mutex {
    struct thrum_waitq q;
} thrum_mutex;
#define THRUM_MUTEX_INIT {THRUM_WAITQ_INIT(0)}
/* clang-format on */

enum { THRUM_MUTEX_PASSES_MAX = 64 };

/* Returns: 0: it is the caller's; -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_mutex_lock(thrum_mutex *m);

/* Locks it whatever cancel or deadline there is: for clean-up. Context: task. Suspends. */
THRUM_API void thrum_mutex_lock_shielded(thrum_mutex *m);

/* Returns: true if it is now the caller's; false if somebody has it. Context: any thread. Does not suspend. */
THRUM_API THRUM_MUST_CHECK bool thrum_mutex_trylock(thrum_mutex *m);

/* Unlocking one that is not locked ends the process with a message.
 *
 * Context: any thread, on behalf of who locked it. Does not suspend. */
THRUM_API void thrum_mutex_unlock(thrum_mutex *m);

/* ---- Readers-writer lock ----------------------------------------------------------------------------------------- */

/* Many readers or one writer. Neither recursive nor upgradable: a reader that waits for it again may wait for a writer that
 * waits for the reader.
 *
 * Writers go first: as soon as a writer waits, readers that come later wait as well. When a writer is done all readers that
 * wait by then go before the next writer. So a reader waits for at most one writer, and a writer for those writers that
 * came before it and for at most one group of readers before each. */
typedef struct thrum_rwlock {
    struct thrum_waitq q;
    void *readers_head, *readers_tail;
} thrum_rwlock;
/* clang-format off */
#define THRUM_RWLOCK_INIT {THRUM_WAITQ_INIT(0), NULL, NULL}
/* clang-format on */

/* Returns: 0: the caller may read; -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_rwlock_read_lock(thrum_rwlock *l);

/* Returns: 0: the caller may write; -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_rwlock_write_lock(thrum_rwlock *l);

/* The same whatever cancel or deadline there is: for clean-up. Context: task. Suspend. */
THRUM_API void thrum_rwlock_read_lock_shielded(thrum_rwlock *l);
THRUM_API void thrum_rwlock_write_lock_shielded(thrum_rwlock *l);

/* Returns: true if the caller may read; false if a writer has it or anybody waits. Context: any thread. Does not suspend. */
THRUM_API THRUM_MUST_CHECK bool thrum_rwlock_try_read_lock(thrum_rwlock *l);

/* Returns: true if the caller may write; false if anybody has it. Context: any thread. Does not suspend. */
THRUM_API THRUM_MUST_CHECK bool thrum_rwlock_try_write_lock(thrum_rwlock *l);

/* Each read_lock is ended with a read_unlock, each write_lock with a write_unlock. Another one ends the process with a
 * message.
 *
 * Context: any thread, on behalf of who locked it. Do not suspend. */
THRUM_API void thrum_rwlock_read_unlock(thrum_rwlock *l);
THRUM_API void thrum_rwlock_write_unlock(thrum_rwlock *l);

/* ---- Condition variable ------------------------------------------------------------------------------------------ */

/* Waiting until something that a mutex guards has changed. */
typedef struct thrum_cond {
    struct thrum_waitq q;
} thrum_cond;
/* clang-format off */
#define THRUM_COND_INIT {THRUM_WAITQ_INIT(0)}
/* clang-format on */

/* Unlocks m, waits for a signal, locks m again. m is held on every return, also after a cancel or a deadline; to get it
 * back takes as long as others hold it.
 *
 * There are no wake-ups without a signal, but what was signalled may be gone again before m is back: so call it in a loop
 * that looks. A return of 0 has used up one signal.
 *
 * Returns: 0, -ECANCELED (m was not even unlocked if that was so before), -ETIMEDOUT.
 * Context: the task that holds m. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_cond_wait(thrum_cond *c, thrum_mutex *m);

/* Wakes the task that has waited longest; nothing if none waits. If a deadline or cancel ended that one's wait in the same
 * moment the signal goes to the next.
 *
 * A signal cannot be missed by a task that looked with the mutex held before the caller changed what it looks at with the
 * mutex held. Without the mutex it can.
 *
 * Context: any thread, with or without the mutex. Does not suspend. */
THRUM_API void thrum_cond_signal(thrum_cond *c);

/* Wakes all that wait. Context: as thrum_cond_signal(). Does not suspend. */
THRUM_API void thrum_cond_broadcast(thrum_cond *c);

/* ---- Semaphore --------------------------------------------------------------------------------------------------- */

/* A number of permits, at most INT32_MAX. First come, first served, also those who ask for many: while anybody waits
 * whoever comes later does, even for fewer. */
typedef struct thrum_sem {
    struct thrum_waitq q;
} thrum_sem;
/* clang-format off */
#define THRUM_SEM_INIT(permits) {THRUM_WAITQ_INIT(2u * (permits))}
/* clang-format on */

/* For storage that cannot be initialised statically. Context: any thread. */
THRUM_API void thrum_sem_init(thrum_sem *s, uint32_t permits);

/* Takes one permit, or n of them at once. If there never are n it waits for ever.
 *
 * Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_sem_acquire(thrum_sem *s);
THRUM_API THRUM_MUST_CHECK int thrum_sem_acquire_n(thrum_sem *s, uint32_t n);

/* Returns: true if the permits were taken; false if there are not so many, or others wait.
 * Context: any thread. Does not suspend. */
THRUM_API THRUM_MUST_CHECK bool thrum_sem_try_acquire(thrum_sem *s);
THRUM_API THRUM_MUST_CHECK bool thrum_sem_try_acquire_n(thrum_sem *s, uint32_t n);

/* Gives one permit, or n, whether or not the caller took any. More than INT32_MAX in all end the process with a message.
 *
 * Context: any thread. Does not suspend. */
THRUM_API void thrum_sem_release(thrum_sem *s);
THRUM_API void thrum_sem_release_n(thrum_sem *s, uint32_t n);

/* ---- Event ------------------------------------------------------------------------------------------------------- */

/* Once set it stays set, and every wait returns at once, until it is cleared. */
typedef struct thrum_event {
    struct thrum_waitq q;
} thrum_event;
/* clang-format off */
#define THRUM_EVENT_INIT {THRUM_WAITQ_INIT(0)}
/* clang-format on */

/* Sets it and wakes all who wait. What the caller wrote before is visible to who wakes.
 * Context: any thread. Does not suspend. */
THRUM_API void thrum_event_set(thrum_event *e);

/* Context: any thread. Does not suspend. */
THRUM_API void thrum_event_clear(thrum_event *e);

/* What was written before the set is visible if it is. Only thrum_event_wait() tells that who set it is out of it.
 * Context: any thread. Does not suspend. */
THRUM_API bool thrum_event_is_set(thrum_event *e);

/* Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_event_wait(thrum_event *e);

/* ---- Wait group -------------------------------------------------------------------------------------------------- */

/* A count of things not done yet, at most INT32_MAX; wait returns when it is zero. It may be used again and again. */
typedef struct thrum_wait_group {
    struct thrum_waitq q;
} thrum_wait_group;
/* clang-format off */
#define THRUM_WAIT_GROUP_INIT {THRUM_WAITQ_INIT(0)}
/* clang-format on */

/* n more things to wait for. Call it before the thing begins, not within it: the count might be zero meanwhile.
 * Context: any thread. Does not suspend. */
THRUM_API void thrum_wait_group_add(thrum_wait_group *g, uint32_t n);

/* One is done: what the caller wrote before is visible after the wait. More than were added end the process with a message.
 * Context: any thread. Does not suspend. */
THRUM_API void thrum_wait_group_done(thrum_wait_group *g);

/* Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_wait_group_wait(thrum_wait_group *g);

/* ---- Latch ------------------------------------------------------------------------------------------------------- */

/* Counts down once, from at most INT32_MAX, and is open for good at zero. */
typedef struct thrum_latch {
    struct thrum_waitq q;
} thrum_latch;
/* clang-format off */
#define THRUM_LATCH_INIT(n) {THRUM_WAITQ_INIT(2u * (n))}
/* clang-format on */

/* For storage that cannot be initialised statically. Context: any thread. */
THRUM_API void thrum_latch_init(thrum_latch *l, uint32_t n);

/* Counts n down. What the caller wrote before is visible after the wait. Below zero ends the process with a message.
 * Context: any thread. Does not suspend. */
THRUM_API void thrum_latch_down(thrum_latch *l, uint32_t n);

/* Only thrum_latch_wait() tells that who opened it is out of it. Context: any thread. Does not suspend. */
THRUM_API bool thrum_latch_is_open(thrum_latch *l);

/* Waits until it is open. Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_latch_wait(thrum_latch *l);

/* ---- Barrier ----------------------------------------------------------------------------------------------------- */

/* A place where `parties` tasks wait for each other, round after round.
 *
 * A party that a cancel or deadline takes away while it waits, or that comes cancelled, breaks the barrier, for the others
 * would wait in vain: they, and all who come later, get THRUM_ECLOSED until it is reset. All parties of a round pass or
 * none does: one whose deadline passes in the moment in which the last one arrives has passed. */
typedef struct thrum_barrier {
    struct thrum_waitq q;
    uint32_t parties;
} thrum_barrier;
/* clang-format off */
#define THRUM_BARRIER_INIT(parties) {THRUM_WAITQ_INIT(0), (parties)}
/* clang-format on */

/* For storage that cannot be initialised statically. parties: 1 or more. Context: any thread. */
THRUM_API void thrum_barrier_init(thrum_barrier *b, uint32_t parties);

/* Waits until all parties have come. What each wrote before is visible to all after it.
 *
 * Returns: 1 for one party of each round, the last to come; 0 for the others; -ECANCELED, -ETIMEDOUT; THRUM_ECLOSED: it is
 *          broken or was reset.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_barrier_wait(thrum_barrier *b);

/* Breaks it: who waits and who comes gets THRUM_ECLOSED. Context: any thread. Does not suspend. */
THRUM_API void thrum_barrier_break(thrum_barrier *b);

/* Makes it as new. Who waits gets THRUM_ECLOSED. Context: any thread. Does not suspend. */
THRUM_API void thrum_barrier_reset(thrum_barrier *b);

/* Context: any thread. Does not suspend. */
THRUM_API bool thrum_barrier_is_broken(thrum_barrier *b);

/* ---- Once -------------------------------------------------------------------------------------------------------- */

/* Something to be done once, by whoever needs it first. */
typedef struct thrum_once {
    struct thrum_waitq q;
} thrum_once;
/* clang-format off */
#define THRUM_ONCE_INIT {THRUM_WAITQ_INIT(0)}
/* clang-format on */

/* Calls fn(arg), unless such a call has succeeded before. While one is in fn, which may suspend, the others wait. If it
 * fails, with a negative value, the next in line tries with its own fn and arg; without one, whoever calls next.
 *
 * fn must not call this for the same object: it would wait for itself.
 *
 * Returns: 0: it is done, and what it wrote is visible; what fn returned if the caller's own call failed; -ECANCELED,
 *          -ETIMEDOUT while it waited.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_once_run(thrum_once *o, thrum_fn *fn, void *arg);

/* Context: any thread. Does not suspend. */
THRUM_API bool thrum_once_is_done(thrum_once *o);

THRUM_END_DECLS

#endif
