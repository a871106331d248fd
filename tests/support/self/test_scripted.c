/* SPDX-License-Identifier: MIT */
/* Self test of support/scripted.h and support/relay.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/pages.h"
#include "support/relay.h"
#include "support/scripted.h"

/* A plain blocking client: sends `request`, reads to the end.  Returns what came; *err is 0 for FIN, else
 * the errno of the read, ETIMEDOUT after timeout_ms without a byte. */
static char *ask(uint16_t port, const char *request, int timeout_ms, size_t *bytes, int *err)
{
    size_t n = 0;
    size_t room = 1 << 20;
    char *data = malloc(room);
    int fd = sup_connect(port, SUP_TIMEOUT_MS);
    *err = fd < 0 ? -fd : 0;
    if (!data || fd < 0) {
        free(data);
        return NULL;
    }
    sup_send_all(fd, request, strlen(request), -1, sup_now_ms() + SUP_TIMEOUT_MS);
    for (;;) {
        if (sup_wait_fd(fd, POLLIN, -1, sup_now_ms() + timeout_ms) != 1) {
            *err = ETIMEDOUT;
            break;
        }
        ssize_t got = recv(fd, data + n, room - n - 1, 0);
        if (got <= 0) {
            *err = got < 0 ? errno : 0;
            break;
        }
        n += (size_t)got;
        if (n + 1 >= room)
            break;
    }
    close(fd);
    data[n] = '\0';
    if (bytes)
        *bytes = n;
    return data;
}

static const char get[] = "GET / HTTP/1.1\r\n\r\n";

static void a_script_answers_and_closes(void **state)
{
    (void)state;
    static const struct sup_step steps[] = {SUP_EXPECT("\r\n\r\n"), SUP_SEND("HTTP/1.1 200 OK\r\n"),
                                            SUP_SEND_PIECES("Content-Length: 100\r\n\r\n", 3, 1),
                                            SUP_SEND("short"), SUP_CLOSE};
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(steps));
    assert_non_null(s);
    int err;
    char *got = ask(sup_scripted_port(s), get, SUP_TIMEOUT_MS, NULL, &err);
    assert_int_equal(err, 0);
    assert_string_equal(got, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    free(got);
    got = sup_scripted_received(s, 0, NULL);
    assert_string_equal(got, get);
    free(got);
    assert_null(sup_scripted_received(s, 1, NULL));
    assert_true(sup_scripted_wait(
        s, &(struct sup_scripted_counts){.connections = 1, .requests = 1, .ended = 1, .sent = 44},
        SUP_TIMEOUT_MS));
    assert_false(sup_scripted_wait(s, &(struct sup_scripted_counts){.connections = 2}, 20));
    struct sup_scripted_counts counts;
    sup_scripted_counts(s, &counts);
    assert_int_equal(counts.client_ended, 0);
    sup_scripted_stop(s);
}

static void a_script_resets(void **state)
{
    (void)state;
    static const struct sup_step steps[] = {SUP_EXPECT("\r\n\r\n"), SUP_SEND("HTTP"), SUP_RESET};
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(steps));
    int err;
    char *got = ask(sup_scripted_port(s), get, SUP_TIMEOUT_MS, NULL, &err);
    assert_int_equal(err, ECONNRESET);
    free(got);
    sup_scripted_stop(s);
}

static void each_connection_has_its_script(void **state)
{
    (void)state;
    static const struct sup_step first[] = {SUP_SEND("one")};
    static const struct sup_step rest[] = {SUP_SEND("more")};
    const struct sup_script scripts[] = {{first, 1}, {rest, 1}};
    struct sup_scripted *s = sup_scripted_start(scripts, 2);
    static const char *const want[] = {"one", "more", "more"};
    for (int i = 0; i < 3; i++) {
        int err;
        char *got = ask(sup_scripted_port(s), "", SUP_TIMEOUT_MS, NULL, &err);
        assert_string_equal(got, want[i]);
        free(got);
    }
    sup_scripted_stop(s);
}

