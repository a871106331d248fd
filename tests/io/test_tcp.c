/* SPDX-License-Identifier: MIT */
/* TCP between two tasks: connecting, moving bytes, ending. */
#include "io/tcp.h"
#include "tests/io/loopback.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 2

/* Runs the task as a test; it must leave as many descriptors as there were. */
static void passes(thrum_fn *fn)
{
    size_t before = open_descriptors();
    assert_int_equal(run(fn, NULL, WORKERS), 0);
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

TASK_TEST(bytes_go_both_ways_and_a_close_is_the_end)
{
    (void)arg;
    struct pair p;
    char buf[16];
    size_t put = 0;
    CHECK_IS(pair_open(&p), 0);
    CHECK_IS(thrum_tcp_write(p.client, "ping", 4, &put), 0);
    CHECK_IS(put, 4);
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), 4);
    CHECK(memcmp(buf, "ping", 4) == 0);
    CHECK_IS(thrum_tcp_write(p.server, "pong!", 5, NULL), 0);
    CHECK_IS(thrum_tcp_read(p.client, buf, 2), 2);
    CHECK_IS(thrum_tcp_read(p.client, buf + 2, 14), 3);
    CHECK(memcmp(buf, "pong!", 5) == 0);
    CHECK_IS(thrum_tcp_read(p.client, buf, 0), 0);
    CHECK_IS(thrum_tcp_write(p.client, buf, 0, &put), 0);
    CHECK_IS(put, 0);
    thrum_tcp_close(p.client);
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), 0);
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), 0);
    thrum_tcp_close(p.server);
    thrum_tcp_close(NULL);
    thrum_tcp_abort(NULL);
    thrum_listener_close(NULL);
    return 0;
}

TASK_TEST(a_port_nobody_listens_on_refuses)
{
    (void)arg;
    thrum_listener *l;
    thrum_addr addr;
    thrum_tcp *tcp;
    CHECK_IS(listen_loopback(&l, &addr), 0);
    thrum_listener_close(l);
    CHECK_IS(thrum_tcp_connect(&tcp, &addr, NULL), -ECONNREFUSED);
    CHECK(!tcp);
    return 0;
}

TASK_TEST(what_cannot_be_connected_or_bound_says_why)
{
    (void)arg;
    thrum_addr none = {.u.sa.sa_family = AF_UNSPEC};
    thrum_addr addr, elsewhere;
    thrum_tcp *tcp;
    thrum_listener *l, *second;
    CHECK_IS(thrum_tcp_connect(&tcp, &none, NULL), -EAFNOSUPPORT);
    CHECK_IS(thrum_tcp_listen(&l, &none, NULL), -EAFNOSUPPORT);
    CHECK(!tcp && !l);
    CHECK_IS(listen_loopback(&l, &addr), 0);
    CHECK_IS(thrum_tcp_listen(&second, &addr, NULL), -EADDRINUSE);
    CHECK(!second);
    thrum_listener_close(l);
    CHECK_IS(thrum_addr_parse(&elsewhere, "192.0.2.1", 80), 0); /* TEST-NET-1: not ours */
    CHECK_IS(thrum_tcp_listen(&l, &elsewhere, NULL), -EADDRNOTAVAIL);
    return 0;
}

TASK_TEST(two_listeners_share_a_port_if_both_say_so)
{
    (void)arg;
    const thrum_listen_opts shared = {.reuse_port = true, .backlog = 4};
    thrum_addr any = loopback(0), addr;
    thrum_listener *a, *b;
    CHECK_IS(thrum_tcp_listen(&a, &any, &shared), 0);
    CHECK_IS(thrum_listener_local(a, &addr), 0);
    CHECK_IS(thrum_tcp_listen(&b, &addr, &shared), 0);
    thrum_listener_close(a);
    thrum_listener_close(b);
    return 0;
}

/* In a network of its own, where outgoing connections get one of two ports: the one asked for, soon enough. */
static int connect_to_own_ports(void *arg)
{
    (void)arg;
    for (int i = 0; i < 64; i++) {
        thrum_tcp *tcp;
        thrum_addr addr = loopback((uint16_t)(40000 + i % 2));
        CHECK_IS(thrum_tcp_connect(&tcp, &addr, NULL), -ECONNREFUSED);
    }
    return 0;
}

