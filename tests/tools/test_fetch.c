/* SPDX-License-Identifier: MIT */
/* `thrum fetch` against nginx: what is fetched, where it goes, what is said. */
#include <dirent.h>
#include <signal.h>

#include "support/certs.h"
#include "support/nginx.h"
#include "support/pages.h"
#include "support/scripted.h"
#include "tests/tools/program.h"

static struct sup_nginx *nginx;
static const char *http, *https; /* the bases of its listeners */

static int start_nginx(void **state)
{
    (void)state;
    nginx = sup_nginx_start(&(struct sup_nginx_opts){.large_bytes = 1 << 20, .bad_certs = true});
    if (!nginx)
        return -1;
    http = sup_nginx_base(nginx, SUP_NGINX_HTTP);
    https = sup_nginx_base(nginx, SUP_NGINX_HTTPS);
    return 0;
}

static int stop_nginx(void **state)
{
    (void)state;
    return sup_nginx_stop(nginx) ? 0 : -1;
}

/* Asserts that out begins with page i, and gives what follows. */
static const char *skip_page(const char *out, uint32_t i)
{
    size_t n;
    char *page = sup_page_new(i, &n);
    if (strncmp(out, page, n) != 0)
        fail_msg("page %u is not where it should be", i);
    free(page);
    return out + n;
}

/* -- Bodies on standard output ------------------------------------------------------------------ */

static void bodies_come_in_the_order_given(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch %s/pages/5 %s/chunked/63 %s/until-close/4 %s/gzip/7 %s/close/2 %s/pages/5",
        http, http, http, http, http, http);
    expect_exit(&r, 0);
    assert_string_equal(r.err, "");
    const char *p = r.out;
    const uint32_t order[] = {5, 63, 4, 7, 2, 5};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        p = skip_page(p, order[i]);
    assert_string_equal(p, "");
    sup_run_result_free(&r);
}

static void a_slow_first_body_comes_first(void **state)
{
    (void)state;
    static const struct sup_step slow[] = {
        SUP_EXPECT("\r\n\r\n"),
        SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nslow "),
        SUP_DELAY(400),
        SUP_SEND("body\n"),
    };
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(slow));
    assert_non_null(s);
    struct sup_run_result r;
    run(&r, NULL, "fetch http://127.0.0.1:%u/ %s/large %s/pages/1", sup_scripted_port(s), http,
        http);
    expect_exit(&r, 0);
    assert_int_equal(r.out_bytes, 10 + (1 << 20) + sup_page_size(1));
    assert_memory_equal(r.out, "slow body\n", 10);
    assert_true(sup_stream_match(SUP_NGINX_LARGE_SEED, 0, r.out + 10, 1 << 20));
    skip_page(r.out + 10 + (1 << 20), 1);
    sup_run_result_free(&r);
    sup_scripted_stop(s);
}

static void an_error_status_is_a_failure_and_its_body_is_delivered(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch %s/status/404 %s/pages/1", http, http);
    expect_exit(&r, 1);
    expect_line(r.err, http, "/status/404: http: 404 Not Found");
    assert_memory_equal(r.out, "status 404\n", 11);
    assert_string_equal(skip_page(r.out + 11, 1), "");
    sup_run_result_free(&r);
}

static void a_bad_url_does_not_keep_the_good_ones(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch %s/pages/1 http://user:secret@[::1/ %s/pages/2 ftp://a/ nonsense", http,
        http);
    expect_exit(&r, 1);
    assert_string_equal(skip_page(skip_page(r.out, 1), 2), "");
    assert_int_equal(count_lines(r.err), 3);
    assert_non_null(strstr(r.err, "http://[::1/: request: "));
    assert_non_null(strstr(r.err, "ftp://a/: request: "));
    assert_non_null(strstr(r.err, "nonsense: request: "));
    assert_null(strstr(r.err, "secret"));
    sup_run_result_free(&r);
}

/* -- Lists -------------------------------------------------------------------------------------- */

