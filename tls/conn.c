/* SPDX-License-Identifier: MIT */
/* Opening and closing a TLS connection. */
#include "tls/connect.h"

#include "tls/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum/error.h>

/* For the goodbye: there is room for it at once, or it is not sent. */
#define GOODBYE_NS THRUM_MILLISECOND

static void keep_session(void *arg, const void *session, size_t len)
{
    thrum_tls *tls = arg;
    thr_tls_resume_store(&tls->config->resume, &tls->ticket, session, len);
}

/* ---- Closing ---------------------------------------------------------------------------------------------------- */

/* C2: wakes who is parked in the stream below, and waits until all have left. */
static void send_away(thrum_tls *tls)
{
    thrum_mutex_lock_shielded(&tls->lock);
    tls->closing = true;
    for (int side = THR_TLS_READING; side <= THR_TLS_WRITING; side++) {
        if (tls->parked[side])
            thrum_scope_cancel(tls->parked[side]);
    }
    thrum_mutex_unlock(&tls->lock);
    while (thrum_wait_group_wait(&tls->users) != 0) {
    }
}

/* Sends close_notify, or the alert that the engine has ready. Behind data that is unsent it would not go at once. */
static void say_goodbye(thrum_tls *tls)
{
    struct thr_tls_bytes bytes;
    thrum_timeout limit;
    (void)thr_tls_engine_goodbye(tls->engine);
    if (tls->unsent.at || !thr_tls_engine_take(tls->engine, &bytes))
        return;
    thrum_timeout_begin(&limit, GOODBYE_NS);
    int err = thrum_stream_write(tls->below, bytes.at, bytes.len, NULL);
    (void)err; /* nobody is left who would want to know */
    (void)thrum_timeout_end(&limit);
    free(bytes.at);
}

/* Frees what there is. err is why the handshake failed, or 0; an interrupted one has nothing to say to the peer, and
 * nothing was wrong with the session that it offered. */
static void destroy(thrum_tls *tls, int err)
{
    if (tls->engine && !thr_tls_is_interruption(err))
        say_goodbye(tls);
    thrum_stream_close(tls->below);
    thr_tls_engine_free(tls->engine);
    free(tls->unsent.at);
    thr_tls_resume_end(&tls->config->resume, &tls->ticket, err && !thr_tls_is_interruption(err));
    thrum_tls_config_unref(tls->config);
    free(tls);
}

/* In a scope of its own that no cancel and no deadline reaches: a close cannot be interrupted. */
static void close_shielded(thrum_tls *tls, int err)
{
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.shield = true});
    send_away(tls);
    destroy(tls, err);
    (void)thrum_scope_close(&scope);
}

void thr_tls_close(thrum_tls *tls)
{
    close_shielded(tls, 0);
}