static bool make_small_network(void)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
    (void)close(fd);
    fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
    bool set = write(fd, "40000 40001", 11) == 11;
    (void)close(fd);
    return up && set;
}

static void a_socket_that_meets_itself_is_refused(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (!make_small_network())
            _exit(77);
        _exit(run(connect_to_own_ports, NULL, 1) == 0 ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A listener whose backlog is full: the kernel drops what else comes. */
static int listen_full(thrum_listener **l, thrum_addr *addr, thrum_tcp *fill[2])
{
    thrum_addr any = loopback(0);
    int err = thrum_tcp_listen(l, &any, &(thrum_listen_opts){.backlog = 1});
    if (!err)
        err = thrum_listener_local(*l, addr);
    for (int i = 0; i < 2 && !err; i++)
        err = thrum_tcp_connect(&fill[i], addr, NULL);
    return err;
}

TASK_TEST(connecting_ends_at_its_own_timeout_and_at_an_enclosing_one)
{
    (void)arg;
    thrum_listener *l;
    thrum_addr addr;
    thrum_tcp *fill[2], *tcp;
    thrum_timeout limit;
    CHECK_IS(listen_full(&l, &addr, fill), 0);

    uint64_t start = thrum_now();
    const thrum_tcp_opts opts = {.connect_timeout_ns = 50 * MS};
    CHECK_IS(thrum_tcp_connect(&tcp, &addr, &opts), -ETIMEDOUT);
    CHECK(!tcp);
    CHECK(thrum_now() - start >= 50 * MS);

    start = thrum_now();
    thrum_timeout_begin(&limit, 50 * MS);
    CHECK_IS(thrum_tcp_connect(&tcp, &addr, NULL), -ETIMEDOUT);
    CHECK(thrum_timeout_end(&limit));
    CHECK(thrum_now() - start >= 50 * MS);

    thrum_tcp_close(fill[0]);
    thrum_tcp_close(fill[1]);
    thrum_listener_close(l);
    return 0;
}

static int connect_task(void *arg)
{
    thrum_tcp *tcp;
    return thrum_tcp_connect(&tcp, arg, NULL);
}

TASK_TEST(connecting_can_be_cancelled)
{
    (void)arg;
    thrum_listener *l;
    thrum_addr addr;
    thrum_tcp *fill[2];
    thrum_scope scope;
    CHECK_IS(listen_full(&l, &addr, fill), 0);
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, connect_task, &addr);
    (void)thrum_sleep(20 * MS);
    thrum_scope_cancel(&scope);
    CHECK_IS(thrum_scope_close(&scope), -ECANCELED);
    CHECK_IS(err, 0);
    thrum_tcp_close(fill[0]);
    thrum_tcp_close(fill[1]);
    thrum_listener_close(l);
    return 0;
}

TASK_TEST(a_cancelled_task_begins_nothing)
{
    (void)arg;
    struct pair p;
    thrum_listener *l;
    thrum_addr addr;
    thrum_tcp *tcp;
    thrum_scope scope;
    char byte;
    CHECK_IS(pair_open(&p), 0);
    CHECK_IS(listen_loopback(&l, &addr), 0);
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), 0);
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    ssize_t read = thrum_tcp_read(p.server, &byte, 1);
    int written = thrum_tcp_write(p.server, "x", 1, NULL);
    int connected = thrum_tcp_connect(&tcp, &addr, NULL);
    int accepted = thrum_tcp_accept(l, &tcp);
    (void)thrum_scope_close(&scope);
    CHECK_IS(read, -ECANCELED);
    CHECK_IS(written, -ECANCELED);
    CHECK_IS(connected, -ECANCELED);
    CHECK_IS(accepted, -ECANCELED);
    CHECK_IS(thrum_tcp_read(p.server, &byte, 1), 1); /* it is still there */
    thrum_listener_close(l);
    pair_close(&p);
    return 0;
}