static void lists_come_after_the_command_line_and_from_standard_input(void **state)
{
    (void)state;
    char *list = sup_format("# a comment\r\n\r\n  %s/pages/2 \r\n\t\n%s/pages/3\n#%s/pages/9\n%s/"
                            "pages/4",
                            http, http, http, http);
    char *path = sup_tmpname("list");
    assert_true(sup_file_write(path, list, strlen(list)));
    const struct sup_run_opts opts = {.stdin_data = list, .stdin_bytes = strlen(list)};
    for (int i = 0; i < 2; i++) {
        struct sup_run_result r;
        run(&r, &opts, "fetch -i %s %s/pages/1", i ? path : "-", http);
        expect_exit(&r, 0);
        const char *p = r.out;
        for (uint32_t page = 1; page <= 4; page++)
            p = skip_page(p, page);
        assert_string_equal(p, "");
        sup_run_result_free(&r);
    }
    free(path);
    free(list);
}

static void an_empty_list_is_all_fetched(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch -i -");
    expect_exit(&r, 0);
    assert_int_equal(r.out_bytes + r.err_bytes, 0);
    sup_run_result_free(&r);
}

static void lines_that_are_no_url_fail_alone(void **state)
{
    (void)state;
    size_t base_n = strlen(http), n = 0;
    char *list = malloc(100000 + 3 * base_n);
    assert_non_null(list);
    n += (size_t)sprintf(list, "%s/pages/1\n%s/pages/2", http, http);
    list[n++] = '\0'; /* what follows would not be seen in a string */
    n += (size_t)sprintf(list + n, "x\n%s/", http);
    memset(list + n, 'x', 80000);
    n += 80000;
    n += (size_t)sprintf(list + n, "\n%s/pages/3\n", http);
    const struct sup_run_opts opts = {.stdin_data = list, .stdin_bytes = n};
    struct sup_run_result r;
    run(&r, &opts, "fetch -i -");
    expect_exit(&r, 1);
    assert_string_equal(skip_page(skip_page(r.out, 1), 3), "");
    assert_int_equal(count_lines(r.err), 2);
    assert_non_null(strstr(r.err, "/pages/2: request: the URL holds a NUL byte\n"));
    assert_non_null(strstr(r.err, ": request: the URL is longer than 65,535 bytes\n"));
    sup_run_result_free(&r);
    free(list);
}

/* -- Files -------------------------------------------------------------------------------------- */

/* How many names a directory has that begin so; "" for all but "." and "..". */
static size_t count_names(const char *dir, const char *begin)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strncmp(e->d_name, begin, strlen(begin)) == 0)
            n++;
    }
    closedir(d);
    return n;
}

static void expect_page_file(const char *dir, unsigned number, const char *path, uint32_t page)
{
    size_t n;
    char *name = sup_format("%s/%06u-127.0.0.1_%u%s", dir, number,
                            sup_nginx_port(nginx, SUP_NGINX_HTTP), path);
    char *data = sup_file_read(name, &n);
    if (!data || !sup_page_match(page, data, n))
        fail_msg("%s is not page %u", name, page);
    free(data);
    free(name);
}

static void each_url_has_a_file_of_its_own(void **state)
{
    (void)state;
    char *dir = sup_tmpname("pages");
    struct sup_run_result r;
    for (int i = 0; i < 2; i++) { /* the second run finds the files of the first */
        run(&r, NULL,
            "fetch -o %s %s/pages/1 %s/pages/1 %s/chunked/2?a=b&c#d %s/pages/../pages/3 "
            "http://127.0.0.1:1/",
            dir, http, http, http, http);
        expect_exit(&r, 1);
        assert_string_equal(r.out, "");
        expect_page_file(dir, 1, "_pages_1", 1);
        expect_page_file(dir, 2, "_pages_1", 1);
        expect_page_file(dir, 3, "_chunked_2_a_b_c", 2);
        expect_page_file(dir, 4, "_pages_.._pages_3", 3);
        assert_int_equal(count_names(dir, ""), 4);
        sup_run_result_free(&r);
    }
    free(dir);
}

