/* SPDX-License-Identifier: MIT */
/* The event loop as the scheduler sees it: sleeping, waking, several threads polling. */
#include "exec/atomic.h"
#include "exec/clock.h"
#include "io/loop.h"
#include "tests/io/loopback.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct thr_driver *driver(void)
{
    return &thr_loop_backend()->driver;
}

static void *loop_new(void)
{
    void *loop = NULL;
    assert_int_equal(driver()->open(&loop, 0), 0);
    return loop;
}

static void a_ring_before_the_sleep_prevents_one_sleep(void **state)
{
    (void)state;
    struct thr_wakeups out = {0};
    void *loop = loop_new();
    driver()->wake(loop);
    driver()->wake(loop);
    assert_int_equal(driver()->poll(loop, 0, &out), 0); /* does not use the ring up */
    uint64_t start = thr_clock_now();
    assert_int_equal(driver()->poll(loop, THRUM_NEVER, &out), 0);
    assert_int_equal(driver()->poll(loop, 20 * MS, &out), 0);
    assert_true(thr_clock_now() - start >= 20 * MS);
    driver()->close(loop);
}

static void a_sleep_is_never_too_short(void **state)
{
    static const uint64_t timeouts[] = {1,       999,        1000,       123456,
                                        1000000, 1 * MS + 1, 3 * MS - 1, 5000001};
    (void)state;
    struct thr_wakeups out = {0};
    void *loop = loop_new();
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        uint64_t start = thr_clock_now();
        assert_int_equal(driver()->poll(loop, timeouts[i], &out), 0);
        assert_true(thr_clock_now() - start >= timeouts[i]);
    }
    driver()->close(loop);
    driver()->close(NULL);
}

/* ---- A sleeper, a waker, and thieves who poll the same loop ---- */

#define WAKES 20000

struct sleeper {
    void *loop;
    thr_au32 asked; /* wakes asked for */
    thr_au32 done;  /* wakes seen */
    thr_au32 stop;  /* for the thieves */
};

static void *sleep_thread(void *arg)
{
    struct sleeper *s = arg;
    struct thr_wakeups out = {0};
    while (thr_load(&s->done, THR_RELAXED) < WAKES) {
        if (thr_load(&s->asked, THR_SEQ_CST) == thr_load(&s->done, THR_RELAXED))
            (void)driver()->poll(s->loop, THRUM_NEVER, &out);
        thr_store(&s->done, thr_load(&s->asked, THR_SEQ_CST), THR_SEQ_CST);
    }
    return NULL;
}

static void *thief_thread(void *arg)
{
    struct sleeper *s = arg;
    struct thr_wakeups out = {0};
    while (!thr_load(&s->stop, THR_RELAXED))
        (void)driver()->poll(s->loop, 0, &out);
    return NULL;
}

static bool all_wakes_arrive(unsigned thieves)
{
    struct sleeper s = {.loop = loop_new()};
    pthread_t sleeper, thief[2];
    bool arrived = true;
    assert_int_equal(pthread_create(&sleeper, NULL, sleep_thread, &s), 0);
    for (unsigned i = 0; i < thieves; i++)
        assert_int_equal(pthread_create(&thief[i], NULL, thief_thread, &s), 0);
    for (uint32_t i = 1; i <= WAKES && arrived; i++) {
        thr_store(&s.asked, i, THR_SEQ_CST);
        driver()->wake(s.loop);
        uint64_t deadline_ns = thr_clock_after(20 * THRUM_SECOND);
        while (thr_load(&s.done, THR_SEQ_CST) != i && arrived) {
            arrived = thr_clock_now() < deadline_ns;
            sched_yield();
        }
    }
    thr_store(&s.stop, 1, THR_RELAXED);
    for (unsigned i = 0; i < thieves; i++)
        assert_int_equal(pthread_join(thief[i], NULL), 0);
    if (arrived) {
        assert_int_equal(pthread_join(sleeper, NULL), 0);
        driver()->close(s.loop);
    }
    return arrived;
}

static void every_wake_reaches_the_sleeper(void **state)
{
    (void)state;
    assert_true(all_wakes_arrive(0));
}

static void a_bell_that_another_thread_hears_is_passed_on(void **state)
{
    (void)state;
    assert_true(all_wakes_arrive(1));
    assert_true(all_wakes_arrive(2));
}

static void nothing(int signal)
{
    (void)signal;
}

static void *signal_thread(void *arg)
{
    (void)usleep(20000);
    (void)pthread_kill(*(pthread_t *)arg, SIGUSR1);
    return NULL;
}

static void a_signal_ends_a_sleep_without_harm(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = nothing};
    struct thr_wakeups out = {0};
    pthread_t self = pthread_self(), other;
    void *loop = loop_new();
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(pthread_create(&other, NULL, signal_thread, &self), 0);
    assert_int_equal(driver()->poll(loop, 20 * THRUM_SECOND, &out), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    driver()->close(loop);
}

/* ---- In a runtime ---- */

static uint64_t polls_so_far(void)
{
    uint64_t polls = 0;
    for (unsigned i = 0; i < thrum_workers(); i++) {
        thrum_worker_stats stats = {0};
        (void)thrum_stats(i, &stats);
        polls += stats.polls;
    }
    return polls;
}

static int idle_task(void *arg)
{
    (void)arg;
    CHECK_IS(thrum_sleep(100 * MS), 0); /* the start is over */
    uint64_t before = polls_so_far();
    CHECK_IS(thrum_sleep(500 * MS), 0);
    uint64_t polls = polls_so_far() - before;
    CHECK(polls < 40);
    return 0;
}

static void an_idle_runtime_does_not_poll(void **state)
{
    (void)state;
    assert_int_equal(run(idle_task, NULL, 4), 0);
}

static int sleep_and_talk(void *arg)
{
    (void)arg;
    struct pair p;
    char byte;
    for (int i = 0; i < 5; i++) {
        uint64_t start = thrum_now();
        CHECK_IS(thrum_sleep(2 * MS + 1), 0);
        CHECK(thrum_now() - start >= 2 * MS + 1);
    }
    CHECK_IS(pair_open(&p), 0);
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), 0);
    CHECK_IS(thrum_tcp_read(p.server, &byte, 1), 1);
    pair_close(&p);
    return 0;
}

/* Runs sleep_and_talk where epoll_pwait2 fails with `error`: before Linux 5.11, or under a filter that is older than it. */
static int run_without_pwait2(unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
        return 77;
    return run(sleep_and_talk, NULL, 2) == 0 ? 0 : 1;
}

static void kernels_without_epoll_pwait2_are_served_too(void **state)
{
    static const unsigned errors[] = {ENOSYS, EPERM};
    (void)state;
    for (int i = 0; i < 2; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0)
            _exit(run_without_pwait2(errors[i]));
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
            skip();
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_without_epoll_pwait2_are_served_too), /* first: it forks */
        cmocka_unit_test(a_ring_before_the_sleep_prevents_one_sleep),
        cmocka_unit_test(a_sleep_is_never_too_short),
        cmocka_unit_test(every_wake_reaches_the_sleeper),
        cmocka_unit_test(a_bell_that_another_thread_hears_is_passed_on),
        cmocka_unit_test(a_signal_ends_a_sleep_without_harm),
        cmocka_unit_test(an_idle_runtime_does_not_poll),
    };
    return cmocka_run_group_tests_name("io.loop", tests, NULL, NULL);
}