static void a_stall_ends_by_release_by_the_client_or_by_stop(void **state)
{
    (void)state;
    static const struct sup_step steps[] = {SUP_STALL, SUP_SEND("go"), SUP_CLOSE};
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(steps));
    uint16_t port = sup_scripted_port(s);
    int err;
    free(ask(port, "", 30, NULL, &err)); /* this client gives up */
    assert_int_equal(err, ETIMEDOUT);
    assert_true(sup_scripted_wait(s, &(struct sup_scripted_counts){.client_ended = 1, .stalled = 1},
                                  SUP_TIMEOUT_MS));

    sup_scripted_release(s, 1);
    char *got = ask(port, "", SUP_TIMEOUT_MS, NULL, &err);
    assert_string_equal(got, "go");
    free(got);

    int left = sup_connect(port, SUP_TIMEOUT_MS);
    assert_true(left >= 0);
    assert_true(sup_scripted_wait(s, &(struct sup_scripted_counts){.stalled = 3}, SUP_TIMEOUT_MS));
    sup_scripted_stop(s);
    char byte;
    assert_int_equal(recv(left, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(left);
}

static void keep_alive_streams_and_endless_answers(void **state)
{
    (void)state;
    static const struct sup_step twice[] = {SUP_EXPECT("\r\n\r\n"), SUP_SEND_STREAM(5, 10000),
                                            SUP_REPEAT(2), SUP_HALF_CLOSE, SUP_READ_TO_END};
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(twice));
    int err;
    size_t bytes;
    char *got =
        ask(sup_scripted_port(s), "GET a\r\n\r\nGET b\r\n\r\n", SUP_TIMEOUT_MS, &bytes, &err);
    assert_int_equal(err, 0);
    assert_int_equal(bytes, 20000);
    assert_true(sup_stream_match(5, 0, got, 10000));
    assert_true(sup_stream_match(5, 0, got + 10000, 10000));
    free(got);
    assert_true(sup_scripted_wait(s, &(struct sup_scripted_counts){.ended = 1}, SUP_TIMEOUT_MS));
    sup_scripted_stop(s);

    static const struct sup_step endless[] = {SUP_READ(4), SUP_DELAY(1),
                                              SUP_SEND_FOREVER("X: y\r\n")};
    s = sup_scripted_start(SUP_SCRIPT(endless));
    got = ask(sup_scripted_port(s), "GET ", SUP_TIMEOUT_MS, &bytes, &err);
    assert_int_equal(bytes, (1 << 20) - 1); /* all that this client has room for */
    assert_memory_equal(got, "X: y\r\nX: y\r\n", 12);
    free(got);
    assert_true(sup_scripted_wait(s, &(struct sup_scripted_counts){.ended = 1}, SUP_TIMEOUT_MS));
    sup_scripted_stop(s);
}

static void many_connections_at_once_end_together(void **state)
{
    (void)state;
    enum { N = 200 };
    static const struct sup_step steps[] = {SUP_EXPECT("never"), SUP_CLOSE};
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(steps));
    int fds[N];
    for (int i = 0; i < N; i++)
        fds[i] = sup_connect(sup_scripted_port(s), SUP_TIMEOUT_MS);
    assert_true(
        sup_scripted_wait(s, &(struct sup_scripted_counts){.connections = N}, SUP_TIMEOUT_MS));
    sup_scripted_stop(s);
    for (int i = 0; i < N; i++) {
        char byte;
        assert_int_equal(recv(fds[i], &byte, 1, 0), -1);
        close(fds[i]);
    }
}

static void ports_that_refuse_and_ports_that_say_nothing(void **state)
{
    (void)state;
    uint16_t port;
    int fd = sup_port_refusing(&port);
    assert_true(fd >= 0);
    assert_int_equal(sup_connect(port, SUP_TIMEOUT_MS), -ECONNREFUSED);
    close(fd);

    struct sup_blackhole *b = sup_blackhole_start(&port);
    assert_non_null(b);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sup_connect(port, 50), -ETIMEDOUT);
    sup_blackhole_stop(b);
    assert_int_equal(sup_connect(port, SUP_TIMEOUT_MS), -ECONNREFUSED);
}

/* -- The relay, in front of a server that sends 20,000 bytes of stream 9 ------------------------- */

