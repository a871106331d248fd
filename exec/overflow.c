/* SPDX-License-Identifier: MIT */
#include "exec/overflow.h"

#include "exec/runtime.h"
#include "exec/sanitizer.h"
#include "exec/site.h"
#include "exec/util.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum {
    ALT_STACK_BYTES =
        64 << 10, /* for handlers that are called on from ours, too; touched only then */
    REPORT_MAX = 1536,
};

static const int signals[] = {SIGSEGV, SIGBUS};
static struct sigaction before[THR_COUNT_OF(signals)]; /* V1 */
static struct thr_lock lock;
static unsigned runtimes_n;                    /* guarded by lock */
static bool is_covered[THR_COUNT_OF(signals)]; /* guarded by lock: ours was not on top at the end */

/* ---- The text (V2: no stdio, no locale, no allocation) ---- */

struct text {
    char at[REPORT_MAX];
    size_t n;
};

static void add(struct text *t, const char *s)
{
    while (*s && t->n < sizeof(t->at))
        t->at[t->n++] = *s++;
}

static void add_number(struct text *t, uintptr_t n, unsigned base)
{
    char digits[24];
    size_t i = sizeof(digits) - 1;
    digits[i] = '\0';
    do
        digits[--i] = "0123456789abcdef"[n % base];
    while (n /= base);
    add(t, base == 16 ? "0x" : "");
    add(t, digits + i);
}

static void add_task(struct text *t, const struct thrum_task *task)
{
    const thrum_site *site = thr_site_at(task->site);
    add(t, "\nthrum:   task ");
    add(t, task->name ? "\"" : "without a name");
    add(t, task->name ? task->name : "");
    add(t, task->name ? "\"" : "");
    add(t, ", function at ");
    add_number(t, (uintptr_t)task->fn, 16);
    if (task->kind == THR_TASK_MAIN)
        add(t, ", the first of its runtime");
    if (!site)
        return;
    add(t, ", spawned in ");
    add(t, site->function);
    add(t, "() at ");
    add(t, site->file);
    add(t, ":");
    add_number(t, site->line, 10);
}

static void add_advice(struct text *t, const struct thr_stacks *stacks,
                       const struct thrum_task *task)
{
    size_t promised = stacks->pools[task->stack_class].promised_bytes;
    uint8_t larger;
    add(t, "\nthrum:   it may use ");
    add_number(t, promised >> 10, 10);
    add(t, " KiB of stack");
    if (thr_stacks_class(stacks, promised + 1, &larger) != 0) {
        add(t, ", and there is no larger one: use fewer frames and keep large arrays elsewhere");
        return;
    }
    add(t, "; ask for more, with ");
    add(t, task->kind == THR_TASK_MAIN ? "thrum_run_opts" : "thrum_spawn_opts");
    add(t, ".stack_bytes = ");
    add_number(t, stacks->pools[larger].promised_bytes, 10);
}

static void print(struct text *t)
{
    if (t->n == sizeof(t->at))
        t->n--;
    t->at[t->n++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, t->at, t->n);
    (void)ignored;
}

static void report(const struct thr_worker *w, const struct thr_stack *stack, uintptr_t address)
{
    const struct thrum_task *task = w->current;
    bool own = task && task->stack == stack;
    struct text t;
    t.n = 0;
    add(&t,
        own ? "thrum: stack overflow" : "thrum: access to the guard below another task's stack");
    add(&t, " (fault at ");
    add_number(&t, address, 16);
    add(&t, ")");
    if (task)
        add_task(&t, task);
    if (own)
        add_advice(&t, &w->rt->stacks, task);
    print(&t);
}

void thr_overflow_tell(const struct thr_stacks *s, const struct thrum_task *task)
{
    struct text t;
    t.n = 0;
    add(&t, "thrum: stack overflow, found when the task ended");
    add_task(&t, task);
    add_advice(&t, s, task);
    print(&t);
}

/* ---- The handler ---- */

static struct sigaction *before_of(int signal)
{
    return &before[signal == signals[0] ? 0 : 1];
}

