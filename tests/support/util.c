/* SPDX-License-Identifier: MIT */
/* support/util.c: the clock, files in the test's own directory, and what this process holds. */
#include "support/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int64_t sup_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int sup_left_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - sup_now_ms();
    if (left < 0)
        return 0;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

void sup_say(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "support: %s\n", line);
}

char *sup_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        abort(); /* a test has no use for going on without memory */
    return text;
}

/* -- Files -------------------------------------------------------------------------------------- */

static pthread_once_t tmpdir_once = PTHREAD_ONCE_INIT;
static char *tmpdir;     /* written once, under tmpdir_once */
static pid_t tmpdir_pid; /* a forked child must not remove its parent's files */
static atomic_uint tmpname_n;

static void tmpdir_remove(void)
{
    if (getpid() == tmpdir_pid)
        sup_rmtree(tmpdir);
    free(tmpdir);
}

static void tmpdir_make(void)
{
    const char *base = getenv("TMPDIR");
    char *path = sup_format("%s/thrum-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path)) {
        sup_say("cannot make %s: %s", path, strerror(errno));
        free(path);
        return;
    }
    tmpdir = path;
    tmpdir_pid = getpid();
    atexit(tmpdir_remove);
}

const char *sup_tmpdir(void)
{
    pthread_once(&tmpdir_once, tmpdir_make);
    return tmpdir;
}

char *sup_tmpname(const char *stem)
{
    const char *dir = sup_tmpdir();
    if (!dir)
        return NULL;
    unsigned n = atomic_fetch_add_explicit(&tmpname_n, 1, memory_order_relaxed);
    return sup_format("%s/%s-%u", dir, stem, n);
}

char *sup_tmpdir_new(const char *stem)
{
    char *path = sup_tmpname(stem);
    if (!path)
        return NULL;
    if (mkdir(path, 0755) != 0) {
        sup_say("cannot make %s: %s", path, strerror(errno));
        free(path);
        return NULL;
    }
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    remove(path); /* go on; what is left makes the parent's removal fail */
    return 0;
}

bool sup_rmtree(const char *path)
{
    struct stat st;
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return lstat(path, &st) != 0 && errno == ENOENT;
}

bool sup_file_write(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "we");
    if (!f) {
        sup_say("cannot write %s: %s", path, strerror(errno));
        return false;
    }
    bool ok = fwrite(data, 1, bytes, f) == bytes;
    ok = fclose(f) == 0 && ok;
    if (!ok)
        sup_say("cannot write %s", path);
    return ok;
}

char *sup_file_read(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    size_t n = 0;
    size_t room = 4096;
    char *data = malloc(room);
    size_t got = 0;
    /* Until it ends, not for its size: files in /proc have none and logs grow. */
    while (data && (got = fread(data + n, 1, room - n - 1, f)) > 0) {
        n += got;
        if (n + 1 == room) {
            room *= 2;
            char *more = realloc(data, room);
            if (!more)
                free(data);
            data = more;
        }
    }
    fclose(f);
    if (!data)
        abort();
    data[n] = '\0';
    if (bytes)
        *bytes = n;
    return data;
}

size_t sup_file_count(const char *path, const char *needle)
{
    size_t bytes;
    size_t needle_bytes = strlen(needle);
    size_t n = 0;
    char *data = sup_file_read(path, &bytes);
    if (!data)
        return 0;
    const char *at = data;
    const char *end = data + bytes;
    while ((at = memmem(at, (size_t)(end - at), needle, needle_bytes)) != NULL) {
        n++;
        at += needle_bytes;
    }
    free(data);
    return n;
}

/* Watches the directory of path, so that the file may come later.  -1 if there are no more watches; the
 * wait then looks again every few milliseconds. */
static int watch_directory_of(const char *path)
{
    char *dir = sup_format("%s", path);
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 &&
        inotify_add_watch(fd, slash ? dir : ".", IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
        close(fd);
        fd = -1;
    }
    free(dir);
    return fd;
}

bool sup_file_wait(const char *path, const char *needle, size_t n, int timeout_ms, int quit_fd)
{
    int64_t deadline = sup_now_ms() + timeout_ms;
    int watch = watch_directory_of(path); /* before the first look: nothing is missed in between */
    bool last = false;
    bool found = sup_file_count(path, needle) >= n;
    while (!found && !last) {
        struct pollfd fds[2] = {{.fd = watch, .events = POLLIN}, {.fd = quit_fd, .events = POLLIN}};
        int left = sup_left_ms(deadline);
        int ready = poll(fds, 2, watch < 0 && left > 5 ? 5 : left);
        char events[2048];
        while (watch >= 0 && read(watch, events, sizeof(events)) > 0)
            continue;
        last = (ready > 0 && fds[1].revents) || left == 0;
        found = sup_file_count(path, needle) >= n;
    }
    if (watch >= 0)
        close(watch);
    return found;
}

/* -- This process ------------------------------------------------------------------------------- */

int sup_fd_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -1;
    int n = -1; /* the directory's own descriptor */
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* The number behind "name:" in /proc/self/status. */
static long status_field(const char *name)
{
    char *text = sup_file_read("/proc/self/status", NULL);
    char *label = sup_format("\n%s:", name);
    char *at = text ? strstr(text, label) : NULL;
    long value = at ? strtol(at + strlen(label), NULL, 10) : -1;
    free(label);
    free(text);
    return value;
}

int sup_thread_count(void)
{
    return (int)status_field("Threads");
}

long sup_rss_kib(void)
{
    return status_field("VmRSS");
}

bool sup_fd_count_falls_to(int most, int timeout_ms)
{
    int64_t deadline = sup_now_ms() + timeout_ms;
    int n = sup_fd_count();
    while (n > most && sup_left_ms(deadline) > 0) {
        poll(NULL, 0, 2); /* nothing tells when another thread closes a descriptor */
        n = sup_fd_count();
    }
    return n >= 0 && n <= most;
}
