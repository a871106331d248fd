/* SPDX-License-Identifier: MIT */
/* Names to addresses by a real name server, the hosts file, and without either. */
#include "dns/hosts.h"
#include "dns_run.h"
#include "support/dnsserver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct sup_unbound *server;

static int start_server(void **state)
{
    (void)state;
    server = sup_unbound_start(NULL);
    return server ? 0 : -1;
}

static int stop_server(void **state)
{
    (void)state;
    sup_unbound_stop(server);
    return 0;
}

/* A generous time limit for each try: nothing here is meant to fail slowly. */
static struct session session_of(struct asked *asks, size_t asks_n)
{
    return (struct session){.opts = {.servers = sup_unbound_address(server),
                                     .hosts_path = "",
                                     .try_timeout_ns = 10 * THRUM_SECOND},
                            .asks = asks,
                            .asks_n = asks_n};
}

static void check(const char *host, const char *want)
{
    struct asked a = {.host = host};
    struct session s = session_of(&a, 1);
    assert_int_equal(session_run(&s), 0);
    assert_int_equal(a.err, 0);
    assert_string_equal(addrs_text(&a.out), want);
}

static void check_error(const char *host, int want)
{
    struct asked a = {.host = host};
    struct session s = session_of(&a, 1);
    assert_int_equal(session_run(&s), 0);
    assert_int_equal(a.err, want);
    assert_int_equal(a.out.n, 0);
}

/* ---- By the name server ---- */

static void both_families_come_ipv6_first(void **state)
{
    (void)state;
    check("both.thrum.test", "[::1] 127.0.0.1");
}

static void one_family_is_enough(void **state)
{
    (void)state;
    check("v4.thrum.test", "127.0.0.1");
    check("v6.thrum.test", "[::1]");
}

static void aliases_are_followed(void **state)
{
    (void)state;
    check("cname.thrum.test", "127.0.0.1");
    check("chain0.thrum.test", "[::1] 127.0.0.1");
}

static void case_and_a_last_dot_do_not_matter(void **state)
{
    (void)state;
    check("V4.Thrum.TEST", "127.0.0.1");
    check("v4.thrum.test.", "127.0.0.1");
}

static void a_label_of_63_bytes_is_found(void **state)
{
    (void)state;
    char host[80];
    memset(host, 'a', 63);
    snprintf(host + 63, sizeof(host) - 63, ".thrum.test");
    check(host, "127.0.0.1");
}

static void names_without_addresses_have_their_errors(void **state)
{
    (void)state;
    check_error("missing.thrum.test", THRUM_EDNS_NOTFOUND);
    check_error("dangling.thrum.test", THRUM_EDNS_NODATA); /* unbound gives the alias, no error */
    check_error("txt.thrum.test", THRUM_EDNS_NODATA);
}

static void an_alias_of_itself_ends_in_an_error(void **state)
{
    (void)state;
    struct asked a = {.host = "loop0.thrum.test"};
    struct session s = session_of(&a, 1);
    assert_int_equal(session_run(&s), 0);
    assert_true(a.err == THRUM_EDNS_SERVFAIL || a.err == THRUM_EDNS_NODATA);
}

static void what_is_too_large_for_udp_comes_by_tcp(void **state)
{
    (void)state;
    struct asked a[] = {{.host = "many.thrum.test"}, {.host = "many6.thrum.test"}};
    struct session s = session_of(a, 2);
    assert_int_equal(session_run(&s), 0);
    assert_int_equal(a[0].err, 0);
    assert_int_equal(a[0].out.n, THRUM_ADDRS_MAX);
    assert_memory_equal(addrs_text(&a[0].out), "127.0.1.", 8);
    assert_int_equal(a[1].err, 0);
    assert_int_equal(a[1].out.n, THRUM_ADDRS_MAX);
    assert_memory_equal(addrs_text(&a[1].out), "[fd00::", 7);
}

static void a_short_name_is_searched_for(void **state)
{
    (void)state;
    setenv("LOCALDOMAIN", "thrum.test", 1);
    check("both", "[::1] 127.0.0.1");
    check_error("both.", THRUM_EDNS_NOTFOUND); /* complete: not searched for */
    unsetenv("LOCALDOMAIN");
}

/* ---- What is kept ---- */

static size_t queries(const char *name)
{
    return sup_unbound_queries(server, name, NULL);
}

static void an_answer_is_kept_for_its_time_to_live(void **state)
{
    (void)state;
    struct asked a[] = {{.host = "v4.thrum.test"},
                        {.host = "v4.thrum.test"},
                        {.host = "V4.thrum.test", .wait_ns = 1200 * THRUM_MILLISECOND}};
    struct session s = session_of(a, 3);
    size_t before = queries("v4.thrum.test");
    assert_int_equal(session_run(&s), 0);
    for (int i = 0; i < 3; i++)
        assert_string_equal(addrs_text(&a[i].out), "127.0.0.1");
    assert_int_equal(queries("v4.thrum.test"), before + 2);
}