static void empty_and_error_bodies_have_files(void **state)
{
    (void)state;
    char *dir = sup_tmpname("pages");
    struct sup_run_result r;
    run(&r, NULL, "fetch -o %s %s/status/204 %s/status/404", dir, http, http);
    expect_exit(&r, 1);
    assert_int_equal(count_names(dir, "000001-"), 1);
    assert_int_equal(count_names(dir, "000002-"), 1);
    assert_int_equal(count_names(dir, ""), 2);
    sup_run_result_free(&r);
    free(dir);
}

static void a_directory_that_cannot_be_is_a_fault_of_the_command_line(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch -o /dev/null/x %s/pages/1", http);
    expect_exit(&r, 2);
    expect_line(r.err, "thrum fetch: /dev/null/x: ", "Not a directory");
    sup_run_result_free(&r);
}

/* -- JSON --------------------------------------------------------------------------------------- */

static void expect_fetched(const char *out, const char *url, uint32_t page)
{
    char sha256[SUP_SHA256_HEX], *quoted, *bytes;
    const char *line = json_line(out, url);
    sup_page_sha256_hex(page, sha256);
    quoted = sup_format("\"%s\"", sha256);
    bytes = sup_format("%zu", sup_page_size(page));
    expect_json(line, "sha256", quoted);
    expect_json(line, "bytes", bytes);
    expect_json(line, "error", "null");
    expect_json(line, "status", "200");
    free(quoted);
    free(bytes);
}

static void expect_url(const char *line, const char *key, const char *base, const char *path)
{
    char *quoted = sup_format("\"%s%s\"", base, path);
    expect_json(line, key, quoted);
    free(quoted);
}

static void json_tells_all_of_a_fetched_url(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch --json -c 1 --cacert %s %s/pages/1 %s/redirect/2 %s/gzip/63",
        sup_ca_file(), https, https, http);
    expect_exit(&r, 0);
    assert_int_equal(count_lines(r.out), 3);
    char *first = sup_format("%s/pages/1", https), *second = sup_format("%s/redirect/2", https);
    char *third = sup_format("%s/gzip/63", http);
    expect_fetched(r.out, first, 1);
    expect_fetched(r.out, second, 0);
    expect_fetched(r.out, third, 63);

    const char *line = json_line(r.out, first);
    char *remote = sup_format("\"%s\"", https + strlen("https://"));
    expect_url(line, "final_url", https, "/pages/1");
    expect_json(line, "http_version", "\"1.1\"");
    expect_json(line, "tls_version", "\"TLSv1.3\"");
    expect_json(line, "remote", remote);
    expect_json(line, "reused", "false");
    char *cipher = json_get(line, "cipher"), *timings = json_get(line, "timings");
    assert_true(cipher[0] == '"' && strlen(cipher) > 8);
    const char *const keys[] = {"dns", "connect", "tls", "first_byte", "total"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char *value = json_get(timings, keys[i]);
        assert_non_null(value);
        assert_true(i == 0 || strtoull(value, NULL, 10) > 0);
        free(value);
    }
    line = json_line(r.out, second);
    expect_url(line, "final_url", https, "/pages/0");
    expect_json(line, "reused", "true");
    line = json_line(r.out, third);
    expect_json(line, "tls_version", "null");
    expect_json(line, "cipher", "null");
    free(first), free(second), free(third), free(remote), free(cipher), free(timings);
    sup_run_result_free(&r);
}

static void json_tells_of_failures(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch --json http://127.0.0.1:1/ %s/status/502 http://\"\\\xff:x/", http);
    expect_exit(&r, 1);
    assert_int_equal(count_lines(r.out), 3);
    assert_int_equal(count_lines(r.err), 3);
    const char *line = json_line(r.out, "http://127.0.0.1:1/");
    expect_json(line, "status", "null");
    expect_json(line, "final_url", "null");
    expect_json(line, "http_version", "null");
    expect_json(line, "sha256", "null");
    expect_json(line, "bytes", "0");
    char *error = json_get(line, "error");
    assert_memory_equal(error, "\"connect: ", 10);
    free(error);

    char *url = sup_format("%s/status/502", http);
    line = json_line(r.out, url);
    expect_json(line, "status", "502");
    expect_json(line, "error", "\"http: 502 Bad Gateway\"");
    expect_json(line, "bytes", "11");
    free(url);
    assert_non_null(json_line(r.out, "http://\\\"\\\\\\ufffd:x/"));
    sup_run_result_free(&r);
}

