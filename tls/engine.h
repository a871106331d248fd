/* SPDX-License-Identifier: MIT */
/* tls/engine.h: one client connection's TLS, without any input or output: the seam that keeps mbedTLS in its own files.
 *
 * The driver (tls/conn.c, tls/transfer.c) calls an operation, sends what thr_tls_engine_take() has, and if the operation
 * said -EAGAIN feeds it more bytes and calls it again. So a task parks between the calls, never inside mbedTLS.
 *
 * Invariants  E1  sending never fails for want of room: records are collected in a buffer that grows. Thus mbedTLS
 *                 never stops within a record, and no call need be repeated with the same arguments.
 *             E2  -EAGAIN is said only if our receive callback ran dry in that very call. mbedTLS also says WANT_READ
 *                 with input still at hand (each TLS 1.3 ticket, warning alerts): then it is called again at once.
 *             E3  a fault is for ever: each later operation returns it.
 * Context     one caller at a time, from any thread; nothing here suspends. Only room and fed may overlap with others:
 *             the task that feeds fills the buffer between them while another writes; what it wrote counts after fed. */
#ifndef THR_TLS_ENGINE_H
#define THR_TLS_ENGINE_H

#include "tls/fault.h"

#include <thrum/common.h>

struct thr_tls_engine;
struct thr_tls_profile;

/* A handshake step was made; there are more. */
#define THR_TLS_MORE 1

/* Called with each session that can be resumed, inside an operation: must not suspend, nor call the engine. */
typedef void thr_tls_session_fn(void *arg, const void *session, size_t len);

/* Makes the engine for a connection to host, a name or a numeric address. tls12: TLS 1.2 alone is offered; see
 * thr_tls_engine_wants_tls12().
 *
 * Owns:    *out is the caller's; profile is borrowed as long as it lives. host and on_session's arg: host is copied.
 * Returns: 0; -ENOMEM, THRUM_ETLS_CONFIG (host), which *f then has too. */
int thr_tls_engine_new(struct thr_tls_engine **out, struct thr_tls_profile *profile,
                       const char *host, bool tls12, thr_tls_session_fn *on_session, void *arg,
                       struct thr_tls_fault *f);

/* NULL is allowed. */
void thr_tls_engine_free(struct thr_tls_engine *e);

/* Offers a session that on_session was given. Before the first step. A session that cannot be read is passed over. */
void thr_tls_engine_offer(struct thr_tls_engine *e, const void *session, size_t len);

/* Returns: 0 when the handshake is done, THR_TLS_MORE, -EAGAIN, or the fault's code. */
int thr_tls_engine_handshake(struct thr_tls_engine *e);

/* Returns: a count; 0 after the peer's goodbye; -EAGAIN; THRUM_ETLS_TRUNCATED; the fault's code. */
ssize_t thr_tls_engine_read(struct thr_tls_engine *e, void *buf, size_t len);

/* Seals one record of at most len bytes.
 *
 * Returns: the count; -EPIPE after our goodbye, and in TLS 1.2 after the peer's (RFC 5246 section 7.2.1); -EAGAIN;
 *          -ENOMEM (nothing is lost); the fault's code. */
ssize_t thr_tls_engine_write(struct thr_tls_engine *e, const void *buf, size_t len);

/* Seals close_notify, once; later calls do nothing. Returns: 0 or the fault's code. */
int thr_tls_engine_goodbye(struct thr_tls_engine *e);

/* True if all that was fed has been used up and nothing is left to read; uses up tickets on the way. */
bool thr_tls_engine_is_quiet(struct thr_tls_engine *e);

/* ---- Bytes in --------------------------------------------------------------------------------------------------- */

/* True if there are bytes that were not used yet, or the end was fed. */
bool thr_tls_engine_has_input(const struct thr_tls_engine *e);

/* Room for the next bytes from the stream: at *at. Only while there is no input. Returns: its size, or 0: no memory. */
size_t thr_tls_engine_room(struct thr_tls_engine *e, void **at);

/* So many bytes have been put there; 0: the stream has ended. */
void thr_tls_engine_fed(struct thr_tls_engine *e, size_t n);

/* Gives the buffer back if it is empty, so that an idle connection does not hold it. Not between room and fed. */
void thr_tls_engine_trim(struct thr_tls_engine *e);

/* ---- Bytes out -------------------------------------------------------------------------------------------------- */

struct thr_tls_bytes {
    unsigned char *at; /* the caller's, freed with free() */
    size_t len;
};

/* Moves what is to be sent to *out, in order. Returns: false if there is nothing. */
bool thr_tls_engine_take(struct thr_tls_engine *e, struct thr_tls_bytes *out);

/* ---- Facts ------------------------------------------------------------------------------------------------------ */

const struct thr_tls_fault *thr_tls_engine_fault(const struct thr_tls_engine *e);
const char *thr_tls_engine_version(const struct thr_tls_engine *e);
const char *thr_tls_engine_cipher(const struct thr_tls_engine *e);
const char *thr_tls_engine_alpn(const struct thr_tls_engine *e);
bool thr_tls_engine_was_resumed(const struct thr_tls_engine *e);

/* True if the handshake failed because mbedTLS cannot speak TLS 1.2 with this server while it offers TLS 1.3 too: the
 * server signs with rsa_pss_*, which RFC 8446 section 4.2.3 lets it, and mbedTLS 3.6.6 refuses. */
bool thr_tls_engine_wants_tls12(const struct thr_tls_engine *e);

#endif
