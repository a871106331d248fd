/* SPDX-License-Identifier: MIT */
/* support/conns.h: a listener with a thread for each connection, under support/scripted.c and relay.c.
 *
 * Roles       one accepting thread, one thread a connection, the test's threads.
 * Invariants  I1  slot[i] is written once, by the accepting thread under lock, before its thread runs,
 *                 and freed only by sup_conns_stop(), after all threads are joined.
 *             I2  quit_fd becomes readable once, at stop, and stays so: each wait of each thread ends.
 *             I3  counters of the owner are guarded by lock, and changed is signalled after each change.
 */
#ifndef SUPPORT_CONNS_H
#define SUPPORT_CONNS_H

#include "support/util.h"

#include <pthread.h>

/* More than any test opens; a connection beyond it is reset. */
#define SUP_CONNS_MAX 4096

struct sup_conn {
    struct sup_conns *conns;
    size_t i; /* number of the connection, from 0 */
    int fd;   /* the serving thread's, which closes it; -1 afterwards */
    pthread_t thread;
    void *data; /* the owner's, made and freed by its functions below */
};

struct sup_conns {
    uint16_t port;
    int listen_fd;
    int quit_fd;    /* eventfd, readable from stop on (I2) */
    int release_fd; /* eventfd counting sup_conns_release() */
    pthread_t acceptor;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct sup_conn *slot[SUP_CONNS_MAX];              /* guarded by lock (I1) */
    size_t n;                                          /* guarded by lock */
    void (*serve)(struct sup_conn *conn, void *owner); /* on its own thread */
    void (*free_data)(void *data);
    void *owner;
};

/* Starts listening on 127.0.0.1; false on failure, with nothing left to stop. */
bool sup_conns_start(struct sup_conns *c, void (*serve)(struct sup_conn *conn, void *owner),
                     void (*free_data)(void *data), void *owner);

/* Ends all waits, joins all threads, frees everything but c itself. */
void sup_conns_stop(struct sup_conns *c);

/* Lets n waits of sup_conns_stall() end. */
void sup_conns_release(struct sup_conns *c, unsigned n);

/* Why a wait for a release ended. */
enum sup_stall_end { SUP_STALL_RELEASED, SUP_STALL_PEER_ENDED, SUP_STALL_QUIT };

/* Waits for a release, or until the peer of fd (unless negative) has reset or closed both ways; what it
 * sends stays unread. */
enum sup_stall_end sup_conns_stall(struct sup_conns *c, int fd);

/* Waits under lock until holds(arg). */
bool sup_conns_wait(struct sup_conns *c, bool (*holds)(void *arg), void *arg, int timeout_ms);

/* Makes close(2) send a reset. */
void sup_reset_on_close(int fd);

#endif
