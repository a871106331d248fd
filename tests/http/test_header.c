/* SPDX-License-Identifier: MIT */
/* http/header.h: comparing, finding, lists and their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <thrum/error.h>

#include "http/header.h"
#include "http/scan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct thr_text T(const char *string) {
    return thr_text_of(string);
}

static void
assert_text(struct thr_text text, const char *wanted)
{
    assert_non_null(wanted);
    assert_int_equal(text.len, strlen(wanted ? wanted : ""));
    if (text.len > 0) /* an empty text may have no address */
        assert_memory_equal(text.ptr, wanted, text.len);
}

static void the_scan_stops_at_the_first_control_byte_wherever_it_is(void **state)
{
    (void)state;
    char text[40];
    for (int c = 0; c < 256; c++) {
        bool control = (c < 0x20 && c != '\t') || c == 0x7F;
        for (size_t at = 0; at < sizeof(text); at++) {
            memset(text, 'a', sizeof(text));
            text[at] = (char)c;
            const char *stop = thr_scan_control(text, text + sizeof(text));
            assert_ptr_equal(stop, control ? text + at : text + sizeof(text));
        }
    }
    /* Tabs and high bytes around it, which the word test marks or might mark by a borrow. */
    memset(text, '\t', sizeof(text));
    memset(text + 16, 0xFF, 8);
    memset(text + 24, 0x80, 8);
    text[33] = '\n';
    assert_ptr_equal(thr_scan_control(text, text + sizeof(text)), text + 33);
    memset(text, 0x20, sizeof(text));
    text[9] = '\r';
    text[10] = '!';
    assert_ptr_equal(thr_scan_control(text, text + sizeof(text)), text + 9);
}

static void names_are_tokens_and_values_have_no_control_bytes(void **state)
{
    (void)state;
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        assert_int_equal(thr_header_name_ok((struct thr_text){&byte, 1}),
                         c != 0 && strchr(token, c) != NULL);
        assert_int_equal(thr_header_value_ok((struct thr_text){&byte, 1}),
                         c == '\t' || (c >= 0x20 && c != 0x7F));
    }
    assert_false(thr_header_name_ok(T("")));
    assert_true(thr_header_value_ok(T("")));
    assert_true(thr_header_value_ok((struct thr_text){NULL, 0}));
}

static void comparing_ignores_the_case_of_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(thr_text_is(T("Content-LENGTH"), "content-length"));
    assert_false(thr_text_is(T("content-lengt"), "content-length"));
    assert_false(thr_text_is(T("@"), "`"));
    assert_false(thr_text_is(T("["), "{"));
    assert_false(thr_text_is(T("\xc4"), "\xe4"));
}

