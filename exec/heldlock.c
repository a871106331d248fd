/* SPDX-License-Identifier: MIT */
/* Compiled in debug builds alone: heldlock.h. */
#include "exec/heldlock.h"

#ifdef THR_DEBUG_LOCKS /* else it is not compiled at all; checkers of source files come by without it */

#include "exec/atomic.h"
#include "exec/site.h"
#include "exec/task.h"
#include "exec/util.h"
#include "exec/worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { LOCKS_MAX = 16, FRAMES_MAX = 16, NAME_BYTES = 24 };

/* ---- What this thread's task holds ---- */

struct held {
    const volatile void *lock;
    void *frames[FRAMES_MAX]; /* where it was locked */
    int frames_n, own_n;      /* the first own_n are this file's */
    char task[NAME_BYTES];    /* a copy: the task may be gone when this is read */
};

struct table {
    unsigned n;
    bool busy; /* a lock that is taken while one is noted is not the task's */
    struct held held[LOCKS_MAX];
};

/* Touched by functions that do not suspend, and through the accessor alone. */
static __thread struct table table_self;

static THR_NOINLINE struct table *table(void)
{
    __asm__ volatile("" ::: "memory");
    return &table_self;
}

static const char *name_of(const struct thrum_task *task)
{
    return task->name ? task->name : "(no name)";
}

/* How many frames lie above the one that goes on at `caller`. */
static int frames_above(void *const *frames, int frames_n, const void *caller)
{
    for (int i = 0; i < frames_n; i++)
        if (frames[i] == caller)
            return i;
    return 0;
}

/* More locks than there is room for are not noted: a program that holds so many is told of the others. */
static THR_NOINLINE void note(const volatile void *lock, const void *caller)
{
    const struct thr_worker *w = thr_worker_self();
    struct table *t = table();
    if (!w || !w->current || t->busy || t->n == LOCKS_MAX)
        return; /* H3 */
    t->busy = true;
    struct held *h = &t->held[t->n];
    h->lock = lock;
    h->frames_n = backtrace(h->frames, FRAMES_MAX);
    h->own_n = frames_above(h->frames, h->frames_n, caller);
    snprintf(h->task, sizeof(h->task), "%s", name_of(w->current));
    t->n++;
    t->busy = false;
}

/* The newest note of the lock: a recursive one has several. */
static THR_NOINLINE void forget(const volatile void *lock)
{
    struct table *t = table();
    for (unsigned i = t->n; i-- > 0;) {
        if (t->held[i].lock != lock)
            continue;
        t->n--;
        memmove(&t->held[i], &t->held[i + 1], (t->n - i) * sizeof(t->held[0]));
        return;
    }
}

/* What a lock call returned, after noting that it got the lock. */
static int noted(const volatile void *lock, int err, const void *caller)
{
    if (err == 0 || err == EOWNERDEAD)
        note(lock, caller);
    return err;
}

/* ---- The report ---- */

static void print_stack(void *const *frames, int frames_n, int own_n)
{
    backtrace_symbols_fd(frames + own_n, frames_n - own_n, STDERR_FILENO);
}

static void report(const struct held *h, const struct thrum_task *task, const void *caller)
{
    void *here[FRAMES_MAX];
    int here_n = backtrace(here, FRAMES_MAX);
    const thrum_site *site = thr_site_at(task->site);
    dprintf(STDERR_FILENO, "thrum: task \"%s\"", name_of(task));
    if (site)
        dprintf(STDERR_FILENO, " (spawned at %s:%u)", site->file, site->line);
    dprintf(STDERR_FILENO, " suspends while lock %p is held. It was locked, in task \"%s\", at\n",
            (const void *)(uintptr_t)h->lock, h->task);
    print_stack(h->frames, h->frames_n, h->own_n);
    dprintf(STDERR_FILENO, "thrum: and the task suspends at\n");
    print_stack(here, here_n, frames_above(here, here_n, caller));
}

