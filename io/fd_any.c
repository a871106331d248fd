/* SPDX-License-Identifier: MIT */
/* Waiting for several descriptors and a bell at once: one wait with a waiter in each.
 *
 * The edges that the loop delivers tell of news only; what an earlier visit left unread is old. So, once all waiters are
 * linked, poll(2) says what is ready anyway: anything that happens after the link fires the wait, anything that happened
 * before it the poll sees. */
#include "io/fd.h"

#include "exec/running.h"
#include "io/sys.h"

#include <errno.h>
#include <thrum/error.h>

#define POLL_CHUNK_N 32 /* per call, to bound the frame */

static bool is_wanted(const struct thr_fd_want *want, enum thr_fd_side side)
{
    return side == THR_FD_READ ? want->read : want->write;
}

static void set_result(struct thr_fd_want *want, enum thr_fd_side side)
{
    if (side == THR_FD_READ)
        want->readable = true;
    else
        want->writable = true;
}

/* Links one side of a want; *found is set if it is ready already. The waiter's data tells the unlinking. */
static int link_side(struct thr_fd_want *want, enum thr_fd_side side,
                     const struct thr_waiter *first, bool *found)
{
    struct thr_waiter *w = &want->waiters[side];
    int err = 0;
    w->data = NULL;
    if (!is_wanted(want, side))
        return 0;
    thr_wait_add(w, first);
    (void)thr_fd_take(want->fd, side); /* an old edge says nothing */
    if (thr_fd_link(want->fd, side, w, &err)) {
        w->data = w;
    } else if (!err) {
        set_result(want, side);
        *found = true;
    }
    return err;
}

static int link_all(struct thr_fd_want *wants, unsigned n, const struct thr_waiter *first,
                    bool *found)
{
    int err = 0;
    for (unsigned i = 0; i < n; i++) {
        wants[i].readable = wants[i].writable = false;
        wants[i].waiters[THR_FD_READ].data = wants[i].waiters[THR_FD_WRITE].data = NULL;
    }
    for (unsigned i = 0; i < n && !err; i++) {
        err = link_side(&wants[i], THR_FD_READ, first, found);
        if (!err)
            err = link_side(&wants[i], THR_FD_WRITE, first, found);
    }
    return err;
}

/* Unlinks what was linked; a side that an event has reached meanwhile is a result. */
static bool unlink_all(struct thr_fd_want *wants, unsigned n)
{
    bool found = false;
    for (unsigned i = 0; i < n; i++) {
        for (int s = 0; s < 2; s++) {
            enum thr_fd_side side = (enum thr_fd_side)s;
            struct thr_waiter *w = &wants[i].waiters[side];
            if (!w->data)
                continue;
            thr_fd_unlink(wants[i].fd, side, w);
            if (thr_fd_take(wants[i].fd, side)) {
                set_result(&wants[i], side);
                found = true;
            }
        }
    }
    return found;
}

static bool take_events(struct thr_fd_want *want, short revents)
{
    const short failed = POLLERR | POLLHUP | POLLNVAL;
    want->readable |= want->read && (revents & (POLLIN | POLLRDHUP | failed));
    want->writable |= want->write && (revents & (POLLOUT | failed));
    return want->readable || want->writable;
}

/* Asks the kernel what is ready now. Returns: 1 if something is, 0, or a negative code. */
static int ask_all(struct thr_fd_want *wants, unsigned n)
{
    struct pollfd fds[POLL_CHUNK_N];
    bool found = false;
    for (unsigned at = 0; at < n; at += POLL_CHUNK_N) {
        unsigned count = n - at < POLL_CHUNK_N ? n - at : POLL_CHUNK_N;
        for (unsigned i = 0; i < count; i++) {
            const struct thr_fd_want *want = &wants[at + i];
            short events = (short)((want->read ? POLLIN : 0) | (want->write ? POLLOUT : 0));
            fds[i] = (struct pollfd){.fd = want->fd->fd, .events = events};
        }
        int ready = thr_sys_poll(fds, count);
        if (ready < 0)
            return ready;
        for (unsigned i = 0; ready > 0 && i < count; i++)
            found |= take_events(&wants[at + i], fds[i].revents);
    }
    return found;
}

int thr_fd_wait_any(struct thr_fd_want *wants, unsigned n, struct thr_doorbell *bell,
                    uint64_t deadline_ns, bool shielded)
{
    int err = shielded ? 0 : thr_task_cancelled();
    if (err)
        return err;

    struct thr_waiter first; /* the bell's, if there is one */
    thr_wait_begin(&first, shielded);
    bool found = bell && thr_doorbell_link(bell, &first);
    err = link_all(wants, n, &first, &found);
    if (!err) {
        int ready = ask_all(wants, n);
        err = ready < 0 ? ready : 0;
        found |= ready > 0;
    }

    if (err || found)
        (void)thr_wait_abandon();
    else
        err = thr_reason_error(thr_wait_park(deadline_ns));
    found |= unlink_all(wants, n);
    if (bell)
        thr_doorbell_unlink(bell, &first);
    return found && err == -ETIMEDOUT ? 0 : err; /* news that raced the deadline */
}