static const struct sup_step upstream_steps[] = {SUP_EXPECT("\r\n\r\n"), SUP_SEND_STREAM(9, 20000),
                                                 SUP_CLOSE};

struct relayed {
    char *data;
    size_t bytes;
    int err;
    size_t faults;
    uint64_t to_server;
};

static struct relayed relay_with(struct sup_relay_rule rule)
{
    struct relayed result = {0};
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(upstream_steps));
    assert_non_null(s);
    struct sup_relay *r = sup_relay_start(sup_scripted_port(s), &rule, 1);
    assert_non_null(r);
    result.data = ask(sup_relay_port(r), get, SUP_TIMEOUT_MS, &result.bytes, &result.err);
    result.faults = sup_relay_faults(r);
    result.to_server = sup_relay_bytes(r, 0, SUP_TO_SERVER);
    assert_int_equal(sup_relay_connections(r), 1);
    sup_relay_stop(r);
    sup_scripted_stop(s);
    return result;
}

static void an_idle_relay_changes_nothing(void **state)
{
    (void)state;
    struct relayed x = relay_with((struct sup_relay_rule){0});
    assert_int_equal(x.err, 0);
    assert_int_equal(x.bytes, 20000);
    assert_true(sup_stream_match(9, 0, x.data, x.bytes));
    assert_int_equal(x.faults, 0);
    assert_int_equal(x.to_server, sizeof(get) - 1);
    free(x.data);
}

static void a_relay_cuts_at_the_byte(void **state)
{
    (void)state;
    static const enum sup_relay_fault faults[] = {SUP_RELAY_CLOSE, SUP_RELAY_TRUNCATE,
                                                  SUP_RELAY_RESET};
    static const int errors[] = {0, 0, ECONNRESET};
    for (size_t i = 0; i < 3; i++) {
        struct relayed x = relay_with((struct sup_relay_rule){.fault = faults[i], .at_byte = 7777});
        assert_int_equal(x.err, errors[i]);
        assert_int_equal(x.bytes, 7777);
        assert_true(sup_stream_match(9, 0, x.data, x.bytes));
        assert_int_equal(x.faults, 1);
        free(x.data);
    }
    struct relayed x = relay_with((struct sup_relay_rule){.fault = SUP_RELAY_RESET, .at_byte = 0});
    assert_int_equal(x.bytes, 0);
    free(x.data);
}

static void a_relay_corrupts_drips_and_delays(void **state)
{
    (void)state;
    struct relayed x =
        relay_with((struct sup_relay_rule){.fault = SUP_RELAY_CORRUPT, .at_byte = 1234});
    assert_int_equal(x.bytes, 20000);
    assert_false(sup_stream_match(9, 0, x.data, x.bytes));
    x.data[1234] ^= 1;
    assert_true(sup_stream_match(9, 0, x.data, x.bytes));
    assert_int_equal(x.faults, 1);
    free(x.data);

    x = relay_with((struct sup_relay_rule){.fault = SUP_RELAY_DRIP, .at_byte = 19000});
    assert_int_equal(x.bytes, 20000);
    assert_true(sup_stream_match(9, 0, x.data, x.bytes));
    free(x.data);

    int64_t before = sup_now_ms();
    x = relay_with((struct sup_relay_rule){.fault = SUP_RELAY_DELAY, .at_byte = 1, .delay_ms = 80});
    assert_int_equal(x.bytes, 20000);
    assert_true(sup_now_ms() - before >= 80);
    free(x.data);
}