static void json_names_the_files_of_a_directory(void **state)
{
    (void)state;
    char *dir = sup_tmpname("pages"), *url = sup_format("%s/pages/1", http);
    struct sup_run_result r;
    run(&r, NULL, "fetch --json -o %s %s http://127.0.0.1:1/", dir, url);
    expect_exit(&r, 1);
    expect_fetched(r.out, url, 1);
    char *name =
        sup_format("\"000001-127.0.0.1_%u_pages_1\"", sup_nginx_port(nginx, SUP_NGINX_HTTP));
    expect_json(json_line(r.out, url), "file", name);
    expect_json(json_line(r.out, "http://127.0.0.1:1/"), "file", "null");
    expect_page_file(dir, 1, "_pages_1", 1);
    free(name), free(url), free(dir);
    sup_run_result_free(&r);
}

/* -- Requests ----------------------------------------------------------------------------------- */

static void method_headers_and_body_are_sent(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch -H X-Test:~one~two -H User-Agent:mine -X OPTIONS %s/echo", http);
    expect_exit(&r, 0);
    assert_memory_equal(r.out, "OPTIONS /echo HTTP/1.1 ", 23);
    assert_non_null(strstr(r.out, "x-test=[one two]"));
    assert_non_null(strstr(r.out, "ua=[mine]"));
    sup_run_result_free(&r);

    run(&r, NULL, "fetch -d a=1 --data b=2 %s/echo %s/echo-body", http, http);
    expect_exit(&r, 0);
    assert_memory_equal(r.out, "POST /echo HTTP/1.1 ", 20);
    assert_non_null(strstr(r.out, "type=[application/x-www-form-urlencoded] length=[7]\n"));
    assert_non_null(strstr(r.out, "a=1&b=2"));
    sup_run_result_free(&r);

    run(&r, NULL, "fetch -X HEAD %s/pages/1", http);
    expect_exit(&r, 0);
    assert_int_equal(r.out_bytes, 0);
    sup_run_result_free(&r);

    const struct sup_run_opts opts = {.stdin_data = "from stdin", .stdin_bytes = 10};
    run(&r, &opts, "fetch -X PUT -d @- %s/echo-body", http);
    expect_exit(&r, 0);
    assert_memory_equal(r.out, "from stdin", 10);
    sup_run_result_free(&r);
}

static void redirects_are_followed_as_far_as_allowed(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch --max-redirects 3 %s/redirect/3", http);
    expect_exit(&r, 0);
    assert_string_equal(skip_page(r.out, 0), "");
    sup_run_result_free(&r);

    run(&r, NULL, "fetch --max-redirects 2 %s/redirect/3", http);
    expect_exit(&r, 1);
    expect_line(r.err, http, "");
    assert_non_null(strstr(r.err, ": redirect: "));
    sup_run_result_free(&r);

    run(&r, NULL, "fetch --json --max-redirects 0 %s/redirect/3", http);
    expect_exit(&r, 0);
    expect_json(r.out, "status", "302");
    sup_run_result_free(&r);
}

static void a_name_is_sent_where_resolve_says(void **state)
{
    (void)state;
    unsigned port = sup_nginx_port(nginx, SUP_NGINX_HTTPS);
    struct sup_run_result r;
    run(&r, NULL, "fetch --cacert %s --resolve thrum.test:%u:127.0.0.1 https://thrum.test:%u/echo",
        sup_ca_file(), port, port);
    expect_exit(&r, 0);
    assert_non_null(strstr(r.out, "host=[thrum.test:"));
    sup_run_result_free(&r);
}

