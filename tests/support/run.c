/* SPDX-License-Identifier: MIT */
/* support/run.c: a program run to its end, its streams captured. */
#include "support/proc.h"
#include "support/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CONDITION_PAUSE_MS 2
#define KILL_PATIENCE_MS 5000

struct capture {
    int fd; /* -1: closed */
    char *data;
    size_t bytes;
    size_t room;
};

struct run {
    const struct sup_run_opts *opts;
    struct sup_run_result *result;
    struct sup_child child;
    int in; /* writing end of its standard input, -1: closed */
    size_t in_at;
    struct capture out;
    struct capture err;
    int theirs[3]; /* the child's ends */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool open_pipe(int *reading, int *writing)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *reading = ends[0];
    *writing = ends[1];
    return true;
}

static bool open_tty(int *ours, int *theirs)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    struct termios mode;
    char name[64];
    *ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*ours < 0 || grantpt(*ours) != 0 || unlockpt(*ours) != 0 ||
        ptsname_r(*ours, name, sizeof(name)) != 0)
        return false;
    *theirs = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*theirs < 0 || tcgetattr(*theirs, &mode) != 0)
        return false;
    mode.c_oflag &= ~(tcflag_t)OPOST; /* a newline stays one byte */
    return tcsetattr(*theirs, TCSANOW, &mode) == 0 && ioctl(*theirs, TIOCSWINSZ, &size) == 0;
}

static bool open_streams(struct run *r)
{
    bool ok = open_pipe(&r->theirs[0], &r->in) && open_pipe(&r->out.fd, &r->theirs[1]) &&
              (r->opts->stderr_tty ? open_tty(&r->err.fd, &r->theirs[2])
                                   : open_pipe(&r->err.fd, &r->theirs[2]));
    if (!ok) {
        sup_say("cannot open the streams of %s: %s", r->opts->argv[0], strerror(errno));
        return false;
    }
    fcntl(r->in, F_SETFL, O_NONBLOCK);
    fcntl(r->out.fd, F_SETFL, O_NONBLOCK);
    fcntl(r->err.fd, F_SETFL, O_NONBLOCK);
    return true;
}

