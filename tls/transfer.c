/* SPDX-License-Identifier: MIT */
/* Reading, writing and shutting down a TLS connection. */
#include "tls/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>

#include "exec/util.h"

/* What one call seals before it sends: some records, so that a large write does not pay a system call for each. */
#define SEAL_BYTES (64 * 1024)

/* Pieces are joined up to so many bytes, which is one record: a head and its body then travel together. */
#define JOIN_BYTES (16 * 1024)

/* While a reader has something to send as well, it tries the one and the other by turns. */
#define TURN_NS (10 * THRUM_MILLISECOND)

static thrum_tls *from_stream(thrum_stream *s)
{
    return THR_CONTAINER(s, thrum_tls, head);
}

/* Begins an operation of one side. Returns: 0, -EBUSY, THRUM_ECLOSED, -ECANCELED, -ETIMEDOUT. */
static int enter(thrum_tls *tls, enum thr_tls_side side)
{
    int err = thrum_check();
    if (err)
        return err;
    thrum_mutex_lock_shielded(&tls->lock);
    if (tls->closing)
        err = THRUM_ECLOSED;
    else if (tls->busy[side])
        err = -EBUSY;
    if (!err) {
        tls->busy[side] = true;
        thrum_wait_group_add(&tls->users, 1);
    }
    thrum_mutex_unlock(&tls->lock);
    return err;
}

/* C2 for a call that makes several operations. */
static int tls_pin(thrum_stream *s)
{
    thrum_tls *tls = from_stream(s);
    thrum_mutex_lock_shielded(&tls->lock);
    bool closing = tls->closing;
    if (!closing)
        thrum_wait_group_add(&tls->users, 1);
    thrum_mutex_unlock(&tls->lock);
    return closing ? THRUM_ECLOSED : 0;
}

static void tls_unpin(thrum_stream *s)
{
    thrum_wait_group_done(&from_stream(s)->users);
}

/* Ends it; tls may be gone when this returns. */
static void leave(thrum_tls *tls, enum thr_tls_side side)
{
    thrum_mutex_lock_shielded(&tls->lock);
    tls->busy[side] = false;
    if (side == THR_TLS_READING)
        thr_tls_engine_trim(tls->engine);
    thrum_mutex_unlock(&tls->lock);
    thrum_wait_group_done(&tls->users);
}

/* ---- The stream below ------------------------------------------------------------------------------------------- */

/* C2: opens a scope that the close can cancel. Returns: false if the close has begun. */
static bool park_begin(thrum_tls *tls, enum thr_tls_side side, thrum_scope *scope)
{
    thrum_scope_open(scope, NULL);
    thrum_mutex_lock_shielded(&tls->lock);
    bool closing = tls->closing;
    if (!closing)
        tls->parked[side] = scope;
    thrum_mutex_unlock(&tls->lock);
    if (closing)
        (void)thrum_scope_close(scope);
    return !closing;
}

/* Returns: err, or THRUM_ECLOSED if it was the close that interrupted the wait. */
static int park_end(thrum_tls *tls, enum thr_tls_side side, thrum_scope *scope, int err)
{
    thrum_mutex_lock_shielded(&tls->lock);
    tls->parked[side] = NULL;
    bool closing = tls->closing;
    thrum_mutex_unlock(&tls->lock);
    (void)thrum_scope_close(scope); /* no task is in it; what ended the wait is in err */
    return err == -ECANCELED && closing ? THRUM_ECLOSED : err;
}

static ssize_t below_read(thrum_tls *tls, enum thr_tls_side side, void *buf, size_t len)
{
    thrum_scope scope;
    if (!park_begin(tls, side, &scope))
        return THRUM_ECLOSED;
    ssize_t n = thrum_stream_read(tls->below, buf, len);
    int err = park_end(tls, side, &scope, n < 0 ? (int)n : 0);
    return err ? err : n;
}

static int below_write(thrum_tls *tls, enum thr_tls_side side, const void *buf, size_t len,
                       size_t *put)
{
    thrum_scope scope;
    *put = 0;
    if (!park_begin(tls, side, &scope))
        return THRUM_ECLOSED;
    int err = thrum_stream_write(tls->below, buf, len, put);
    return park_end(tls, side, &scope, err);
}

