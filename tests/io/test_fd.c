/* SPDX-License-Identifier: MIT */
/* Descriptors that tasks wait for: several at once, with a bell; and that nothing reaches the wrong one. */
#include "exec/clock.h"
#include "io/fd.h"
#include "tests/io/loopback.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void passes(thrum_fn *fn)
{
    size_t before = open_descriptors();
    assert_int_equal(run(fn, NULL, 2), 0);
    assert_int_equal(open_descriptors(), before);
}

#define TASK_TEST(name)                                                                            \
    static int name##_task(void *arg);                                                             \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        passes(name##_task);                                                                       \
    }                                                                                              \
    static int name##_task(void *arg)

/* ---- One descriptor ---- */

TASK_TEST(a_file_that_is_always_ready_is_refused_and_closed)
{
    (void)arg;
    struct thr_fd *f;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_IS(thr_fd_open(&f, fd, 0), -EPERM);
    CHECK(!f);
    CHECK_IS(fcntl(fd, F_GETFD), -1);

    fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK_IS(thr_fd_borrow(&f, fd), -EPERM);
    CHECK(!f);
    CHECK_IS(close(fd), 0); /* a borrowed one stays its owner's */
    return 0;
}

static uint64_t key_of(const struct thr_fd *f)
{
    return (uint64_t)f->index << 32 | f->generation;
}

