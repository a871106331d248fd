/* SPDX-License-Identifier: MIT */
/* Where the URLs come from. */
#include "tools/fetch/urls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/common/output.h"

static ssize_t read_list(void *source, void *buf, size_t n)
{
    struct thr_urls *u = source;
    return thr_input_read(u->fd, u->quit_fd, buf, n);
}

int thr_urls_init(struct thr_urls *u, const char *const *given, size_t given_n, const char *path,
                  int quit_fd)
{
    *u = (struct thr_urls){.lock = THRUM_MUTEX_INIT, .given = given, .given_n = given_n, .fd = -1};
    u->quit_fd = quit_fd;
    atomic_init(&u->total, 0);
    if (!path) {
        atomic_store(&u->total, given_n);
        return 0;
    }
    u->owns_fd = strcmp(path, "-") != 0;
    u->fd = u->owns_fd ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (u->fd < 0)
        return -errno;
    struct stat st;
    if (fstat(u->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return -EISDIR;
    return thr_lines_init(&u->lines, read_list, u);
}

static void close_list(struct thr_urls *u)
{
    thr_lines_fini(&u->lines);
    if (u->owns_fd && u->fd >= 0)
        close(u->fd);
    u->fd = -1;
}

void thr_urls_fini(struct thr_urls *u)
{
    close_list(u);
}

struct counting {
    int fd;
    off_t at;
};

/* pread, for the place where the list begins is not to move. */
static ssize_t read_counting(void *source, void *buf, size_t n)
{
    struct counting *c = source;
    ssize_t got = pread(c->fd, buf, n, c->at);
    if (got < 0)
        return -errno;
    c->at += got;
    return got;
}

void thr_urls_count(struct thr_urls *u)
{
    struct stat st;
    if (u->fd < 0 || fstat(u->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    struct counting c = {u->fd, lseek(u->fd, 0, SEEK_CUR)};
    struct thr_lines lines;
    if (c.at < 0 || thr_lines_init(&lines, read_counting, &c) != 0)
        return;

    uint64_t total = u->given_n;
    const char *line;
    size_t n;
    int got;
    while ((got = thr_lines_next(&lines, &line, &n)) > 0)
        total++;
    thr_lines_fini(&lines);
    if (got == 0)
        atomic_store(&u->total, total);
}

static int next_of_list(struct thr_urls *u, struct thr_url_given *out)
{
    const char *line;
    size_t n;
    int got = u->fd >= 0 ? thr_lines_next(&u->lines, &line, &n) : 0;
    if (got > 0) {
        out->cut = u->lines.cut;
        out->broken = memchr(line, '\0', n) != NULL;
        out->text = strndup(line, n);
        if (out->text)
            return 1;
        got = -ENOMEM; /* the line is lost; those behind it would have the wrong places */
    }
    close_list(u);
    atomic_store(&u->total, u->next);
    return got;
}

int thr_urls_next(struct thr_urls *u, struct thr_url_given *out)
{
    *out = (struct thr_url_given){0};
    int got = thrum_mutex_lock(&u->lock);
    if (got)
        return got;
    if (u->next < u->given_n) {
        out->text = strdup(u->given[u->next]);
        got = out->text ? 1 : -ENOMEM;
    } else {
        got = next_of_list(u, out);
    }
    if (got > 0)
        out->index = u->next++;
    thrum_mutex_unlock(&u->lock);
    return got;
}
