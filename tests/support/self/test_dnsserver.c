/* SPDX-License-Identifier: MIT */
/* Self test of support/dnsserver.h, with a client of a few lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/dnsserver.h"

enum { A = 1, AAAA = 28 };
enum { NOERROR = 0, FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

struct reply {
    ssize_t bytes; /* -1: none came in time */
    unsigned id;
    unsigned code;
    unsigned answers;
    bool truncated;
    unsigned char wire[8192];
};

static struct reply last; /* the frame of a test stays small */

/* A query with id 0x1234; returns its length. */
static size_t write_query(unsigned char *out, const char *name, unsigned type)
{
    static const unsigned char head[12] = {0x12, 0x34, 0x01, 0x00, 0, 1};
    unsigned char *at = out + sizeof(head);
    memcpy(out, head, sizeof(head));
    while (*name) {
        size_t n = strcspn(name, ".");
        *at++ = (unsigned char)n;
        memcpy(at, name, n);
        at += n;
        name += n + (name[n] == '.');
    }
    *at++ = 0;
    *at++ = 0;
    *at++ = (unsigned char)type;
    *at++ = 0;
    *at++ = 1;
    return (size_t)(at - out);
}

static void take_apart(ssize_t bytes)
{
    const unsigned char *w = last.wire;
    last.bytes = bytes;
    if (bytes < 12)
        return;
    last.id = (unsigned)w[0] << 8 | w[1];
    last.truncated = w[2] & 2;
    last.code = w[3] & 15;
    last.answers = (unsigned)w[6] << 8 | w[7];
}

static int udp_socket(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)(const void *)&to, sizeof(to)), 0);
    return fd;
}

/* Asks over UDP; what came within timeout_ms is in `last`. */
static void ask(uint16_t port, const char *name, unsigned type, int timeout_ms)
{
    unsigned char query[300];
    size_t n = write_query(query, name, type);
    int fd = udp_socket(port);
    memset(&last, 0, sizeof(last));
    last.bytes = -1;
    assert_int_equal(send(fd, query, n, 0), n);
    if (sup_wait_fd(fd, POLLIN, -1, sup_now_ms() + timeout_ms) == 1)
        take_apart(recv(fd, last.wire, sizeof(last.wire), 0));
    close(fd);
}

/* Asks over TCP; last.bytes is what came before the end or the time limit, without the length. */
static void ask_tcp(uint16_t port, const char *name, unsigned type, int timeout_ms)
{
    unsigned char query[300] = {0};
    size_t n = write_query(query + 2, name, type);
    size_t got = 0;
    size_t want = 2;
    unsigned char head[2] = {0};
    query[1] = (unsigned char)n;
    int fd = sup_connect(port, SUP_TIMEOUT_MS);
    assert_true(fd >= 0);
    memset(&last, 0, sizeof(last));
    last.bytes = -1;
    assert_int_equal(sup_send_all(fd, query, n + 2, -1, sup_now_ms() + SUP_TIMEOUT_MS), 0);
    while (got < want && sup_wait_fd(fd, POLLIN, -1, sup_now_ms() + timeout_ms) == 1) {
        ssize_t more = got < 2 ? recv(fd, head + got, 2 - got, 0)
                               : recv(fd, last.wire + got - 2, want - got, 0);
        if (more <= 0)
            break;
        got += (size_t)more;
        want = got < 2 ? 2 : 2 + ((size_t)head[0] << 8 | head[1]);
        assert_true(want - 2 <= sizeof(last.wire));
    }
    close(fd);
    if (got > 2)
        take_apart((ssize_t)got - 2);
}

/* -- unbound ------------------------------------------------------------------------------------ */

static struct sup_unbound *unbound;

static int start_unbound(void **state)
{
    (void)state;
    unbound = sup_unbound_start("extra 60 IN A 127.0.0.77\n");
    return unbound ? 0 : -1;
}

static int stop_unbound(void **state)
{
    (void)state;
    sup_unbound_stop(unbound);
    return 0;
}

static void unbound_has_the_zone_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned type;
        unsigned code;
        unsigned answers;
    } cases[] = {
        {"thrum.test", A, NOERROR, 1},         {"thrum.test", AAAA, NOERROR, 1},
        {"v4.thrum.test", A, NOERROR, 1},      {"v4.thrum.test", AAAA, NOERROR, 0},
        {"v6.thrum.test", AAAA, NOERROR, 1},   {"two.thrum.test", A, NOERROR, 2},
        {"cname.thrum.test", A, NOERROR, 2},   {"chain0.thrum.test", A, NOERROR, 9},
        {"txt.thrum.test", A, NOERROR, 0},     {"dangling.thrum.test", A, NOERROR, 1},
        {"ttl0.thrum.test", A, NOERROR, 1},    {"x.wild.thrum.test", A, NOERROR, 1},
        {"extra.thrum.test", A, NOERROR, 1},   {"nowhere.thrum.test", A, NXDOMAIN, 0},
        {"example.com", A, NXDOMAIN, 0},       {"many6.thrum.test", A, NOERROR, 0},
        {"refused.thrum.test", A, NOERROR, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(sup_unbound_port(unbound), cases[i].name, cases[i].type, SUP_TIMEOUT_MS);
        if (last.code != cases[i].code || last.answers != cases[i].answers)
            sup_say("%s %u: code %u, %u answers", cases[i].name, cases[i].type, last.code,
                    last.answers);
        assert_int_equal(last.code, cases[i].code);
        assert_int_equal(last.answers, cases[i].answers);
    }
    ask(sup_unbound_port(unbound), "loop0.thrum.test", A, SUP_TIMEOUT_MS);
    assert_true(last.bytes > 0); /* whatever it says, it says something */
}