TASK_TEST(an_event_of_a_closed_descriptor_meets_another_generation)
{
    (void)arg;
    int a[2], b[2];
    struct thr_fd *first, *second;
    struct thr_wakeups wakeups = {0};
    CHECK_IS(pipe2(a, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_IS(pipe2(b, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_IS(thr_fd_open(&first, a[0], 0), 0);
    uint64_t old = key_of(first);
    thr_fd_close(first);
    CHECK_IS(thr_fd_open(&second, b[0], 0), 0);
    CHECK(second == first); /* the entry is used again, newest first */
    CHECK(key_of(second) != old);

    CHECK_IS(thr_fd_enter(second, THR_FD_READ), 0);
    thr_fd_deliver(old, THR_FD_READABLE | THR_FD_WRITABLE | THR_FD_ENDED, &wakeups);
    CHECK(!thr_fd_take(second, THR_FD_READ));
    CHECK_IS(thr_fd_wait(second, THR_FD_READ, thr_clock_after(5 * MS)), -ETIMEDOUT);
    thr_fd_deliver(key_of(second), THR_FD_READABLE, &wakeups);
    CHECK_IS(thr_fd_wait(second, THR_FD_READ, THRUM_NEVER), 0);
    CHECK(thr_fd_take(second, THR_FD_READ));
    CHECK(!thr_fd_take(second, THR_FD_READ));
    thr_fd_leave(second, THR_FD_READ);
    CHECK(!wakeups.head);
    thr_fd_close(second);
    (void)close(a[1]);
    (void)close(b[1]);
    return 0;
}

TASK_TEST(a_duplicate_does_not_keep_the_registration_alive)
{
    (void)arg;
    int p[2], q[2];
    struct thr_fd *f;
    char byte;
    CHECK_IS(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_IS(pipe2(q, O_NONBLOCK | O_CLOEXEC), 0);
    int copy = fcntl(p[0], F_DUPFD_CLOEXEC, 0), number = p[0];
    CHECK_IS(thr_fd_open(&f, p[0], 0), 0);
    thr_fd_close(f);
    CHECK_IS(thr_fd_open(&f, q[0], 0), 0);
    CHECK_IS(write(p[1], "x", 1), 1); /* would be an event for the duplicate */
    CHECK_IS(thr_fd_enter(f, THR_FD_READ), 0);
    CHECK_IS(thr_fd_wait(f, THR_FD_READ, thr_clock_after(5 * MS)), -ETIMEDOUT);
    thr_fd_leave(f, THR_FD_READ);
    CHECK_IS(read(copy, &byte, 1), 1);
    thr_fd_close(f);
    CHECK_IS(dup2(copy, number),
             number); /* the same file under the same number: refused if still registered */
    CHECK_IS(thr_fd_open(&f, number, 0), 0);
    thr_fd_close(f);
    (void)close(copy);
    (void)close(p[1]);
    (void)close(q[1]);
    return 0;
}

TASK_TEST(a_side_is_one_operations_at_a_time)
{
    (void)arg;
    int p[2];
    struct thr_fd *f;
    CHECK_IS(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_IS(thr_fd_open(&f, p[0], 0), 0);
    CHECK_IS(thr_fd_enter(f, THR_FD_READ), 0);
    CHECK_IS(thr_fd_enter(f, THR_FD_READ), -EBUSY);
    CHECK_IS(thr_fd_enter(f, THR_FD_WRITE), 0);
    CHECK_IS(thr_fd_enter(f, THR_FD_NEITHER), 0);
    CHECK_IS(thr_fd_enter(f, THR_FD_NEITHER), 0);
    thr_fd_leave(f, THR_FD_NEITHER);
    thr_fd_leave(f, THR_FD_NEITHER);
    thr_fd_leave(f, THR_FD_WRITE);
    thr_fd_leave(f, THR_FD_READ);
    CHECK_IS(thr_fd_enter(f, THR_FD_READ), 0);
    thr_fd_leave(f, THR_FD_READ);
    thr_fd_close(f);
    CHECK_IS(thr_fd_enter(f, THR_FD_READ),
             THRUM_ECLOSED); /* the entry itself is never given back */
    (void)close(p[1]);
    return 0;
}

static int leave_open(void *arg)
{
    return pair_open(arg);
}

static int read_left_open(void *arg)
{
    struct pair *p = arg;
    char byte;
    return (int)thrum_tcp_read(p->client, &byte, 1);
}

static void what_a_runtime_left_open_can_be_closed_after_it(void **state)
{
    (void)state;
    size_t before = open_descriptors();
    struct pair p = {NULL, NULL};
    assert_int_equal(run(leave_open, &p, 2), 0);
    assert_int_equal(run(read_left_open, &p, 2), THRUM_ECLOSED); /* its loop is gone */
    pair_close(&p);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(run(leave_open, &p, 2), 0); /* and the entries serve the next */
    pair_close(&p);
    assert_int_equal(open_descriptors(), before);
}

/* ---- Several, and a bell ---- */

#define PIPES 70 /* more than one poll(2) takes */

struct pipes {
    int fds[PIPES][2];
    struct thr_fd_want wants[PIPES];
};

static int pipes_open(struct pipes *p)
{
    memset(p, 0, sizeof(*p));
    for (int i = 0; i < PIPES; i++) {
        if (pipe2(p->fds[i], O_NONBLOCK | O_CLOEXEC))
            return -errno;
        int err = thr_fd_borrow(&p->wants[i].fd, p->fds[i][0]);
        if (err)
            return err;
        p->wants[i].read = true;
    }
    return 0;
}

static void pipes_close(struct pipes *p)
{
    for (int i = 0; i < PIPES; i++) {
        thr_fd_release(p->wants[i].fd);
        (void)close(p->fds[i][0]);
        (void)close(p->fds[i][1]);
    }
}

static int readable_n(const struct pipes *p)
{
    int n = 0;
    for (int i = 0; i < PIPES; i++)
        n += p->wants[i].readable;
    return n;
}

struct later {
    int fd;
    struct thr_doorbell *bell;
};

static int write_later(void *arg)
{
    struct later *l = arg;
    int err = thrum_sleep(5 * MS);
    return write(l->fd, "x", 1) == 1 ? err : -EIO;
}

static int ring_later(void *arg)
{
    struct later *l = arg;
    int err = thrum_sleep(5 * MS);
    thr_doorbell_ring(l->bell);
    return err;
}

TASK_TEST(any_of_many_ends_the_wait_and_unread_data_counts_again)
{
    (void)arg;
    static struct pipes many;
    struct pipes *p = &many;
    thrum_task *task;
    char byte;
    CHECK_IS(pipes_open(p), 0);
    uint64_t soon = thr_clock_after(5 * MS);
    CHECK_IS(thr_fd_wait_any(p->wants, PIPES, NULL, soon, false), -ETIMEDOUT);
    CHECK_IS(readable_n(p), 0);

    struct later later = {.fd = p->fds[PIPES - 1][1]};
    CHECK_IS(thrum_spawn(&task, write_later, &later, NULL), 0);
    CHECK_IS(thr_fd_wait_any(p->wants, PIPES, NULL, THRUM_NEVER, false), 0);
    CHECK_IS(thrum_join(task, NULL), 0);
    CHECK_IS(readable_n(p), 1);
    CHECK(p->wants[PIPES - 1].readable && !p->wants[PIPES - 1].writable);

    CHECK_IS(write(p->fds[0][1], "y", 1), 1);
    CHECK_IS(thr_fd_wait_any(p->wants, PIPES, NULL, THRUM_NEVER, false), 0);
    CHECK_IS(readable_n(p), 2); /* the old byte is still there */
    CHECK_IS(read(p->fds[PIPES - 1][0], &byte, 1), 1);
    CHECK_IS(thr_fd_wait_any(p->wants, PIPES, NULL, THRUM_NEVER, false), 0);
    CHECK_IS(readable_n(p), 1);
    CHECK(p->wants[0].readable);
    CHECK_IS(read(p->fds[0][0], &byte, 1), 1);
    soon = thr_clock_after(5 * MS);
    CHECK_IS(thr_fd_wait_any(p->wants, PIPES, NULL, soon, false), -ETIMEDOUT);
    pipes_close(p);
    return 0;
}

static void *ring_from_thread(void *arg)
{
    (void)usleep(5000);
    thr_doorbell_ring(arg);
    return NULL;
}

TASK_TEST(the_bell_ends_the_wait_wherever_it_is_rung)
{
    (void)arg;
    struct thr_doorbell bell;
    thrum_task *task;
    pthread_t thread;
    int fds[2];
    struct thr_fd_want want = {.read = true};
    CHECK_IS(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_IS(thr_fd_borrow(&want.fd, fds[0]), 0);
    thr_doorbell_init(&bell);

    thr_doorbell_ring(&bell);
    thr_doorbell_ring(&bell);
    CHECK_IS(thr_fd_wait_any(&want, 1, &bell, THRUM_NEVER, false), 0); /* rung before */
    CHECK(!want.readable);
    CHECK_IS(thr_fd_wait_any(&want, 1, &bell, thr_clock_after(2 * MS), false), -ETIMEDOUT);

    struct later later = {.bell = &bell};
    CHECK_IS(thrum_spawn(&task, ring_later, &later, NULL), 0);
    CHECK_IS(thr_fd_wait_any(&want, 1, &bell, THRUM_NEVER, false), 0);
    CHECK_IS(thrum_join(task, NULL), 0);
    CHECK(!want.readable);

    CHECK_IS(pthread_create(&thread, NULL, ring_from_thread, &bell), 0);
    CHECK_IS(thr_fd_wait_any(NULL, 0, &bell, THRUM_NEVER, true), 0);
    CHECK_IS(pthread_join(thread, NULL), 0);

    thr_fd_release(want.fd);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}

TASK_TEST(both_sides_of_a_socket_and_its_hang_up)
{
    (void)arg;
    int fds[2];
    char buf[4096] = {0};
    struct thr_fd_want want = {.read = true, .write = true};
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_IS(thr_fd_borrow(&want.fd, fds[0]), 0);
    CHECK_IS(thr_fd_wait_any(&want, 1, NULL, THRUM_NEVER, false), 0);
    CHECK(want.writable && !want.readable);
    CHECK_IS(thr_fd_wait_any(&want, 1, NULL, THRUM_NEVER, false), 0); /* still is */
    CHECK(want.writable && !want.readable);

    while (write(fds[0], buf, sizeof(buf)) > 0)
        ;
    CHECK_IS(thr_fd_wait_any(&want, 1, NULL, thr_clock_after(2 * MS), false), -ETIMEDOUT);
    CHECK(!want.writable && !want.readable);
    (void)close(fds[1]);
    CHECK_IS(thr_fd_wait_any(&want, 1, NULL, THRUM_NEVER, false), 0);
    CHECK(want.writable && want.readable);
    thr_fd_release(want.fd);
    (void)close(fds[0]);
    return 0;
}

struct waiting {
    struct thr_fd_want want;
    struct thr_doorbell *bell;
    uint64_t deadline_ns;
    bool shielded;
    int result;
};

static int wait_task(void *arg)
{
    struct waiting *w = arg;
    w->result = thr_fd_wait_any(&w->want, 1, w->bell, w->deadline_ns, w->shielded);
    return w->result;
}

TASK_TEST(a_cancel_ends_the_wait_unless_it_is_shielded)
{
    (void)arg;
    int fds[2];
    thrum_scope scope;
    struct waiting w = {.want = {.read = true}, .deadline_ns = THRUM_NEVER};
    CHECK_IS(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_IS(thr_fd_borrow(&w.want.fd, fds[0]), 0);

    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, wait_task, &w);
    (void)until_waiting(w.want.fd, THR_FD_READ);
    thrum_scope_cancel(&scope);
    CHECK_IS(thrum_scope_close(&scope), -ECANCELED);
    CHECK_IS(err, 0);
    CHECK_IS(w.result, -ECANCELED);

    w.shielded = true;
    w.deadline_ns = thr_clock_after(30 * MS);
    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = 10 * MS});
    err = thrum_scope_spawn(&scope, wait_task, &w);
    (void)until_waiting(w.want.fd, THR_FD_READ);
    thrum_scope_cancel(&scope);
    (void)thrum_scope_close(&scope);
    CHECK_IS(err, 0);
    CHECK_IS(w.result, -ETIMEDOUT); /* its own deadline holds, and no other */
    CHECK(thr_clock_now() >= w.deadline_ns);

    thr_fd_release(w.want.fd);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}

TASK_TEST(a_second_waiter_is_refused_and_a_release_wakes_the_first)
{
    (void)arg;
    int fds[2], other[2];
    thrum_task *task;
    struct waiting w = {.want = {.read = true}, .deadline_ns = THRUM_NEVER};
    CHECK_IS(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_IS(pipe2(other, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_IS(thr_fd_borrow(&w.want.fd, fds[0]), 0);
    CHECK_IS(thrum_spawn(&task, wait_task, &w, NULL), 0);
    CHECK_IS(until_waiting(w.want.fd, THR_FD_READ), 0);

    struct thr_fd_want wants[2] = {{.read = true}, {.fd = w.want.fd, .read = true}};
    CHECK_IS(thr_fd_borrow(&wants[0].fd, other[0]), 0);
    CHECK_IS(thr_fd_wait_any(wants, 2, NULL, THRUM_NEVER, false), -EBUSY);
    CHECK_IS(thr_fd_wait_any(wants, 1, NULL, thr_clock_after(1 * MS), false), -ETIMEDOUT);

    thr_fd_release(w.want.fd);
    CHECK_IS(thrum_join(task, NULL), 0);
    CHECK_IS(w.result, THRUM_ECLOSED);
    thr_fd_release(wants[0].fd);
    for (int i = 0; i < 2; i++) {
        (void)close(fds[i]);
        (void)close(other[i]);
    }
    return 0;
}

#define STORM 3000

struct storm {
    int fd;
    struct thr_doorbell *bell;
};

/* A stream socket holds few pieces of one byte. */
static int put_byte(int fd, char byte)
{
    int err = 0;
    while (!err && write(fd, &byte, 1) != 1)
        err = thrum_sleep(100 * THRUM_MICROSECOND);
    return err;
}

static int storm_task(void *arg)
{
    struct storm *s = arg;
    for (int i = 0; i < STORM; i++) {
        int err = i % 3 ? put_byte(s->fd, 'x') : 0;
        thr_doorbell_ring(s->bell);
        if (!err && i % 7 == 0)
            err = thrum_sleep(20 * THRUM_MICROSECOND);
        if (err)
            return err;
    }
    return put_byte(s->fd, '!');
}

/* Rings, bytes and deadlines all race; the last byte must be seen without any help of the deadline's. */
TASK_TEST(no_event_is_lost_in_a_storm)
{
    (void)arg;
    int fds[2];
    struct thr_doorbell bell;
    struct thr_fd_want want = {.read = true};
    thrum_task *task;
    size_t got = 0;
    char buf[64], last = 0;
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_IS(thr_fd_borrow(&want.fd, fds[0]), 0);
    thr_doorbell_init(&bell);
    struct storm storm = {.fd = fds[1], .bell = &bell};
    CHECK_IS(thrum_spawn(&task, storm_task, &storm, NULL), 0);
    for (int i = 0; last != '!'; i++) {
        uint64_t deadline_ns = i % 5 ? THRUM_NEVER : thr_clock_after(30 * THRUM_MICROSECOND);
        int err = thr_fd_wait_any(&want, 1, &bell, deadline_ns, false);
        CHECK(err == 0 || err == -ETIMEDOUT);
        CHECK_IS(thrum_check(), 0);
        ssize_t n = want.readable ? read(fds[0], buf, 1 + (size_t)(i % 3)) : 0;
        if (n > 0) {
            last = buf[n - 1];
            got += (size_t)n;
        }
    }
    int result;
    CHECK_IS(thrum_join(task, &result), 0);
    CHECK_IS(result, 0);
    CHECK_IS(got, STORM - (STORM + 2) / 3 + 1);
    thr_fd_release(want.fd);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_always_ready_is_refused_and_closed),
        cmocka_unit_test(an_event_of_a_closed_descriptor_meets_another_generation),
        cmocka_unit_test(a_duplicate_does_not_keep_the_registration_alive),
        cmocka_unit_test(a_side_is_one_operations_at_a_time),
        cmocka_unit_test(what_a_runtime_left_open_can_be_closed_after_it),
        cmocka_unit_test(any_of_many_ends_the_wait_and_unread_data_counts_again),
        cmocka_unit_test(the_bell_ends_the_wait_wherever_it_is_rung),
        cmocka_unit_test(both_sides_of_a_socket_and_its_hang_up),
        cmocka_unit_test(a_cancel_ends_the_wait_unless_it_is_shielded),
        cmocka_unit_test(a_second_waiter_is_refused_and_a_release_wakes_the_first),
        cmocka_unit_test(no_event_is_lost_in_a_storm),
    };
    return cmocka_run_group_tests_name("io.fd", tests, NULL, NULL);
}
