/* SPDX-License-Identifier: MIT */
/* `thrum fetch` stopped: by signals, by a reader that goes or is slow, by a full disk. */
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/nginx.h"
#include "support/pages.h"
#include "support/scripted.h"
#include "tests/tools/program.h"

#define LARGE_BYTES ((size_t)80 << 20) /* more than the bodies held in memory, and than any pipe */

static struct sup_nginx *nginx;
static const char *http;

static int start_nginx(void **state)
{
    (void)state;
    nginx = sup_nginx_start(&(struct sup_nginx_opts){.large_bytes = LARGE_BYTES, .no_tls = true});
    if (!nginx)
        return -1;
    http = sup_nginx_base(nginx, SUP_NGINX_HTTP);
    return 0;
}

static int stop_nginx(void **state)
{
    (void)state;
    return sup_nginx_stop(nginx) ? 0 : -1;
}

static const struct sup_step stalls_in_body[] = {
    SUP_EXPECT("\r\n\r\n"),
    SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"),
    SUP_STALL,
};

/* -- Signals ------------------------------------------------------------------------------------ */

struct stalled {
    struct sup_scripted *server;
    size_t n;
};

static bool all_stalled(void *arg)
{
    struct stalled *s = arg;
    struct sup_scripted_counts counts;
    sup_scripted_counts(s->server, &counts);
    return counts.stalled >= s->n;
}