static void unbound_sends_a_long_answer_over_tcp_only(void **state)
{
    (void)state;
    ask(sup_unbound_port(unbound), "many.thrum.test", A, SUP_TIMEOUT_MS);
    assert_true(last.truncated);
    ask_tcp(sup_unbound_port(unbound), "many.thrum.test", A, SUP_TIMEOUT_MS);
    assert_false(last.truncated);
    assert_int_equal(last.answers, 200);
}

static void unbound_counts_what_it_was_asked(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        ask(sup_unbound_port(unbound), "counted.thrum.test", A, SUP_TIMEOUT_MS);
    ask(sup_unbound_port(unbound), "counted.thrum.test", AAAA, SUP_TIMEOUT_MS);
    assert_int_equal(sup_unbound_queries(unbound, "counted.thrum.test", "A"), 3);
    assert_int_equal(sup_unbound_queries(unbound, "counted.thrum.test", "AAAA"), 1);
    assert_int_equal(sup_unbound_queries(unbound, "counted.thrum.test", NULL), 4);
    assert_int_equal(sup_unbound_queries(unbound, "never.thrum.test", NULL), 0);
}

/* -- The scripted one --------------------------------------------------------------------------- */

static void each_reply_is_what_its_name_says(void **state)
{
    (void)state;
    static const struct sup_dns_rule rules[] = {
        {.name = "ok.test", .addresses_n = 3},
        {.name = "only4.test", .address6 = ""},
        {.name = "nodata.test", .reply = SUP_DNS_NODATA},
        {.name = "servfail.test", .reply = SUP_DNS_SERVFAIL},
        {.name = "refused.test", .reply = SUP_DNS_REFUSED},
        {.name = "formerr.test", .reply = SUP_DNS_FORMERR},
        {.name = "cname.test", .reply = SUP_DNS_CNAME_LOOP},
        {.name = "dangling.test", .reply = SUP_DNS_DANGLING},
        {.name = "txt.test", .reply = SUP_DNS_OTHER_TYPE},
        {.name = "*.wild.test"},
    };
    static const struct {
        const char *name;
        unsigned type;
        unsigned code;
        unsigned answers;
    } cases[] = {
        {"ok.test", A, NOERROR, 3},        {"OK.test", AAAA, NOERROR, 3},
        {"only4.test", A, NOERROR, 1},     {"only4.test", AAAA, NOERROR, 0},
        {"nodata.test", A, NOERROR, 0},    {"servfail.test", A, SERVFAIL, 0},
        {"refused.test", A, REFUSED, 0},   {"formerr.test", A, FORMERR, 0},
        {"cname.test", A, NOERROR, 1},     {"txt.test", A, NOERROR, 1},
        {"dangling.test", A, NXDOMAIN, 1}, {"a.wild.test", A, NOERROR, 1},
        {"other.test", A, NXDOMAIN, 0},
    };
    struct sup_dns *d = sup_dns_start(rules, sizeof(rules) / sizeof(rules[0]));
    assert_non_null(d);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(sup_dns_port(d), cases[i].name, cases[i].type, SUP_TIMEOUT_MS);
        assert_int_equal(last.id, 0x1234);
        assert_int_equal(last.code, cases[i].code);
        assert_int_equal(last.answers, cases[i].answers);
        ask_tcp(sup_dns_port(d), cases[i].name, cases[i].type, SUP_TIMEOUT_MS);
        assert_int_equal(last.code, cases[i].code);
        assert_int_equal(last.answers, cases[i].answers);
    }
    assert_int_equal(sup_dns_queries(d, "only4.test", 0), 4);
    assert_int_equal(sup_dns_queries(d, "only4.test", AAAA), 2);
    assert_int_equal(sup_dns_queries(d, NULL, 0), 26);
    assert_int_equal(sup_dns_tcp_queries(d), 13);
    sup_dns_stop(d);
}