int thr_tls_fill(thrum_tls *tls, enum thr_tls_side side)
{
    int err = thrum_mutex_lock(&tls->rx);
    if (err)
        return err;
    void *at = NULL;
    size_t room = 0;
    thrum_mutex_lock_shielded(&tls->lock);
    bool fed =
        thr_tls_engine_has_input(tls->engine); /* by the other side, while this one waited for rx */
    if (!fed)
        room = thr_tls_engine_room(tls->engine, &at);
    thrum_mutex_unlock(&tls->lock);

    ssize_t n = 0;
    if (!fed) {
        n = room ? below_read(tls, side, at, room) : -ENOMEM;
        thrum_mutex_lock_shielded(&tls->lock);
        if (n >= 0)
            thr_tls_engine_fed(tls->engine, (size_t)n);
        thrum_mutex_unlock(&tls->lock);
    }
    thrum_mutex_unlock(&tls->rx);
    return n < 0 ? (int)n : 0;
}

static int send_unsent(thrum_tls *tls, enum thr_tls_side side)
{
    struct thr_tls_bytes *b = &tls->unsent;
    size_t put;
    int err = below_write(tls, side, b->at + tls->unsent_done, b->len - tls->unsent_done, &put);
    tls->unsent_done += put;
    if (!err) {
        free(b->at);
        b->at = NULL;
        b->len = 0;
        tls->unsent_done = 0;
    }
    return err;
}

/* Moves the engine's output to `unsent`, which is empty. */
static bool take(thrum_tls *tls)
{
    thrum_mutex_lock_shielded(&tls->lock);
    bool some = thr_tls_engine_take(tls->engine, &tls->unsent);
    thrum_mutex_unlock(&tls->lock);
    return some;
}

