/* SPDX-License-Identifier: MIT */
/* The watched variable: a sequence lock for its readers, and a list for those who wait.
 *
 * Roles       set, close: any thread, under q.lock.  read: any thread, without.
 * State       sequence = 2 * version, or 2 * version + 1 while the next version is being written.  q.word: CLOSED.
 * Invariants  V1  sequence, the value and CLOSED are written under q.lock only; the sequence grows.
 *             V2  a task waits in the list only while the version is the one that it has seen and CLOSED is not set, so a
 *                 set or close fires all of them.
 *             V3  a copy counts only if the sequence was even and the same before and after it.
 * Ordering    (A) set, store release of the even sequence  ->  (B) read, load acquire before the copy
 *                 A reader of version n sees all of version n.
 *             (C) set, store release of a word of the value  ->  (D) read, load acquire of that word
 *                 A reader that has seen a word of version n + 1 also sees the odd sequence, stored before it, or a later
 *                 one, in the load after its copy: the copy is thrown away. Words instead of fences, because of what
 *                 ThreadSanitizer makes of those; on x86-64 they are plain moves.
 * Progress    A reader tries some times, then takes the lock: writers cannot keep it from reading. */
#include "exec/running.h"
#include "exec/util.h"
#include "exec/waitq.h"

#include <string.h>
#include <thrum/error.h>
#include <thrum/time.h>
#include <thrum/watch.h>

enum { CLOSED = 1, TRIES_MAX = 8 };

/* The caller's variable is of any type; here it is words and bytes. */
struct word {
    uint64_t v;
} __attribute__((may_alias));
struct byte {
    uint8_t v;
} __attribute__((may_alias));

static thr_au64 *sequence_of(thrum_watch *w)
{
    return (thr_au64 *)(void *)&w->sequence;
}

/* How many bytes of the value can be copied as words. */
static size_t words_bytes(const thrum_watch *w)
{
    return (uintptr_t)w->value % sizeof(struct word) == 0 ? w->bytes & ~(sizeof(struct word) - 1)
                                                          : 0;
}

static void copy_in(thrum_watch *w, const void *value)
{
    const char *from = value;
    char *to = w->value;
    size_t i = 0, words = words_bytes(w);
    for (; i < words; i += sizeof(struct word)) {
        uint64_t v;
        memcpy(&v, from + i, sizeof(v));
        thr_store((struct word *)(void *)(to + i), v, THR_RELEASE); /* (C) */
    }
    for (; i < w->bytes; i++)
        thr_store((struct byte *)(to + i), (uint8_t)from[i], THR_RELEASE); /* (C) */
}

static void copy_out(const thrum_watch *w, void *value)
{
    char *from = w->value, *to = value;
    size_t i = 0, words = words_bytes(w);
    for (; i < words; i += sizeof(struct word)) {
        uint64_t v = thr_load((struct word *)(void *)(from + i), THR_ACQUIRE); /* (D) */
        memcpy(to + i, &v, sizeof(v));
    }
    for (; i < w->bytes; i++)
        to[i] = (char)thr_load((struct byte *)(from + i), THR_ACQUIRE); /* (D) */
}

void thrum_watch_init(thrum_watch *w, void *value, size_t bytes)
{
    *w = (thrum_watch){.sequence = 2, .value = value, .bytes = bytes};
}

uint64_t thrum_watch_get(thrum_watch *w, void *value)
{
    uint64_t before;
    for (int i = 0; i < TRIES_MAX; i++) {
        before = thr_load(sequence_of(w), THR_ACQUIRE); /* (B) */
        if (!value)
            return before / 2;
        if (before % 2 == 0) {
            copy_out(w, value);
            if (thr_load(sequence_of(w), THR_RELAXED) == before) /* V3 */
                return before / 2;
        }
        thr_cpu_relax();
    }
    struct thr_waitq *q = thr_waitq(&w->q);
    thr_lock(&q->lock);
    before = thr_load(sequence_of(w), THR_RELAXED);
    copy_out(w, value);
    thr_unlock(&q->lock);
    return before / 2;
}

int thrum_watch_set(thrum_watch *w, const void *value)
{
    struct thr_waitq *q = thr_waitq(&w->q);
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    if (thr_load(&q->word, THR_RELAXED) & CLOSED) {
        thr_unlock(&q->lock);
        return THRUM_ECLOSED;
    }
    uint64_t before = thr_load(sequence_of(w), THR_RELAXED);
    thr_store(sequence_of(w), before + 1, THR_RELAXED); /* before (C) */
    copy_in(w, value);
    thr_store(sequence_of(w), before + 2, THR_RELEASE); /* (A) */
    thr_waitlist_fire_all(&q->list, THR_FIRED_OK, &out);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
    return 0;
}

void thrum_watch_close(thrum_watch *w)
{
    struct thr_waitq *q = thr_waitq(&w->q);
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    thr_fetch_or(&q->word, CLOSED, THR_RELAXED);
    thr_waitlist_fire_all(&q->list, THR_FIRED_CLOSED, &out);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

static bool is_newer(thrum_watch *w, uint64_t seen)
{
    return thr_load(sequence_of(w), THR_ACQUIRE) / 2 != seen;
}

/* Waits until the version is no longer `seen`. Returns: 0, THRUM_ECLOSED, -ECANCELED, -ETIMEDOUT. */
static int wait_for_newer(thrum_watch *w, uint64_t seen)
{
    struct thr_waitq *q = thr_waitq(&w->q);
    thr_lock(&q->lock);
    bool newer = is_newer(w, seen);
    if (newer || (thr_load(&q->word, THR_RELAXED) & CLOSED)) {
        thr_unlock(&q->lock);
        return newer ? 0 : THRUM_ECLOSED;
    }
    struct thr_waiter waiter;
    thr_wait_begin(&waiter, false);
    thr_waitlist_push(&q->list, &waiter); /* V2 */
    thr_unlock(&q->lock);
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    if (reason == THR_FIRED_TIMEOUT || reason == THR_FIRED_CANCEL) {
        thr_lock(&q->lock);
        thr_waitlist_remove(&q->list, &waiter);
        thr_unlock(&q->lock);
    }
    return thr_reason_error(reason);
}

int thrum_watch_wait(thrum_watch *w, uint64_t *seen, void *value)
{
    int err = thr_task_cancelled();
    if (err)
        return err;
    bool newer = is_newer(w, *seen);
    if (!newer)
        err = wait_for_newer(w, *seen);
    if (!err)
        *seen = thrum_watch_get(w, value);
    thr_waitq_settle(thr_waitq(&w->q)); /* whoever set or closed it is out of it when we return */
    if (newer)
        thr_task_spend();
    return err;
}