static void certificates_are_verified_unless_told_otherwise(void **state)
{
    (void)state;
    const char *self_signed = sup_nginx_base(nginx, SUP_NGINX_SELF_SIGNED);
    struct sup_run_result r;
    run(&r, NULL, "fetch %s/pages/1", self_signed);
    expect_exit(&r, 1);
    assert_string_equal(r.out, "");
    assert_non_null(strstr(r.err, ": tls: "));
    sup_run_result_free(&r);

    run(&r, NULL, "fetch --insecure %s/pages/1", self_signed);
    expect_exit(&r, 0);
    assert_string_equal(skip_page(r.out, 1), "");
    sup_run_result_free(&r);

    run(&r, NULL, "fetch --cacert /nowhere/ca.pem %s/pages/1", https);
    expect_exit(&r, 2);
    expect_line(r.err, "thrum fetch: /nowhere/ca.pem: ", "");
    sup_run_result_free(&r);
}

/* -- What is said ------------------------------------------------------------------------------- */

static void stats_sum_it_up(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch --stats --workers 3 -c 1 --cacert %s %s/pages/1 %s/pages/2 %s/status/404",
        sup_ca_file(), https, https, http);
    expect_exit(&r, 1);
    const char *const said[] = {"pages:        2 fetched, 1 failed\n",
                                " pages/s\n",
                                "TLS:          TLSv1.3 2, without TLS 1\n",
                                "connections:  2 opened, 1 times reused\n",
                                "handshakes:   1, 0 resumed\n",
                                "worker 0:     ",
                                "worker 2:     ",
                                " tasks picked (",
                                " steals, "};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        if (!strstr(r.err, said[i]))
            fail_msg("nothing says \"%s\": %s", said[i], r.err);
    }
    assert_null(strstr(r.err, "worker 3:"));
    sup_run_result_free(&r);
}

static void a_bar_is_drawn_on_a_terminal_only(void **state)
{
    (void)state;
    struct sup_run_result r;
    const struct sup_run_opts tty = {.stderr_tty = true};
    run(&r, &tty, "fetch %s/slow/4 %s/status/404", http, http);
    expect_exit(&r, 1);
    assert_non_null(strstr(r.err, "\r\x1b[K["));
    assert_non_null(strstr(r.err, "/2 pages  "));
    assert_non_null(strstr(r.err, "\r\x1b[Khttp://"));
    assert_memory_equal(r.err + r.err_bytes - 4, "\r\x1b[K", 4); /* and taken away at the end */
    sup_run_result_free(&r);

    run(&r, NULL, "fetch %s/pages/1", http);
    expect_exit(&r, 0);
    assert_int_equal(r.err_bytes, 0);
    sup_run_result_free(&r);
}

static void help_and_versions_are_shown(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "--version");
    expect_exit(&r, 0);
    assert_int_equal(count_lines(r.out), 1);
    assert_memory_equal(r.out, "thrum 0.", 8);
    assert_true(strstr(r.out, "c-ares ") && strstr(r.out, "mbedTLS 3.") && strstr(r.out, "zlib "));
    sup_run_result_free(&r);

    run(&r, NULL, "--help");
    expect_exit(&r, 0);
    assert_non_null(strstr(r.out, "  fetch "));
    sup_run_result_free(&r);

    run(&r, NULL, "fetch --help");
    expect_exit(&r, 0);
    const char *const options[] = {"-i, --input",     "-c, --concurrency", "-o, --output-dir",
                                   "--json",          "-H, --header",      "-X, --request",
                                   "-d, --data",      "--max-time",        "--connect-timeout",
                                   "--max-redirects", "--retry",           "--cacert",
                                   "--insecure",      "--resolve",         "--workers",
                                   "--stats",         "Exit status: 0 "};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        assert_non_null(strstr(r.out, options[i]));
    for (const char *p = r.out; *p; p = strchr(p, '\n') + 1)
        assert_true(strcspn(p, "\n") <= 100);
    sup_run_result_free(&r);
}