TASK_TEST(the_addresses_of_both_ends_agree)
{
    (void)arg;
    struct pair p;
    thrum_addr local, peer;
    CHECK_IS(pair_open(&p), 0);
    CHECK_IS(thrum_tcp_local(p.client, &local), 0);
    CHECK_IS(thrum_tcp_peer(p.server, &peer), 0);
    CHECK(thrum_addr_equal(&local, &peer));
    CHECK_IS(thrum_tcp_local(p.server, &local), 0);
    CHECK_IS(thrum_tcp_peer(p.client, &peer), 0);
    CHECK(thrum_addr_equal(&local, &peer));
    CHECK(thrum_addr_port(&local) != 0);
    pair_close(&p);
    return 0;
}

static int socket_option(thrum_tcp *tcp, int level, int option)
{
    int value = -1;
    socklen_t bytes = sizeof(value);
    return getsockopt(tcp->fd->fd, level, option, &value, &bytes) == 0 && value;
}

TASK_TEST(options_reach_both_ends)
{
    (void)arg;
    thrum_addr any = loopback(0), addr;
    for (int nagle = 0; nagle < 2; nagle++) {
        thrum_listener *l;
        struct pair p;
        CHECK_IS(thrum_tcp_listen(&l, &any, &(thrum_listen_opts){.nagle = nagle}), 0);
        CHECK_IS(thrum_listener_local(l, &addr), 0);
        const thrum_tcp_opts opts = {.nagle = nagle, .keepalive = nagle};
        CHECK_IS(thrum_tcp_connect(&p.client, &addr, &opts), 0);
        CHECK_IS(thrum_tcp_accept(l, &p.server), 0);
        CHECK_IS(socket_option(p.client, IPPROTO_TCP, TCP_NODELAY), !nagle);
        CHECK_IS(socket_option(p.server, IPPROTO_TCP, TCP_NODELAY), !nagle);
        CHECK_IS(socket_option(p.client, SOL_SOCKET, SO_KEEPALIVE), nagle);
        CHECK(fcntl(p.server->fd->fd, F_GETFD) & FD_CLOEXEC);
        CHECK(fcntl(p.client->fd->fd, F_GETFD) & FD_CLOEXEC);
        pair_close(&p);
        thrum_listener_close(l);
    }
    return 0;
}

TASK_TEST(ipv6_works_where_the_machine_has_it)
{
    (void)arg;
    thrum_addr any, addr, peer;
    thrum_listener *l;
    struct pair p;
    CHECK_IS(thrum_addr_parse(&any, "::1", 0), 0);
    int err = thrum_tcp_listen(&l, &any, NULL);
    if (err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT)
        return 0;
    CHECK_IS(err, 0);
    CHECK_IS(thrum_listener_local(l, &addr), 0);
    CHECK_IS(thrum_tcp_connect(&p.client, &addr, NULL), 0);
    CHECK_IS(thrum_tcp_accept(l, &p.server), 0);
    CHECK_IS(thrum_tcp_peer(p.client, &peer), 0);
    CHECK(thrum_addr_equal(&addr, &peer));
    pair_close(&p);
    thrum_listener_close(l);
    return 0;
}

TASK_TEST(after_a_half_close_the_other_direction_goes_on)
{
    (void)arg;
    struct pair p;
    char buf[16];
    CHECK_IS(pair_open(&p), 0);
    CHECK_IS(thrum_tcp_write(p.client, "last words", 10, NULL), 0);
    CHECK_IS(thrum_tcp_shutdown(p.client), 0);
    CHECK_IS(thrum_tcp_write(p.client, "x", 1, NULL), -EPIPE);
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), 10);
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), 0);
    CHECK_IS(thrum_tcp_write(p.server, "answer", 6, NULL), 0);
    CHECK_IS(thrum_tcp_read(p.client, buf, sizeof(buf)), 6);
    pair_close(&p);
    return 0;
}

