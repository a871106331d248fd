/* SPDX-License-Identifier: MIT */
/* Code that blocks its thread, as asyncio.to_thread(): it runs on a thread of the pool while the task waits, so that the
 * other tasks go on. Here three tasks call nanosleep(2), and a fourth counts meanwhile on the one worker there is. */
#include <stdatomic.h>
#include <stdio.h>
#include <thrum/thrum.h>
#include <time.h>

enum { SLEEPERS = 3 };

struct state {
    atomic_int sleeping_n;
    long turns; /* the counter's */
};

/* Outside every task: it may block, and must not call what says `Context: task`. */
static int sleep_in_kernel(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    return 0;
}

static int sleeper(void *arg)
{
    struct state *s = arg;
    int err = thrum_blocking(sleep_in_kernel, NULL); /* suspends this task, not its worker */
    atomic_fetch_sub(&s->sleeping_n, 1);
    return err;
}

static int counter(void *arg)
{
    struct state *s = arg;
    int err = 0;
    for (; atomic_load(&s->sleeping_n) > 0 && !err; s->turns++)
        err = thrum_sleep(THRUM_MILLISECOND);
    return err;
}

static int app(void *arg)
{
    struct state s = {.sleeping_n = SLEEPERS};
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, counter, &s);
    for (int i = 0; i < SLEEPERS && !err; i++)
        err = thrum_scope_spawn(&scope, sleeper, &s);
    if (err)
        thrum_scope_cancel(&scope);
    int first = thrum_scope_close(&scope);
    printf("counted to %ld while %d threads slept\n", s.turns, SLEEPERS);
    return err ? err : first;
}

int main(void)
{
    int err = thrum_run(app, NULL, &(thrum_run_opts){.workers = 1});
    if (err)
        fprintf(stderr, "blocking: %s\n", thrum_strerror(err));
    return err ? 1 : 0;
}