/* write(2) that reports EPIPE without the signal, which would end the test. */
static ssize_t write_quietly(int fd, const void *data, size_t bytes)
{
    sigset_t pipe_signal;
    sigset_t before;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t n = write(fd, data, bytes);
    int err = n < 0 ? errno : 0;
    if (err == EPIPE) {
        struct timespec now = {0};
        sigtimedwait(&pipe_signal, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n < 0 ? -err : n;
}

static void feed(struct run *r)
{
    while (r->in >= 0 && r->in_at < r->opts->stdin_bytes) {
        const char *data = r->opts->stdin_data;
        ssize_t n = write_quietly(r->in, data + r->in_at, r->opts->stdin_bytes - r->in_at);
        if (n == -EAGAIN)
            return;
        if (n >= 0)
            r->in_at += (size_t)n;
        else if (n != -EINTR)
            close_fd(&r->in); /* the program does not want the rest */
    }
    close_fd(&r->in);
}

/* Takes what has been written so far, at most `most` bytes in all (0: no limit). */
static void drain(struct capture *c, size_t most)
{
    while (c->fd >= 0) {
        if (c->room - c->bytes < 4096) {
            c->room = c->room ? c->room * 2 : 8192;
            c->data = realloc(c->data, c->room);
            if (!c->data)
                abort();
        }
        ssize_t n = read(c->fd, c->data + c->bytes, c->room - c->bytes - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0)
            c->bytes += (size_t)n;
        if (n <= 0 || (most > 0 && c->bytes >= most)) /* a terminal ends with EIO */
            close_fd(&c->fd);
    }
}

static bool contains(const struct capture *c, const char *needle)
{
    return c->bytes > 0 && memmem(c->data, c->bytes, needle, strlen(needle)) != NULL;
}

static void signal_if_due(struct run *r)
{
    const struct sup_run_opts *o = r->opts;
    if (o->signal_no == 0 || r->result->signalled)
        return;
    bool due = o->signal_on_output &&
               (contains(&r->out, o->signal_on_output) || contains(&r->err, o->signal_on_output));
    due = due || (o->signal_when && o->signal_when(o->signal_arg));
    if (!due)
        return;
    kill(r->child.pid, o->signal_no);
    r->result->signalled = true;
}

/* Moves data until the program ends; at the deadline kills it. */
static void attend(struct run *r)
{
    int timeout_ms = r->opts->timeout_ms > 0 ? r->opts->timeout_ms : SUP_TIMEOUT_MS;
    int64_t deadline = sup_now_ms() + timeout_ms;
    bool ended = false;
    while (!ended) {
        int left = sup_left_ms(deadline);
        bool asking = r->opts->signal_when && !r->result->signalled;
        struct pollfd fds[4] = {
            {.fd = r->child.pidfd, .events = POLLIN},
            {.fd = r->in, .events = POLLOUT},
            {.fd = r->out.fd, .events = POLLIN},
            {.fd = r->err.fd, .events = POLLIN},
        };
        poll(fds, 4, asking && left > CONDITION_PAUSE_MS ? CONDITION_PAUSE_MS : left);
        /* The end is looked at before the streams, so what was written before it is all there. */
        ended = fds[0].revents != 0;
        feed(r);
        drain(&r->out, r->opts->stdout_close_after);
        drain(&r->err, 0);
        if (!ended)
            signal_if_due(r);
        if (left == 0 && !ended) {
            if (r->result->timed_out)
                break; /* not even SIGKILL ends it: waiting is all that is left */
            r->result->timed_out = true;
            kill(r->child.pid, SIGKILL);
            deadline = sup_now_ms() + KILL_PATIENCE_MS;
        }
    }
}

static void reap(struct run *r)
{
    struct sup_run_result *result = r->result;
    struct rusage usage = {0};
    int status = 0;
    while (wait4(r->child.pid, &status, 0, &usage) < 0 && errno == EINTR)
        continue;
    result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result->signal_no = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result->max_rss_kib = usage.ru_maxrss;
    result->user_ms = (int64_t)usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000;
    result->system_ms = (int64_t)usage.ru_stime.tv_sec * 1000 + usage.ru_stime.tv_usec / 1000;
}

/* Hands the captured text over, NUL added; an empty string if there was none. */
static char *finish(struct capture *c, size_t *bytes)
{
    close_fd(&c->fd);
    if (!c->data)
        c->data = sup_format("%s", "");
    c->data[c->bytes] = '\0';
    *bytes = c->bytes;
    return c->data;
}

bool sup_run(struct sup_run_result *result, const struct sup_run_opts *opts)
{
    struct run r = {
        .opts = opts,
        .result = result,
        .child = {.pid = -1, .pidfd = -1},
        .in = -1,
        .out = {.fd = -1},
        .err = {.fd = -1},
        .theirs = {-1, -1, -1},
    };
    int64_t start = sup_now_ms();
    *result = (struct sup_run_result){.exit_code = -1};

    bool ok = open_streams(&r);
    if (ok) {
        struct sup_spawn spawn = {
            .argv = opts->argv,
            .env = opts->env,
            .dir = opts->dir,
            .stdio = {r.theirs[0], r.theirs[1], r.theirs[2]},
        };
        ok = sup_spawn(&r.child, &spawn);
    }
    for (int i = 0; i < 3; i++)
        close_fd(&r.theirs[i]);
    if (ok) {
        attend(&r);
        reap(&r);
        result->wall_ms = sup_now_ms() - start;
    }
    close_fd(&r.in);
    close_fd(&r.child.pidfd);
    result->out = finish(&r.out, &result->out_bytes);
    result->err = finish(&r.err, &result->err_bytes);
    return ok;
}

void sup_run_result_free(struct sup_run_result *result)
{
    free(result->out);
    free(result->err);
    *result = (struct sup_run_result){.exit_code = -1};
}

bool sup_run_ok(const char *const *argv)
{
    struct sup_run_result result;
    bool ok = sup_run(&result, &(struct sup_run_opts){.argv = argv});
    if (ok && result.exit_code != 0) {
        ok = false;
        sup_say("%s ended with %d, signal %d:", argv[0], result.exit_code, result.signal_no);
        sup_say("%s%s", result.out, result.err);
    }
    sup_run_result_free(&result);
    return ok;
}
