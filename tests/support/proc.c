/* SPDX-License-Identifier: MIT */
/* support/proc.c: servers beside a test. */
#include "support/proc.h"

#include "support/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_PATIENCE_MS 5000
#define SHOWN_BYTES 4096

struct sup_proc {
    struct sup_child child;
    char *output;   /* path of the file */
    char *name;     /* for messages */
    int stdin_pipe; /* writing end, -1: none */
    int stop_signal;
};

static void free_proc(struct sup_proc *p)
{
    if (p->stdin_pipe >= 0)
        close(p->stdin_pipe);
    if (p->child.pidfd >= 0)
        close(p->child.pidfd);
    free(p->output);
    free(p->name);
    free(p);
}

/* The child's standard input: its end is returned, ours kept in *ours. */
static int open_stdin(bool pipe_wanted, int *ours)
{
    int ends[2];
    if (!pipe_wanted)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    *ours = ends[1];
    return ends[0];
}

struct sup_proc *sup_proc_start(const struct sup_proc_opts *opts)
{
    struct sup_proc *p = calloc(1, sizeof(*p));
    if (!p)
        abort();
    const char *slash = strrchr(opts->argv[0], '/');
    p->child.pidfd = -1;
    p->stdin_pipe = -1;
    p->stop_signal = opts->stop_signal ? opts->stop_signal : SIGTERM;
    p->name = sup_format("%s", slash ? slash + 1 : opts->argv[0]);
    p->output = sup_tmpname(p->name);

    int in = open_stdin(opts->stdin_open, &p->stdin_pipe);
    int out = p->output ? open(p->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    bool ok = in >= 0 && out >= 0;
    if (!ok)
        sup_say("cannot open the streams of %s: %s", p->name, strerror(errno));
    struct sup_spawn spawn = {
        .argv = opts->argv,
        .env = opts->env,
        .dir = opts->dir,
        .stdio = {in, out, out},
        .fds = opts->fds,
        .fds_n = opts->fds_n,
        .raise_limits = true,
    };
    ok = ok && sup_spawn(&p->child, &spawn);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    if (ok)
        return p;
    free_proc(p);
    return NULL;
}

int sup_proc_stop(struct sup_proc *p)
{
    int status = -1;
    if (!p)
        return -1;
    kill(p->child.pid, p->stop_signal);
    if (sup_wait_fd(p->child.pidfd, POLLIN, -1, sup_now_ms() + STOP_PATIENCE_MS) != 1) {
        sup_say("%s does not end, killing it", p->name);
        kill(p->child.pid, SIGKILL);
    }
    while (waitpid(p->child.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    free_proc(p);
    return status;
}

pid_t sup_proc_pid(const struct sup_proc *p)
{
    return p->child.pid;
}

bool sup_proc_is_running(struct sup_proc *p)
{
    return sup_wait_fd(p->child.pidfd, POLLIN, -1, 0) == 0;
}

const char *sup_proc_output(const struct sup_proc *p)
{
    return p->output;
}

void sup_proc_show(const struct sup_proc *p)
{
    size_t bytes = 0;
    char *text = sup_file_read(p->output, &bytes);
    size_t from = bytes > SHOWN_BYTES ? bytes - SHOWN_BYTES : 0;
    sup_say("%s said:", p->name);
    if (text && write(STDERR_FILENO, text + from, bytes - from) < 0)
        sup_say("(%s)", strerror(errno));
    free(text);
}

bool sup_proc_wait_output(struct sup_proc *p, const char *needle, int timeout_ms)
{
    if (sup_file_wait(p->output, needle, 1, timeout_ms, p->child.pidfd))
        return true;
    sup_say("%s %s without \"%s\"", p->name, sup_proc_is_running(p) ? "still runs" : "has ended",
            needle);
    sup_proc_show(p);
    return false;
}

bool sup_proc_wait_port(struct sup_proc *p, uint16_t port, int timeout_ms)
{
    int64_t deadline = sup_now_ms() + timeout_ms;
    int pause_ms = 1;
    for (;;) {
        int fd = sup_connect(port, sup_left_ms(deadline));
        if (fd >= 0) {
            close(fd);
            return true;
        }
        /* The kernel does not tell when a port is listened on: look again soon, or when p ends. */
        int left = sup_left_ms(deadline);
        int64_t next = sup_now_ms() + (pause_ms < left ? pause_ms : left);
        if (left == 0 || sup_wait_fd(p->child.pidfd, POLLIN, -1, next) == 1)
            break;
        pause_ms = pause_ms < 20 ? pause_ms * 2 : 20;
    }
    sup_say("%s does not listen on port %u", p->name, port);
    sup_proc_show(p);
    return false;
}