static size_t count_files(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

/* Two pages are there and two have stalled when the signal comes. */
static void expect_interrupted(int signal_no, const char *extra)
{
    struct stalled s = {sup_scripted_start(SUP_SCRIPT(stalls_in_body)), 2};
    assert_non_null(s.server);
    unsigned port = sup_scripted_port(s.server);
    char *dir = sup_tmpdir_new("pages");
    const struct sup_run_opts opts = {
        .signal_no = signal_no, .signal_when = all_stalled, .signal_arg = &s};
    struct sup_run_result r;
    run(&r, &opts,
        "fetch %s -c 2 -o %s %s/pages/1 %s/pages/2 http://127.0.0.1:%u/ http://127.0.0.1:%u/ "
        "%s/pages/3",
        extra, dir, http, http, port, port, http);
    assert_true(r.signalled);
    expect_exit(&r, 128 + signal_no);
    expect_line(r.err, "thrum fetch: interrupted: 2 fetched, 0 failed, 3 not done of 5; ", "B");
    assert_int_equal(count_files(dir), 2); /* no part of a page */
    assert_true(r.wall_ms < 10000);
    sup_run_result_free(&r);
    sup_scripted_stop(s.server);
    free(dir);
}

static void a_signal_cancels_cleans_up_and_says_how_far_it_got(void **state)
{
    (void)state;
    expect_interrupted(SIGINT, "");
    expect_interrupted(SIGTERM, "");
    expect_interrupted(SIGHUP, "");
    expect_interrupted(SIGINT, "--workers 16");
}

static void what_standard_output_has_got_is_told(void **state)
{
    (void)state;
    struct stalled s = {sup_scripted_start(SUP_SCRIPT(stalls_in_body)), 1};
    assert_non_null(s.server);
    const struct sup_run_opts opts = {.signal_no = SIGINT, .signal_on_output = "only this"};
    struct sup_run_result r;
    run(&r, &opts, "fetch -c 1 %s/pages/1 %s/pages/2 http://127.0.0.1:%u/ %s/pages/3", http, http,
        sup_scripted_port(s.server), http);
    expect_exit(&r, 130);
    expect_line(r.err, "thrum fetch: interrupted: 2 fetched, 0 failed, 2 not done of 4; ",
                "; the first 2 have been written");
    assert_int_equal(r.out_bytes, sup_page_size(1) + sup_page_size(2) + strlen("only this"));
    sup_run_result_free(&r);
    sup_scripted_stop(s.server);
}

static void a_signal_ends_a_wait_before_a_retry(void **state)
{
    (void)state;
    static const struct sup_step busy[] = {
        SUP_EXPECT("\r\n\r\n"),
        SUP_SEND("HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"), SUP_STALL};
    struct stalled s = {sup_scripted_start(SUP_SCRIPT(busy)), 1};
    assert_non_null(s.server);
    const struct sup_run_opts opts = {
        .signal_no = SIGINT, .signal_when = all_stalled, .signal_arg = &s};
    struct sup_run_result r;
    run(&r, &opts, "fetch --retry 3 http://127.0.0.1:%u/", sup_scripted_port(s.server));
    expect_exit(&r, 130);
    expect_line(r.err, "thrum fetch: interrupted: 0 fetched, 0 failed, 1 not done of 1; 0 B",
                " the first 0 have been written");
    sup_run_result_free(&r);
    sup_scripted_stop(s.server);
}

static void a_signal_ends_a_wait_for_the_list(void **state)
{
    (void)state;
    const char *argv[] = {program(), "fetch", "-i", "-", NULL};
    struct sup_proc *p = sup_proc_start(
        &(struct sup_proc_opts){.argv = argv, .stdin_open = true, .stop_signal = SIGINT});
    assert_non_null(p);
    /* Its threads are there when it waits; before, the signal would end it by default. */
    char *tasks = sup_format("/proc/%d/task", (int)sup_proc_pid(p));
    for (int i = 0; i < 1000 && count_files(tasks) < 3; i++)
        usleep(10000);
    int64_t begun = sup_now_ms();
    int status = sup_proc_stop(p);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    assert_true(sup_now_ms() - begun < 4000); /* 5 s later it would have been killed */
    free(tasks);
}

static void a_signal_that_was_ignored_stays_so(void **state)
{
    (void)state;
    struct stalled s = {sup_scripted_start(SUP_SCRIPT(stalls_in_body)), 1};
    assert_non_null(s.server);
    char *url = sup_format("http://127.0.0.1:%u/", sup_scripted_port(s.server));
    const struct sup_run_opts opts = {
        .signal_no = SIGINT, .signal_when = all_stalled, .signal_arg = &s};
    struct sup_run_result r;
    run_script(&r, &opts, "trap '' INT; exec \"$0\" fetch --max-time 1 \"$1\"", url, NULL);
    expect_exit(&r, 1);
    assert_non_null(strstr(r.err, "(--max-time)"));
    sup_run_result_free(&r);
    sup_scripted_stop(s.server);
    free(url);
}

/* -- The reader of standard output -------------------------------------------------------------- */

static void a_closed_pipe_ends_it_quietly(void **state)
{
    (void)state;
    const char *const options[] = {"", "--stats", "-c 1", "--json --retry 1"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        char *all = NULL;
        size_t n = 0;
        FILE *list = open_memstream(&all, &n);
        assert_non_null(list);
        fprintf(list, "%s/pages/1\n%s/%s\n", http, http, i < 3 ? "large" : "pages/2");
        for (unsigned k = 0; k < 2000; k++)
            fprintf(list, "%s/pages/%u\n", http, k % 100);
        fclose(list);
        const struct sup_run_opts opts = {
            .stdin_data = all, .stdin_bytes = n, .stdout_close_after = 1000};
        struct sup_run_result r;
        run(&r, &opts, "fetch %s -i -", options[i]);
        expect_exit(&r, 141);
        assert_string_equal(r.err, "");
        assert_true(r.wall_ms < 10000);
        sup_run_result_free(&r);
        free(all);
    }
}

/* The list is a pipe that stays open and silent behind its two URLs. */
static void a_closed_pipe_ends_a_wait_for_the_list(void **state)
{
    (void)state;
    static const char script[] =
        "mkfifo \"$1/list\" && { (printf '%s/large\\n%s/large\\n' \"$2\" \"$2\"; exec sleep 60) "
        ">\"$1/list\" & \"$0\" fetch -i \"$1/list\" | head -c 1000 >/dev/null; kill $!; }";
    char *dir = sup_tmpdir_new("fifo");
    struct sup_run_result r;
    run_script(&r, NULL, script, dir, http);
    assert_string_equal(r.err, "");
    assert_true(r.wall_ms < 20000);
    sup_run_result_free(&r);
    free(dir);
}

static void a_slow_reader_gets_all_and_is_no_fault_of_the_server(void **state)
{
    (void)state;
    static const char script[] =
        "\"$0\" fetch --workers 1 --max-time 2 \"$1/pages/1\" \"$1/large\" \"$1/pages/2\" | "
        "{ sleep 3; cat; }";
    struct sup_run_result r;
    run_script(&r, &(struct sup_run_opts){.timeout_ms = 60000}, script, http, NULL);
    assert_string_equal(r.err, "");
    size_t first = sup_page_size(1);
    assert_int_equal(r.out_bytes, first + LARGE_BYTES + sup_page_size(2));
    assert_true(sup_page_match(1, r.out, first));
    assert_true(sup_stream_match(SUP_NGINX_LARGE_SEED, 0, r.out + first, LARGE_BYTES));
    assert_true(sup_page_match(2, r.out + first + LARGE_BYTES, sup_page_size(2)));
    sup_run_result_free(&r);
}

static void bodies_beyond_the_memory_held_wait_for_their_turn(void **state)
{
    (void)state;
    static const struct sup_step slow[] = {
        SUP_EXPECT("\r\n\r\n"),
        SUP_SEND_PIECES("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n12345\n", 43, 1000),
    };
    struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(slow));
    assert_non_null(s);
    struct sup_run_result r;
    run(&r, &(struct sup_run_opts){.timeout_ms = 60000},
        "fetch http://127.0.0.1:%u/ %s/large %s/large %s/pages/1", sup_scripted_port(s), http, http,
        http);
    expect_exit(&r, 0);
    assert_int_equal(r.out_bytes, 6 + 2 * LARGE_BYTES + sup_page_size(1));
    assert_memory_equal(r.out, "12345\n", 6);
    assert_true(sup_stream_match(SUP_NGINX_LARGE_SEED, 0, r.out + 6, LARGE_BYTES));
    assert_true(sup_stream_match(SUP_NGINX_LARGE_SEED, 0, r.out + 6 + LARGE_BYTES, LARGE_BYTES));
    assert_true(sup_page_match(1, r.out + 6 + 2 * LARGE_BYTES, sup_page_size(1)));
    sup_run_result_free(&r);
    sup_scripted_stop(s);
}

