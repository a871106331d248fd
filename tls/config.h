/* SPDX-License-Identifier: MIT */
/* tls/config.h: a client configuration, counted and shared. */
#ifndef THR_TLS_CONFIG_H
#define THR_TLS_CONFIG_H

#include <pthread.h>
#include <thrum/sync.h>
#include <thrum/tls.h>

#include "exec/atomic.h"
#include "tls/fault.h"
#include "tls/resume.h"

struct thr_tls_profile;

/* Handshakes that may be computing at once, for each worker: enough that none is idle while tasks change over, few
 * enough that ten thousand connections at once leave room in the run queues for everybody else. */
#define THR_TLS_SHAKING_PER_WORKER 8

/* Full handshakes under way to one host before further connections wait for a session, and how long they do. */
#define THR_TLS_FRESH_MAX 8
#define THR_TLS_FRESH_WAIT_NS (250 * THRUM_MILLISECOND)

/* Ordering  (A) loading, store release of `ready`  ->  (B) anybody, load acquire
 *               The profile never changes after that.
 *           (C) the first task, store release of `shaking_set`  ->  (D) other tasks, load acquire
 *               The semaphore has its permits. */
struct thrum_tls_config {
    thr_au32 refs;
    thr_au32 ready;
    thrum_tls_opts opts; /* copied, strings too */

    pthread_mutex_t load_lock; /* held by the thread that loads, also across reading files */
    thrum_mutex
        load_turn; /* so that a burst of tasks takes one thread of the blocking pool, not all */
    struct thr_tls_profile *profile; /* guarded by load_lock until ready */

    thr_au32
        shaking_set; /* they are given out by the first task: only a task knows the number of workers */
    thrum_sem
        shaking; /* a permit is held while a handshake computes, not while it waits for the peer */
    struct thr_tls_resume resume;
};

void thr_tls_config_ref(thrum_tls_config *config);

/* Makes sure that the configuration is loaded, in the blocking pool if it is not.
 *
 * Returns: 0; what thr_tls_profile_new() returns, with *f; -ECANCELED, -ETIMEDOUT, -EAGAIN.
 * Context: task. Suspends. */
int thr_tls_config_ready(thrum_tls_config *config, struct thr_tls_fault *f);

#endif
