/* SPDX-License-Identifier: MIT */
/* The watcher of signals, by itself: each case in a child process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <thrum/error.h>
#include <thrum/task.h>
#include <unistd.h>

#include "tools/common/signals.h"

#define PATIENCE_MS 20000

static bool is_tripped(const struct thr_signals *s, int timeout_ms)
{
    struct pollfd fd = {.fd = s->quit_fd, .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1;
}

/* Runs a case in a child; the value is its wait status. */
static int in_child(int (*body)(struct thr_signals *s))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct thr_signals s;
        alarm(PATIENCE_MS / 1000);
        if (thr_signals_start(&s) != 0)
            _exit(99);
        int value = body(&s);
        thr_signals_stop(&s);
        _exit(value);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void expect_exited(int (*body)(struct thr_signals *s), int code)
{
    int status = in_child(body);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void expect_killed(int (*body)(struct thr_signals *s), int signal_no)
{
    int status = in_child(body);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal_no);
}

static int one_signal(struct thr_signals *s)
{
    kill(getpid(), SIGTERM);
    return is_tripped(s, PATIENCE_MS) ? thr_signals_caught(s) : 98;
}

static int two_signals(struct thr_signals *s)
{
    kill(getpid(), SIGTERM);
    if (!is_tripped(s, PATIENCE_MS))
        return 98;
    kill(getpid(), SIGINT);
    sleep(PATIENCE_MS / 1000);
    return 97;
}

static int no_signal(struct thr_signals *s)
{
    if (is_tripped(s, 0) || thr_signals_caught(s) != 0)
        return 1;
    thr_signals_trip(s);
    thr_signals_trip(s);
    return is_tripped(s, 0) && thr_signals_caught(s) == 0 ? 0 : 2;
}

static void the_first_signal_trips_and_the_second_kills(void **state)
{
    (void)state;
    expect_exited(one_signal, SIGTERM);
    expect_killed(two_signals, SIGINT);
    expect_exited(no_signal, 0);
}

/* After stop the signal does again what it did before. */
static int stop_and_signal(struct thr_signals *s)
{
    thr_signals_stop(s);
    kill(getpid(), SIGTERM);
    return 97; /* a signal to oneself that is not blocked arrives before kill returns */
}

static void stopping_restores_what_was(void **state)
{
    (void)state;
    expect_killed(stop_and_signal, SIGTERM);
}

struct attach {
    struct thr_signals *signals;
    bool early; /* the signal comes before the scope is attached */
    int slept, closed, after;
};

static int sleeper(void *arg)
{
    struct attach *a = arg;
    a->slept = thrum_sleep(PATIENCE_MS * THRUM_MILLISECOND);
    return 0;
}

static int attach_task(void *arg)
{
    struct attach *a = arg;
    thrum_scope outer, inner;
    if (a->early)
        kill(getpid(), SIGINT);
    while (a->early && thr_signals_caught(a->signals) == 0)
        thrum_sleep(THRUM_MILLISECOND);
    thrum_scope_open(&outer, NULL);
    thr_signals_attach(a->signals, &outer);
    thrum_scope_open(&inner, NULL);
    int err = thrum_scope_spawn(&inner, sleeper, a);
    if (err)
        a->slept = err;
    if (!a->early)
        kill(getpid(), SIGINT);
    a->closed = thrum_scope_close(&inner);
    thr_signals_detach(a->signals);
    (void)thrum_scope_close(&outer);
    a->after = thrum_sleep(THRUM_MILLISECOND);
    return 0;
}

static int cancel_scope(struct thr_signals *s, bool early)
{
    struct attach a = {.signals = s, .early = early};
    if (thrum_run(attach_task, &a, NULL) != 0)
        return 1;
    return a.slept == -ECANCELED && a.closed == -ECANCELED && a.after == 0 ? 0 : 2;
}

static int cancel_after(struct thr_signals *s)
{
    return cancel_scope(s, false);
}

static int cancel_before(struct thr_signals *s)
{
    return cancel_scope(s, true);
}

static void a_signal_cancels_the_attached_scope(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        expect_exited(cancel_after, 0);
    expect_exited(cancel_before, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_signal_trips_and_the_second_kills),
        cmocka_unit_test(stopping_restores_what_was),
        cmocka_unit_test(a_signal_cancels_the_attached_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
