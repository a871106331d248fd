/* SPDX-License-Identifier: MIT */
/* TCP when several tasks, deadlines, cancels and closes meet on one connection. */
#include "io/tcp.h"
#include "tests/io/loopback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

#define WORKERS 2

static void passes(thrum_fn *fn, unsigned workers)
{
    size_t before = open_descriptors();
    assert_int_equal(run(fn, NULL, workers), 0);
    assert_int_equal(open_descriptors(), before);
}

#define TASK_TEST(name)                                                                            \
    static int name##_task(void *arg);                                                             \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        passes(name##_task, WORKERS);                                                              \
    }                                                                                              \
    static int name##_task(void *arg)

/* One operation in a task of its own; its result is the handle's to ask for. */
struct op {
    thrum_tcp *tcp;
    thrum_listener *listener;
    unsigned char *data;
    size_t data_n;
    size_t put;
    ssize_t n;
};

static int read_op(void *arg)
{
    struct op *op = arg;
    unsigned char buf[64];
    op->n = thrum_tcp_read(op->tcp, buf, sizeof(buf));
    return (int)op->n;
}

static int write_op(void *arg)
{
    struct op *op = arg;
    return thrum_tcp_write(op->tcp, op->data, op->data_n, &op->put);
}

static int stream_write_op(void *arg)
{
    struct op *op = arg;
    return thrum_stream_write(thrum_tcp_stream(op->tcp), op->data, op->data_n, &op->put);
}

static int stream_read_op(void *arg)
{
    struct op *op = arg;
    return thrum_stream_read_exactly(thrum_tcp_stream(op->tcp), op->data, op->data_n, &op->put);
}

static int accept_op(void *arg)
{
    struct op *op = arg;
    return thrum_tcp_accept(op->listener, &op->tcp);
}

/* Joins and gives the task's value, whatever happens to the joiner. */
static int result_of(thrum_task *task)
{
    int result = 0;
    int err = thrum_join(task, &result);
    return err ? err : result;
}

/* ---- Two on one side ---- */

TASK_TEST(a_second_reader_is_refused_and_the_first_goes_on)
{
    (void)arg;
    struct pair p;
    thrum_task *task;
    char byte;
    CHECK_IS(pair_open(&p), 0);
    struct op op = {.tcp = p.server};
    CHECK_IS(thrum_spawn(&task, read_op, &op, NULL), 0);
    CHECK_IS(until_waiting(p.server->fd, THR_FD_READ), 0);
    CHECK_IS(thrum_tcp_read(p.server, &byte, 1), -EBUSY);
    CHECK(!thrum_tcp_is_quiet(p.server));
    CHECK_IS(thrum_tcp_write(p.server, "x", 1, NULL), 0); /* the other side is free */
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), 0);
    CHECK_IS(result_of(task), 1);
    pair_close(&p);
    return 0;
}

#define MUCH (16U << 20)

static unsigned char to_send[MUCH], received[MUCH];

TASK_TEST(a_second_writer_is_refused_and_the_first_goes_on)
{
    (void)arg;
    struct pair p;
    thrum_task *task;
    struct op op = {.data = to_send, .data_n = MUCH};
    CHECK_IS(pair_open(&p), 0);
    op.tcp = p.client;
    CHECK_IS(thrum_spawn(&task, write_op, &op, NULL), 0);
    CHECK_IS(until_waiting(p.client->fd, THR_FD_WRITE), 0);
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), -EBUSY);
    CHECK_IS(thrum_stream_read_exactly(thrum_tcp_stream(p.server), received, MUCH, NULL), 0);
    CHECK_IS(result_of(task), 0);
    CHECK_IS(op.put, MUCH);
    pair_close(&p);
    return 0;
}

TASK_TEST(a_second_acceptor_is_refused_and_a_close_wakes_the_first)
{
    (void)arg;
    struct op op = {0};
    thrum_addr addr;
    thrum_task *task;
    thrum_tcp *tcp;
    CHECK_IS(listen_loopback(&op.listener, &addr), 0);
    CHECK_IS(thrum_spawn(&task, accept_op, &op, NULL), 0);
    CHECK_IS(until_waiting(op.listener->fd, THR_FD_READ), 0);
    CHECK_IS(thrum_tcp_accept(op.listener, &tcp), -EBUSY);
    thrum_listener_close(op.listener);
    CHECK_IS(result_of(task), THRUM_ECLOSED);
    CHECK(!op.tcp);
    return 0;
}

/* ---- Close ---- */