int thr_tls_flush(thrum_tls *tls, enum thr_tls_side side)
{
    int err = 0;
    while (!err && (tls->unsent.at || take(tls)))
        err = send_unsent(tls, side);
    return err;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* Sends what is left from an interrupted write (C3), or an alert, unless the writer is at it. That it fails is for the
 * next write to say: there may be an answer to read all the same.
 *
 * Returns: true if some of it could not go for now: the peer may be waiting until this side reads. */
static bool flush_for_reader(thrum_tls *tls)
{
    thrum_timeout limit;
    if (!thrum_mutex_trylock(&tls->tx))
        return false;
    thrum_timeout_begin(&limit, TURN_NS);
    int err = thr_tls_flush(tls, THR_TLS_READING);
    bool more = thrum_timeout_end(&limit) && err == -ETIMEDOUT;
    thrum_mutex_unlock(&tls->tx);
    return more;
}

static int fill_for_a_while(thrum_tls *tls)
{
    thrum_timeout limit;
    thrum_timeout_begin(&limit, TURN_NS);
    int err = thr_tls_fill(tls, THR_TLS_READING);
    return thrum_timeout_end(&limit) && err == -ETIMEDOUT ? 0 : err;
}

static ssize_t decrypt(thrum_tls *tls, void *buf, size_t len)
{
    thrum_mutex_lock_shielded(&tls->lock);
    ssize_t n = thr_tls_engine_read(tls->engine, buf, len);
    if (n >= 0)
        thr_tls_resume_settle(&tls->config->resume, &tls->ticket);
    thrum_mutex_unlock(&tls->lock);
    return n;
}

static ssize_t tls_read(thrum_stream *s, void *buf, size_t len)
{
    thrum_tls *tls = from_stream(s);
    if (len == 0)
        return 0;
    int err = enter(tls, THR_TLS_READING);
    if (err)
        return err;
    ssize_t n;
    while ((n = decrypt(tls, buf, len)) == -EAGAIN) {
        bool more = flush_for_reader(tls);
        err = more ? fill_for_a_while(tls) : thr_tls_fill(tls, THR_TLS_READING);
        if (err) {
            n = err;
            break;
        }
    }
    if (n < 0)
        (void)flush_for_reader(tls); /* the alert, if there is one */
    leave(tls, THR_TLS_READING);
    return n;
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* Seals from buf into the engine, as much as one call takes. Returns: the count, or a code if it is 0. */
static ssize_t seal(thrum_tls *tls, const char *buf, size_t len)
{
    size_t done = 0;
    ssize_t n = 0;
    if (len > SEAL_BYTES)
        len = SEAL_BYTES;
    while (done < len && n >= 0) {
        thrum_mutex_lock_shielded(&tls->lock); /* for each record anew: a reader gets its turn */
        n = thr_tls_engine_write(tls->engine, buf + done, len - done);
        thrum_mutex_unlock(&tls->lock);
        if (n > 0)
            done += (size_t)n;
        else if (n == -EAGAIN && done == 0)
            n = thr_tls_fill(tls, THR_TLS_WRITING); /* a ticket is being received and lacks bytes */
    }
    return done ? (ssize_t)done : n;
}

static size_t join(char *to, const struct iovec *iov, int iov_n)
{
    size_t used = 0;
    for (int i = 0; i < iov_n && used < JOIN_BYTES; i++) {
        size_t n = iov[i].iov_len;
        if (n > JOIN_BYTES - used)
            n = JOIN_BYTES - used;
        if (n)
            memcpy(to + used, iov[i].iov_base, n);
        used += n;
    }
    return used;
}

static ssize_t seal_pieces(thrum_tls *tls, const struct iovec *iov, int iov_n)
{
    while (iov_n > 0 && iov->iov_len == 0) {
        iov++;
        iov_n--;
    }
    if (iov_n == 0)
        return 0;
    if (iov_n == 1 || iov->iov_len >= JOIN_BYTES)
        return seal(tls, iov->iov_base, iov->iov_len);
    char *joined = malloc(JOIN_BYTES);
    if (!joined)
        return -ENOMEM;
    ssize_t n = seal(tls, joined, join(joined, iov, iov_n));
    free(joined);
    return n;
}

/* Holding tx. */
static ssize_t write_some(thrum_tls *tls, const struct iovec *iov, int iov_n)
{
    int err = thr_tls_flush(tls, THR_TLS_WRITING); /* of an interrupted write */
    if (err)
        return err;
    ssize_t n = seal_pieces(tls, iov, iov_n);
    err = thr_tls_flush(tls, THR_TLS_WRITING); /* or an alert, if n < 0 */
    if (n > 0 && err && !thr_tls_is_interruption(err))
        n = err;
    return n; /* accepted, even if some is unsent yet (C3) */
}

static ssize_t tls_writev(thrum_stream *s, const struct iovec *iov, int iov_n)
{
    thrum_tls *tls = from_stream(s);
    int err = enter(tls, THR_TLS_WRITING);
    if (err)
        return err;
    ssize_t n = thrum_mutex_lock(&tls->tx);
    if (n == 0) {
        n = write_some(tls, iov, iov_n);
        thrum_mutex_unlock(&tls->tx);
    }
    leave(tls, THR_TLS_WRITING);
    return n;
}

static int tls_shutdown(thrum_stream *s)
{
    thrum_tls *tls = from_stream(s);
    int err = enter(tls, THR_TLS_WRITING);
    if (err)
        return err;
    err = thrum_mutex_lock(&tls->tx);
    if (!err) {
        thrum_mutex_lock_shielded(&tls->lock);
        err = thr_tls_engine_goodbye(tls->engine);
        thrum_mutex_unlock(&tls->lock);
        int sent = thr_tls_flush(tls, THR_TLS_WRITING);
        err = err ? err : sent;
        thrum_mutex_unlock(&tls->tx);
    }
    leave(tls, THR_TLS_WRITING);
    return err;
}

static void tls_close(thrum_stream *s)
{
    thr_tls_close(from_stream(s));
}

const thrum_stream_ops thr_tls_ops = {
    .read = tls_read,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .pin = tls_pin,
    .unpin = tls_unpin,
};