static void broken_replies_are_broken(void **state)
{
    (void)state;
    static const struct sup_dns_rule rules[] = {
        {.name = "silent.test", .reply = SUP_DNS_SILENT},
        {.name = "id.test", .reply = SUP_DNS_WRONG_ID},
        {.name = "question.test", .reply = SUP_DNS_WRONG_QUESTION},
        {.name = "garbage.test", .reply = SUP_DNS_GARBAGE},
        {.name = "short.test", .reply = SUP_DNS_SHORT},
        {.name = "empty.test", .reply = SUP_DNS_EMPTY},
        {.name = "pointer.test", .reply = SUP_DNS_POINTER_LOOP},
        {.name = "half.test", .reply = SUP_DNS_HALF_RECORD},
    };
    struct sup_dns *d = sup_dns_start(rules, sizeof(rules) / sizeof(rules[0]));
    assert_non_null(d);
    uint16_t port = sup_dns_port(d);
    ask(port, "silent.test", A, 50);
    assert_int_equal(last.bytes, -1);
    ask(port, "id.test", A, SUP_TIMEOUT_MS);
    assert_int_not_equal(last.id, 0x1234);
    assert_int_equal(last.answers, 1);
    ask(port, "question.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.id, 0x1234);
    assert_memory_equal(last.wire + 13, "buestion", 8);
    ask(port, "garbage.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.bytes, 66);
    assert_int_equal(last.id, 0x1234);
    ask(port, "short.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.bytes, 5);
    ask(port, "empty.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.bytes, 0);
    ask(port, "pointer.test", A, SUP_TIMEOUT_MS);
    assert_memory_equal(last.wire + last.bytes - 16, "\xC0\x1E", 2); /* 30: where it stands */
    ask(port, "half.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.answers, 1);
    assert_int_equal(last.bytes, 12 + 15 + 16 - 2);
    sup_dns_stop(d);
}

static void truncation_sends_to_tcp(void **state)
{
    (void)state;
    static const struct sup_dns_rule rules[] = {
        {.name = "tcp.test", .reply = SUP_DNS_TRUNCATED, .addresses_n = 2},
        {.name = "cut.test", .reply = SUP_DNS_TRUNCATED_CUT},
        {.name = "deaf.test", .reply = SUP_DNS_TRUNCATED_DEAF},
        {.name = "long.test", .addresses_n = 400},
    };
    static const char *const names[] = {"tcp.test", "cut.test", "deaf.test", "long.test"};
    struct sup_dns *d = sup_dns_start(rules, sizeof(rules) / sizeof(rules[0]));
    assert_non_null(d);
    uint16_t port = sup_dns_port(d);
    for (int i = 0; i < 4; i++) {
        ask(port, names[i], A, SUP_TIMEOUT_MS);
        assert_true(last.truncated);
        assert_int_equal(last.answers, 0);
    }
    ask_tcp(port, "tcp.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.answers, 2);
    ask_tcp(port, "cut.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.bytes, (12 + 14 + 16) / 2);
    ask_tcp(port, "deaf.test", A, 50);
    assert_int_equal(last.bytes, -1);
    ask_tcp(port, "long.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.answers, 400);
    sup_dns_stop(d);
}

static void rules_wear_out_delay_and_change(void **state)
{
    (void)state;
    static const struct sup_dns_rule first[] = {
        {.name = "flaky.test", .times = 2, .reply = SUP_DNS_SERVFAIL},
        {.name = "flaky.test"},
        {.name = "late.test", .delay_ms = 60},
        {.name = "twice.test", .reply = SUP_DNS_TWICE},
        {.name = "very-late.test", .delay_ms = 60000},
    };
    static const struct sup_dns_rule second[] = {{.reply = SUP_DNS_REFUSED}};
    struct sup_dns *d = sup_dns_start(first, sizeof(first) / sizeof(first[0]));
    assert_non_null(d);
    uint16_t port = sup_dns_port(d);
    static const unsigned codes[] = {SERVFAIL, SERVFAIL, NOERROR, NOERROR};
    for (int i = 0; i < 4; i++) {
        ask(port, "flaky.test", A, SUP_TIMEOUT_MS);
        assert_int_equal(last.code, codes[i]);
    }
    int64_t before = sup_now_ms();
    ask(port, "late.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.answers, 1);
    assert_true(sup_now_ms() - before >= 60);

    unsigned char query[300];
    size_t n = write_query(query, "twice.test", A);
    int fd = udp_socket(port);
    assert_int_equal(send(fd, query, n, 0), n);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sup_wait_fd(fd, POLLIN, -1, sup_now_ms() + SUP_TIMEOUT_MS), 1);
        assert_true(recv(fd, last.wire, sizeof(last.wire), 0) > 12);
    }
    close(fd);

    ask(port, "very-late.test", A, 20); /* its reply is still queued when the server stops */
    sup_dns_set_rules(d, second, 1);
    ask(port, "flaky.test", A, SUP_TIMEOUT_MS);
    assert_int_equal(last.code, REFUSED);
    assert_true(sup_dns_wait_queries(d, 8, SUP_TIMEOUT_MS));
    assert_false(sup_dns_wait_queries(d, 9, 20));
    sup_dns_stop(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unbound_has_the_zone_and_nothing_else),
        cmocka_unit_test(unbound_sends_a_long_answer_over_tcp_only),
        cmocka_unit_test(unbound_counts_what_it_was_asked),
        cmocka_unit_test(each_reply_is_what_its_name_says),
        cmocka_unit_test(broken_replies_are_broken),
        cmocka_unit_test(truncation_sends_to_tcp),
        cmocka_unit_test(rules_wear_out_delay_and_change),
    };
    return cmocka_run_group_tests_name("support.dnsserver", tests, start_unbound, stop_unbound);
}