/* -- Full disks --------------------------------------------------------------------------------- */

static void a_full_standard_output_is_an_error(void **state)
{
    (void)state;
    const char *const scripts[] = {"exec \"$0\" fetch \"$1/pages/1\" \"$1/pages/2\" >/dev/full",
                                   "exec \"$0\" fetch --json \"$1/pages/1\" >/dev/full"};
    for (size_t i = 0; i < 2; i++) {
        struct sup_run_result r;
        run_script(&r, NULL, scripts[i], http, NULL);
        expect_exit(&r, 1);
        expect_line(r.err, "thrum fetch: standard output: ", "No space left on device");
        sup_run_result_free(&r);
    }
    struct sup_run_result r;
    run_script(&r, NULL, "exec \"$0\" fetch --help >/dev/full", NULL, NULL);
    expect_exit(&r, 1);
    sup_run_result_free(&r);
}

/* Then the list must not be taken for standard output, which would be written to it. */
static void a_closed_standard_output_is_an_error(void **state)
{
    (void)state;
    char *list = sup_tmpname("list"), *line = sup_format("%s/pages/1\n", http);
    assert_true(sup_file_write(list, line, strlen(line)));
    struct sup_run_result r;
    run_script(&r, NULL, "exec \"$0\" fetch -i \"$1\" >&- <&-", list, NULL);
    expect_exit(&r, 1);
    expect_line(r.err, "thrum fetch: standard output: ", "Bad file descriptor");
    sup_run_result_free(&r);
    free(list);
    free(line);
}

static void a_file_that_cannot_be_written_is_reported_and_the_rest_is_there(void **state)
{
    (void)state;
    char *dir = sup_tmpname("pages");
    struct sup_run_result r;
    run_script(&r, NULL,
               "ulimit -f 200; exec \"$0\" fetch -o \"$1\" \"$2/pages/1\" \"$2/large\" "
               "\"$2/pages/2\"",
               dir, http);
    expect_exit(&r, 1);
    expect_line(r.err, http, "/large: write: File too large");
    assert_int_equal(count_files(dir), 2);
    sup_run_result_free(&r);

    /* A directory in the place of the second file. */
    char *taken =
        sup_format("%s/000002-127.0.0.1_%u_pages_2", dir, sup_nginx_port(nginx, SUP_NGINX_HTTP));
    run_script(&r, NULL, "mkdir -p \"$1/x\"", taken, NULL);
    sup_run_result_free(&r);
    run(&r, NULL, "fetch -o %s %s/pages/1 %s/pages/2", dir, http, http);
    expect_exit(&r, 1);
    expect_line(r.err, http, "/pages/2: write: Is a directory");
    sup_run_result_free(&r);
    free(taken);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_cancels_cleans_up_and_says_how_far_it_got),
        cmocka_unit_test(what_standard_output_has_got_is_told),
        cmocka_unit_test(a_signal_ends_a_wait_before_a_retry),
        cmocka_unit_test(a_signal_ends_a_wait_for_the_list),
        cmocka_unit_test(a_signal_that_was_ignored_stays_so),
        cmocka_unit_test(a_closed_pipe_ends_it_quietly),
        cmocka_unit_test(a_closed_pipe_ends_a_wait_for_the_list),
        cmocka_unit_test(a_slow_reader_gets_all_and_is_no_fault_of_the_server),
        cmocka_unit_test(bodies_beyond_the_memory_held_wait_for_their_turn),
        cmocka_unit_test(a_full_standard_output_is_an_error),
        cmocka_unit_test(a_closed_standard_output_is_an_error),
        cmocka_unit_test(a_file_that_cannot_be_written_is_reported_and_the_rest_is_there),
    };
    return cmocka_run_group_tests(tests, start_nginx, stop_nginx);
}
