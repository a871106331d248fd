/* SPDX-License-Identifier: MIT */
/* io/fd.h: a descriptor that tasks can wait for.
 *
 * Each descriptor has an *entry*, registered edge-triggered, once and for both directions, with the event loop of the
 * worker that opened it. An operation is tried first; only when the kernel says "would block", or is known to say so,
 * does the task wait for the loop's next event.
 *
 * Roles        operation: a task between enter and leave, at most one a side.  closer: the one task that closes.
 *              deliver: whoever polls the loop the entry is registered with, any worker.
 * Invariants   F1  entries are type-stable: their memory is never given back, so a late event can always look at one.
 *              F2  an event carries {index, generation}; the generation changes when the entry is freed, under the lock.
 *                  Deliver compares it under the same lock: an event that was harvested before a close and is delivered
 *                  after it meets another generation and is dropped, though the number of the descriptor is in use
 *                  again.
 *              F3  a side's `ready` bit is cleared *before* the system call whose failure would make the task wait, and
 *                  set by deliver and by whoever knows that there is more (a read that filled its buffer). So an event
 *                  that arrives between call and wait is found by the wait, and after a short read, which means
 *                  drained, the next reader waits without a failing call.
 *              F4  once the peer's end has been seen (RDHUP, HUP) reading stays ready for good: no further edge comes,
 *                  and no read would block.
 *              F5  `closing` is set once; then enter and wait refuse, those who wait are fired, and the descriptor is
 *                  closed after the last operation has left. So no operation meets a closed or reused descriptor.
 *              F6  leaving is the operation's last access: the close may return, and free what is above, right then.
 * Ordering     `ready` changes by read-modify-write: (A) deliver, fetch_or release -> (B) take, fetch_and acquire. What
 *              take clears it has seen, so the system call after it sees what that event announced.
 *              All else is guarded by the entry's lock. Lock order: an entry's lock is innermost but for the waits.
 * Progress     Enter, leave and deliver hold the lock for a few instructions; only the loop's registration makes a system
 *              call, without the lock. */
#ifndef THR_IO_FD_H
#define THR_IO_FD_H

#include "exec/atomic.h"
#include "exec/doorbell.h"
#include "exec/lock.h"
#include "exec/wait.h"

enum thr_fd_side {
    THR_FD_READ = 0,
    THR_FD_WRITE = 1,
    THR_FD_NEITHER =
        2, /* for thr_fd_enter(): needs the descriptor, but neither reads nor writes nor waits */
};

/* Bits of `ready`. */
enum {
    THR_FD_READABLE = 1U << THR_FD_READ,
    THR_FD_WRITABLE = 1U << THR_FD_WRITE,
    THR_FD_ENDED = 1U << 2, /* F4 */
};

struct thr_fd {
    thr_au32 ready;
    struct thr_lock lock;
    int fd;              /* constant while the entry is in use */
    uint32_t index;      /* constant */
    uint32_t generation; /* guarded by lock */
    uint32_t users;      /* guarded by lock: operations that have entered and not left */
    uint32_t busy;       /* guarded by lock: sides in use, as bits of `ready` */
    bool in_use;         /* guarded by lock: not on the free list */
    bool closing;        /* guarded by lock */
    void *loop;          /* guarded by lock: where it is registered; NULL: that loop is gone */
    struct thr_waiter *waiters[2]; /* guarded by lock */
    struct thr_waiter *closer;     /* guarded by lock */
    struct thr_fd *free_next;      /* guarded by the table's lock */
};

/* Registers the descriptor fd, which must be non-blocking, with the calling worker's loop.
 *
 * ready: which sides to try first (THR_FD_READABLE, THR_FD_WRITABLE); a side that is not named waits for the first
 * event, which the registration itself causes if the side is ready. A socket must be connected, connecting or listening.
 *
 * Owns:    takes fd, also on failure (it is then closed). *out is the caller's, ended with thr_fd_close().
 * Returns: 0, -ENOMEM, -ENOSPC, -EPERM (a file that cannot be waited for), THRUM_ENOTTASK; *out is then NULL.
 * Context: task. Does not suspend. */
