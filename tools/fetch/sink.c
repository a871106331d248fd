/* SPDX-License-Identifier: MIT */
/* Where one body goes. */
#include "tools/fetch/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int thr_sink_open_dir(const char *path)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void thr_sink_init(struct thr_sink *s, const struct thr_sink_target *target, uint64_t index,
                   const char *url)
{
    s->target = target;
    s->index = index;
    s->fd = -1;
    s->name[0] = '\0';
    if (target->dir_fd >= 0) {
        /* The process id: two runs may share the directory. */
        snprintf(s->temp, sizeof(s->temp), ".%06" PRIu64 "-%ld.part", index + 1, (long)getpid());
        thr_name_make(index, url, s->name);
    }
    if (target->order)
        thr_order_begin(target->order, index);
}

/* The system calls of files, which never suspend; noinline, for errno must not be kept across what does. */
static __attribute__((noinline)) int file_open(struct thr_sink *s)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
    s->fd = openat(s->target->dir_fd, s->temp, flags, 0666);
    return s->fd < 0 ? -errno : 0;
}

static __attribute__((noinline)) int file_write(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, data, n);
        if (put < 0 && errno != EINTR)
            return -errno;
        if (put > 0) {
            data += put;
            n -= (size_t)put;
        }
    }
    return 0;
}

/* close(2) may be the first to tell that a network's file system is full. */
static __attribute__((noinline)) int file_commit(struct thr_sink *s)
{
    int err = close(s->fd) != 0 ? -errno : 0;
    s->fd = -1;
    if (!err && renameat(s->target->dir_fd, s->temp, s->target->dir_fd, s->name) != 0)
        err = -errno;
    if (err)
        unlinkat(s->target->dir_fd, s->temp, 0);
    return err;
}

static void file_abort(struct thr_sink *s)
{
    if (s->fd < 0)
        return;
    close(s->fd);
    s->fd = -1;
    unlinkat(s->target->dir_fd, s->temp, 0);
}

int thr_sink_start(struct thr_sink *s)
{
    return s->target->dir_fd >= 0 ? file_open(s) : 0;
}

int thr_sink_write(struct thr_sink *s, const void *data, size_t n)
{
    if (s->target->order)
        return thr_order_write(s->target->order, s->index, data, n);
    return s->fd >= 0 ? file_write(s->fd, data, n) : 0;
}

bool thr_sink_restart(struct thr_sink *s)
{
    file_abort(s);
    return !s->target->order || thr_order_restart(s->target->order, s->index);
}

int thr_sink_commit(struct thr_sink *s)
{
    if (s->target->order)
        return thr_order_end(s->target->order, s->index);
    return s->fd >= 0 ? file_commit(s) : 0;
}

void thr_sink_abort(struct thr_sink *s)
{
    file_abort(s);
    if (s->target->order)
        (void)thr_order_end(s->target->order, s->index);
}