static void lists_split_at_commas_outside_quotes(void **state)
{
    static const struct {
        const char *in;
        const char *items[5];
    } rows[] = {
        {"", {NULL}},
        {" , ,", {NULL}},
        {"a", {"a"}},
        {"a,b", {"a", "b"}},
        {" a ,\tb\t,, c", {"a", "b", "c"}},
        {"a=\"x,y\", b", {"a=\"x,y\"", "b"}},
        {"a=\"x\\\",y\", b", {"a=\"x\\\",y\"", "b"}},
        {"a=\"x, b", {"a=\"x, b"}},
        {"\"\\", {"\"\\"}},
        {"a\\,b", {"a\\", "b"}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct thr_text rest = T(rows[i].in), item;
        size_t n = 0;
        for (; thr_text_next_item(&rest, &item); n++) {
            assert_non_null(rows[i].items[n]);
            assert_text(item, rows[i].items[n]);
        }
        assert_null(rows[i].items[n]);
    }
}

static void numbers_are_digits_and_fit(void **state)
{
    (void)state;
    uint64_t n = 7;
    assert_true(thr_text_to_u64(T("0"), &n));
    assert_int_equal(n, 0);
    assert_true(thr_text_to_u64(T("18446744073709551615"), &n));
    assert_true(n == UINT64_MAX);
    static const char *const bad[] = {
        "",    "18446744073709551616", "99999999999999999999", "+1", "-1", "1 ", " 1", "0x1", "1.0",
        "\xb2"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(thr_text_to_u64(T(bad[i]), &n));
}

static struct thr_headers list_of(const char *const (*pairs)[2], size_t n)
{
    struct thr_headers h;
    thr_headers_init(&h, NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(thr_headers_add(&h, T(pairs[i][0]), T(pairs[i][1])), 0);
    return h;
}

static void a_list_keeps_order_case_and_repetitions(void **state)
{
    static const char *const pairs[][2] = {
        {"X-b", " 1 "}, {"x-A", ""}, {"X-B", "2"}, {"Set-Cookie", "a=b; c"}, {"x-b", "3\t"},
    };
    (void)state;
    struct thr_headers h = list_of(pairs, COUNT(pairs));
    struct thr_fields f = thr_headers_view(&h);
    assert_int_equal(f.n, 5);
    assert_text(thr_fields_name(f, 0), "X-b");
    assert_text(thr_fields_value(f, 0), "1");
    assert_text(thr_fields_name(f, 1), "x-A");
    assert_text(thr_fields_value(f, 1), "");
    assert_string_equal(thr_fields_value(f, 3).ptr, "a=b; c"); /* terminated, as promised */

    struct thr_text value;
    size_t from = 0;
    for (int i = 0; i < 3; i++) {
        static const char *const wanted[] = {"1", "2", "3"};
        assert_true(thr_fields_next(f, "x-b", &from, &value));
        assert_text(value, wanted[i]);
    }
    assert_false(thr_fields_next(f, "x-b", &from, &value));
    assert_false(thr_fields_get(f, "x-", &value));
    assert_true(thr_fields_get(f, "set-cookie", &value));
    thr_headers_fini(&h);
}

static void items_are_found_over_all_instances(void **state)
{
    static const char *const pairs[][2] = {{"Connection", "keep-alive, Upgrade"},
                                           {"connection", "TE"},
                                           {"Via", "closed, \"a,close\""}};
    (void)state;
    struct thr_headers h = list_of(pairs, COUNT(pairs));
    struct thr_fields f = thr_headers_view(&h);
    assert_true(thr_fields_has_item(f, "Connection", "upgrade"));
    assert_true(thr_fields_has_item(f, "Connection", "te"));
    assert_false(thr_fields_has_item(f, "Connection", "keep"));
    assert_false(thr_fields_has_item(f, "Via", "close"));
    assert_false(thr_fields_has_item(f, "Host", "close"));
    thr_headers_fini(&h);
}

static void setting_and_removing_take_every_instance(void **state)
{
    static const char *const pairs[][2] = {
        {"A", "1"}, {"b", "2"}, {"a", "3"}, {"C", "4"}, {"A", "5"}};
    (void)state;
    struct thr_headers h = list_of(pairs, COUNT(pairs));
    assert_int_equal(thr_headers_set(&h, T("a"), T("6")), 0);
    struct thr_fields f = thr_headers_view(&h);
    assert_int_equal(f.n, 3);
    assert_string_equal(thr_fields_name(f, 0).ptr, "b");
    assert_string_equal(thr_fields_value(f, 0).ptr, "2");
    assert_string_equal(thr_fields_name(f, 1).ptr, "C");
    assert_string_equal(thr_fields_value(f, 2).ptr, "6");

    for (int i = 0; i < 10000; i++)
        assert_int_equal(thr_headers_set(&h, T("a"), T("a long enough value to notice")), 0);
    assert_true(h.text_cap <= 1024); /* setting one field again does not grow the list */
    assert_int_equal(thr_headers_remove(&h, "A"), 1);
    assert_int_equal(thr_headers_remove(&h, "A"), 0);
    assert_int_equal(h.n, 2);
    assert_int_equal(h.bytes, 4);
    thr_headers_clear(&h);
    assert_int_equal(thr_headers_view(&h).n, 0);
    thr_headers_fini(&h);
    thr_headers_fini(&h);
}

static void what_would_split_a_head_is_not_taken(void **state)
{
    static const struct {
        const char *name;
        size_t name_len;
        const char *value;
        size_t value_len;
    } rows[] = {
        {"", 0, "v", 1},     {"a b", 3, "v", 1},      {"a:", 2, "v", 1},     {"a\r\nb", 4, "v", 1},
        {"a\0", 2, "v", 1},  {"\xc3\xa4", 2, "v", 1}, {"a", 1, "v\r\nx", 4}, {"a", 1, "v\nx", 3},
        {"a", 1, "v\rx", 3}, {"a", 1, "v\0x", 3},     {"a", 1, "\x7f", 1},   {"a", 1, "v\n", 2},
        {" a", 2, "v", 1},   {"a ", 2, "v", 1},       {"a(", 2, "v", 1},
    };
    (void)state;
    struct thr_headers h;
    thr_headers_init(&h, NULL);
    assert_int_equal(thr_headers_add(&h, T("a"), T("kept")), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct thr_text name = {rows[i].name, rows[i].name_len};
        struct thr_text value = {rows[i].value, rows[i].value_len};
        assert_int_equal(thr_headers_add(&h, name, value), THRUM_EHTTP_REQUEST);
        assert_int_equal(thr_headers_set(&h, name, value), THRUM_EHTTP_REQUEST);
        assert_int_equal(h.n, 1);
    }
    thr_headers_fini(&h);
}

static void list_limits_hold_at_the_boundary(void **state)
{
    (void)state;
    struct thr_headers h;
    struct thr_head_limits limits = {.bytes_max = 10, .line_bytes_max = 6, .fields_max = 3};
    thr_headers_init(&h, &limits);
    assert_int_equal(thr_headers_add(&h, T("a"), T("1234567")), THRUM_EHTTP_HEADER_LIMIT);
    assert_int_equal(thr_headers_add(&h, T("a"), T("12345")), 0);
    assert_int_equal(thr_headers_add(&h, T("b"), T("1234")), THRUM_EHTTP_HEADER_LIMIT);
    assert_int_equal(thr_headers_add(&h, T("b"), T("123")), 0);
    assert_int_equal(h.bytes, 10);
    /* Setting counts what it replaces as gone. */
    assert_int_equal(thr_headers_set(&h, T("a"), T("54321")), 0);
    assert_int_equal(thr_headers_set(&h, T("c"), T("")), THRUM_EHTTP_HEADER_LIMIT);
    assert_int_equal(thr_headers_remove(&h, "a"), 1);
    assert_int_equal(thr_headers_add(&h, T("c"), T("")), 0);
    assert_int_equal(thr_headers_add(&h, T("d"), T("")), 0);
    assert_int_equal(thr_headers_add(&h, T("e"), T("")), THRUM_EHTTP_HEADER_LIMIT);
    assert_int_equal(thr_headers_set(&h, T("d"), T("1")), 0);
    thr_headers_fini(&h);
}

static void copying_a_view_copies_every_field(void **state)
{
    static const char *const pairs[][2] = {{"A", "1"}, {"a", "2"}, {"B", ""}};
    (void)state;
    struct thr_headers from = list_of(pairs, COUNT(pairs)), to;
    thr_headers_init(&to, NULL);
    assert_int_equal(thr_headers_add_all(&to, thr_headers_view(&from)), 0);
    thr_headers_fini(&from);
    assert_int_equal(to.n, 3);
    assert_string_equal(thr_fields_value(thr_headers_view(&to), 1).ptr, "2");
    thr_headers_fini(&to);
}

static void limits_default_and_are_bounded(void **state)
{
    (void)state;
    struct thr_head_limits l = thr_head_limits_or_default(NULL);
    assert_int_equal(l.bytes_max, 64 * 1024);
    assert_int_equal(l.line_bytes_max, 16 * 1024);
    assert_int_equal(l.fields_max, 128);
    struct thr_head_limits high = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    l = thr_head_limits_or_default(&high);
    assert_true(l.bytes_max <= UINT32_MAX / 2); /* offsets stay within 32 bits */
    assert_true((uint64_t)l.bytes_max + 2 * (uint64_t)l.fields_max < UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scan_stops_at_the_first_control_byte_wherever_it_is),
        cmocka_unit_test(names_are_tokens_and_values_have_no_control_bytes),
        cmocka_unit_test(comparing_ignores_the_case_of_ascii_letters_only),
        cmocka_unit_test(lists_split_at_commas_outside_quotes),
        cmocka_unit_test(numbers_are_digits_and_fit),
        cmocka_unit_test(a_list_keeps_order_case_and_repetitions),
        cmocka_unit_test(items_are_found_over_all_instances),
        cmocka_unit_test(setting_and_removing_take_every_instance),
        cmocka_unit_test(what_would_split_a_head_is_not_taken),
        cmocka_unit_test(list_limits_hold_at_the_boundary),
        cmocka_unit_test(copying_a_view_copies_every_field),
        cmocka_unit_test(limits_default_and_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
