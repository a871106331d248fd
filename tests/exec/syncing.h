/* SPDX-License-Identifier: MIT */
/* What the tests of the sync primitives share: crowds, waits that are interrupted at random, bugs that end the process. */
#ifndef TESTS_EXEC_SYNCING_H
#define TESTS_EXEC_SYNCING_H

#include "running.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thrum/sync.h>
#include <unistd.h>

/* fn(arg) n times. */
static inline void spawn_n(thrum_scope *scope, int n, thrum_fn *fn, void *arg)
{
    for (int i = 0; i < n; i++)
        EXPECT_IS(thrum_scope_spawn(scope, fn, arg), 0);
}

/* fn(1) ... fn(n). */
static inline void spawn_numbered(thrum_scope *scope, int n, thrum_fn *fn)
{
    for (intptr_t i = 1; i <= n; i++)
        EXPECT_IS(thrum_scope_spawn(scope, fn, (void *)i), 0);
}

static inline void yields(int n)
{
    for (int i = 0; i < n; i++)
        (void)thrum_yield();
}

/* On one worker: starts fn(arg) and lets it run until it waits, or has ended. */
static inline void start(thrum_scope *scope, thrum_fn *fn, void *arg)
{
    EXPECT_IS(thrum_scope_spawn(scope, fn, arg), 0);
    yields(4);
}

/* fn(arg) within a limit of so much time. */
static inline int within(uint64_t timeout_ns, thrum_fn *fn, void *arg)
{
    thrum_timeout limit;
    thrum_timeout_begin(&limit, timeout_ns);
    int err = fn(arg);
    thrum_timeout_end(&limit);
    return err;
}

struct interruption {
    thrum_scope *scope;
    uint32_t yields_n;
};

static inline int interrupt(void *arg)
{
    struct interruption *i = arg;
    for (uint32_t k = 0; k < i->yields_n; k++)
        (void)thrum_yield();
    thrum_scope_cancel(i->scope);
    return 0;
}

/* fn(arg), which is cancelled at some moment, perhaps after it. */
static inline int cancelled_sometime(uint64_t *random, thrum_fn *fn, void *arg)
{
    thrum_scope scope;
    struct interruption i = {&scope, random_below(random, 4)};
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, interrupt, &i), 0);
    int err = fn(arg);
    (void)thrum_scope_close(&scope);
    return err;
}

/* fn(arg), which is left alone, or has little time, or is cancelled. Returns: what fn does. */
static inline int at_risk(uint64_t *random, thrum_fn *fn, void *arg)
{
    switch (random_below(random, 4)) {
    case 0:
        return fn(arg);
    case 1:
        return cancelled_sometime(random, fn, arg);
    default:
        return within(random_below(random, 30) * THRUM_MICROSECOND, fn, arg);
    }
}

static inline bool is_interruption(int err)
{
    return err == -ETIMEDOUT || err == -ECANCELED;
}

/* True if fn(), as a task in a process of its own, ends that with SIGABRT, as a failed assertion does. */
static inline bool aborts(thrum_fn *fn)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        signal(SIGABRT, SIG_DFL);
        setrlimit(RLIMIT_CORE, &no_core);
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        (void)thrum_run(fn, NULL, &(thrum_run_opts){.workers = 1});
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

#endif