void thrum_tls_close(thrum_tls *tls)
{
    if (tls)
        thr_tls_close(tls);
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static int tls_new(thrum_tls **out, thrum_tls_config *config, thrum_stream *stream)
{
    thrum_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return -ENOMEM;
    tls->head.ops = &thr_tls_ops;
    tls->below = stream;
    thr_tls_config_ref(config);
    tls->config = config;
    tls->lock = (thrum_mutex)THRUM_MUTEX_INIT;
    tls->tx = (thrum_mutex)THRUM_MUTEX_INIT;
    tls->rx = (thrum_mutex)THRUM_MUTEX_INIT;
    tls->users = (thrum_wait_group)THRUM_WAIT_GROUP_INIT;
    *out = tls;
    return 0;
}

/* Makes the engine and gives it a session, if there is one for this host. */
static int prepare(thrum_tls *tls, const char *host, uint16_t port, struct thr_tls_fault *f)
{
    thrum_tls_config *config = tls->config;
    struct thr_tls_ticket *t = &tls->ticket;
    bool resume = !config->opts.no_resume; /* without, there is no session to wait for */
    int err = thr_tls_config_ready(config, f);
    if (!err)
        err = thr_tls_resume_begin(&config->resume, t, host, port, THR_TLS_FRESH_MAX,
                                   resume ? THR_TLS_FRESH_WAIT_NS : 0);
    if (!err)
        err = thr_tls_engine_new(&tls->engine, config->profile, host,
                                 t->tls12 || config->opts.tls12_only, resume ? keep_session : NULL,
                                 tls, f);
    if (!err && t->session)
        thr_tls_engine_offer(tls->engine, t->session->bytes, t->session->len);
    return err;
}

/* Makes handshake steps until bytes are needed from the peer. Only then is there something to send, too: what one flight
 * consists of goes out together. Other tasks run between the steps, each of which may compute for a millisecond or two.
 *
 * Returns: 0 when the handshake is done, -EAGAIN, a fault's code, -ECANCELED, -ETIMEDOUT. */
static int compute(thrum_tls *tls)
{
    thrum_sem *shaking = &tls->config->shaking;
    int err = thrum_sem_acquire(shaking);
    if (err)
        return err;
    while ((err = thr_tls_engine_handshake(tls->engine)) == THR_TLS_MORE) {
        err = thrum_yield();
        if (err)
            break;
    }
    thrum_sem_release(shaking);
    return err;
}

static int handshake(thrum_tls *tls)
{
    for (;;) {
        int state = compute(tls);
        if (state != 0 && state != -EAGAIN)
            return state; /* the alert goes out with the close */
        int err = thrum_mutex_lock(&tls->tx);
        if (!err) {
            err = thr_tls_flush(tls, THR_TLS_WRITING);
            thrum_mutex_unlock(&tls->tx);
        }
        if (err || state == 0)
            return err;
        err = thr_tls_fill(tls, THR_TLS_READING);
        if (err)
            return err;
    }
}

/* The sentence for err: the engine's or the loader's, else one that tells what was interrupted. */
static void explain(int err, const struct thr_tls_fault *f, char *detail, size_t detail_bytes)
{
    if (!detail || detail_bytes == 0)
        return;
    if (f->code == err && f->text[0])
        snprintf(detail, detail_bytes, "%s", f->text);
    else if (err == -ETIMEDOUT)
        snprintf(detail, detail_bytes, "the TLS handshake was not finished in time");
    else
        snprintf(detail, detail_bytes, "%s (during the TLS handshake)", thrum_strerror(err));
}

/* True if the next handshake with the same host will not fail in the same way; sees to it that it does not. */
static bool is_worth_another_try(thrum_tls *tls, int err)
{
    if (!tls->engine || thr_tls_is_interruption(err))
        return false;
    if (thr_tls_engine_wants_tls12(tls->engine)) {
        thr_tls_resume_only_tls12(&tls->config->resume, &tls->ticket);
        return true;
    }
    return tls->ticket.session != NULL; /* given up at the end */
}

int thr_tls_connect(thrum_tls **out, thrum_tls_config *config, thrum_stream *stream,
                    const char *host, uint16_t port, bool *again, char *detail, size_t detail_bytes)
{
    thrum_tls *tls;
    *out = NULL;
    *again = false;
    if (detail && detail_bytes)
        detail[0] = '\0';
    int err = tls_new(&tls, config, stream);
    if (err) {
        thrum_stream_close(stream);
        return err;
    }
    struct thr_tls_fault loading = {0};
    err = prepare(tls, host, port, &loading);
    if (!err)
        err = handshake(tls);
    if (err) {
        explain(err, tls->engine ? thr_tls_engine_fault(tls->engine) : &loading, detail,
                detail_bytes);
        *again = is_worth_another_try(tls, err);
        close_shielded(tls, err);
        return err;
    }
    thr_tls_engine_trim(tls->engine);
    *out = tls;
    return 0;
}

int thrum_tls_connect(thrum_tls **out, thrum_tls_config *config, thrum_stream *stream,
                      const char *host, uint16_t port, char *detail, size_t detail_bytes)
{
    bool again;
    return thr_tls_connect(out, config, stream, host, port, &again, detail, detail_bytes);
}

/* ---- Facts ------------------------------------------------------------------------------------------------------ */

thrum_stream *thrum_tls_stream(thrum_tls *tls)
{
    return &tls->head;
}

const char *thrum_tls_version(const thrum_tls *tls)
{
    return thr_tls_engine_version(tls->engine);
}

const char *thrum_tls_cipher(const thrum_tls *tls)
{
    return thr_tls_engine_cipher(tls->engine);
}

const char *thrum_tls_alpn(const thrum_tls *tls)
{
    return thr_tls_engine_alpn(tls->engine);
}

bool thrum_tls_was_resumed(const thrum_tls *tls)
{
    return thr_tls_engine_was_resumed(tls->engine);
}

bool thrum_tls_is_quiet(thrum_tls *tls)
{
    if (!thrum_mutex_trylock(&tls->tx))
        return false;
    bool quiet = !tls->unsent.at;
    thrum_mutex_unlock(&tls->tx);
    thrum_mutex_lock_shielded(&tls->lock);
    quiet = quiet && !tls->closing && thr_tls_engine_is_quiet(tls->engine);
    if (quiet)
        thr_tls_engine_trim(tls->engine);
    thrum_mutex_unlock(&tls->lock);
    return quiet;
}
