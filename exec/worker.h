/* SPDX-License-Identifier: MIT */
/* exec/worker.h: a worker thread: its queues, what it picks next, and switching.
 *
 * A task that suspends picks the next one itself and switches straight to it; the worker's own stack (the thread's) is
 * entered only when there is nothing to run. What must happen to the suspended task once its context is saved (publish
 * it as parked, queue it again, free its stack) is noted in `after` and done by whoever runs next on this worker.
 *
 * Invariants  K1  `current`, `after`, the budget and the caches belong to the thread; code of a task reaches them through
 *                 thr_worker_self(), anew after each call that may suspend.
 *             K2  a task is made visible to other workers only after it was switched away from (by `after`).
 *             K3  fairness: see thr_worker_pick_more() in pick.c for the bound and the rules that give it. */
#ifndef THR_EXEC_WORKER_H
#define THR_EXEC_WORKER_H

#include "exec/deque.h"
#include "exec/idle.h"
#include "exec/inbox.h"
#include "exec/lane.h"
#include "exec/random.h"
#include "exec/ring.h"
#include "exec/split.h"
#include "exec/stack.h"
#include "exec/task.h"
#include "exec/timer.h"
#include "exec/util.h"

#include <pthread.h>

struct thr_runtime;

enum { THR_TICK_PICKS_MAX = 61 }; /* the clock is looked at after so many picks at the latest */

/* What is to be done after a switch, on the new stack. */
enum thr_after {
    THR_AFTER_NOTHING,
    THR_AFTER_PARK,  /* publish `after_task` as parked, or queue it if it was fired meanwhile */
    THR_AFTER_YIELD, /* queue it at the end */
    THR_AFTER_END,   /* its stack (`after_stack`) is free */
};

/* Counters: written by the worker, read by anybody. */
struct thr_worker_counts {
    thr_au64 spawned, finished; /* runtime.c: how the end is recognised */
    thr_au64 picks, steals, parks, wakes, polls, timers;
};

struct thr_worker {
    unsigned index;
    struct thr_runtime *rt;
    struct thrum_task *current; /* NULL on the worker's own stack */
    struct thr_context context; /* the worker's own stack, while a task runs */
    const void *stack_bottom;   /* of the thread: for AddressSanitizer */
    size_t stack_bytes;
    void *tsan_fiber;

    enum thr_after after;
    struct thrum_task *after_task;
    struct thr_stack *after_stack;

    unsigned budget;        /* operations without suspending that are left to the current slice */
    unsigned spawned_now;   /* tasks that the current slice has spawned */
    uint64_t slice_ns;      /* when the slice was looked at first, or 0 */
    unsigned inline_run;    /* children run at a join since the last pick from a queue */
    unsigned next_run;      /* tasks taken from `next` in a row */
    unsigned forks_turn;    /* picks for which spawned tasks go before the ring */
    unsigned batches_n;     /* so many batches were taken from the ring */
    unsigned picks_to_tick; /* until the clock is looked at */
    uint64_t tick_count;    /* how many tasks had been picked by then */
    uint64_t tick_ns;       /* when it was last looked at */
    uint64_t polled_ns;     /* when the outside world was */
    unsigned to_sample;     /* until a task's stay in the lane is measured */
    uint64_t sampled_ns;    /* when the one that is measured was put there, or 0 */
    uint64_t publish_picks; /* how many tasks had been picked when one was published last */
    bool alone;     /* the runtime has no other worker: nobody steals, nobody need be woken */
    bool searching; /* counts in the idle word: idle.h */
    struct thr_idle_own idle;
    void *loop; /* the driver's */
    struct thr_random random;
    struct thr_stack_cache stacks[THR_STACK_CLASSES];
    struct thr_task_cache tasks;
    pthread_t thread;
    bool thread_started;

