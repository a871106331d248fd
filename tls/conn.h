/* SPDX-License-Identifier: MIT */
/* tls/conn.h: a TLS connection on top of a stream: the driver of an engine.
 *
 * Roles       one reading task, one writing task, one that closes.
 * Locks       taken in this order, never two of a kind:
 *               tx    sending: who seals a record also sends it, in order. Held across suspensions.
 *               rx    receiving: who feeds the engine. Held across suspensions.
 *               lock  the engine and the fields below. Held over library calls only, never across a suspension, and so
 *                     taken shielded: the wait is short.
 * Invariants  C1  records leave in the order in which they were sealed: what is taken from the engine is sent by the holder
 *                 of tx, and what could not be sent (a deadline, a cancel) stays in `unsent`, in front of all else.
 *             C2  the stream below is used only by tasks counted in `users`, and closed when there are none left. One that
 *                 is parked in it is woken by the cancel of a scope that it opened around just that wait.
 *             C3  no byte is lost to a deadline: a read takes plaintext only when it returns it; a write that was sealed
 *                 is accepted, and what of it is unsent is sent by the next write, read or shutdown. */
#ifndef THR_TLS_CONN_H
#define THR_TLS_CONN_H

#include <errno.h>
#include <thrum/stream.h>
#include <thrum/sync.h>
#include <thrum/task.h>
#include <thrum/tls.h>

#include "tls/config.h"
#include "tls/engine.h"

enum thr_tls_side { THR_TLS_READING, THR_TLS_WRITING };

struct thrum_tls {
    thrum_stream head; /* first: thrum_tls_stream() */
    thrum_stream *below;
    thrum_tls_config *config; /* a reference */

    thrum_mutex lock;
    struct thr_tls_engine *engine; /* guarded by lock, as are the fields up to tx */
    struct thr_tls_ticket ticket;
    bool closing;
    bool busy[2];           /* a task is in the operations of that side */
    thrum_scope *parked[2]; /* the scope around its wait in the stream below, or NULL */

    thrum_mutex tx;
    struct thr_tls_bytes unsent; /* guarded by tx: [unsent_done, len) is still to be sent */
    size_t unsent_done;
    thrum_mutex rx;

    thrum_wait_group users; /* C2 */
};

/* True if err says that the task was to stop waiting, not that anything is wrong with the connection. */
static inline bool thr_tls_is_interruption(int err)
{
    return err == -ETIMEDOUT || err == -ECANCELED;
}

/* ---- tls/transfer.c --------------------------------------------------------------------------------------------- */

extern const thrum_stream_ops thr_tls_ops;

/* Feeds the engine once more from the stream. Returns: 0 or what the stream reported. Context: task. Suspends. */
int thr_tls_fill(thrum_tls *tls, enum thr_tls_side side);

/* Sends what the engine has sealed. Returns: 0 or what the stream reported; the rest stays unsent (C1).
 * Context: task, holding tx. Suspends. */
int thr_tls_flush(thrum_tls *tls, enum thr_tls_side side);

/* ---- tls/conn.c ------------------------------------------------------------------------------------------------- */

/* The close of the stream. */
void thr_tls_close(thrum_tls *tls);

#endif
