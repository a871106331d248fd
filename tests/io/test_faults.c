/* SPDX-License-Identifier: MIT */
/* Each system call and each allocation of io fails in its turn: the error is reported, nothing leaks.
 *
 * io/sys.c is compiled into this program, with its calls replaced; the linker then leaves the library's own copy out. */
#include "tests/io/loopback.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Kinds of calls, by what they may be told without harm. */
enum { ONCE = 1, AGAIN = 2, ACCEPT = 4, SLEEP = 8 };

static thr_ai64 calls_left;  /* until the one that fails; below zero: it has, or none will */
static unsigned fault_kinds; /* only these count */
static int fault_errno;

static bool fails_now(unsigned kind)
{
    if (!(fault_kinds & kind) || thr_fetch_sub(&calls_left, 1, THR_SEQ_CST) != 1)
        return false;
    errno = fault_errno;
    return true;
}

#define FAULTY(kind, call) (fails_now(kind) ? -1 : (call))

#define socket(...) FAULTY(ONCE, socket(__VA_ARGS__))
#define connect(...) FAULTY(ONCE, connect(__VA_ARGS__))
#define bind(...) FAULTY(ONCE, bind(__VA_ARGS__))
#define listen(...) FAULTY(ONCE, listen(__VA_ARGS__))
#define accept4(...) FAULTY(ACCEPT, accept4(__VA_ARGS__))
#define recv(...) FAULTY(AGAIN, recv(__VA_ARGS__))
#define send(...) FAULTY(AGAIN, send(__VA_ARGS__))
#define sendmsg(...) FAULTY(AGAIN, sendmsg(__VA_ARGS__))
#define shutdown(...) FAULTY(ONCE, shutdown(__VA_ARGS__))
#define getsockname(...) FAULTY(ONCE, getsockname(__VA_ARGS__))
#define getpeername(...) FAULTY(ONCE, getpeername(__VA_ARGS__))
#define setsockopt(...) FAULTY(ONCE, setsockopt(__VA_ARGS__))
#define getsockopt(...) FAULTY(ONCE, getsockopt(__VA_ARGS__))
#define poll(...) FAULTY(AGAIN, poll(__VA_ARGS__))
#define epoll_create1(...) FAULTY(ONCE, epoll_create1(__VA_ARGS__))
#define epoll_ctl(...) FAULTY(ONCE, epoll_ctl(__VA_ARGS__))
#define epoll_wait(...) FAULTY(SLEEP, epoll_wait(__VA_ARGS__))
#define syscall(...) FAULTY(SLEEP, syscall(__VA_ARGS__))
#define eventfd(...) FAULTY(ONCE, eventfd(__VA_ARGS__))
#define write(...) FAULTY(AGAIN, write(__VA_ARGS__))
#include "io/sys.c" /* NOLINT(bugprone-suspicious-include): see above */
#undef socket
#undef connect
#undef bind
#undef listen
#undef accept4
#undef recv
#undef send
#undef sendmsg
#undef shutdown
#undef getsockname
#undef getpeername
#undef setsockopt
#undef getsockopt
#undef poll
#undef epoll_create1
#undef epoll_ctl
#undef epoll_wait
#undef syscall
#undef eventfd
#undef write

static int talk(struct pair *p)
{
    char hello[] = "hello", world[] = "world", buf[16];
    struct iovec iov[2] = {{hello, 5}, {world, 5}};
    thrum_addr addr;
    int err = thrum_tcp_write(p->client, "x", 1, NULL);
    if (!err)
        err = thrum_stream_writev(thrum_tcp_stream(p->client), iov, 2, NULL);
    if (!err)
        err = thrum_stream_read_exactly(thrum_tcp_stream(p->server), buf, 11, NULL);
    if (!err)
        err = thrum_tcp_peer(p->client, &addr);
    if (!err)
        err = thrum_tcp_local(p->server, &addr);
    if (!err)
        err = thrum_tcp_shutdown(p->client);
    if (!err) {
        ssize_t n = thrum_tcp_read(p->server, buf, sizeof(buf));
        err = n > 0 ? -EBADMSG : (int)n;
    }
    return err;
}

