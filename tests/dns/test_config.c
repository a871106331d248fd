/* SPDX-License-Identifier: MIT */
/* Options in c-ares' terms, and c-ares' answers in ours. */
#include "dns/addrs.h"
#include "dns/channel_config.h"
#include "dns/reply.h"
#include "exec/util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>

#include <cmocka.h>

/* ---- Servers ---- */

static void servers_get_ports_and_lose_blanks(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"1.2.3.4", "1.2.3.4:53"},
        {"1.2.3.4:5353", "1.2.3.4:5353"},
        {"::1", "[::1]:53"},
        {"[::1]", "[::1]:53"},
        {"[::1]:5353", "[::1]:5353"},
        {"fd00:0:0::1:2", "[fd00::1:2]:53"},
        {" 1.2.3.4 ,\t[::1]:5353 ", "1.2.3.4:53,[::1]:5353"},
        {"1.1.1.1,2.2.2.2:1,3.3.3.3:65535", "1.1.1.1:53,2.2.2.2:1,3.3.3.3:65535"},
    };
    for (size_t i = 0; i < THR_COUNT_OF(cases); i++) {
        char *list;
        assert_int_equal(thr_servers_normalise(&list, cases[i][0]), 0);
        assert_string_equal(list, cases[i][1]);
        free(list);
    }
}

static void servers_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        ",",
        "1.2.3.4,",
        ",1.2.3.4",
        "1.2.3.4,,1.2.3.4",
        "dns.google",
        "1.2.3",
        "1.2.3.4:",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "1.2.3.4:x",
        "1.2.3.4:-1",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]:",
        "[1.2.3.4]",
        "[]",
        "[]:53",
        "1.2.3.4 53",
        "1.2.3.4:53:53",
        "1.2.3.4:99999999999999999999",
        "1111111111111111111111111111111111111111111111111111111111111111111111111",
    };
    for (size_t i = 0; i < THR_COUNT_OF(cases); i++) {
        char *list;
        assert_int_equal(thr_servers_normalise(&list, cases[i]), THRUM_EDNS_CONFIG);
        assert_null(list);
    }
}

static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    (void)arg, (void)fd, (void)readable, (void)writable;
}

static int configure(const thrum_resolver_opts *opts)
{
    ares_channel channel;
    int err = thr_channel_configure(&channel, opts, false, on_socket, NULL);
    if (err)
        assert_null(channel);
    else
        ares_destroy(channel);
    return err;
}

static void options_within_bounds_make_a_channel(void **state)
{
    (void)state;
    assert_int_equal(configure(&(thrum_resolver_opts){0}), 0);
    assert_int_equal(configure(&(thrum_resolver_opts){.servers = "127.0.0.1:53,[::1]:53"}), 0);
    assert_int_equal(configure(&(thrum_resolver_opts){.try_timeout_ns = 1, .tries = 1}), 0);
    assert_int_equal(
        configure(&(thrum_resolver_opts){.try_timeout_ns = UINT64_C(60000000000), .tries = 10}), 0);
}

static void options_out_of_bounds_do_not(void **state)
{
    (void)state;
    assert_int_equal(configure(&(thrum_resolver_opts){.servers = "nonsense"}), THRUM_EDNS_CONFIG);
    assert_int_equal(configure(&(thrum_resolver_opts){.tries = 11}), THRUM_EDNS_CONFIG);
    assert_int_equal(configure(&(thrum_resolver_opts){.try_timeout_ns = UINT64_MAX}),
                     THRUM_EDNS_CONFIG);
}

/* ---- Replies ---- */

static void each_status_has_its_error(void **state)
{
    (void)state;
    static const int cases[][2] = {
        {ARES_SUCCESS, 0},
        {ARES_ENOTFOUND, THRUM_EDNS_NOTFOUND},
        {ARES_ENODATA, THRUM_EDNS_NODATA},
        {ARES_ESERVFAIL, THRUM_EDNS_SERVFAIL},
        {ARES_EREFUSED, THRUM_EDNS_REFUSED},
        {ARES_ETIMEOUT, THRUM_EDNS_TIMEOUT},
        {ARES_ECONNREFUSED, THRUM_EDNS_UNREACHABLE},
        {ARES_EBADNAME, THRUM_EDNS_BADNAME},
        {ARES_EBADRESP, THRUM_EDNS_BADANSWER},
        {ARES_ENOMEM, -ENOMEM},
        {ARES_EDESTRUCTION, -ECANCELED},
        {9999, THRUM_EDNS_BADANSWER},
    };
    for (size_t i = 0; i < THR_COUNT_OF(cases); i++)
        assert_int_equal(thr_reply_error(cases[i][0]), cases[i][1]);
}

/* An answer of n IPv4 addresses with one TTL. */
struct v4_answer {
    struct ares_addrinfo info;
    struct ares_addrinfo_cname cname;
    struct ares_addrinfo_node nodes[THRUM_ADDRS_MAX + 8];
    struct sockaddr_in sins[THRUM_ADDRS_MAX + 8];
};