static bool goes_on(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): only a program that changes its environment meanwhile could harm it */
    const char *env = getenv("THRUM_HELD_LOCKS");
    return env && strcmp(env, "warn") == 0;
}

THR_NOINLINE void thr_heldlock_check(void)
{
    struct table *t = table();
    if (THR_LIKELY(t->n == 0))
        return;
    t->busy = true;
    for (unsigned i = 0; i < t->n; i++)
        report(&t->held[i], thr_task_self(), __builtin_return_address(0));
    dprintf(STDERR_FILENO,
            "thrum: docs/tasks.md, Locks, says why it must not; THRUM_HELD_LOCKS=warn "
            "goes on all the same\n");
    if (!goes_on())
        abort();
    t->n = 0; /* reported once; and other tasks run here now */
    t->busy = false;
}

/* ---- Standing before the C library ---- */

/* Function pointers of the C library, found at the first call: by the loader, or by another library's constructor. */
enum real {
    MUTEX_LOCK,
    MUTEX_TRYLOCK,
    MUTEX_TIMEDLOCK,
    MUTEX_CLOCKLOCK,
    MUTEX_UNLOCK,
    RDLOCK,
    TRYRDLOCK,
    TIMEDRDLOCK,
    CLOCKRDLOCK,
    WRLOCK,
    TRYWRLOCK,
    TIMEDWRLOCK,
    CLOCKWRLOCK,
    RW_UNLOCK,
    SPIN_LOCK,
    SPIN_TRYLOCK,
    SPIN_UNLOCK,
    MTX_LOCK,
    MTX_TRYLOCK,
    MTX_TIMEDLOCK,
    MTX_UNLOCK,
    REAL_N
};

static const char *const names[REAL_N] = {
    [MUTEX_LOCK] = "pthread_mutex_lock",
    [MUTEX_TRYLOCK] = "pthread_mutex_trylock",
    [MUTEX_TIMEDLOCK] = "pthread_mutex_timedlock",
    [MUTEX_CLOCKLOCK] = "pthread_mutex_clocklock",
    [MUTEX_UNLOCK] = "pthread_mutex_unlock",
    [RDLOCK] = "pthread_rwlock_rdlock",
    [TRYRDLOCK] = "pthread_rwlock_tryrdlock",
    [TIMEDRDLOCK] = "pthread_rwlock_timedrdlock",
    [CLOCKRDLOCK] = "pthread_rwlock_clockrdlock",
    [WRLOCK] = "pthread_rwlock_wrlock",
    [TRYWRLOCK] = "pthread_rwlock_trywrlock",
    [TIMEDWRLOCK] = "pthread_rwlock_timedwrlock",
    [CLOCKWRLOCK] = "pthread_rwlock_clockwrlock",
    [RW_UNLOCK] = "pthread_rwlock_unlock",
    [SPIN_LOCK] = "pthread_spin_lock",
    [SPIN_TRYLOCK] = "pthread_spin_trylock",
    [SPIN_UNLOCK] = "pthread_spin_unlock",
    [MTX_LOCK] = "mtx_lock",
    [MTX_TRYLOCK] = "mtx_trylock",
    [MTX_TIMEDLOCK] = "mtx_timedlock",
    [MTX_UNLOCK] = "mtx_unlock",
};

static thr_aptr reals[REAL_N]; /* several threads may find the same */

static void *real(enum real which)
{
    void *fn = thr_load(&reals[which], THR_RELAXED);
    if (THR_UNLIKELY(!fn)) {
        fn = dlsym(RTLD_NEXT, names[which]);
        THR_ASSERT(fn); /* called although the C library has none */
        thr_store(&reals[which], fn, THR_RELAXED);
    }
    return fn;
}

/* backtrace() loads libgcc at its first call: before any lock of a task. */
__attribute__((constructor)) static void prime(void)
{
    void *frames[2];
    (void)backtrace(frames, THR_COUNT_OF(frames));
}

