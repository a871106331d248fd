/* SPDX-License-Identifier: MIT */
/* exec/driver.h: how a worker sleeps and hears of the outside world. exec knows no file descriptor: io fills this table
 * with its event loop. With no io linked a built-in driver sleeps on a futex. */
#ifndef THR_EXEC_DRIVER_H
#define THR_EXEC_DRIVER_H

#include "exec/wait.h"

struct thr_driver {
    const char *name;

    /* Makes the loop of one worker. Context: the starting thread, before the worker runs. 0 or a negative code. */
    int (*open)(void **loop, unsigned worker_index);

    /* Frees it. Context: the stopping thread, after all workers have ended. NULL is allowed. */
    void (*close)(void *loop);

    /* Delivers what is ready: fires the waits concerned and collects their tasks in *out. If nothing is ready it waits,
     * at most timeout_ns (0: not at all; THRUM_NEVER: without end) or until wake().
     *
     * Returns: the number of events delivered.
     * Context: with a timeout other than 0, only the owning worker, which has announced that it sleeps; with 0, any
     * worker, several at once too (an idle one serves a busy neighbour's loop). Runs on any stack; suspends nothing. */
    unsigned (*poll)(void *loop, uint64_t timeout_ns, struct thr_wakeups *out);

    /* Makes the owner's poll that waits, or else its next one, return at once. Context: any thread. */
    void (*wake)(void *loop);
};

/* Installs the driver for runtimes that start later. Context: a constructor function, before main(). */
void thr_driver_install(const struct thr_driver *driver);

/* The loop of the worker that runs the calling task: valid until the next suspension. Context: task. */
void *thr_driver_loop(void);

#endif