static void fill_answer(struct v4_answer *a, unsigned n, int ttl)
{
    memset(a, 0, sizeof(*a));
    for (unsigned i = 0; i < n; i++) {
        a->sins[i].sin_family = AF_INET;
        a->sins[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
        a->nodes[i] = (struct ares_addrinfo_node){
            .ai_ttl = ttl,
            .ai_family = AF_INET,
            .ai_addrlen = sizeof(a->sins[i]),
            .ai_addr = (struct sockaddr *)&a->sins[i],
            .ai_next = i + 1 < n ? &a->nodes[i + 1] : NULL,
        };
    }
    a->info.nodes = n ? &a->nodes[0] : NULL;
}

static uint64_t ttl_seconds(const struct v4_answer *a)
{
    struct thr_reply reply;
    thr_reply_from_ares(&reply, ARES_SUCCESS, &a->info);
    assert_int_equal(reply.err, 0);
    free(reply.addrs);
    return reply.ttl_ns / UINT64_C(1000000000);
}

static void an_answer_lives_from_a_second_to_an_hour(void **state)
{
    (void)state;
    struct v4_answer a;
    static const int cases[][2] = {{0, 1},       {1, 1},       {-5, 1},          {60, 60},
                                   {3600, 3600}, {3601, 3600}, {INT32_MAX, 3600}};
    for (size_t i = 0; i < THR_COUNT_OF(cases); i++) {
        fill_answer(&a, 2, cases[i][0]);
        assert_int_equal(ttl_seconds(&a), cases[i][1]);
    }
}

static void the_shortest_ttl_counts_also_an_aliases(void **state)
{
    (void)state;
    struct v4_answer a;
    fill_answer(&a, 3, 100);
    a.nodes[1].ai_ttl = 50;
    assert_int_equal(ttl_seconds(&a), 50);
    a.cname.ttl = 7;
    a.info.cnames = &a.cname;
    assert_int_equal(ttl_seconds(&a), 7);
}

static void addresses_are_copied_up_to_the_most(void **state)
{
    (void)state;
    struct v4_answer a;
    struct thr_reply reply;
    fill_answer(&a, THRUM_ADDRS_MAX + 8, 1);
    thr_reply_from_ares(&reply, ARES_SUCCESS, &a.info);
    assert_int_equal(reply.err, 0);
    assert_int_equal(reply.addrs_n, THRUM_ADDRS_MAX);
    assert_int_equal(reply.addrs[3].u.in4.sin_addr.s_addr, htonl(INADDR_LOOPBACK + 3));
    free(reply.addrs);
}

static void a_success_without_addresses_is_no_data(void **state)
{
    (void)state;
    struct v4_answer a;
    struct thr_reply reply;
    fill_answer(&a, 0, 1);
    thr_reply_from_ares(&reply, ARES_SUCCESS, &a.info);
    assert_int_equal(reply.err, THRUM_EDNS_NODATA);
    thr_reply_from_ares(&reply, ARES_SUCCESS, NULL);
    assert_int_equal(reply.err, THRUM_EDNS_NODATA);
    fill_answer(&a, 1, 1);
    a.nodes[0].ai_family = AF_UNIX;
    thr_reply_from_ares(&reply, ARES_SUCCESS, &a.info);
    assert_int_equal(reply.err, THRUM_EDNS_NODATA);
    assert_null(reply.addrs);
}

/* ---- The order of addresses ---- */

static void make_list(thrum_addr *list, unsigned n, const char *text)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(thrum_addr_parse(&list[i], text, (uint16_t)(i + 1)), 0);
}

static void check_order(unsigned v6_n, unsigned v4_n, const char *want)
{
    thrum_addr v6[40], v4[40];
    thrum_addrs out;
    make_list(v6, v6_n, "::1");
    make_list(v4, v4_n, "127.0.0.1");
    thr_addrs_interleave(&out, v6, v6_n, v4, v4_n);
    assert_int_equal(out.n, strlen(want));
    unsigned seen6 = 0, seen4 = 0;
    for (unsigned i = 0; i < out.n; i++) {
        bool is6 = out.at[i].u.sa.sa_family == AF_INET6;
        assert_int_equal(is6 ? '6' : '4', want[i]);
        assert_int_equal(thrum_addr_port(&out.at[i]), is6 ? ++seen6 : ++seen4);
    }
}

static void families_take_turns_ipv6_first(void **state)
{
    (void)state;
    check_order(0, 0, "");
    check_order(1, 1, "64");
    check_order(3, 1, "6466");
    check_order(1, 3, "6444");
    check_order(0, 2, "44");
    check_order(2, 0, "66");
    check_order(40, 40, "64646464646464646464646464646464");
    check_order(40, 1, "64666666666666666666666666666666");
    check_order(1, 40, "64444444444444444444444444444444");
}

static void localhost_is_both_loopback_addresses(void **state)
{
    (void)state;
    thrum_addrs out;
    char text[THRUM_ADDR_TEXT_MAX];
    thr_addrs_localhost(&out);
    thr_addrs_set_port(&out, 80);
    assert_int_equal(out.n, 2);
    assert_string_equal(thrum_addr_format(&out.at[0], text, sizeof(text)), "[::1]:80");
    assert_string_equal(thrum_addr_format(&out.at[1], text, sizeof(text)), "127.0.0.1:80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_get_ports_and_lose_blanks),
        cmocka_unit_test(servers_that_make_no_sense_are_refused),
        cmocka_unit_test(options_within_bounds_make_a_channel),
        cmocka_unit_test(options_out_of_bounds_do_not),
        cmocka_unit_test(each_status_has_its_error),
        cmocka_unit_test(an_answer_lives_from_a_second_to_an_hour),
        cmocka_unit_test(the_shortest_ttl_counts_also_an_aliases),
        cmocka_unit_test(addresses_are_copied_up_to_the_most),
        cmocka_unit_test(a_success_without_addresses_is_no_data),
        cmocka_unit_test(families_take_turns_ipv6_first),
        cmocka_unit_test(localhost_is_both_loopback_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