int thr_fd_open(struct thr_fd **out, int fd, uint32_t ready);

/* Deregisters and closes. Tasks that wait wake with THRUM_ECLOSED; the call returns after they have left.
 *
 * Owns:    takes f. Context: task; any thread if no operation is under way. May suspend, shielded. */
void thr_fd_close(struct thr_fd *f);

/* The same for a descriptor that somebody else owns and closes: borrowed before it is waited for, released before it is
 * closed.
 *
 * Owns, Returns, Context: as thr_fd_open() and thr_fd_close(), but fd itself stays its owner's, also on failure. */
int thr_fd_borrow(struct thr_fd **out, int fd);
void thr_fd_release(struct thr_fd *f);

/* Begins an operation on one side (or neither). Each that returned 0 is ended with thr_fd_leave() for the same side.
 *
 * Returns: 0, -EBUSY (another task's operation is under way on that side), THRUM_ECLOSED.
 * Context: any thread. Does not suspend. */
int thr_fd_enter(struct thr_fd *f, enum thr_fd_side side);
void thr_fd_leave(struct thr_fd *f, enum thr_fd_side side);

/* Before a system call on the side: true if it may succeed, and clears the ready bit (F3). False: wait first.
 *
 * Context: an operation on that side. */
bool thr_fd_take(struct thr_fd *f, enum thr_fd_side side);

/* After a system call: there may be more. Context: an operation on that side. */
void thr_fd_more(struct thr_fd *f, enum thr_fd_side side);

/* Waits until the side may be ready; does not clear the ready bit.
 *
 * Returns: 0, -ETIMEDOUT (deadline_ns or an enclosing one), -ECANCELED, THRUM_ECLOSED, -EBUSY.
 * Context: a task's operation on that side. Suspends. */
int thr_fd_wait(struct thr_fd *f, enum thr_fd_side side, uint64_t deadline_ns);

/* One descriptor of a thr_fd_wait_any(). */
struct thr_fd_want {
    struct thr_fd *fd;
    bool read, write;             /* in: what to wait for */
    bool readable, writable;      /* out: what will not block; an error or hang-up is both */
    struct thr_waiter waiters[2]; /* private to the call */
};

/* Waits until one of the n wants is ready, the bell rings, or the deadline passes.
 *
 * Level-triggered: what was left unread counts as ready, so code that is not ours may read as little as it likes. Costs
 * a poll(2) a call. Takes any ring of the bell, whatever it returns: look at what the bell stands for each time.
 * bell may be NULL. shielded: neither cancel nor enclosing deadlines end it; deadline_ns does.
 *
 * Returns: 0 (some want is ready, or the bell rang, or both), -ETIMEDOUT, -ECANCELED, THRUM_ECLOSED, -EBUSY.
 * Context: the task that borrowed or opened the descriptors. Suspends. */
int thr_fd_wait_any(struct thr_fd_want *wants, unsigned n, struct thr_doorbell *bell,
                    uint64_t deadline_ns, bool shielded);

/* ---- For fd_any.c: the halves of a wait ---- */

/* Links w, of an open wait, into f's side unless that is ready. Returns: true if linked, to be unlinked after the park.
 * False: *err is 0 (ready), -EBUSY or THRUM_ECLOSED. */
bool thr_fd_link(struct thr_fd *f, enum thr_fd_side side, struct thr_waiter *w, int *err);
void thr_fd_unlink(struct thr_fd *f, enum thr_fd_side side, const struct thr_waiter *w);

/* ---- For the event loops ---- */

/* Delivers an event: `what` has bits of `ready`, key is what the loop was given to watch. Context: any thread. */
void thr_fd_deliver(uint64_t key, uint32_t what, struct thr_wakeups *out);

/* A loop is about to be freed: entries that were never closed forget it. Context: no task of that runtime is left. */
void thr_fd_forget_loop(const void *loop);

#endif