/* Everything once: a failure anywhere ends it, with that error. */
static int scenario(void *arg)
{
    thrum_listener *l = NULL;
    thrum_addr addr;
    struct pair p = {NULL, NULL};
    (void)arg;
    int err = listen_loopback(&l, &addr);
    if (!err)
        err = thrum_tcp_connect(&p.client, &addr, &(thrum_tcp_opts){.keepalive = true});
    if (!err)
        err = thrum_tcp_accept(l, &p.server);
    if (!err)
        err = talk(&p);
    thrum_tcp_abort(p.client);
    thrum_tcp_close(p.server);
    thrum_listener_close(l);
    return err;
}

/* Fails the 1st, 2nd, ... call, until there are no more. Returns how many there were. */
static int fail_each(int error, unsigned kinds, bool may_fail)
{
    size_t before = open_descriptors();
    int n = 0, failures = 0;
    fault_errno = error;
    fault_kinds = kinds;
    for (;;) {
        thr_store(&calls_left, ++n, THR_SEQ_CST);
        int result = run(scenario, NULL, 1);
        bool failed = thr_load(&calls_left, THR_SEQ_CST) <= 0;
        assert_int_equal(open_descriptors(), before);
        if (result != 0) {
            assert_true(may_fail && failed);
            assert_int_equal(result, -error);
            failures++;
        }
        if (!failed)
            break;
        assert_in_range(n, 1, 500);
    }
    if (may_fail)
        assert_true(failures > 20);
    return n - 1;
}

static void each_system_call_may_fail(void **state)
{
    (void)state;
    assert_true(fail_each(ENOMEM, ONCE | AGAIN | ACCEPT, true) > 20);
    assert_true(fail_each(ENOSPC, ONCE | AGAIN | ACCEPT, true) > 20);
}

static void each_system_call_may_be_interrupted(void **state)
{
    (void)state;
    assert_true(fail_each(EINTR, AGAIN | ACCEPT | SLEEP, false) > 5);
}

static void a_connection_that_died_before_accept_is_skipped(void **state)
{
    static const int errors[] = {EAGAIN, ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH};
    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        assert_true(fail_each(errors[i], ACCEPT, false) > 0);
}

/* ---- Allocations ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_CALLOC 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_CALLOC 0 /* the sanitizers bring theirs */
#elif !defined(OWN_CALLOC)
#define OWN_CALLOC 1
#endif

#if OWN_CALLOC
static thr_ai64 allocations_left;

/* In the C library's place: the linker knows it as calloc. Cleared by a loop that the compiler cannot turn into a call of
 * itself. */
void *failing_calloc(size_t n, size_t bytes) __asm__("calloc");

void *failing_calloc(size_t n, size_t bytes)
{
    size_t all;
    if (thr_fetch_sub(&allocations_left, 1, THR_SEQ_CST) == 1)
        return NULL;
    if (__builtin_mul_overflow(n, bytes, &all))
        return NULL;
    unsigned char *p = malloc(all);
    volatile unsigned char *at = p;
    for (size_t i = 0; p && i < all; i++)
        at[i] = 0;
    return p;
}

static int allocation_scenario(void *arg)
{
    thr_store(&allocations_left, *(int *)arg, THR_SEQ_CST); /* not before: the start has its own */
    int err = scenario(NULL);
    *(int *)arg = (int)thr_xchg(&allocations_left, 0, THR_SEQ_CST);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    size_t before = open_descriptors();
    int failures = 0, left = 0;
    thr_store(&calls_left, 0, THR_SEQ_CST);
    for (int n = 1; left <= 0; n++) {
        left = n;
        int result = run(allocation_scenario, &left, 1);
        assert_int_equal(result, left <= 0 ? -ENOMEM : 0);
        assert_int_equal(open_descriptors(), before);
        failures += result != 0;
    }
    assert_true(failures >= 3); /* the listener, both ends */
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#if OWN_CALLOC
        cmocka_unit_test(each_allocation_may_fail),
#endif
        cmocka_unit_test(each_system_call_may_fail),
        cmocka_unit_test(each_system_call_may_be_interrupted),
        cmocka_unit_test(a_connection_that_died_before_accept_is_skipped),
    };
    return cmocka_run_group_tests_name("io.faults", tests, NULL, NULL);
}
