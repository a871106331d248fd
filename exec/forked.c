/* SPDX-License-Identifier: MIT */
/* What fork() leaves: a child with one thread, none of the workers, and locks that nobody will release. While a runtime is
 * alive its process's children may exec or _exit, and nothing else of the library works there; it says so. */
#include "exec/runtime.h"

#include <errno.h>
#include <thrum/error.h>

static thr_au32 alive_n;
static thr_au32 forked; /* 1: this is a child that was made while a runtime was alive */
static int install_error;

static void in_child(void)
{
    if (thr_load(&alive_n, THR_RELAXED) == 0)
        return; /* nothing was running: the child may start its own */
    thr_store(&forked, 1, THR_RELAXED);
    thr_worker_forget(); /* it may be a worker's thread that forked: it is none any more */
}

static void install(void)
{
    install_error = -pthread_atfork(NULL, NULL, in_child);
}

int thr_forked_enter(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (thr_load(&forked, THR_RELAXED))
        return THRUM_EFORKED;
    pthread_once(&once, install);
    if (!install_error)
        thr_fetch_add(&alive_n, 1, THR_RELAXED);
    return install_error;
}

void thr_forked_leave(void)
{
    thr_fetch_sub(&alive_n, 1, THR_RELAXED);
}

THR_NORETURN void thr_not_a_task(void)
{
    if (thr_load(&forked, THR_RELAXED))
        thr_panic(__FILE__, __LINE__,
                  "called in a forked child: it may only exec or _exit (docs/tasks.md)");
    thr_panic(__FILE__, __LINE__, "called outside a task");
}