    struct thr_lane lane;   /* what runs next */
    struct thr_split split; /* the running task's private forks; with the right to the lane */
    THR_APART thr_au32
        publish; /* so many of the next tasks go where thieves find them, not to the lane */
    thr_au32 publish_next;  /* how many it will be when one lay in the lane for too long again */
    struct thr_ring ring;   /* woken here, yielded */
    struct thr_deque forks; /* spawned here, not started: owner newest first, thieves the oldest */
    struct thr_inbox inbox; /* woken by foreign threads */
    struct thr_timers timers;
    THR_APART struct thr_worker_counts counts;
    thr_au64 seen_picks; /* the standby worker's note: a worker whose picks do not move computes */
};

/* The one thread-local of the library. Set at the start of a worker's thread; read through thr_worker_self() alone. */
extern __thread struct thr_worker *thr_worker_tls __attribute__((tls_model("initial-exec")));

/* The worker of the calling thread, or NULL. The value must not be kept across a suspension: another thread may go on. That
 * is also why it is read by assembly: a compiler that knows of the thread-local may keep its address across a switch, and
 * then reads another thread's. A call that is never inlined would do as well, and costs three times as much. */
static inline struct thr_worker *thr_worker_self(void)
{
    struct thr_worker *w;
#if defined(__x86_64__)
    __asm__ volatile("movq thr_worker_tls@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(w));
#elif defined(__aarch64__)
    void **thread;
    __asm__ volatile("mrs %1, tpidr_el0\n\t"
                     "adrp %0, :gottprel:thr_worker_tls\n\t"
                     "ldr %0, [%0, :gottprel_lo12:thr_worker_tls]\n\t"
                     "ldr %0, [%1, %0]"
                     : "=&r"(w), "=&r"(thread));
#endif
    return w;
}

/* Ends the program with a message: a call that says `Context: task` was made outside a task, or in a forked child. */
THR_NORETURN void thr_not_a_task(void);

/* The running task. */
static inline struct thrum_task *thr_task_self(void)
{
    struct thr_worker *w = thr_worker_self();
    if (THR_UNLIKELY(!w || !w->current))
        thr_not_a_task();
    return w->current;
}

/* Sets up a zeroed worker. Returns: 0 or a negative code; fini copes with what was made. */
int thr_worker_init(struct thr_worker *w, struct thr_runtime *rt, unsigned index);
void thr_worker_fini(struct thr_worker *w);

/* The calling thread is no worker any more: a child of fork(). */
void thr_worker_forget(void);

/* The body of a worker's thread: returns when the runtime has ended. */
void thr_worker_main(struct thr_worker *w);

/* Suspends the current task, with `after` to be done once it is switched away from. Returns when it is resumed, perhaps
 * on another worker. */
void thr_worker_suspend(enum thr_after after);

/* True if the current task may enter `task` instead of waiting for it: that is the newest spawned one, has a stack now, and the
 * other tasks of this worker have had their turn. Context: the worker. */
bool thr_worker_may_enter(struct thr_worker *w, struct thrum_task *task);

/* Switches from the current task, which is in no queue, to the task; it returns when that one's end switches back, or
 * anybody resumes the current task. */
void thr_worker_enter(struct thrum_task *task);

/* Queues a new task. Context: its worker. Returns: 0 or -ENOMEM. */
int thr_worker_spawn(struct thr_worker *w, struct thrum_task *task);

/* Queues woken tasks: the only one into `next`, several into the ring. Context: the worker. */
void thr_worker_wake(struct thr_worker *w, struct thr_wakeups *list);

/* Queues one task at the end of the ring (half of a full ring moves to the injector). Context: the worker. */
void thr_worker_enqueue(struct thr_worker *w, struct thrum_task *task);

/* Runs the scope's children that are still in this worker's `forks`, newest first, on the caller's stack, as long as
 * that has room. Context: the scope's owner. */
void thr_worker_run_children(struct thr_scope *scope);

/* True if there is something that this worker or a thief could run. Context: any thread. */
bool thr_worker_has_work(const struct thr_worker *w);

#endif