/* Reads `bytes` bytes, or what comes in time. */
static size_t read_bytes(int fd, char *data, size_t bytes)
{
    size_t n = 0;
    int64_t deadline = sup_now_ms() + SUP_TIMEOUT_MS;
    while (n < bytes && sup_wait_fd(fd, POLLIN, -1, deadline) == 1) {
        ssize_t got = recv(fd, data + n, bytes - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return n;
}

static void a_relay_stalls_until_it_is_released(void **state)
{
    (void)state;
    static const struct sup_relay_rule rules[] = {
        {.fault = SUP_RELAY_STALL, .at_byte = 7777},
        {.fault = SUP_RELAY_STALL, .direction = SUP_TO_SERVER, .at_byte = 5}};
    static const size_t before[] = {7777, 0};
    for (int i = 0; i < 2; i++) {
        struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(upstream_steps));
        assert_non_null(s);
        struct sup_relay *r = sup_relay_start(sup_scripted_port(s), &rules[i], 1);
        char *data = calloc(1, 20001);
        assert_true(r && data);
        int fd = sup_connect(sup_relay_port(r), SUP_TIMEOUT_MS);
        assert_true(fd >= 0);
        assert_int_equal(send(fd, get, sizeof(get) - 1, 0), sizeof(get) - 1);
        assert_true(sup_relay_wait_faults(r, 1, SUP_TIMEOUT_MS));
        assert_int_equal(read_bytes(fd, data, before[i]), before[i]);
        assert_int_equal(sup_wait_fd(fd, POLLIN, -1, sup_now_ms() + 50), 0);
        assert_int_equal(sup_relay_bytes(r, 0, SUP_TO_SERVER), i == 0 ? sizeof(get) - 1 : 5);
        sup_relay_release(r, 1);
        assert_int_equal(read_bytes(fd, data + before[i], 20001 - before[i]), 20000 - before[i]);
        assert_true(sup_stream_match(9, 0, data, 20000));
        close(fd);
        free(data);
        sup_relay_stop(r);
        sup_scripted_stop(s);
    }
}

static void a_client_that_gives_up_ends_a_stall(void **state)
{
    (void)state;
    static const struct sup_relay_rule rule = {.fault = SUP_RELAY_STALL, .at_byte = 100};
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(upstream_steps));
    struct sup_relay *r = sup_relay_start(sup_scripted_port(s), &rule, 1);
    int fd = sup_connect(sup_relay_port(r), SUP_TIMEOUT_MS);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, get, sizeof(get) - 1, 0), sizeof(get) - 1);
    assert_true(sup_relay_wait_faults(r, 1, SUP_TIMEOUT_MS));
    close(fd);
    assert_true(sup_scripted_wait(s, &(struct sup_scripted_counts){.ended = 1}, SUP_TIMEOUT_MS));
    sup_relay_stop(r);
    sup_scripted_stop(s);
}

static void a_relay_spoils_only_the_chosen_connections(void **state)
{
    (void)state;
    static const struct sup_relay_rule rule = {.fault = SUP_RELAY_RESET, .first = 1, .n = 2};
    static const int errors[] = {0, ECONNRESET, ECONNRESET, 0};
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(upstream_steps));
    struct sup_relay *r = sup_relay_start(sup_scripted_port(s), &rule, 1);
    for (int i = 0; i < 4; i++) {
        int err;
        free(ask(sup_relay_port(r), get, SUP_TIMEOUT_MS, NULL, &err));
        assert_int_equal(err, errors[i]);
    }
    assert_true(sup_relay_wait_faults(r, 2, SUP_TIMEOUT_MS));
    sup_relay_stop(r);
    sup_scripted_stop(s);
}

static int count_before;

static int note_descriptors(void **state)
{
    (void)state;
    count_before = sup_fd_count();
    return 0;
}

static int nothing_is_left_open(void **state)
{
    (void)state;
    return sup_fd_count() == count_before ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_answers_and_closes),
        cmocka_unit_test(a_script_resets),
        cmocka_unit_test(each_connection_has_its_script),
        cmocka_unit_test(a_stall_ends_by_release_by_the_client_or_by_stop),
        cmocka_unit_test(keep_alive_streams_and_endless_answers),
        cmocka_unit_test(many_connections_at_once_end_together),
        cmocka_unit_test(ports_that_refuse_and_ports_that_say_nothing),
        cmocka_unit_test(an_idle_relay_changes_nothing),
        cmocka_unit_test(a_relay_cuts_at_the_byte),
        cmocka_unit_test(a_relay_corrupts_drips_and_delays),
        cmocka_unit_test(a_relay_stalls_until_it_is_released),
        cmocka_unit_test(a_client_that_gives_up_ends_a_stall),
        cmocka_unit_test(a_relay_spoils_only_the_chosen_connections),
    };
    return cmocka_run_group_tests_name("support.scripted", tests, note_descriptors,
                                       nothing_is_left_open);
}