TASK_TEST(a_close_wakes_a_reader_and_returns_after_it_has_left)
{
    (void)arg;
    struct pair p;
    thrum_task *task;
    CHECK_IS(pair_open(&p), 0);
    struct op op = {.tcp = p.server};
    CHECK_IS(thrum_spawn(&task, read_op, &op, NULL), 0);
    CHECK_IS(until_waiting(p.server->fd, THR_FD_READ), 0);
    thrum_tcp_close(p.server);
    CHECK_IS(result_of(task), THRUM_ECLOSED);
    CHECK_IS(op.n, THRUM_ECLOSED);
    thrum_tcp_close(p.client);
    return 0;
}

static int close_under(thrum_fn *fn, struct op *op, bool writes)
{
    struct pair p;
    thrum_task *task;
    CHECK_IS(pair_open(&p), 0);
    op->tcp = p.client;
    op->put = 0;
    CHECK_IS(thrum_spawn(&task, fn, op, NULL), 0);
    CHECK_IS(until_waiting(p.client->fd, writes ? THR_FD_WRITE : THR_FD_READ), 0);
    thrum_tcp_close(p.client);
    CHECK_IS(result_of(task), THRUM_ECLOSED);
    CHECK(writes ? op->put > 0 && op->put < op->data_n : op->put == 0);
    thrum_tcp_close(p.server);
    return 0;
}

TASK_TEST(a_close_ends_what_is_in_flight_with_its_progress)
{
    (void)arg;
    struct op op = {.data = to_send, .data_n = MUCH};
    CHECK_IS(close_under(write_op, &op, true), 0);
    CHECK_IS(close_under(stream_write_op, &op, true), 0);
    CHECK_IS(close_under(stream_read_op, &op, false), 0);
    return 0;
}

struct drain {
    thrum_tcp *tcp;
    thr_asize n;
};

static int drain_task(void *arg)
{
    struct drain *d = arg;
    unsigned char buf[4096];
    ssize_t n;
    while ((n = thrum_tcp_read(d->tcp, buf, sizeof(buf))) > 0)
        (void)thr_fetch_add(&d->n, (size_t)n, THR_RELAXED);
    return n == -ECONNRESET ? 0 : (int)n;
}

/* The writer is now waiting, now in a call, now between two: a close at any moment must find it. */
TASK_TEST(a_close_finds_a_busy_stream_writer_at_any_moment)
{
    (void)arg;
    struct op op = {.data = to_send, .data_n = MUCH};
    for (uint64_t i = 0; i < 60; i++) {
        struct pair p;
        thrum_task *writer, *reader;
        CHECK_IS(pair_open(&p), 0);
        op.tcp = p.client;
        struct drain drain = {.tcp = p.server};
        CHECK_IS(thrum_spawn(&writer, stream_write_op, &op, NULL), 0);
        CHECK_IS(thrum_spawn(&reader, drain_task, &drain, NULL), 0);
        while (thr_load(&drain.n, THR_RELAXED) == 0 && !thrum_task_is_done(writer))
            CHECK_IS(thrum_sleep(100 * 1000 + i * 7000), 0);
        thrum_tcp_close(p.client);
        int err = result_of(writer);
        CHECK(err == THRUM_ECLOSED || err == 0);
        CHECK_IS(result_of(reader), 0);
        thrum_tcp_close(p.server);
    }
    return 0;
}

TASK_TEST(an_abort_wakes_a_reader_too)
{
    (void)arg;
    struct pair p;
    thrum_task *task;
    char byte;
    CHECK_IS(pair_open(&p), 0);
    struct op op = {.tcp = p.server};
    CHECK_IS(thrum_spawn(&task, read_op, &op, NULL), 0);
    CHECK_IS(until_waiting(p.server->fd, THR_FD_READ), 0);
    thrum_tcp_abort(p.server);
    CHECK_IS(result_of(task), THRUM_ECLOSED);
    CHECK_IS(thrum_tcp_read(p.client, &byte, 1), -ECONNRESET);
    thrum_tcp_close(p.client);
    return 0;
}

/* ---- Deadline and cancel ---- */

TASK_TEST(a_read_ends_at_the_deadline_and_the_next_one_gets_the_data)
{
    (void)arg;
    struct pair p;
    thrum_timeout limit;
    char byte = 0;
    CHECK_IS(pair_open(&p), 0);
    uint64_t start = thrum_now();
    thrum_timeout_begin(&limit, 30 * MS);
    ssize_t n = thrum_tcp_read(p.server, &byte, 1);
    CHECK(thrum_timeout_end(&limit));
    CHECK_IS(n, -ETIMEDOUT);
    CHECK(thrum_now() - start >= 30 * MS);
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), 0);
    CHECK_IS(thrum_tcp_read(p.server, &byte, 1), 1);
    CHECK_IS(byte, 'x');
    pair_close(&p);
    return 0;
}

