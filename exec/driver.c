/* SPDX-License-Identifier: MIT */
/* The driver in use, and the built-in one: a worker with nothing but tasks sleeps on a futex. */
#include "exec/driver_builtin.h"

#include "exec/util.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <thrum/time.h>
#include <time.h>
#include <unistd.h>

/* Roles       poll with a timeout: the owner.  wake: any thread.
 * State       word: 0 quiet, 1 woken.
 * Ordering    (A) wake, exchange release  ->  (B) poll, exchange acquire: what was queued before is seen after. */
struct loop {
    thr_au32 word;
};

static int builtin_open(void **loop, unsigned worker_index)
{
    (void)worker_index;
    *loop = calloc(1, sizeof(struct loop));
    return *loop ? 0 : -ENOMEM;
}

static void builtin_close(void *loop)
{
    free(loop);
}

static void futex_wait(struct loop *l, uint64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / THRUM_SECOND),
                          .tv_nsec = (long)(timeout_ns % THRUM_SECOND)};
    syscall(SYS_futex, &l->word.v, FUTEX_WAIT_PRIVATE, 0U, timeout_ns == THRUM_NEVER ? NULL : &ts,
            NULL, 0U);
}

static unsigned builtin_poll(void *loop, uint64_t timeout_ns, struct thr_wakeups *out)
{
    struct loop *l = loop;
    (void)out;
    if (timeout_ns == 0)
        return 0;
    if (thr_load(&l->word, THR_RELAXED) == 0)
        futex_wait(l, timeout_ns); /* wakes early for no reason at worst: the caller looks anyway */
    return thr_xchg(&l->word, 0, THR_ACQUIRE); /* (B) */
}

static void builtin_wake(void *loop)
{
    struct loop *l = loop;
    if (thr_xchg(&l->word, 1, THR_RELEASE) == 0) /* (A) */
        syscall(SYS_futex, &l->word.v, FUTEX_WAKE_PRIVATE, 1U, NULL, NULL, 0U);
}

static const struct thr_driver builtin = {
    .name = "futex",
    .open = builtin_open,
    .close = builtin_close,
    .poll = builtin_poll,
    .wake = builtin_wake,
};

static const struct thr_driver *installed;

void thr_driver_install(const struct thr_driver *driver)
{
    installed = driver;
}

const struct thr_driver *thr_driver_current(void)
{
    return installed ? installed : &builtin;
}