TASK_TEST(an_abort_resets_the_peer)
{
    (void)arg;
    struct pair p;
    char buf[16];
    CHECK_IS(pair_open(&p), 0);
    thrum_tcp_abort(p.client);
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), -ECONNRESET);
    thrum_tcp_close(p.server);

    CHECK_IS(pair_open(&p), 0);
    thrum_tcp_abort(p.client);
    int err = thrum_tcp_write(p.server, "x", 1, NULL);
    CHECK(err == -ECONNRESET || err == -EPIPE);
    thrum_tcp_close(p.server);
    return 0;
}

TASK_TEST(a_reset_that_a_write_was_told_of_is_no_clean_end_for_the_reader)
{
    (void)arg;
    struct pair p;
    char buf[16];
    CHECK_IS(pair_open(&p), 0);
    thrum_tcp_abort(p.client);
    CHECK_IS(thrum_tcp_write(p.server, "x", 1, NULL), -ECONNRESET);
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), -ECONNRESET);
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), -ECONNRESET);
    thrum_tcp_close(p.server);

    CHECK_IS(pair_open(&p), 0);
    thrum_tcp_abort(p.client);
    CHECK(!thrum_tcp_is_quiet(p.server)); /* it is told too */
    CHECK_IS(thrum_tcp_read(p.server, buf, sizeof(buf)), -ECONNRESET);
    thrum_tcp_close(p.server);
    return 0;
}

TASK_TEST(a_connection_is_quiet_until_anything_arrives)
{
    (void)arg;
    struct pair p;
    char buf[16];
    CHECK_IS(pair_open(&p), 0);
    CHECK(thrum_tcp_is_quiet(p.client));
    CHECK(thrum_tcp_is_quiet(p.client));
    CHECK_IS(thrum_tcp_write(p.server, "x", 1, NULL), 0);
    CHECK(!thrum_tcp_is_quiet(p.client));
    CHECK_IS(thrum_tcp_read(p.client, buf, sizeof(buf)), 1);
    CHECK(thrum_tcp_is_quiet(p.client));
    CHECK_IS(thrum_tcp_shutdown(p.server), 0);
    CHECK(!thrum_tcp_is_quiet(p.client));
    pair_close(&p);
    return 0;
}

TASK_TEST(a_stream_is_the_same_connection)
{
    (void)arg;
    struct pair p;
    char hello[] = "hello, ", world[] = "world", buf[16];
    struct iovec iov[2] = {{hello, 7}, {world, 5}};
    size_t n = 0;
    CHECK_IS(pair_open(&p), 0);
    thrum_stream *a = thrum_tcp_stream(p.client), *b = thrum_tcp_stream(p.server);
    CHECK_IS(thrum_stream_writev(a, iov, 2, &n), 0);
    CHECK_IS(n, 12);
    CHECK_IS(thrum_stream_read_exactly(b, buf, 12, &n), 0);
    CHECK(memcmp(buf, "hello, world", 12) == 0);
    CHECK_IS(thrum_stream_write(b, "abc", 3, &n), 0);
    CHECK_IS(thrum_stream_shutdown(b), 0);
    CHECK_IS(thrum_stream_read_exactly(a, buf, 4, &n), -ENODATA);
    CHECK_IS(n, 3);
    CHECK_IS(thrum_stream_read(a, buf, 4), 0);
    thrum_stream_close(a);
    thrum_stream_close(b);
    return 0;
}

/* ---- Much data ---- */

#define MUCH (16U << 20)

static unsigned char much[MUCH];

struct sink {
    thrum_tcp *tcp;
    size_t n;          /* received */
    size_t step;       /* bytes a read */
    uint64_t pause_ns; /* between reads, for the first few */
};

static int sink_task(void *arg)
{
    struct sink *s = arg;
    unsigned char *buf = malloc(s->step);
    CHECK(buf);
    for (int i = 0;; i++) {
        ssize_t n = thrum_tcp_read(s->tcp, buf, s->step);
        if (n <= 0 || !data_matches(buf, (size_t)n, s->n)) {
            free(buf);
            return n <= 0 ? (int)n : -EBADMSG;
        }
        s->n += (size_t)n;
        if (i < 20 && s->pause_ns)
            (void)thrum_sleep(s->pause_ns);
    }
}