/* Without a handler before ours: what would have happened. A fault happens again when we return. */
static void as_default(int signal, const siginfo_t *info)
{
    bool from_outside = info->si_code <= 0; /* by kill() and the like */
    if (from_outside && before_of(signal)->sa_handler == SIG_IGN)
        return;
    sigaction(signal, before_of(signal), NULL);
    if (from_outside)
        raise(signal); /* comes when we return: it is blocked until then */
}

/* Calls the handler that was set before, in the way the kernel would have. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
    const struct sigaction *old = before_of(signal);
    if (!(old->sa_flags & SA_SIGINFO) &&
        (old->sa_handler == SIG_DFL || old->sa_handler == SIG_IGN)) {
        as_default(signal, info);
        return;
    }
    if (old->sa_flags & SA_RESETHAND)
        sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigset_t mask = old->sa_mask;
    pthread_sigmask(SIG_BLOCK, &mask, NULL); /* undone when we return */
    if (old->sa_flags & SA_NODEFER) {
        sigemptyset(&mask);
        sigaddset(&mask, signal);
        pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    }
    if (old->sa_flags & SA_SIGINFO)
        old->sa_sigaction(signal, info, context);
    else
        old->sa_handler(signal);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    int err = errno;
    const struct thr_worker *w = thr_worker_self();
    uintptr_t address = (uintptr_t)info->si_addr;
    const struct thr_stack *stack =
        w && info->si_code > 0 ? thr_stack_find(&w->rt->stacks, address) : NULL;
    if (stack && address < (uintptr_t)stack->bottom) {
        report(w, stack, address);
        sigaction(signal, before_of(signal), NULL);
    } else {
        pass_on(signal, info, context);
    }
    errno = err;
}

/* ---- Setting it ---- */

static bool is_ours(const struct sigaction *now)
{
    return (now->sa_flags & SA_SIGINFO) && now->sa_sigaction == on_fault;
}

static bool is_handler(const struct sigaction *now)
{
    return (now->sa_flags & SA_SIGINFO) ||
           (now->sa_handler != SIG_DFL && now->sa_handler != SIG_IGN);
}

/* Once the program has put a handler over ours it may call ours from there: that must not lead back to it. */
static void set_all(void)
{
    struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    ours.sa_sigaction = on_fault;
    for (size_t i = 0; i < THR_COUNT_OF(signals); i++) {
        struct sigaction now;
        sigaction(signals[i], NULL, &now);
        if (is_ours(&now) || (is_covered[i] && is_handler(&now)))
            continue;
        before[i] = now;
        sigaction(signals[i], &ours, NULL);
    }
}

static void unset_all(void)
{
    for (size_t i = 0; i < THR_COUNT_OF(signals); i++) {
        struct sigaction now;
        sigaction(signals[i], NULL, &now);
        is_covered[i] = !is_ours(&now);
        if (is_ours(&now))
            sigaction(signals[i], &before[i], NULL);
    }
}

void thr_overflow_install(void)
{
    if (thr_sanitizer_reports_faults())
        return;
    thr_lock(&lock);
    if (runtimes_n++ == 0)
        set_all();
    thr_unlock(&lock);
}

void thr_overflow_uninstall(void)
{
    if (thr_sanitizer_reports_faults())
        return;
    thr_lock(&lock);
    if (--runtimes_n == 0)
        unset_all();
    thr_unlock(&lock);
}

/* ---- Alternate stacks ---- */

void thr_alt_stack_enter(struct thr_alt_stack *a)
{
    stack_t now;
    a->base = NULL;
    if (thr_sanitizer_reports_faults() || sigaltstack(NULL, &now) != 0 ||
        !(now.ss_flags & SS_DISABLE))
        return;
    a->bytes = ALT_STACK_BYTES + getauxval(AT_MINSIGSTKSZ);
    void *base = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return; /* then an overflow ends the process without a report */
    a->base = base;
    sigaltstack(&(stack_t){.ss_sp = base, .ss_size = a->bytes}, NULL);
}

void thr_alt_stack_leave(struct thr_alt_stack *a)
{
    if (!a->base)
        return;
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    munmap(a->base, a->bytes);
}
