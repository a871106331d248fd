/* SPDX-License-Identifier: MIT */
/* io/loop.h: what an event loop offers to the rest of io. A loop is one worker's; its backend (epoll) also fills the
 * table of exec/driver.h, so that the worker sleeps in it. */
#ifndef THR_IO_LOOP_H
#define THR_IO_LOOP_H

#include "exec/driver.h"

struct thr_loop_backend {
    struct thr_driver driver;

    /* Reports every change of fd's readiness from now on to thr_fd_deliver() with this key, and its present state if
     * that is not "nothing".
     *
     * Returns: 0, -ENOMEM, -ENOSPC, -EPERM. Context: any thread. Does not suspend. */
    int (*watch)(void *loop, int fd, uint64_t key);

    /* Ends that. Events already harvested may still be delivered. Context: any thread. Does not suspend. */
    void (*unwatch)(void *loop, int fd);
};

/* The backend whose driver is installed. */
const struct thr_loop_backend *thr_loop_backend(void);

/* No descriptor's key: the backend's own events (its bell). */
#define THR_LOOP_OWN_KEY UINT64_MAX

#endif
