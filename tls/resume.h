/* SPDX-License-Identifier: MIT */
/* tls/resume.h: sessions to resume, by host and port, and the order in which a burst to one host shakes hands.
 *
 * A full handshake costs milliseconds of computing, a resumed one half of that (TLS 1.3) or next to nothing (1.2). But a
 * burst of connections to a host that is not known yet would find no session, all of it. So of those without one only
 * the first few, `fresh`, go ahead; the others wait, shortly, until one of those has brought a session. A handful of
 * connections, as a browser opens, never waits.
 *
 * Invariants  R1  at most `places_max` places are kept; only places that nobody is using are thrown out, least recently
 *                 used first. Places in use may exceed it.
 *             R2  place->fresh counts the connections that hold a THR_TLS_FRESH and have not settled it.
 *             R3  who waits at a place is woken when it gets a session, when it becomes barren, and when `fresh` falls.
 *             R4  a place is barren if a fresh connection failed or showed that the server gives no tickets; nobody waits
 *                 there until a session comes.
 * Context     any thread; nothing here suspends but thr_tls_resume_begin(). */
#ifndef THR_TLS_RESUME_H
#define THR_TLS_RESUME_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <thrum/sync.h>

#include "exec/atomic.h"

/* A session as the engine gave it. Never changes. */
struct thr_tls_session {
    thr_au32 refs;
    size_t len;
    unsigned char bytes[];
};

/* NULL is allowed. */
void thr_tls_session_unref(struct thr_tls_session *s);

/* One host and port. */
struct thr_tls_place {
    struct thr_tls_place
        *chain; /* in its bucket; guarded by the lock, as is all below but the event */
    struct thr_tls_place *older, *newer; /* by use */
    struct thr_tls_session *session;     /* NULL: none */
    uint64_t stored_ns;                  /* when the session came */
    unsigned users;                      /* begin without end */
    unsigned fresh;                      /* R2 */
    bool barren;                         /* R4 */
    bool tls12;                          /* TLS 1.3 must not be offered here */
    thrum_event changed;                 /* R3 */
    uint16_t port;
    char host[];
};

#define THR_TLS_RESUME_BUCKETS 256

struct thr_tls_resume {
    pthread_mutex_t lock;
    struct thr_tls_place *buckets[THR_TLS_RESUME_BUCKETS];
    struct thr_tls_place *oldest, *newest;
    unsigned places_n, places_max;
};

/* places_max 0: 1,024. */
void thr_tls_resume_init(struct thr_tls_resume *r, unsigned places_max);

/* Nobody may be using a place. */
void thr_tls_resume_fini(struct thr_tls_resume *r);

/* A connection's part in it. All zero: none. */
struct thr_tls_ticket {
    struct thr_tls_place *place;
    struct thr_tls_session *session; /* to offer; NULL: a full handshake */
    bool fresh;                      /* counted in place->fresh */
    bool tls12;                      /* only TLS 1.2 is to be offered */
};

/* Begins a connection to host and port: finds a session, or decides that the connection shakes hands in full, now or
 * after a wait of at most wait_ns. fresh_max is how many full handshakes a host may have under way before others wait.
 *
 * Owns:    *t is filled in, to be ended with thr_tls_resume_end().
 * Returns: 0; -ENOMEM, -ECANCELED, -ETIMEDOUT (an enclosing deadline); *t is then all zero.
 * Context: task. Suspends. */
int thr_tls_resume_begin(struct thr_tls_resume *r, struct thr_tls_ticket *t, const char *host,
                         uint16_t port, unsigned fresh_max, uint64_t wait_ns);

/* Keeps a session for the connection's host and port, in place of what is there. Without memory nothing is kept. */
void thr_tls_resume_store(struct thr_tls_resume *r, struct thr_tls_ticket *t, const void *bytes,
                          size_t len);

/* From now on only TLS 1.2 is offered to the connection's host and port, as long as they are remembered. */
void thr_tls_resume_only_tls12(struct thr_tls_resume *r, struct thr_tls_ticket *t);

/* The first data has come: if no session has come before it, none will, most likely. */
void thr_tls_resume_settle(struct thr_tls_resume *r, struct thr_tls_ticket *t);

/* Ends the connection's part. failed: the handshake failed, so that the session it offered is given up. */
void thr_tls_resume_end(struct thr_tls_resume *r, struct thr_tls_ticket *t, bool failed);

#endif