#define STAND_BEFORE __attribute__((visibility("default"))) int
#define CALLER __builtin_return_address(0)

/* name(lock, ...) as the C library has it, but noted if it gets the lock. */
#define ACQUIRE(which, name, type)                                                                 \
    STAND_BEFORE name(type *lock)                                                                  \
    {                                                                                              \
        return noted(lock, ((int (*)(type *))real(which))(lock), CALLER);                          \
    }
#define ACQUIRE_UNTIL(which, name, type)                                                           \
    STAND_BEFORE name(type *restrict lock, const struct timespec *restrict until)                  \
    {                                                                                              \
        int (*fn)(type *restrict, const struct timespec *restrict) =                               \
            (int (*)(type *restrict, const struct timespec *restrict))real(which);                 \
        return noted(lock, fn(lock, until), CALLER);                                               \
    }
#define ACQUIRE_CLOCK(which, name, type)                                                           \
    STAND_BEFORE name(type *restrict lock, clockid_t clock, const struct timespec *restrict until) \
    {                                                                                              \
        int (*fn)(type *restrict, clockid_t, const struct timespec *restrict) =                    \
            (int (*)(type *restrict, clockid_t, const struct timespec *restrict))real(which);      \
        return noted(lock, fn(lock, clock, until), CALLER);                                        \
    }
#define RELEASE(which, name, type)                                                                 \
    STAND_BEFORE name(type *lock)                                                                  \
    {                                                                                              \
        forget(lock); /* first: another thread may have it, and free it, afterwards */             \
        return ((int (*)(type *))real(which))(lock);                                               \
    }

ACQUIRE(MUTEX_LOCK, pthread_mutex_lock, pthread_mutex_t)
ACQUIRE(MUTEX_TRYLOCK, pthread_mutex_trylock, pthread_mutex_t)
ACQUIRE_UNTIL(MUTEX_TIMEDLOCK, pthread_mutex_timedlock, pthread_mutex_t)
ACQUIRE_CLOCK(MUTEX_CLOCKLOCK, pthread_mutex_clocklock, pthread_mutex_t)
RELEASE(MUTEX_UNLOCK, pthread_mutex_unlock, pthread_mutex_t)

ACQUIRE(RDLOCK, pthread_rwlock_rdlock, pthread_rwlock_t)
ACQUIRE(TRYRDLOCK, pthread_rwlock_tryrdlock, pthread_rwlock_t)
ACQUIRE_UNTIL(TIMEDRDLOCK, pthread_rwlock_timedrdlock, pthread_rwlock_t)
ACQUIRE_CLOCK(CLOCKRDLOCK, pthread_rwlock_clockrdlock, pthread_rwlock_t)
ACQUIRE(WRLOCK, pthread_rwlock_wrlock, pthread_rwlock_t)
ACQUIRE(TRYWRLOCK, pthread_rwlock_trywrlock, pthread_rwlock_t)
ACQUIRE_UNTIL(TIMEDWRLOCK, pthread_rwlock_timedwrlock, pthread_rwlock_t)
ACQUIRE_CLOCK(CLOCKWRLOCK, pthread_rwlock_clockwrlock, pthread_rwlock_t)
RELEASE(RW_UNLOCK, pthread_rwlock_unlock, pthread_rwlock_t)

ACQUIRE(SPIN_LOCK, pthread_spin_lock, pthread_spinlock_t)
ACQUIRE(SPIN_TRYLOCK, pthread_spin_trylock, pthread_spinlock_t)
RELEASE(SPIN_UNLOCK, pthread_spin_unlock, pthread_spinlock_t)

ACQUIRE(MTX_LOCK, mtx_lock, mtx_t)
ACQUIRE(MTX_TRYLOCK, mtx_trylock, mtx_t)
ACQUIRE_UNTIL(MTX_TIMEDLOCK, mtx_timedlock, mtx_t)
RELEASE(MTX_UNLOCK, mtx_unlock, mtx_t)

#endif
