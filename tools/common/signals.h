/* SPDX-License-Identifier: MIT */
/* tools/common/signals.h: Ctrl-C and its like cancel a scope; a second one ends the process at once.
 *
 * SIGINT, SIGTERM and SIGHUP are blocked in every thread and taken from a signalfd by one plain thread.
 * One that was ignored when the program started (nohup, a shell's background job) stays ignored. SIGPIPE
 * and SIGXFSZ are ignored: a closed pipe and a file that is too large are errors of write(2).
 *
 * Roles       start, stop: the main thread, before and after thrum_run().  attach, detach, trip: tasks.
 *             The watching thread: cancels.
 * Invariants  S1  the watching thread touches a scope only with `lock` held and the scope attached, so
 *                 after detach has returned it never does.  A scope is attached after it was opened and
 *                 detached before it is closed; what must be cancellable while a scope's close waits is
 *                 therefore done in a scope within the attached one.
 *             S2  once tripped, quit_fd stays readable: whoever waits in poll(2) sees it.
 */
#ifndef TOOLS_COMMON_SIGNALS_H
#define TOOLS_COMMON_SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <thrum/task.h>

struct thr_signals {
    sigset_t set;      /* what is watched */
    sigset_t mask_was; /* the mask to put back */
    void (*pipe_was)(int);
    void (*size_was)(int);
    pthread_t thread;
    bool running;
    int signal_fd, quit_fd, stop_fd;
    atomic_int caught; /* the first signal, or 0 */

    pthread_mutex_t lock;
    thrum_scope *scope; /* guarded by lock */
    bool tripped;       /* guarded by lock */
};

/* Starts to watch; before any other thread is started, for those inherit the mask.
 *
 * Returns: 0 or a negative errno; stop copes with a failed start. */
int thr_signals_start(struct thr_signals *s);
void thr_signals_stop(struct thr_signals *s);

/* From now on the first signal, also one that came already, cancels the scope. */
void thr_signals_attach(struct thr_signals *s, thrum_scope *scope);
void thr_signals_detach(struct thr_signals *s);

/* Does what a first signal does, for another reason; caught stays 0. */
void thr_signals_trip(struct thr_signals *s);

/* The first signal that came, or 0. */
int thr_signals_caught(struct thr_signals *s);

#endif
