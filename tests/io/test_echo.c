/* SPDX-License-Identifier: MIT */
/* Many connections at once, echoed by tasks in the same process, on 1 to 16 workers. */
#include "tests/io/loopback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

struct echo {
    thrum_listener *l;
    thrum_addr addr;
    unsigned connections;
    unsigned rounds;
    size_t bytes; /* a message */
};

/* Owns its connection, which arrives as the argument. */
static int echo_task(void *arg)
{
    thrum_tcp *tcp = arg;
    char buf[2048];
    ssize_t n = 0;
    int err = 0;
    while (!err && (n = thrum_tcp_read(tcp, buf, sizeof(buf))) > 0)
        err = thrum_tcp_write(tcp, buf, (size_t)n, NULL);
    thrum_tcp_close(tcp);
    return err ? err : (int)n;
}

static int server_task(void *arg)
{
    struct echo *e = arg;
    thrum_scope scope;
    int err = 0;
    thrum_scope_open(&scope, NULL);
    for (unsigned i = 0; i < e->connections && !err; i++) {
        thrum_tcp *tcp;
        err = thrum_tcp_accept(e->l, &tcp);
        if (!err) {
            err = thrum_scope_spawn(&scope, echo_task, tcp);
            if (err)
                thrum_tcp_close(tcp);
        }
    }
    int result = thrum_scope_close(&scope);
    return err ? err : result;
}

static int exchange(struct echo *e, thrum_tcp *tcp, unsigned char *sent, unsigned char *got)
{
    thrum_stream *s = thrum_tcp_stream(tcp);
    for (unsigned i = 0; i < e->rounds; i++) {
        data_fill(sent, e->bytes, i);
        CHECK_IS(thrum_stream_write(s, sent, e->bytes, NULL), 0);
        CHECK_IS(thrum_stream_read_exactly(s, got, e->bytes, NULL), 0);
        CHECK(memcmp(sent, got, e->bytes) == 0);
    }
    return 0;
}

static int client_task(void *arg)
{
    struct echo *e = arg;
    thrum_tcp *tcp;
    int err = thrum_tcp_connect(&tcp, &e->addr, NULL);
    if (err)
        return err;
    unsigned char *sent = malloc(e->bytes), *got = malloc(e->bytes);
    err = sent && got ? exchange(e, tcp, sent, got) : -ENOMEM;
    free(sent);
    free(got);
    thrum_tcp_close(tcp);
    return err;
}

static int echo_all(void *arg)
{
    struct echo *e = arg;
    thrum_scope scope;
    int err = listen_loopback(&e->l, &e->addr);
    if (err)
        return err;
    thrum_scope_open(&scope, NULL);
    err = thrum_scope_spawn(&scope, server_task, e);
    for (unsigned i = 0; i < e->connections && !err; i++)
        err = thrum_scope_spawn(&scope, client_task, e);
    int result = thrum_scope_close(&scope);
    thrum_listener_close(e->l);
    return err ? err : result;
}

static void echoes(unsigned workers, struct echo e)
{
    size_t before = open_descriptors();
    assert_int_equal(run(echo_all, &e, workers), 0);
    assert_int_equal(open_descriptors(), before);
}

static void a_hundred_connections_on_1_2_4_and_16_workers(void **state)
{
    static const unsigned workers[] = {1, 2, 4, 16};
    (void)state;
    for (size_t i = 0; i < 4; i++)
        echoes(workers[i], (struct echo){.connections = 100, .rounds = 50, .bytes = 64});
}

static void messages_larger_than_the_echo_reads_at_once(void **state)
{
    static const unsigned workers[] = {1, 2, 4, 16};
    (void)state;
    for (size_t i = 0; i < 4; i++)
        echoes(workers[i], (struct echo){.connections = 8, .rounds = 2, .bytes = 100000});
}

static void a_thousand_connections(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2200)
        skip();
    echoes(2, (struct echo){.connections = 1000, .rounds = 3, .bytes = 64});
    echoes(16, (struct echo){.connections = 1000, .rounds = 3, .bytes = 64});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_connections_on_1_2_4_and_16_workers),
        cmocka_unit_test(messages_larger_than_the_echo_reads_at_once),
        cmocka_unit_test(a_thousand_connections),
    };
    return cmocka_run_group_tests_name("io.echo", tests, NULL, NULL);
}