TASK_TEST(an_accept_ends_at_the_deadline_and_the_next_one_gets_the_connection)
{
    (void)arg;
    thrum_listener *l;
    thrum_addr addr;
    thrum_timeout limit;
    struct pair p;
    CHECK_IS(listen_loopback(&l, &addr), 0);
    thrum_timeout_begin(&limit, 20 * MS);
    int err = thrum_tcp_accept(l, &p.server);
    CHECK(thrum_timeout_end(&limit));
    CHECK_IS(err, -ETIMEDOUT);
    CHECK(!p.server);
    CHECK_IS(thrum_tcp_connect(&p.client, &addr, NULL), 0);
    CHECK_IS(thrum_tcp_accept(l, &p.server), 0);
    pair_close(&p);
    thrum_listener_close(l);
    return 0;
}

TASK_TEST(a_cancelled_reader_returns_and_the_next_one_gets_the_data)
{
    (void)arg;
    struct pair p;
    thrum_scope scope;
    char byte = 0;
    CHECK_IS(pair_open(&p), 0);
    struct op op = {.tcp = p.server};
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, read_op, &op);
    (void)until_waiting(p.server->fd, THR_FD_READ);
    thrum_scope_cancel(&scope);
    CHECK_IS(thrum_scope_close(&scope), -ECANCELED);
    CHECK_IS(err, 0);
    CHECK_IS(op.n, -ECANCELED);
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), 0);
    CHECK_IS(thrum_tcp_read(p.server, &byte, 1), 1);
    pair_close(&p);
    return 0;
}

#define RACES 1500

static int sender_task(void *arg)
{
    thrum_tcp *tcp = arg;
    for (size_t i = 0; i < RACES; i++) {
        unsigned char byte = data_byte(i);
        int err = thrum_tcp_write(tcp, &byte, 1, NULL);
        if (!err && i % 3)
            err = thrum_sleep(150 * 1000 + (i % 97) * 1000);
        if (err)
            return err;
    }
    return thrum_tcp_shutdown(tcp);
}

/* Data and deadline come within microseconds of each other, over and over. */
TASK_TEST(data_that_races_a_deadline_is_not_lost)
{
    (void)arg;
    struct pair p;
    thrum_task *sender;
    size_t got = 0, late = 0;
    ssize_t n;
    CHECK_IS(pair_open(&p), 0);
    CHECK_IS(thrum_spawn(&sender, sender_task, p.client, NULL), 0);
    do {
        unsigned char buf[64];
        thrum_timeout limit;
        thrum_timeout_begin(&limit, 200 * 1000);
        n = thrum_tcp_read(p.server, buf, sizeof(buf));
        (void)thrum_timeout_end(&limit);
        if (n > 0) {
            CHECK(data_matches(buf, (size_t)n, got));
            got += (size_t)n;
        } else {
            CHECK(n == 0 || n == -ETIMEDOUT);
            late += n != 0;
        }
    } while (n != 0);
    CHECK_IS(result_of(sender), 0);
    CHECK_IS(got, RACES);
    CHECK(late > 0);
    pair_close(&p);
    return 0;
}

/* ---- Out of descriptors ---- */

static rlim_t limit_descriptors(rlim_t n)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = n;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return before;
}

TASK_TEST(without_descriptors_accept_says_so_and_keeps_the_connection)
{
    (void)arg;
    struct pair p;
    thrum_listener *l;
    thrum_addr addr;
    thrum_tcp *other;
    char byte;
    CHECK_IS(listen_loopback(&l, &addr), 0);
    CHECK_IS(thrum_tcp_connect(&p.client, &addr, NULL), 0);
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), 0);
    rlim_t before = limit_descriptors(0);
    int first = thrum_tcp_accept(l, &p.server);
    int second = thrum_tcp_accept(l, &p.server);
    int connected = thrum_tcp_connect(&other, &addr, NULL);
    (void)limit_descriptors(before);
    CHECK_IS(first, -EMFILE);
    CHECK_IS(second, -EMFILE);
    CHECK_IS(connected, -EMFILE);
    CHECK(!p.server && !other);
    CHECK_IS(thrum_tcp_accept(l, &p.server), 0);
    CHECK_IS(thrum_tcp_read(p.server, &byte, 1), 1);
    pair_close(&p);
    thrum_listener_close(l);
    return 0;
}

/* ---- Connections that come in bursts or have gone again ---- */

