/* SPDX-License-Identifier: MIT */
/* Bodies in order, with little memory; the output and the list of URLs under tasks. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <thrum/error.h>
#include <thrum/task.h>

#include "support/pages.h"
#include "support/util.h"
#include "tools/common/output.h"
#include "tools/fetch/order.h"
#include "tools/fetch/urls.h"

#define BODIES 3000
#define TASKS 40

/* Bodies that tasks write in pieces, with pauses here and there. */
struct scene {
    struct thr_output out;
    struct thr_order order;
    uint64_t held_max;
    unsigned workers;
    atomic_uint_fast64_t next, most_held;
    uint64_t stop_at; /* the body in which the scope is cancelled */
    thrum_scope scope;
    atomic_int failures, output_errors;
    int err;
};

static size_t body_bytes(uint64_t index)
{
    return index % 7 == 3 ? 0 : index % 50 == 9 ? 60000 : 100 + index % 1000;
}

static void note_held(struct scene *s)
{
    uint64_t held = atomic_load(&s->order.held), most = atomic_load(&s->most_held);
    while (held > most && !atomic_compare_exchange_weak(&s->most_held, &most, held))
        ;
}

static int write_body(struct scene *s, uint64_t index)
{
    size_t n = body_bytes(index), step = 1 + (size_t)(index * 37 % 5000);
    char buf[2048];
    int err = 0;
    for (size_t at = 0; at < n && !err;) {
        size_t piece = n - at < step ? n - at : step;
        piece = piece < sizeof(buf) ? piece : sizeof(buf);
        sup_stream_fill(index, at, buf, piece);
        err = thr_order_write(&s->order, index, buf, piece);
        note_held(s);
        at += piece;
        if (!err && index % 11 == 5)
            err = thrum_yield();
    }
    if (!err && index % 97 == 13)
        err = thrum_sleep(3 * THRUM_MILLISECOND);
    return err;
}

static int scene_task(void *arg)
{
    struct scene *s = arg;
    for (;;) {
        if (thr_order_reserve(&s->order) != 0)
            return 0;
        uint64_t index = atomic_fetch_add(&s->next, 1);
        if (index >= BODIES) {
            thr_order_unreserve(&s->order);
            return 0;
        }
        thr_order_begin(&s->order, index);
        int err = write_body(s, index);
        if (index % 20 == 1 && thr_order_restart(&s->order, index))
            err = write_body(s, index); /* a second try, of which nothing may be there twice */
        if (index == s->stop_at)
            thrum_scope_cancel(&s->scope);
        int ended = thr_order_end(&s->order, index);
        if (err && err != -ECANCELED && err != ended)
            atomic_fetch_add(&s->failures, 1);
        if (ended)
            atomic_fetch_add(&s->output_errors, 1);
    }
}

static int scene_main(void *arg)
{
    struct scene *s = arg;
    thrum_scope_open(&s->scope, &(thrum_scope_opts){.keep_going = true});
    for (int i = 0; i < TASKS; i++)
        (void)thrum_scope_spawn(&s->scope, scene_task, s);
    return thrum_scope_close(&s->scope);
}

static void play(struct scene *s, int fd)
{
    thr_output_init(&s->out, fd, -1);
    atomic_init(&s->next, 0);
    atomic_init(&s->most_held, 0);
    atomic_init(&s->failures, 0);
    atomic_init(&s->output_errors, 0);
    assert_int_equal(thr_order_init(&s->order, &s->out, TASKS, s->held_max), 0);
    s->err = thrum_run(scene_main, s, &(thrum_run_opts){.workers = s->workers});
}

static void expect_bodies(const char *path)
{
    size_t n, at = 0;
    char *data = sup_file_read(path, &n);
    assert_non_null(data);
    for (uint64_t i = 0; i < BODIES; i++) {
        size_t bytes = body_bytes(i);
        if (at + bytes > n || !sup_stream_match(i, 0, data + at, bytes))
            fail_msg("body %u is wrong", (unsigned)i);
        at += bytes;
    }
    assert_int_equal(at, n);
    free(data);
}

static void play_to_file(unsigned workers, uint64_t held_max)
{
    char *path = sup_tmpname("bodies");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    struct scene s = {.workers = workers, .held_max = held_max, .stop_at = UINT64_MAX};
    play(&s, fd);
    close(fd);
    assert_int_equal(s.err, 0);
    assert_int_equal(atomic_load(&s.failures), 0);
    assert_int_equal(atomic_load(&s.order.held), 0);
    assert_true(atomic_load(&s.most_held) <= held_max + TASKS * (uint64_t)4096);
    thr_order_fini(&s.order);
    expect_bodies(path);
    free(path);
}

static void bodies_leave_in_order_whatever_the_memory(void **state)
{
    (void)state;
    const uint64_t held[] = {1, 8192, 100000, THR_ORDER_HELD_MAX};
    const unsigned workers[] = {1, 2, 16};
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        for (size_t k = 0; k < sizeof(workers) / sizeof(workers[0]); k++)
            play_to_file(workers[k], held[i]);
    }
}

static void a_cancel_ends_it_and_nothing_leaks(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (uint64_t at = 0; at < BODIES; at += 251) {
        struct scene s = {.workers = 2, .held_max = 20000, .stop_at = at};
        play(&s, fd);
        assert_int_equal(atomic_load(&s.failures), 0);
        thr_order_fini(&s.order);
        assert_int_equal(atomic_load(&s.order.held), 0);
    }
    close(fd);
}

