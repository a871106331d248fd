/* SPDX-License-Identifier: MIT */
/* The hosts file: when it is read, and by whom. */
#include "dns/hosts.h"
#include "dns/hosts_table.h"
#include "exec/clock.h"
#include "exec/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/task.h>
#include <unistd.h>

/* A larger file is read up to here: a mistake or an attack, not a list of hosts. */
#define FILE_BYTES_MAX ((size_t)256 << 20)

int thr_hosts_init(struct thr_hosts *h, const char *path)
{
    memset(h, 0, sizeof(*h));
    h->checking = (thrum_mutex)THRUM_MUTEX_INIT;
    thr_lock_init(&h->lock);
    if (path && !*path)
        return 0;
    h->path = strdup(path ? path : "/etc/hosts");
    return h->path ? 0 : -ENOMEM;
}

void thr_hosts_fini(struct thr_hosts *h)
{
    thr_hosts_table_free(h->table);
    free(h->path);
    h->table = NULL;
    h->path = NULL;
}

/* ---- On a thread of the blocking pool ---- */

/* One look at the file. */
struct check {
    const char *path;
    const struct stat *old; /* what is known */
    struct stat now;        /* zero: there is no such file */
    bool changed;
    struct thr_hosts_table *table; /* if changed: NULL is an empty one */
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Reads up to bytes, as far as there are any; *text has room for one more. */
static int read_text(int fd, size_t bytes, char **text, size_t *text_bytes)
{
    *text_bytes = 0;
    *text = malloc(bytes + 1);
    if (!*text)
        return -ENOMEM;
    while (*text_bytes < bytes) {
        ssize_t n = read(fd, *text + *text_bytes, bytes - *text_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        *text_bytes += (size_t)n;
    }
    return 0;
}

static int load(struct check *c, int fd)
{
    char *text;
    size_t text_bytes, bytes = (size_t)c->now.st_size;
    int err = read_text(fd, bytes < FILE_BYTES_MAX ? bytes : FILE_BYTES_MAX, &text, &text_bytes);
    return err ? err : thr_hosts_table_new(&c->table, text, text_bytes);
}

THR_NOINLINE static int check_file(void *arg)
{
    struct check *c = arg;
    int err = 0;
    /* Not to be held up by a pipe that somebody put there. */
    int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &c->now) != 0 || !S_ISREG(c->now.st_mode))
        memset(&c->now, 0, sizeof(c->now));
    c->changed = !same_file(&c->now, c->old);
    if (c->changed && c->now.st_size > 0)
        err = load(c, fd);
    if (fd >= 0)
        close(fd);
    return err;
}

/* ---- In the task ---- */

/* Puts the new table in the place of the old one, which whoever still searches it frees (H1). */
static void put(struct thr_hosts *h, struct thr_hosts_table *table)
{
    thr_lock(&h->lock);
    struct thr_hosts_table *old = h->table;
    h->table = table;
    bool last = old && --old->refs == 0;
    thr_unlock(&h->lock);
    if (last)
        thr_hosts_table_free(old);
}

static bool is_due(struct thr_hosts *h)
{
    thr_lock(&h->lock);
    bool due = thr_clock_now() >= h->next_check_ns;
    thr_unlock(&h->lock);
    return due;
}

/* Context: the holder of `checking`. */
static int check(struct thr_hosts *h)
{
    struct check c = {.path = h->path, .old = &h->stamp};
    int err = thrum_blocking(check_file, &c);
    if (err == -EAGAIN) { /* no thread can be had: better late than not at all */
        c = (struct check){.path = h->path, .old = &h->stamp};
        err = check_file(&c);
    }
    if (err)
        return err;
    if (c.changed) {
        h->stamp = c.now;
        put(h, c.table);
    }
    thr_lock(&h->lock);
    h->next_check_ns = thr_clock_now() + THR_HOSTS_CHECK_NS;
    thr_unlock(&h->lock);
    return 0;
}

static int refresh(struct thr_hosts *h)
{
    if (!is_due(h))
        return 0;
    int err = thrum_mutex_lock(&h->checking);
    if (err)
        return err;
    if (is_due(h)) /* else another task has just done it */
        err = check(h);
    thrum_mutex_unlock(&h->checking);
    return err;
}

int thr_hosts_find(struct thr_hosts *h, const char *name, size_t len, thrum_addrs *out)
{
    out->n = 0;
    if (!h->path)
        return 0;
    int err = refresh(h);
    if (err)
        return err;
    thr_lock(&h->lock);
    struct thr_hosts_table *table = h->table;
    if (table)
        table->refs++;
    thr_unlock(&h->lock);
    thr_hosts_table_find(table, name, len, out);
    thr_lock(&h->lock);
    bool last = table && --table->refs == 0;
    thr_unlock(&h->lock);
    if (last)
        thr_hosts_table_free(table);
    return 0;
}
