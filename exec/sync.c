/* SPDX-License-Identifier: MIT */
/* Mutex, event, semaphore and wait group: a lock, a number and a list of waiters each. The number (`extra`) is written
 * under the lock; the fast paths that read it without are marked. */
#include "exec/lock.h"
#include "exec/running.h"
#include "exec/util.h"
#include "exec/wait.h"

#include <string.h>
#include <thrum/sync.h>
#include <thrum/time.h>

/* What struct thrum_waitq really is. */
struct waitq {
    struct thr_lock lock;
    thr_au32 extra;
    struct thr_waitlist list; /* guarded by lock */
};

_Static_assert(sizeof(struct waitq) == sizeof(struct thrum_waitq), "same layout");
_Static_assert(offsetof(struct waitq, extra) == offsetof(struct thrum_waitq, extra), "same layout");
_Static_assert(offsetof(struct waitq, list) == offsetof(struct thrum_waitq, head), "same layout");

static struct waitq *of(struct thrum_waitq *q)
{
    return (struct waitq *)(void *)q;
}

/* Under q->lock, which it releases: waits in the list. Returns: why the wait ended. */
static enum thr_reason wait_in(struct waitq *q, bool shielded)
{
    struct thr_waiter w;
    thr_wait_begin(&w, shielded);
    thr_waitlist_push(&q->list, &w);
    thr_unlock(&q->lock);
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    thr_lock(&q->lock); /* W4: also the firing side is done with w then */
    thr_waitlist_remove(&q->list, &w);
    thr_unlock(&q->lock);
    return reason;
}

/* ---- Mutex: extra is 1 while it is held. A waiter that is fired holds it: it is handed over. ---- */

static int mutex_lock(thrum_mutex *m, bool shielded)
{
    struct waitq *q = of(&m->q);
    thr_task_spend(); /* before it is held: a task that yields with the mutex makes the others queue up */
    thr_lock(&q->lock);
    if (thr_load(&q->extra, THR_RELAXED) == 0) {
        thr_store(&q->extra, 1, THR_RELAXED);
        thr_unlock(&q->lock);
        return 0;
    }
    return thr_reason_error(wait_in(q, shielded));
}

int thrum_mutex_lock(thrum_mutex *m)
{
    int err = thr_task_cancelled();
    return err ? err : mutex_lock(m, false);
}

void thrum_mutex_lock_shielded(thrum_mutex *m)
{
    int err = mutex_lock(m, true);
    THR_ASSERT(!err);
}

bool thrum_mutex_trylock(thrum_mutex *m)
{
    struct waitq *q = of(&m->q);
    thr_lock(&q->lock);
    bool got = thr_load(&q->extra, THR_RELAXED) == 0;
    if (got)
        thr_store(&q->extra, 1, THR_RELAXED);
    thr_unlock(&q->lock);
    return got;
}

void thrum_mutex_unlock(thrum_mutex *m)
{
    struct waitq *q = of(&m->q);
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    THR_ASSERT(thr_load(&q->extra, THR_RELAXED) == 1); /* it is held */
    if (!thr_waitlist_fire_one(&q->list, THR_FIRED_OK, &out, NULL))
        thr_store(&q->extra, 0, THR_RELAXED);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

/* ---- Event: extra is 1 while it is set ---- */

void thrum_event_set(thrum_event *e)
{
    struct waitq *q = of(&e->q);
    struct thr_wakeups out = {0};
    thr_lock(&q->lock); /* once for all: in pieces, a clear in between would be undone */
    thr_store(&q->extra, 1, THR_RELEASE); /* -> thrum_event_is_set(), load acquire */
    thr_waitlist_fire_all(&q->list, THR_FIRED_OK, &out);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

void thrum_event_clear(thrum_event *e)
{
    struct waitq *q = of(&e->q);
    thr_lock(&q->lock);
    thr_store(&q->extra, 0, THR_RELAXED);
    thr_unlock(&q->lock);
}

bool thrum_event_is_set(thrum_event *e)
{
    return thr_load(&of(&e->q)->extra, THR_ACQUIRE) != 0;
}

int thrum_event_wait(thrum_event *e)
{
    struct waitq *q = of(&e->q);
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&q->lock); /* even if it is set: whoever set it is out of it when we return */
    if (thr_load(&q->extra, THR_RELAXED)) {
        thr_unlock(&q->lock);
        thr_task_spend();
        return 0;
    }
    return thr_reason_error(wait_in(q, false));
}

/* ---- Semaphore: extra is the number of permits. A waiter that is fired has got one. ---- */

void thrum_sem_init(thrum_sem *s, uint32_t permits)
{
    memset(s, 0, sizeof(*s));
    s->q.extra = permits;
}

/* Under q->lock. First come, first served: those who wait go first. */
static bool take_permit(struct waitq *q)
{
    uint32_t permits = thr_load(&q->extra, THR_RELAXED);
    if (permits == 0)
        return false;
    thr_store(&q->extra, permits - 1, THR_RELAXED);
    return true;
}

int thrum_sem_acquire(thrum_sem *s)
{
    struct waitq *q = of(&s->q);
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&q->lock);
    if (take_permit(q)) {
        thr_unlock(&q->lock);
        thr_task_spend();
        return 0;
    }
    return thr_reason_error(wait_in(q, false));
}

bool thrum_sem_try_acquire(thrum_sem *s)
{
    struct waitq *q = of(&s->q);
    thr_lock(&q->lock);
    bool got = take_permit(q);
    thr_unlock(&q->lock);
    return got;
}

void thrum_sem_release(thrum_sem *s)
{
    struct waitq *q = of(&s->q);
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    if (!thr_waitlist_fire_one(&q->list, THR_FIRED_OK, &out, NULL))
        thr_store(&q->extra, thr_load(&q->extra, THR_RELAXED) + 1, THR_RELAXED);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

/* ---- Wait group: extra is the count ---- */

void thrum_wait_group_add(thrum_wait_group *g, uint32_t n)
{
    struct waitq *q = of(&g->q);
    thr_lock(&q->lock);
    thr_store(&q->extra, thr_load(&q->extra, THR_RELAXED) + n, THR_RELAXED);
    thr_unlock(&q->lock);
}

void thrum_wait_group_done(thrum_wait_group *g)
{
    struct waitq *q = of(&g->q);
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    uint32_t count = thr_load(&q->extra, THR_RELAXED);
    THR_ASSERT(count > 0); /* done without add */
    thr_store(&q->extra, count - 1, THR_RELAXED);
    if (count == 1)
        thr_waitlist_fire_all(&q->list, THR_FIRED_OK, &out);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

int thrum_wait_group_wait(thrum_wait_group *g)
{
    struct waitq *q = of(&g->q);
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_lock(&q->lock);
    if (thr_load(&q->extra, THR_RELAXED) == 0) {
        thr_unlock(&q->lock);
        thr_task_spend();
        return 0;
    }
    return thr_reason_error(wait_in(q, false));
}