static void an_output_that_fails_is_told_to_all(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct scene s = {.workers = 2, .held_max = 20000, .stop_at = UINT64_MAX};
    play(&s, fd);
    close(fd);
    assert_int_equal(atomic_load(&s.order.error), -ENOSPC);
    assert_true(atomic_load(&s.output_errors) > BODIES / 2);
    assert_int_equal(atomic_load(&s.failures), 0);
    assert_int_equal(atomic_load(&s.order.held), 0);
    thr_order_fini(&s.order);
}

/* -- The output by itself ----------------------------------------------------------------------- */

struct pipe_scene {
    struct thr_output out;
    int quit_fd, quit_end;
    int fds[2];
    int err, timed_out;
    size_t got;
};

static int write_much(void *arg)
{
    struct pipe_scene *p = arg;
    static const char data[400000];
    p->err = thr_output_write(&p->out, data, sizeof(data));
    return 0;
}

static int drain(void *arg)
{
    struct pipe_scene *p = arg;
    char buf[30000];
    while (p->got < 400000) {
        ssize_t n = read(p->fds[0], buf, sizeof(buf));
        if (n <= 0)
            return -EIO;
        p->got += (size_t)n;
    }
    return 0;
}

static int slow_pipe_main(void *arg)
{
    struct pipe_scene *p = arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, write_much, p);
    if (!err)
        err = thrum_sleep(20 * THRUM_MILLISECOND); /* the only worker must be free meanwhile */
    if (!err)
        err = thrum_blocking(drain, p);
    int closed = thrum_scope_close(&scope);
    return err ? err : closed;
}

static int stuck_pipe_main(void *arg)
{
    struct pipe_scene *p = arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, write_much, p);
    if (!err)
        err = thrum_sleep(20 * THRUM_MILLISECOND);
    if (write(p->quit_end, "q", 1) != 1)
        err = -EIO;
    int closed = thrum_scope_close(&scope);
    return err ? err : closed;
}

static int broken_pipe_main(void *arg)
{
    struct pipe_scene *p = arg;
    close(p->fds[0]);
    p->fds[0] = -1;
    return write_much(p);
}

static struct pipe_scene play_pipe(thrum_fn *fn)
{
    struct pipe_scene p = {.err = 1};
    int quit[2];
    assert_int_equal(pipe2(p.fds, O_CLOEXEC), 0);
    assert_int_equal(pipe2(quit, O_CLOEXEC), 0);
    p.quit_fd = quit[0];
    p.quit_end = quit[1];
    thr_output_init(&p.out, p.fds[1], p.quit_fd);
    void (*was)(int) = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(thrum_run(fn, &p, &(thrum_run_opts){.workers = 1}), 0);
    signal(SIGPIPE, was);
    if (p.fds[0] >= 0)
        close(p.fds[0]);
    close(p.fds[1]);
    close(quit[0]);
    close(quit[1]);
    return p;
}

static void a_slow_pipe_keeps_a_task_and_no_worker(void **state)
{
    (void)state;
    struct pipe_scene p = play_pipe(slow_pipe_main);
    assert_int_equal(p.err, 0);
    assert_int_equal(p.got, 400000);
}

static void a_stuck_pipe_is_given_up_when_it_is_told_to_stop(void **state)
{
    (void)state;
    assert_int_equal(play_pipe(stuck_pipe_main).err, -ECANCELED);
}

static void a_broken_pipe_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(play_pipe(broken_pipe_main).err, -EPIPE);
}

/* -- The list of URLs --------------------------------------------------------------------------- */

struct list_scene {
    struct thr_urls urls;
    unsigned char seen[5000];
    atomic_int wrong, errors;
};

static int list_task(void *arg)
{
    struct list_scene *s = arg;
    struct thr_url_given given;
    int got;
    while ((got = thr_urls_next(&s->urls, &given)) > 0) {
        char expected[32];
        snprintf(expected, sizeof(expected), "u%u", (unsigned)given.index);
        if (given.index >= sizeof(s->seen) || strcmp(given.text, expected) != 0 || given.cut ||
            given.broken)
            atomic_fetch_add(&s->wrong, 1);
        else
            s->seen[given.index]++;
        free(given.text);
        if (thrum_yield() != 0)
            break;
    }
    if (got < 0)
        atomic_fetch_add(&s->errors, 1);
    return 0;
}

static int list_main(void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < TASKS; i++)
        (void)thrum_scope_spawn(&scope, list_task, arg);
    return thrum_scope_close(&scope);
}

static void each_url_is_given_out_once(void **state)
{
    (void)state;
    static struct list_scene s;
    static const char *const given[] = {"u0", "u1", "u2"};
    char *path = sup_tmpname("list");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (unsigned i = 3; i < sizeof(s.seen); i++)
        fprintf(f, "u%u\n", i);
    fclose(f);

    assert_int_equal(thr_urls_init(&s.urls, given, 3, path, -1), 0);
    assert_int_equal(atomic_load(&s.urls.total), 0);
    thr_urls_count(&s.urls);
    assert_int_equal(atomic_load(&s.urls.total), sizeof(s.seen));
    assert_int_equal(thrum_run(list_main, &s, &(thrum_run_opts){.workers = 4}), 0);
    thr_urls_fini(&s.urls);
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(atomic_load(&s.errors), 0);
    for (size_t i = 0; i < sizeof(s.seen); i++)
        assert_int_equal(s.seen[i], 1);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_leave_in_order_whatever_the_memory),
        cmocka_unit_test(a_cancel_ends_it_and_nothing_leaks),
        cmocka_unit_test(an_output_that_fails_is_told_to_all),
        cmocka_unit_test(a_slow_pipe_keeps_a_task_and_no_worker),
        cmocka_unit_test(a_stuck_pipe_is_given_up_when_it_is_told_to_stop),
        cmocka_unit_test(a_broken_pipe_is_an_error),
        cmocka_unit_test(each_url_is_given_out_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