static int send_much(thrum_tcp *tcp)
{
    size_t put = 0;
    int err = thrum_tcp_write(tcp, much, MUCH / 2, &put);
    CHECK_IS(err, 0);
    CHECK_IS(put, MUCH / 2);
    unsigned char *second = much + MUCH / 2;
    struct iovec iov[3] = {
        {second, 1}, {second + 1, MUCH / 4}, {second + 1 + MUCH / 4, MUCH / 4 - 1}};
    err = thrum_stream_writev(thrum_tcp_stream(tcp), iov, 3, &put);
    CHECK_IS(err, 0);
    CHECK_IS(put, MUCH / 2);
    return thrum_tcp_shutdown(tcp);
}

TASK_TEST(a_writer_waits_for_a_slow_reader_and_every_byte_arrives)
{
    (void)arg;
    const size_t steps[] = {4096, 65536, 1000003};
    data_fill(much, MUCH, 0);
    for (size_t i = 0; i < 3; i++) {
        struct pair p;
        thrum_scope scope;
        CHECK_IS(pair_open(&p), 0);
        struct sink sink = {.tcp = p.server, .step = steps[i], .pause_ns = i ? 1 * MS : 0};
        thrum_scope_open(&scope, NULL);
        int err = thrum_scope_spawn(&scope, sink_task, &sink);
        int sent = err ? err : send_much(p.client);
        int received = thrum_scope_close(&scope);
        CHECK_IS(sent, 0);
        CHECK_IS(received, 0);
        CHECK_IS(sink.n, MUCH);
        pair_close(&p);
    }
    return 0;
}

TASK_TEST(an_interrupted_write_says_exactly_how_much_went_out)
{
    (void)arg;
    data_fill(much, MUCH, 0);
    for (int as_stream = 0; as_stream < 2; as_stream++) {
        struct pair p;
        thrum_timeout limit;
        size_t put = 0;
        CHECK_IS(pair_open(&p), 0);
        thrum_timeout_begin(&limit, 30 * MS);
        int err = as_stream ? thrum_stream_write(thrum_tcp_stream(p.client), much, MUCH, &put)
                            : thrum_tcp_write(p.client, much, MUCH, &put);
        CHECK(thrum_timeout_end(&limit));
        CHECK_IS(err, -ETIMEDOUT);
        CHECK(put > 0 && put < MUCH);
        CHECK_IS(thrum_tcp_shutdown(p.client), 0);
        struct sink sink = {.tcp = p.server, .step = 65536};
        CHECK_IS(sink_task(&sink), 0);
        CHECK_IS(sink.n, put);
        pair_close(&p);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_that_meets_itself_is_refused), /* first: it forks */
        cmocka_unit_test(bytes_go_both_ways_and_a_close_is_the_end),
        cmocka_unit_test(a_port_nobody_listens_on_refuses),
        cmocka_unit_test(what_cannot_be_connected_or_bound_says_why),
        cmocka_unit_test(two_listeners_share_a_port_if_both_say_so),
        cmocka_unit_test(connecting_ends_at_its_own_timeout_and_at_an_enclosing_one),
        cmocka_unit_test(connecting_can_be_cancelled),
        cmocka_unit_test(a_cancelled_task_begins_nothing),
        cmocka_unit_test(the_addresses_of_both_ends_agree),
        cmocka_unit_test(options_reach_both_ends),
        cmocka_unit_test(ipv6_works_where_the_machine_has_it),
        cmocka_unit_test(after_a_half_close_the_other_direction_goes_on),
        cmocka_unit_test(an_abort_resets_the_peer),
        cmocka_unit_test(a_reset_that_a_write_was_told_of_is_no_clean_end_for_the_reader),
        cmocka_unit_test(a_connection_is_quiet_until_anything_arrives),
        cmocka_unit_test(a_stream_is_the_same_connection),
        cmocka_unit_test(a_writer_waits_for_a_slow_reader_and_every_byte_arrives),
        cmocka_unit_test(an_interrupted_write_says_exactly_how_much_went_out),
    };
    return cmocka_run_group_tests_name("io.tcp", tests, NULL, NULL);
}
