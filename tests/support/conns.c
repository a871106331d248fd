/* SPDX-License-Identifier: MIT */
/* support/conns.c: accepting, and ending everything at once. */
#include "support/conns.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)256 << 10)
#define BACKLOG 4096

void sup_reset_on_close(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void *serve_thread(void *arg)
{
    struct sup_conn *conn = arg;
    conn->conns->serve(conn, conn->conns->owner);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    return NULL;
}

/* Makes the connection known (I1) and starts its thread; false if it cannot be served. */
static bool serve(struct sup_conns *c, int fd)
{
    struct sup_conn *conn = calloc(1, sizeof(*conn));
    pthread_attr_t attr;
    if (!conn)
        return false;
    conn->conns = c;
    conn->fd = fd;
    pthread_mutex_lock(&c->lock);
    bool room = c->n < SUP_CONNS_MAX;
    if (room) {
        conn->i = c->n++;
        c->slot[conn->i] = conn;
    }
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (!room) {
        free(conn);
        return false;
    }
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int err = pthread_create(&conn->thread, &attr, serve_thread, conn);
    pthread_attr_destroy(&attr);
    if (err) {
        sup_say("no thread for a connection: %s", strerror(err));
        abort(); /* a test that is served by half proves nothing */
    }
    return true;
}

static void *accept_thread(void *arg)
{
    struct sup_conns *c = arg;
    for (;;) {
        struct pollfd fds[2] = {{.fd = c->listen_fd, .events = POLLIN},
                                {.fd = c->quit_fd, .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[1].revents)
            return NULL;
        int fd = accept4(c->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && !serve(c, fd)) {
            sup_reset_on_close(fd);
            close(fd);
        }
    }
}

static void close_all(struct sup_conns *c)
{
    int *fds[3] = {&c->listen_fd, &c->quit_fd, &c->release_fd};
    for (int i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
}

bool sup_conns_start(struct sup_conns *c, void (*serve_one)(struct sup_conn *conn, void *owner),
                     void (*free_data)(void *data), void *owner)
{
    pthread_condattr_t attr;
    memset(c, 0, sizeof(*c));
    c->serve = serve_one;
    c->free_data = free_data;
    c->owner = owner;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attr);
    pthread_condattr_destroy(&attr);
    c->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->release_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    c->listen_fd = sup_listen(false, BACKLOG, &c->port);
    if (c->listen_fd >= 0 && c->quit_fd >= 0 && c->release_fd >= 0 &&
        pthread_create(&c->acceptor, NULL, accept_thread, c) == 0)
        return true;
    close_all(c);
    return false;
}

void sup_conns_stop(struct sup_conns *c)
{
    eventfd_write(c->quit_fd, 1);
    pthread_join(c->acceptor, NULL);
    for (size_t i = 0; i < c->n; i++) { /* no lock: nobody adds any more */
        pthread_join(c->slot[i]->thread, NULL);
        c->free_data(c->slot[i]->data);
        free(c->slot[i]);
    }
    close_all(c);
}

void sup_conns_release(struct sup_conns *c, unsigned n)
{
    if (n > 0)
        eventfd_write(c->release_fd, n);
}

enum sup_stall_end sup_conns_stall(struct sup_conns *c, int fd)
{
    for (;;) {
        struct pollfd fds[3] = {{.fd = c->release_fd, .events = POLLIN},
                                {.fd = c->quit_fd, .events = POLLIN},
                                {.fd = fd, .events = POLLRDHUP}};
        eventfd_t value;
        poll(fds, 3, -1);
        if (fds[1].revents)
            return SUP_STALL_QUIT;
        if (fds[2].revents)
            return SUP_STALL_PEER_ENDED;
        if (fds[0].revents && eventfd_read(c->release_fd, &value) == 0)
            return SUP_STALL_RELEASED; /* else another connection was faster */
    }
}

bool sup_conns_wait(struct sup_conns *c, bool (*holds)(void *arg), void *arg, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&c->lock);
    int err = 0;
    while (!holds(arg) && err == 0)
        err = pthread_cond_timedwait(&c->changed, &c->lock, &until);
    bool held = holds(arg);
    pthread_mutex_unlock(&c->lock);
    return held;
}