static void a_short_time_to_live_is_kept_to(void **state)
{
    (void)state;
    struct asked a[] = {{.host = "ttl1.thrum.test"},
                        {.host = "ttl1.thrum.test"},
                        {.host = "ttl1.thrum.test", .wait_ns = 1200 * THRUM_MILLISECOND}};
    struct session s = session_of(a, 3);
    assert_int_equal(session_run(&s), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(a[i].err, 0);
    assert_int_equal(queries("ttl1.thrum.test"), 4);
}

static void a_negative_answer_is_kept_for_a_while(void **state)
{
    (void)state;
    struct asked a[] = {{.host = "gone.thrum.test."},
                        {.host = "gone.thrum.test."},
                        {.host = "gone.thrum.test.", .wait_ns = 1200 * THRUM_MILLISECOND}};
    struct session s = session_of(a, 3);
    assert_int_equal(session_run(&s), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(a[i].err, THRUM_EDNS_NOTFOUND);
    assert_int_equal(queries("gone.thrum.test"), 2);
}

/* ---- By the hosts file ---- */

static void the_hosts_file_comes_before_the_servers(void **state)
{
    (void)state;
    char *path = sup_tmpname("hosts");
    static const char text[] = "10.1.2.3 v4.thrum.test\nfd00::7 both.thrum.test other\n";
    assert_true(sup_file_write(path, text, sizeof(text) - 1));
    struct asked a[] = {{.host = "v4.thrum.test"},
                        {.host = "Both.thrum.test."},
                        {.host = "other"},
                        {.host = "v6.thrum.test"}};
    struct session s = session_of(a, 4);
    s.opts.hosts_path = path;
    size_t before = queries("v4.thrum.test") + queries("both.thrum.test");
    assert_int_equal(session_run(&s), 0);
    assert_string_equal(addrs_text(&a[0].out), "10.1.2.3");
    assert_string_equal(addrs_text(&a[1].out), "[fd00::7]");
    assert_string_equal(addrs_text(&a[2].out), "[fd00::7]");
    assert_string_equal(addrs_text(&a[3].out), "[::1]");
    assert_int_equal(queries("v4.thrum.test") + queries("both.thrum.test"), before);
    free(path);
}

/* The look-ups of a hosts file that changes in between: written, rewritten, removed, made again. */
struct changing {
    const char *path;
    bool seen[4];
};

static int resolve_while_it_changes(void *arg)
{
    struct changing *c = arg;
    static const char *const texts[] = {"10.0.0.1 a\n", "10.0.0.22 a\n", NULL, "fd00::1 a\n"};
    static const char *const want[] = {"10.0.0.1", "10.0.0.22", "", "[fd00::1]"};
    thrum_resolver *r;
    int err = thrum_resolver_new(&r, &(thrum_resolver_opts){.servers = "127.0.0.1:1",
                                                            .hosts_path = c->path,
                                                            .try_timeout_ns = THRUM_MILLISECOND,
                                                            .tries = 1});
    for (int i = 0; !err && i < 4; i++) {
        bool done =
            texts[i] ? sup_file_write(c->path, texts[i], strlen(texts[i])) : sup_rmtree(c->path);
        (void)thrum_sleep(THR_HOSTS_CHECK_NS + 10 * THRUM_MILLISECOND);
        struct asked a = {.host = "a"};
        ask_one(r, &a);
        c->seen[i] = done && strcmp(addrs_text(&a.out), want[i]) == 0;
    }
    thrum_resolver_free(r);
    return err;
}

static void changes_of_the_hosts_file_are_seen(void **state)
{
    (void)state;
    char *path = sup_tmpname("hosts");
    struct changing c = {.path = path};
    assert_int_equal(thrum_run(resolve_while_it_changes, &c, &(thrum_run_opts){.workers = 2}), 0);
    for (int i = 0; i < 4; i++)
        assert_true(c.seen[i]);
    free(path);
}

static void a_hosts_file_that_cannot_be_read_is_empty(void **state)
{
    (void)state;
    static const char *const paths[] = {"/nonexistent/hosts", "/dev/null", "/"};
    for (int i = 0; i < 3; i++) {
        struct asked a = {.host = "v4.thrum.test"};
        struct session s = session_of(&a, 1);
        s.opts.hosts_path = paths[i];
        assert_int_equal(session_run(&s), 0);
        assert_string_equal(addrs_text(&a.out), "127.0.0.1");
    }
}

/* ---- Without anybody ---- */

/* A server that nobody listens at: an answer comes from elsewhere. */
static struct asked ask_nobody(const char *host)
{
    return ask_alone("127.0.0.1:1", host);
}

static void localhost_needs_no_server(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "LOCALHOST.", "a.b.localhost"};
    for (int i = 0; i < 3; i++) {
        struct asked a = ask_nobody(hosts[i]);
        assert_int_equal(a.err, 0);
        assert_string_equal(addrs_text(&a.out), "[::1] 127.0.0.1");
    }
}

static void numeric_addresses_need_no_server(void **state)
{
    (void)state;
    static const char *const hosts[][2] = {{"127.0.0.1", "127.0.0.1"},
                                           {"255.255.255.255", "255.255.255.255"},
                                           {"::1", "[::1]"},
                                           {"2001:DB8::1", "[2001:db8::1]"},
                                           {"::ffff:1.2.3.4", "[::ffff:1.2.3.4]"}};
    for (int i = 0; i < 5; i++) {
        struct asked a = ask_nobody(hosts[i][0]);
        assert_int_equal(a.err, 0);
        assert_string_equal(addrs_text(&a.out), hosts[i][1]);
    }
}

static void bad_names_are_refused_at_once(void **state)
{
    (void)state;
    static const char *const hosts[] = {"", ".", "a b", "a..b", "[::1]", "127.1", "b\xc3\xbc.de"};
    for (int i = 0; i < 7; i++) {
        struct asked a = ask_nobody(hosts[i]);
        assert_int_equal(a.err, THRUM_EDNS_BADNAME);
        assert_int_equal(a.out.n, 0);
    }
}

/* ---- New and free ---- */

static void bad_options_make_no_resolver(void **state)
{
    (void)state;
    struct session s = {.opts = {.servers = "not an address"}};
    assert_int_equal(session_run(&s), THRUM_EDNS_CONFIG);
    s.opts = (thrum_resolver_opts){.queries_max = 1000000};
    assert_int_equal(session_run(&s), THRUM_EDNS_CONFIG);
    s.opts = (thrum_resolver_opts){.tries = 1000};
    assert_int_equal(session_run(&s), THRUM_EDNS_CONFIG);
}

static void a_resolver_is_made_in_a_task_only(void **state)
{
    (void)state;
    thrum_resolver *r = (thrum_resolver *)&server;
    assert_int_equal(thrum_resolver_new(&r, NULL), THRUM_ENOTTASK);
    assert_null(r);
}

static int new_and_free(void *arg)
{
    (void)arg;
    thrum_resolver *r;
    int err = thrum_resolver_new(&r, NULL);
    thrum_resolver_free(r);
    thrum_resolver_free(NULL);
    return err;
}

static void a_resolver_that_was_never_asked_is_freed(void **state)
{
    (void)state;
    int before = sup_fd_count();
    assert_int_equal(thrum_run(new_and_free, NULL, NULL), 0);
    assert_true(sup_fd_count_falls_to(before, SUP_TIMEOUT_MS));
}

static void no_descriptor_is_left_behind(void **state)
{
    (void)state;
    int before = sup_fd_count();
    struct asked a[] = {{.host = "both.thrum.test"}, {.host = "many.thrum.test"}};
    struct session s = session_of(a, 2);
    assert_int_equal(session_run(&s), 0);
    assert_true(sup_fd_count_falls_to(before, SUP_TIMEOUT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_families_come_ipv6_first),
        cmocka_unit_test(one_family_is_enough),
        cmocka_unit_test(aliases_are_followed),
        cmocka_unit_test(case_and_a_last_dot_do_not_matter),
        cmocka_unit_test(a_label_of_63_bytes_is_found),
        cmocka_unit_test(names_without_addresses_have_their_errors),
        cmocka_unit_test(an_alias_of_itself_ends_in_an_error),
        cmocka_unit_test(what_is_too_large_for_udp_comes_by_tcp),
        cmocka_unit_test(a_short_name_is_searched_for),
        cmocka_unit_test(an_answer_is_kept_for_its_time_to_live),
        cmocka_unit_test(a_short_time_to_live_is_kept_to),
        cmocka_unit_test(a_negative_answer_is_kept_for_a_while),
        cmocka_unit_test(the_hosts_file_comes_before_the_servers),
        cmocka_unit_test(changes_of_the_hosts_file_are_seen),
        cmocka_unit_test(a_hosts_file_that_cannot_be_read_is_empty),
        cmocka_unit_test(localhost_needs_no_server),
        cmocka_unit_test(numeric_addresses_need_no_server),
        cmocka_unit_test(bad_names_are_refused_at_once),
        cmocka_unit_test(bad_options_make_no_resolver),
        cmocka_unit_test(a_resolver_is_made_in_a_task_only),
        cmocka_unit_test(a_resolver_that_was_never_asked_is_freed),
        cmocka_unit_test(no_descriptor_is_left_behind),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
