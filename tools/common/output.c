/* SPDX-License-Identifier: MIT */
/* Writes to standard output and standard error from many tasks. */
#include "tools/common/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <thrum/task.h>
#include <unistd.h>

void thr_output_init(struct thr_output *o, int fd, int quit_fd)
{
    struct stat st;
    *o = (struct thr_output){.lock = THRUM_MUTEX_INIT, .fd = fd, .quit_fd = quit_fd};
    o->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Waits for events on fd or for quit_fd, at most timeout_ms (-1: for ever). Never suspends.
 * Returns: 1 fd, 0 the time is up, -ECANCELED quit_fd, or another negative code. */
static __attribute__((noinline)) int wait_fd(int fd, int quit_fd, short events, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = quit_fd, .events = POLLIN}};
    int n;
    do {
        n = poll(fds, 2, timeout_ms);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (fds[1].revents)
        return -ECANCELED;
    return fds[0].revents ? 1 : 0;
}

/* One write(2); never suspends. */
static __attribute__((noinline)) ssize_t write_some(int fd, const void *data, size_t n)
{
    ssize_t put;
    do {
        put = write(fd, data, n);
    } while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

struct piece {
    int fd, quit_fd;
    bool is_file;
    const char *data;
    size_t n;
};

/* Writes on, waiting at most timeout_ms for room each time.
 * Returns: 0 all is written, -EAGAIN the time is up, or another negative code. */
static int push(struct piece *p, int timeout_ms)
{
    while (p->n > 0) {
        if (!p->is_file) {
            int ready = wait_fd(p->fd, p->quit_fd, POLLOUT, timeout_ms);
            if (ready <= 0)
                return ready < 0 ? ready : -EAGAIN;
        }
        size_t step = !p->is_file && p->n > PIPE_BUF ? PIPE_BUF : p->n;
        ssize_t put = write_some(p->fd, p->data, step);
        if (put < 0 && put != -EAGAIN) /* EAGAIN: somebody else made it non-blocking */
            return (int)put;
        if (put > 0) {
            p->data += put;
            p->n -= (size_t)put;
        }
    }
    return 0;
}

static int push_waiting(void *arg)
{
    return push(arg, -1);
}

int thr_output_write(struct thr_output *o, const void *data, size_t n)
{
    int err = thrum_mutex_lock(&o->lock);
    if (err)
        return err;
    struct piece p = {o->fd, o->quit_fd, o->is_file, data, n};
    err = push(&p, 0);
    if (err == -EAGAIN)
        err = thrum_blocking(push_waiting, &p);
    thrum_mutex_unlock(&o->lock);
    return err;
}

int thr_output_put(int fd, const void *data, size_t n)
{
    struct piece p = {fd, -1, false, data, n};
    return push(&p, -1);
}

struct intake {
    int fd, quit_fd;
    void *buf;
    size_t n;
    ssize_t got;
};

static int take(void *arg)
{
    struct intake *in = arg;
    do {
        int ready = wait_fd(in->fd, in->quit_fd, POLLIN, -1);
        if (ready < 0)
            return ready;
        in->got = read(in->fd, in->buf, in->n);
    } while (in->got < 0 && (errno == EINTR || errno == EAGAIN));
    return in->got < 0 ? -errno : 0;
}

ssize_t thr_input_read(int fd, int quit_fd, void *buf, size_t n)
{
    struct intake in = {.fd = fd, .quit_fd = quit_fd, .buf = buf, .n = n};
    int err = thrum_blocking(take, &in);
    return err ? err : in.got;
}
