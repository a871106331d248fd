/* SPDX-License-Identifier: MIT */
/* thrum/url.h: what is accepted and what comes out of it, what is refused and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <thrum/error.h>
#include <thrum/url.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static thrum_url *must_parse(const char *text)
{
    thrum_url *url;
    const char *why;
    int err = thrum_url_parse_n(&url, text, strlen(text), &why);
    if (err)
        print_error("%s: %s\n", text, why ? why : thrum_strerror(err));
    assert_int_equal(err, 0);
    return url;
}

/* A table row: input, and the text (without user, password and fragment) that must come out. */
struct row {
    const char *in;
    const char *out;
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        thrum_url *url = must_parse(rows[i].in);
        assert_string_equal(thrum_url_text(url), rows[i].out);
        thrum_url_free(url);
    }
}

static void scheme_slashes_and_ports_follow_whatwg(void **state)
{
    static const struct row rows[] = {
        {"http://example.com", "http://example.com/"},
        {"HTTP://EXAMPLE.com/A", "http://example.com/A"},
        {"https://example.com/", "https://example.com/"},
        {"ws://example.com/chat", "ws://example.com/chat"},
        {"wss://example.com:443/chat", "wss://example.com/chat"},
        {"http://example.com:80/", "http://example.com/"},
        {"https://example.com:443/", "https://example.com/"},
        {"http://example.com:443/", "http://example.com:443/"},
        {"https://example.com:80/", "https://example.com:80/"},
        {"http://example.com:/", "http://example.com/"},
        {"http://example.com:0080/", "http://example.com/"},
        {"http://example.com:65535/", "http://example.com:65535/"},
        {"http://example.com:0/", "http://example.com:0/"},
        {"http:example.com", "http://example.com/"},
        {"http:/example.com/", "http://example.com/"},
        {"http:///example.com/", "http://example.com/"},
        {"http:////////example.com:8000/a", "http://example.com:8000/a"},
        {"  http://example.com/ \n", "http://example.com/"},
        {"\x1f\x01http://example.com/\x02", "http://example.com/"},
        {"http://example.com?q", "http://example.com/?q"},
        {"http://example.com#f", "http://example.com/"},
        {"http://example.com/?", "http://example.com/?"},
        {"http://example.com?a?b", "http://example.com/?a?b"},
        {"http://example.com/#?a", "http://example.com/"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void hosts_become_canonical(void **state)
{
    static const struct row rows[] = {
        {"http://ExAmPlE.CoM/", "http://example.com/"},
        {"http://ex%61mple.com/", "http://example.com/"},
        {"http://ex%41mple.com/", "http://example.com/"},
        {"http://example.com./", "http://example.com./"},
        {"http://a_b.example/", "http://a_b.example/"},
        {"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"},
        {"http://a.b-c.de/", "http://a.b-c.de/"},
        {"http://foo.2.com/", "http://foo.2.com/"},
        {"http://1.2.3.4/", "http://1.2.3.4/"},
        {"http://1.2.3.4./", "http://1.2.3.4/"},
        {"http://0x7f000001/", "http://127.0.0.1/"},
        {"http://0x7F.1/", "http://127.0.0.1/"},
        {"http://0177.0.0.01/", "http://127.0.0.1/"},
        {"http://2130706433/", "http://127.0.0.1/"},
        {"http://127.1/", "http://127.0.0.1/"},
        {"http://127.0.1/", "http://127.0.0.1/"},
        {"http://192.168.257/", "http://192.168.1.1/"},
        {"http://0x/", "http://0.0.0.0/"},
        {"http://0/", "http://0.0.0.0/"},
        {"http://0x.0x.0/", "http://0.0.0.0/"},
        {"http://0xffffffff/", "http://255.255.255.255/"},
        {"http://4294967295/", "http://255.255.255.255/"},
        {"http://256/", "http://0.0.1.0/"},
        {"http://%30%78%63%30%2e%30%32%35%30.01/", "http://192.168.0.1/"},
        {"http://[::1]/", "http://[::1]/"},
        {"http://[::1]:8080/", "http://[::1]:8080/"},
        {"http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"},
        {"http://[::]/", "http://[::]/"},
        {"http://[2001:DB8::0001]/", "http://[2001:db8::1]/"},
        {"http://[1:0:0:2:0:0:0:3]/", "http://[1:0:0:2::3]/"},
        {"http://[1:0:2:3:4:5:6:7]/", "http://[1:0:2:3:4:5:6:7]/"},
        {"http://[1:2:3:4:5:6:0:0]/", "http://[1:2:3:4:5:6::]/"},
        {"http://[::ffff:1.2.3.4]/", "http://[::ffff:102:304]/"},
        {"http://[::127.0.0.1]/", "http://[::7f00:1]/"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void path_and_query_keep_the_callers_bytes(void **state)
{
    static const struct row rows[] = {
        {"http://h/a%2Fb%2fc", "http://h/a%2Fb%2fc"},
        {"http://h/%7Ea?x=%20&y=%zz%", "http://h/%7Ea?x=%20&y=%zz%"},
        {"http://h/a+b'(c)!*;,@:$&=", "http://h/a+b'(c)!*;,@:$&="},
        {"http://h/\"<>`{}|^", "http://h/\"<>`{}|^"},
        {"http://h/?q=\"<>`{}|^'\\", "http://h/?q=\"<>`{}|^'\\"},
        {"http://h/a b", "http://h/a%20b"},
        {"http://h/a?b c", "http://h/a?b%20c"},
        {"http://h/\x01\x7f", "http://h/%01%7F"},
        {"http://h/caf\xc3\xa9?\xe2\x82\xac", "http://h/caf%C3%A9?%E2%82%AC"},
        {"http://h/\xff", "http://h/%FF"},
        {"http://h/a\tb\r\nc", "http://h/abc"},
        {"http://h/?a\tb\r\nc", "http://h/?abc"},
        {"http://h//a//b", "http://h//a//b"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void dot_segments_and_backslashes_in_paths_are_resolved(void **state)
{
    static const struct row rows[] = {
        {"http://h/a/./b", "http://h/a/b"},     {"http://h/a/../b", "http://h/b"},
        {"http://h/a/b/..", "http://h/a/"},     {"http://h/a/b/.", "http://h/a/b/"},
        {"http://h/..", "http://h/"},           {"http://h/../../a", "http://h/a"},
        {"http://h/a/%2e%2E/b", "http://h/b"},  {"http://h/a/.%2e/b", "http://h/b"},
        {"http://h/a/%2e/b", "http://h/a/b"},   {"http://h/a/.../b", "http://h/a/.../b"},
        {"http://h/a/.\t./b", "http://h/b"},    {"http://h//..", "http://h/"},
        {"http://h/a//../b", "http://h/a/b"},   {"http://h/a\\b\\..\\c", "http://h/a/c"},
        {"http://h/.a/..b", "http://h/.a/..b"}, {"http://h/?/../a", "http://h/?/../a"},
        {"http://h/..?x", "http://h/?x"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void malformed_urls_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *in;
        const char *why;
    } rows[] = {
        {"", "no scheme"},
        {"example.com", "no scheme"},
        {"/path", "no scheme"},
        {"//example.com/", "no scheme"},
        {"://example.com/", "no scheme"},
        {"1http://example.com/", "no scheme"},
        {"http:", "host is empty"},
        {"http://", "host is empty"},
        {"http:///", "host is empty"},
        {"http://?q", "host is empty"},
        {"http://#f", "host is empty"},
        {"http://user@/", "host is empty"},
        {"http://:80/", "host is empty"},
        {"http://./", "host is empty"},
        {"http://h:65536/", "above 65535"},
        {"http://h:99999999999999999999/", "above 65535"},
        {"http://h:8a/", "not a number"},
        {"http://h:-1/", "not a number"},
        {"http://h: 80/", "space"},
        {"http://a:b:c/", "not a number"},
        {"http://a b/", "space or control"},
        {"http://a%20b/", "space or control"},
        {"http://a%00b/", "space or control"},
        {"http://a\x01/", "space or control"},
        {"http://a\x7f/", "space or control"},
        {"http://a%7f/", "space or control"},
        {"http://exa\tmple.com/", "tab or line end"},
        {"http://h\t/a", "tab or line end"},
        {"http://h\r\n/a", "tab or line end"},
        {"ht\ntp://h/", "tab or line end"},
        {"http:/\t/h/", "tab or line end"},
        {"http://good.example\\@evil.example/", "backslash in the host"},
        {"http://h\\path", "backslash in the host"},
        {"http:\\\\h/", "backslash in front"},
        {"http:/\\h/", "backslash in front"},
        {"http://b\xc3\xbc"
         "cher.example/",
         "not ASCII"},
        {"http://b%C3%BCcher.example/", "not ASCII"},
        {"http://\xef\xbc\x91.2.3.4/", "not ASCII"},
        {"http://a<b/", "no host may have"},
        {"http://a>b/", "no host may have"},
        {"http://a^b/", "no host may have"},
        {"http://a|b/", "no host may have"},
        {"http://a%b/", "no host may have"},
        {"http://a%2fb/", "no host may have"},
        {"http://a%40b/", "no host may have"},
        {"http://a]b/", "no host may have"},
        {"http://1.2.3.4.5/", "more than four"},
        {"http://1.2.3.256/", "out of range"},
        {"http://256.1.1.1/", "above 255"},
        {"http://4294967296/", "out of range"},
        {"http://0x100000000/", "out of range"},
        {"http://99999999999999999999999/", "out of range"},
        {"http://1.2.3.08/", "not a number"},
        {"http://foo.0x/", "not a number"},
        {"http://foo.0x4/", "not a number"},
        {"http://foo.09/", "not a number"},
        {"http://1..2/", "not a number"},
        {"http://a.b.1/", "not a number"},
        {"http://[::1/", "no closing bracket"},
        {"http://[::1]x/", "no closing bracket"},
        {"http://[::1]x:80/", "no closing bracket"},
        {"http://[", "no closing bracket"},
        {"http://[]/", "IPv6 address is not valid"},
        {"http://[:::]/", "IPv6 address is not valid"},
        {"http://[1:2:3:4:5:6:7]/", "IPv6 address is not valid"},
        {"http://[1:2:3:4:5:6:7:8:9]/", "IPv6 address is not valid"},
        {"http://[12345::]/", "IPv6 address is not valid"},
        {"http://[g::1]/", "IPv6 address is not valid"},
        {"http://[fe80::1%25eth0]/", "IPv6 address is not valid"},
        {"http://[::1.2.3]/", "IPv6 address is not valid"},
        {"http://[::1.2.3.256]/", "IPv6 address is not valid"},
        {"http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]/",
         "IPv6 address is not valid"},
        {"http://a%00:b@h/", "NUL"},
        {"http://a:%00@h/", "NUL"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        thrum_url *url = (thrum_url *)&url;
        const char *why = NULL;
        int err = thrum_url_parse_n(&url, rows[i].in, strlen(rows[i].in), &why);
        bool named = why && strstr(why, rows[i].why);
        if (err != THRUM_EHTTP_URL || !named)
            print_error("%s: %d, %s\n", rows[i].in, err, why ? why : "no reason");
        assert_int_equal(err, THRUM_EHTTP_URL);
        assert_true(named);
        assert_null(url);
    }
}

static void an_embedded_nul_is_refused(void **state)
{
    (void)state;
    thrum_url *url;
    const char *why;
    assert_int_equal(thrum_url_parse_n(&url, "http://h/\0a", 11, &why), THRUM_EHTTP_URL);
    assert_non_null(strstr(why, "NUL"));
    assert_int_equal(thrum_url_parse_n(&url, "http://h/\0", 10, NULL), THRUM_EHTTP_URL);
}

static void other_schemes_have_their_own_error(void **state)
{
    static const char *const rows[] = {
        "ftp://h/",   "file:///etc/passwd", "mailto:a@b",    "javascript:1",
        "data:,x",    "localhost:8080/",    "view-source:x", "httpx://h/",
        "gopher://h", "java\nscript:1",     "h2+x.y-z://h"};
    (void)state;
    thrum_url *url, *base = must_parse("http://h/");
    const char *why;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(thrum_url_parse(&url, rows[i]), THRUM_EHTTP_SCHEME);
        assert_int_equal(thrum_url_resolve(&url, base, rows[i], strlen(rows[i]), &why),
                         THRUM_EHTTP_SCHEME);
        assert_non_null(strstr(why, "scheme"));
        assert_null(url);
    }
    thrum_url_free(base);
}

static void accessors_give_each_part(void **state)
{
    (void)state;
    thrum_url *url = must_parse("HTTPS://us%65r:p%40ss:w@Host.Example:8443/a/b?x=1#frag ment");
    assert_string_equal(thrum_url_text(url), "https://host.example:8443/a/b?x=1");
    assert_string_equal(thrum_url_scheme(url), "https");
    assert_true(thrum_url_is_secure(url));
    assert_string_equal(thrum_url_host(url), "host.example");
    assert_false(thrum_url_host_is_ip(url));
    assert_int_equal(thrum_url_port(url), 8443);
    assert_string_equal(thrum_url_authority(url), "host.example:8443");
    assert_string_equal(thrum_url_target(url), "/a/b?x=1");
    assert_int_equal(thrum_url_path_len(url), 4);
    assert_string_equal(thrum_url_query(url), "x=1");
    assert_string_equal(thrum_url_fragment(url), "frag%20ment");
    assert_string_equal(thrum_url_user(url), "user");
    assert_string_equal(thrum_url_password(url), "p@ss:w");
    thrum_url_free(url);

    url = must_parse("ws://[::1]/?");
    assert_string_equal(thrum_url_host(url), "::1");
    assert_true(thrum_url_host_is_ip(url));
    assert_false(thrum_url_is_secure(url));
    assert_int_equal(thrum_url_port(url), 80);
    assert_string_equal(thrum_url_authority(url), "[::1]");
    assert_string_equal(thrum_url_target(url), "/?");
    assert_string_equal(thrum_url_query(url), "");
    assert_null(thrum_url_fragment(url));
    assert_null(thrum_url_user(url));
    assert_null(thrum_url_password(url));
    thrum_url_free(url);

    url = must_parse("wss://127.1/#");
    assert_true(thrum_url_host_is_ip(url));
    assert_int_equal(thrum_url_port(url), 443);
    assert_null(thrum_url_query(url));
    assert_string_equal(thrum_url_fragment(url), "");
    thrum_url_free(url);
    thrum_url_free(NULL);
}

static void the_last_at_sign_ends_the_userinfo(void **state)
{
    static const struct {
        const char *in, *host, *user, *password;
    } rows[] = {
        {"http://a@b@c/", "c", "a@b", NULL},
        {"http://good.example:80@evil.example/", "evil.example", "good.example", "80"},
        {"http://good.example%2f@evil.example/", "evil.example", "good.example/", NULL},
        {"http://u:@h/", "h", "u", ""},
        {"http://:p@h/", "h", "", "p"},
        {"http://:@h/", "h", "", ""},
        {"http://@h/", "h", NULL, NULL},
        {"http://h/@x", "h", NULL, NULL},
        {"http://h?@x", "h", NULL, NULL},
        {"http://h#@x", "h", NULL, NULL},
        {"http://u%zz:%@h/", "h", "u%zz", "%"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        thrum_url *url = must_parse(rows[i].in);
        assert_string_equal(thrum_url_host(url), rows[i].host);
        assert_int_equal(!rows[i].user, !thrum_url_user(url));
        if (rows[i].user)
            assert_string_equal(thrum_url_user(url), rows[i].user);
        assert_int_equal(!rows[i].password, !thrum_url_password(url));
        if (rows[i].password)
            assert_string_equal(thrum_url_password(url), rows[i].password);
        thrum_url_free(url);
    }
}

static void credentials_are_in_no_other_string(void **state)
{
    (void)state;
    thrum_url *url = must_parse("http://SeCrEt:SeCrEt@h:81/p?q#f");
    const char *shown[] = {thrum_url_text(url),  thrum_url_authority(url), thrum_url_target(url),
                           thrum_url_host(url),  thrum_url_query(url),     thrum_url_fragment(url),
                           thrum_url_scheme(url)};
    for (size_t i = 0; i < COUNT(shown); i++)
        assert_null(strcasestr(shown[i], "secret"));
    thrum_url_free(url);
}

/* Resolves ref against base and compares text#fragment. */
static void check_resolved(const char *base_text, const char *ref, const char *wanted)
{
    thrum_url *base = must_parse(base_text), *url;
    const char *why = NULL;
    int err = thrum_url_resolve(&url, base, ref, strlen(ref), &why);
    char got[512];
    if (!err) {
        const char *fragment = thrum_url_fragment(url);
        snprintf(got, sizeof(got), "%s%s%s", thrum_url_text(url), fragment ? "#" : "",
                 fragment ? fragment : "");
    }
    if (!wanted) {
        if (!err)
            print_error("%s + %s: accepted as %s\n", base_text, ref, got);
        assert_int_equal(err, THRUM_EHTTP_URL);
    } else {
        if (err)
            print_error("%s + %s: %s\n", base_text, ref, why ? why : "?");
        assert_int_equal(err, 0);
        assert_string_equal(got, wanted);
    }
    thrum_url_free(url);
    thrum_url_free(base);
}

static void relative_references_resolve_as_in_rfc3986_and_whatwg(void **state)
{
    /* RFC 3986, 5.4, as far as the two agree. */
    static const struct row rows[] = {
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
        {"http:g", "http://a/b/c/g"},
        {"http:/g", "http://a/g"},
        {"http://g", "http://g/"},
        {"https:g", "https://g/"},
        {"https:///g", "https://g/"},
        {"///g", "http://g/"},
        {"\\g", "http://a/g"},
        {"h\\..\\g", "http://a/b/c/g"},
        {"?", "http://a/b/c/d;p?"},
        {"#", "http://a/b/c/d;p?q#"},
        {" g ", "http://a/b/c/g"},
        {"a b", "http://a/b/c/a%20b"},
        {"a\nb", "http://a/b/c/ab"},
        {"1:2", "http://a/b/c/1:2"},
        {"./a:b", "http://a/b/c/a:b"},
        {"//g:81?x", "http://g:81/?x"},
        {"//[::1]", "http://[::1]/"},
        {"\\\\evil.example", NULL},
        {"/\\evil.example", NULL},
        {"\\/evil.example", NULL},
        {"/\t/evil.example", NULL},
        {"//", NULL},
        {"//a b", NULL},
        {"https:", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_resolved("http://a/b/c/d;p?q", rows[i].in, rows[i].out);
    check_resolved("http://a", "b", "http://a/b");
    check_resolved("http://a?q#f", "", "http://a/?q");
    check_resolved("https://a:8443/x", "//b", "https://b/");
    check_resolved("https://a:8443/x", "/y", "https://a:8443/y");
    check_resolved("https://[::1]:8443/x", "y", "https://[::1]:8443/y");
    check_resolved("http://a/b//", "../c", "http://a/b/c");
}

static void credentials_are_inherited_with_the_host_only(void **state)
{
    (void)state;
    thrum_url *base = must_parse("http://u%3A:p@h/a"), *url;
    assert_int_equal(thrum_url_resolve(&url, base, "b", 1, NULL), 0);
    assert_string_equal(thrum_url_user(url), "u:");
    assert_string_equal(thrum_url_password(url), "p");
    thrum_url_free(url);
    assert_int_equal(thrum_url_resolve(&url, base, "//h/b", 5, NULL), 0);
    assert_null(thrum_url_user(url));
    assert_null(thrum_url_password(url));
    thrum_url_free(url);
    thrum_url_free(base);
}

static void normalising_makes_equal_what_means_the_same(void **state)
{
    static const struct row rows[] = {
        {"http://h/%7Euser/%41?%7e=%2f#f", "http://h/~user/A?~=%2F"},
        {"http://h/\"<>`{}^|?\"<>'", "http://h/%22%3C%3E%60%7B%7D%5E%7C?%22%3C%3E%27"},
        {"http://h/%?%", "http://h/%25?%25"},
        {"http://h/%%3441", "http://h/%25441"},
        {"http://h/a%2fb", "http://h/a%2Fb"},
        {"http://u:p@h:80//a//?", "http://h//a//?"},
        {"http://h/%2e%2e%2e", "http://h/..."},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        thrum_url *url = must_parse(rows[i].in), *normal, *again;
        assert_int_equal(thrum_url_normalise(&normal, url), 0);
        assert_string_equal(thrum_url_text(normal), rows[i].out);
        assert_null(thrum_url_fragment(normal));
        assert_int_equal(thrum_url_normalise(&again, normal), 0);
        assert_string_equal(thrum_url_text(again), thrum_url_text(normal));
        thrum_url_free(again);
        thrum_url_free(normal);
        thrum_url_free(url);
    }
}

static void a_clone_outlives_its_original(void **state)
{
    (void)state;
    thrum_url *url = must_parse("http://u:p@h:81/p?q#f"), *copy;
    assert_int_equal(thrum_url_clone(&copy, url), 0);
    thrum_url_free(url);
    assert_string_equal(thrum_url_text(copy), "http://h:81/p?q");
    assert_string_equal(thrum_url_user(copy), "u");
    assert_string_equal(thrum_url_fragment(copy), "f");
    thrum_url_free(copy);
}

static void an_origin_is_scheme_host_and_port(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"http://h/a", "http://H:80/b?c#d", true},
        {"http://h/", "https://h/", false},
        {"http://h/", "http://h:81/", false},
        {"http://h/", "http://g/", false},
        {"http://127.0.0.1/", "http://0x7f.1/", true},
        {"http://u@h/", "http://h/", true},
        {"http://h/", "http://h./", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        thrum_url *a = must_parse(rows[i].a), *b = must_parse(rows[i].b);
        assert_int_equal(thrum_url_same_origin(a, b), rows[i].same);
        thrum_url_free(a);
        thrum_url_free(b);
    }
}

/* "http://h/" and n bytes c. */
static char *long_url(size_t n, char c)
{
    char *text = malloc(n + 10);
    assert_non_null(text);
    memcpy(text, "http://h/", 9);
    memset(text + 9, c, n);
    text[n + 9] = '\0';
    return text;
}

static void lengths_are_bounded(void **state)
{
    static const struct {
        size_t n;
        char c;
        int err;
    } rows[] = {
        {THRUM_URL_BYTES_MAX - 9, 'a', 0},
        {THRUM_URL_BYTES_MAX - 8, 'a', THRUM_EHTTP_URL},
        {(THRUM_URL_BYTES_MAX - 9) / 3, '\x80', 0}, /* three bytes each when encoded */
        {(THRUM_URL_BYTES_MAX - 9) / 3 + 1, '\x80', THRUM_EHTTP_URL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        thrum_url *url;
        char *text = long_url(rows[i].n, rows[i].c);
        assert_int_equal(thrum_url_parse(&url, text), rows[i].err);
        thrum_url_free(url);
        free(text);
    }
}

static void host_names_have_at_most_253_bytes_and_a_dot(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        const char *behind;
        int err;
    } rows[] = {
        {253, "/", 0},
        {253, "./", 0},
        {254, "/", THRUM_EHTTP_URL},
        {254, "./", THRUM_EHTTP_URL},
        {50000, "/", THRUM_EHTTP_URL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = malloc(rows[i].n + 16);
        thrum_url *url;
        strcpy(text, "http://");
        memset(text + 7, 'a', rows[i].n);
        strcpy(text + 7 + rows[i].n, rows[i].behind);
        assert_int_equal(thrum_url_parse(&url, text), rows[i].err);
        thrum_url_free(url);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheme_slashes_and_ports_follow_whatwg),
        cmocka_unit_test(hosts_become_canonical),
        cmocka_unit_test(path_and_query_keep_the_callers_bytes),
        cmocka_unit_test(dot_segments_and_backslashes_in_paths_are_resolved),
        cmocka_unit_test(malformed_urls_are_refused_with_the_reason),
        cmocka_unit_test(an_embedded_nul_is_refused),
        cmocka_unit_test(other_schemes_have_their_own_error),
        cmocka_unit_test(accessors_give_each_part),
        cmocka_unit_test(the_last_at_sign_ends_the_userinfo),
        cmocka_unit_test(credentials_are_in_no_other_string),
        cmocka_unit_test(relative_references_resolve_as_in_rfc3986_and_whatwg),
        cmocka_unit_test(credentials_are_inherited_with_the_host_only),
        cmocka_unit_test(normalising_makes_equal_what_means_the_same),
        cmocka_unit_test(a_clone_outlives_its_original),
        cmocka_unit_test(an_origin_is_scheme_host_and_port),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(host_names_have_at_most_253_bytes_and_a_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
