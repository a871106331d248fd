/* SPDX-License-Identifier: MIT */
/* Ctrl-C and its like cancel a scope. */
#include "tools/common/signals.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void ring(int fd)
{
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(fd, &one, sizeof(one)); /* fails only if it is rung already */
    } while (n < 0 && errno == EINTR);
}

void thr_signals_trip(struct thr_signals *s)
{
    pthread_mutex_lock(&s->lock);
    if (!s->tripped) {
        s->tripped = true;
        ring(s->quit_fd);
        if (s->scope)
            thrum_scope_cancel(s->scope);
    }
    pthread_mutex_unlock(&s->lock);
}

void thr_signals_attach(struct thr_signals *s, thrum_scope *scope)
{
    pthread_mutex_lock(&s->lock);
    s->scope = scope;
    if (s->tripped)
        thrum_scope_cancel(scope);
    pthread_mutex_unlock(&s->lock);
}

void thr_signals_detach(struct thr_signals *s)
{
    pthread_mutex_lock(&s->lock);
    s->scope = NULL;
    pthread_mutex_unlock(&s->lock);
}

int thr_signals_caught(struct thr_signals *s)
{
    return atomic_load(&s->caught);
}

/* Ends the process by the signal itself, as if nobody had caught it. */
static void die_by(int signal_no)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_no);
    signal(signal_no, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(signal_no);
}

static void *watch(void *arg)
{
    struct thr_signals *s = arg;
    struct pollfd fds[] = {{.fd = s->signal_fd, .events = POLLIN},
                           {.fd = s->stop_fd, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            return NULL;
        struct signalfd_siginfo info;
        if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
            continue;
        int none = 0;
        if (!atomic_compare_exchange_strong(&s->caught, &none, (int)info.ssi_signo))
            die_by((int)info.ssi_signo);
        thr_signals_trip(s);
    }
}

static void choose_signals(sigset_t *set)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct sigaction action;
        if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(set, wanted[i]);
    }
}

int thr_signals_start(struct thr_signals *s)
{
    *s = (struct thr_signals){.signal_fd = -1, .quit_fd = -1, .stop_fd = -1};
    atomic_init(&s->caught, 0);
    pthread_mutex_init(&s->lock, NULL);
    choose_signals(&s->set);
    s->pipe_was = signal(SIGPIPE, SIG_IGN);
    s->size_was = signal(SIGXFSZ, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &s->set, &s->mask_was);

    s->signal_fd = signalfd(-1, &s->set, SFD_CLOEXEC);
    s->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->signal_fd < 0 || s->quit_fd < 0 || s->stop_fd < 0)
        return -errno;
    int err = pthread_create(&s->thread, NULL, watch, s);
    s->running = err == 0;
    return -err;
}

void thr_signals_stop(struct thr_signals *s)
{
    if (s->running) {
        ring(s->stop_fd);
        pthread_join(s->thread, NULL);
        s->running = false;
    }
    const int fds[] = {s->signal_fd, s->quit_fd, s->stop_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    pthread_sigmask(SIG_SETMASK, &s->mask_was, NULL);
    signal(SIGPIPE, s->pipe_was);
    signal(SIGXFSZ, s->size_was);
    pthread_mutex_destroy(&s->lock);
}
