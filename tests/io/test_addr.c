/* SPDX-License-Identifier: MIT */
/* Socket addresses: what is an address, and how it is written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <thrum/addr.h>

#include <cmocka.h>

static void addresses_are_written_as_they_were_read(void **state)
{
    static const struct {
        const char *text;
        uint16_t port;
        const char *written;
    } rows[] = {
        {"127.0.0.1", 80, "127.0.0.1:80"},
        {"0.0.0.0", 0, "0.0.0.0:0"},
        {"255.255.255.255", 65535, "255.255.255.255:65535"},
        {"::", 1, "[::]:1"},
        {"::1", 443, "[::1]:443"},
        {"2001:DB8:0:0:0:0:0:1", 8080, "[2001:db8::1]:8080"},
        {"::ffff:192.0.2.1", 5, "[::ffff:192.0.2.1]:5"},
        {"fe80::1%1", 22, "[fe80::1%1]:22"},
        {"fe80::1%4294967295", 22, "[fe80::1%4294967295]:22"},
        {"fe80::1%0", 22, "[fe80::1]:22"},
        {"1111:2222:3333:4444:5555:6666:7777:8888%4294967295", 65535,
         "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        thrum_addr a;
        char text[THRUM_ADDR_TEXT_MAX];
        assert_int_equal(thrum_addr_parse(&a, rows[i].text, rows[i].port), 0);
        assert_int_equal(thrum_addr_port(&a), rows[i].port);
        assert_string_equal(thrum_addr_format(&a, text, sizeof(text)), rows[i].written);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "localhost",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4 ",
        "0x7f.0.0.1",
        "1.2.3.4:80",
        "[::1]",
        ":::",
        "::1::",
        "1:2:3:4:5:6:7",
        "fe80::1%",
        "fe80::1%eth0",
        "fe80::1%-1",
        "fe80::1% 1",
        "1.2.3.4%1",
        "fe80::1%4294967296",
        "fe80::1%99999999999999999999999999999999999999999",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        thrum_addr a;
        memset(&a, 0xff, sizeof(a));
        assert_int_equal(thrum_addr_parse(&a, rows[i], 80), -EINVAL);
        assert_int_equal(a.u.sa.sa_family, AF_UNSPEC);
    }
}

static void a_short_text_is_cut_with_its_nul(void **state)
{
    (void)state;
    thrum_addr a;
    char text[8] = "xxxxxxx";
    assert_int_equal(thrum_addr_parse(&a, "127.0.0.1", 80), 0);
    assert_string_equal(thrum_addr_format(&a, text, 6), "127.0");
    assert_int_equal(text[6], 'x');
    assert_ptr_equal(thrum_addr_format(&a, text, 0), text);
    assert_string_equal(text, "127.0");
}

static void no_address_has_neither_port_nor_bytes(void **state)
{
    (void)state;
    thrum_addr a = {.u.sa.sa_family = AF_UNSPEC};
    char text[THRUM_ADDR_TEXT_MAX];
    thrum_addr_set_port(&a, 80);
    assert_int_equal(thrum_addr_port(&a), 0);
    assert_int_equal(thrum_addr_bytes(&a), 0);
    assert_string_equal(thrum_addr_format(&a, text, sizeof(text)), "none");
}

static void the_size_is_that_of_the_family(void **state)
{
    (void)state;
    thrum_addr a;
    assert_int_equal(thrum_addr_parse(&a, "127.0.0.1", 80), 0);
    assert_int_equal(thrum_addr_bytes(&a), sizeof(struct sockaddr_in));
    assert_int_equal(thrum_addr_parse(&a, "::1", 80), 0);
    assert_int_equal(thrum_addr_bytes(&a), sizeof(struct sockaddr_in6));
}

static void equal_means_family_address_port_and_scope(void **state)
{
    static const struct {
        const char *a, *b;
        uint16_t port_a, port_b;
        bool equal;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", 80, 80, true},
        {"127.0.0.1", "127.0.0.1", 80, 81, false},
        {"127.0.0.1", "127.0.0.2", 80, 80, false},
        {"::1", "0:0::1", 80, 80, true},
        {"::1", "::1", 80, 81, false},
        {"::1", "::2", 80, 80, false},
        {"fe80::1%1", "fe80::1%2", 80, 80, false},
        {"fe80::1%2", "fe80::1%2", 80, 80, true},
        {"::ffff:1.2.3.4", "1.2.3.4", 80, 80, false},
        {"0.0.0.0", "::", 80, 80, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        thrum_addr a, b;
        assert_int_equal(thrum_addr_parse(&a, rows[i].a, rows[i].port_a), 0);
        assert_int_equal(thrum_addr_parse(&b, rows[i].b, rows[i].port_b), 0);
        assert_int_equal(thrum_addr_equal(&a, &b), rows[i].equal);
        assert_int_equal(thrum_addr_equal(&b, &a), rows[i].equal);
    }
    thrum_addr none = {.u.sa.sa_family = AF_UNSPEC};
    assert_true(thrum_addr_equal(&none, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_written_as_they_were_read),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_short_text_is_cut_with_its_nul),
        cmocka_unit_test(no_address_has_neither_port_nor_bytes),
        cmocka_unit_test(the_size_is_that_of_the_family),
        cmocka_unit_test(equal_means_family_address_port_and_scope),
    };
    return cmocka_run_group_tests_name("io.addr", tests, NULL, NULL);
}