static void faults_of_the_command_line_exit_with_2_a_line_and_a_hint(void **state)
{
    (void)state;
    const char *const lines[] = {"",
                                 "frobnicate",
                                 "--frobnicate",
                                 "fetch",
                                 "fetch",
                                 "fetch --frobnicate",
                                 "fetch -c 0 http://a/",
                                 "fetch -i",
                                 "fetch -H x\ny http://a/"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct sup_run_result r;
        run(&r, NULL, "%s", lines[i]);
        expect_exit(&r, 2);
        assert_string_equal(r.out, "");
        assert_int_equal(count_lines(r.err), 2);
        assert_non_null(strstr(r.err, "--help'.\n"));
        sup_run_result_free(&r);
    }
    struct sup_run_result r;
    run(&r, NULL, "fetch -i /nowhere/list");
    expect_exit(&r, 2);
    expect_line(r.err, "thrum fetch: /nowhere/list: ", "No such file or directory");
    sup_run_result_free(&r);
    run(&r, NULL, "fetch -i /");
    expect_exit(&r, 2);
    expect_line(r.err, "thrum fetch: /: ", "Is a directory");
    sup_run_result_free(&r);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    struct sup_run_result r;
    run(&r, NULL, "fetch -- --json %s/pages/1", http);
    expect_exit(&r, 1);
    expect_line(r.err, "--json: request: ", "");
    assert_string_equal(skip_page(r.out, 1), "");
    sup_run_result_free(&r);
}

static void many_workers_and_few_descriptors_do(void **state)
{
    (void)state;
    struct sup_run_result r;
    char *list = sup_tmpname("list");
    FILE *f = fopen(list, "w");
    assert_non_null(f);
    for (uint32_t i = 0; i < 100; i++)
        fprintf(f, "%s/pages/%u\n", http, i);
    fclose(f);

    run(&r, NULL, "fetch --workers 16 -c 100 -i %s", list);
    expect_exit(&r, 0);
    const char *p = r.out;
    for (uint32_t i = 0; i < 100; i++)
        p = skip_page(p, i);
    sup_run_result_free(&r);

    run_script(&r, NULL, "ulimit -S -n 64; exec \"$0\" fetch -c 100 -i \"$1\"", list, NULL);
    expect_exit(&r, 0); /* the soft limit is the program's to raise */
    assert_int_equal(r.err_bytes, 0);
    sup_run_result_free(&r);

    run_script(&r, NULL, "ulimit -n 400; exec \"$0\" fetch -c 100 -i \"$1\"", list, NULL);
    expect_exit(&r, 0);
    expect_line(r.err, "thrum fetch: the limit on open files", " allows 48 at once only");
    sup_run_result_free(&r);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_come_in_the_order_given),
        cmocka_unit_test(a_slow_first_body_comes_first),
        cmocka_unit_test(an_error_status_is_a_failure_and_its_body_is_delivered),
        cmocka_unit_test(a_bad_url_does_not_keep_the_good_ones),
        cmocka_unit_test(lists_come_after_the_command_line_and_from_standard_input),
        cmocka_unit_test(an_empty_list_is_all_fetched),
        cmocka_unit_test(lines_that_are_no_url_fail_alone),
        cmocka_unit_test(each_url_has_a_file_of_its_own),
        cmocka_unit_test(empty_and_error_bodies_have_files),
        cmocka_unit_test(a_directory_that_cannot_be_is_a_fault_of_the_command_line),
        cmocka_unit_test(json_tells_all_of_a_fetched_url),
        cmocka_unit_test(json_tells_of_failures),
        cmocka_unit_test(json_names_the_files_of_a_directory),
        cmocka_unit_test(method_headers_and_body_are_sent),
        cmocka_unit_test(redirects_are_followed_as_far_as_allowed),
        cmocka_unit_test(a_name_is_sent_where_resolve_says),
        cmocka_unit_test(certificates_are_verified_unless_told_otherwise),
        cmocka_unit_test(stats_sum_it_up),
        cmocka_unit_test(a_bar_is_drawn_on_a_terminal_only),
        cmocka_unit_test(help_and_versions_are_shown),
        cmocka_unit_test(faults_of_the_command_line_exit_with_2_a_line_and_a_hint),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(many_workers_and_few_descriptors_do),
    };
    return cmocka_run_group_tests(tests, start_nginx, stop_nginx);
}