TASK_TEST(connections_that_came_with_one_event_are_all_accepted)
{
    (void)arg;
    enum { BURST = 40 };
    thrum_listener *l;
    thrum_addr addr;
    struct pair p[BURST];
    CHECK_IS(listen_loopback(&l, &addr), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < BURST; i++)
            CHECK_IS(thrum_tcp_connect(&p[i].client, &addr, NULL), 0);
        CHECK_IS(thrum_sleep(2 * MS), 0);
        for (int i = 0; i < BURST; i++)
            CHECK_IS(thrum_tcp_accept(l, &p[i].server), 0);
        for (int i = 0; i < BURST; i++)
            pair_close(&p[i]);
    }
    thrum_listener_close(l);
    return 0;
}

TASK_TEST(a_connection_that_was_reset_before_accept_does_no_harm)
{
    (void)arg;
    thrum_listener *l;
    thrum_addr addr;
    struct pair p;
    char byte;
    CHECK_IS(listen_loopback(&l, &addr), 0);
    CHECK_IS(thrum_tcp_connect(&p.client, &addr, NULL), 0);
    thrum_tcp_abort(p.client);
    CHECK_IS(thrum_tcp_connect(&p.client, &addr, NULL), 0);
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), 0);
    ssize_t n;
    do { /* Linux hands the dead one out; other systems skip it */
        CHECK_IS(thrum_tcp_accept(l, &p.server), 0);
        n = thrum_tcp_read(p.server, &byte, 1);
        if (n < 0)
            thrum_tcp_close(p.server);
    } while (n == -ECONNRESET);
    CHECK_IS(n, 1);
    pair_close(&p);
    thrum_listener_close(l);
    return 0;
}

/* ---- The number of a closed descriptor comes back at once ---- */

#define CHURNS 400

struct churn {
    unsigned seed;
    unsigned wrong;
};

/* Opens a pair, leaves events under way, closes, and checks that the next pair, with the same numbers, sees nothing of
 * them: its read must end by its deadline, not by data, end or error. */
static int churn_task(void *arg)
{
    struct churn *c = arg;
    for (unsigned i = 0; i < CHURNS; i++) {
        struct pair p;
        thrum_timeout limit;
        char byte;
        int err = pair_open(&p);
        if (err)
            return err;
        if ((i + c->seed) % 4 == 0) {
            thrum_timeout_begin(&limit, 50 * 1000);
            ssize_t n = thrum_tcp_read(p.server, &byte, 1);
            c->wrong += n != -ETIMEDOUT;
            (void)thrum_timeout_end(&limit);
        }
        err = thrum_tcp_write(p.client, "x", 1, NULL);
        if (err)
            return err;
        if (i & 1)
            thrum_tcp_abort(p.client);
        else
            thrum_tcp_close(p.client);
        thrum_tcp_close(p.server);
    }
    return 0;
}

static int churn_all(void *arg)
{
    (void)arg;
    enum { TASKS = 6 };
    struct churn churns[TASKS];
    thrum_scope scope;
    int err = 0;
    thrum_scope_open(&scope, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        churns[i] = (struct churn){.seed = i};
        if (!err)
            err = thrum_scope_spawn(&scope, churn_task, &churns[i]);
    }
    int result = thrum_scope_close(&scope);
    CHECK_IS(err, 0);
    CHECK_IS(result, 0);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK_IS(churns[i].wrong, 0);
    return 0;
}

static void events_of_a_closed_connection_never_reach_the_next(void **state)
{
    (void)state;
    passes(churn_all, 1);
    passes(churn_all, 2);
    passes(churn_all, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_reader_is_refused_and_the_first_goes_on),
        cmocka_unit_test(a_second_writer_is_refused_and_the_first_goes_on),
        cmocka_unit_test(a_second_acceptor_is_refused_and_a_close_wakes_the_first),
        cmocka_unit_test(a_close_wakes_a_reader_and_returns_after_it_has_left),
        cmocka_unit_test(a_close_ends_what_is_in_flight_with_its_progress),
        cmocka_unit_test(a_close_finds_a_busy_stream_writer_at_any_moment),
        cmocka_unit_test(an_abort_wakes_a_reader_too),
        cmocka_unit_test(a_read_ends_at_the_deadline_and_the_next_one_gets_the_data),
        cmocka_unit_test(an_accept_ends_at_the_deadline_and_the_next_one_gets_the_connection),
        cmocka_unit_test(a_cancelled_reader_returns_and_the_next_one_gets_the_data),
        cmocka_unit_test(data_that_races_a_deadline_is_not_lost),
        cmocka_unit_test(without_descriptors_accept_says_so_and_keeps_the_connection),
        cmocka_unit_test(connections_that_came_with_one_event_are_all_accepted),
        cmocka_unit_test(a_connection_that_was_reset_before_accept_does_no_harm),
        cmocka_unit_test(events_of_a_closed_connection_never_reach_the_next),
    };
    return cmocka_run_group_tests_name("io.tcp_tasks", tests, NULL, NULL);
}
