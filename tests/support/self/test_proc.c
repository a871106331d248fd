/* SPDX-License-Identifier: MIT */
/* Self test of support/proc.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/proc.h"

static void run_sh(struct sup_run_result *result, const char *script, struct sup_run_opts opts)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    opts.argv = argv;
    assert_true(sup_run(result, &opts));
}

static void a_run_captures_streams_status_and_environment(void **state)
{
    (void)state;
    struct sup_run_result r;
    const char *env[] = {"SUP_WORD=hello", NULL};
    run_sh(&r, "cat; echo $SUP_WORD; echo bad >&2; exit 3",
           (struct sup_run_opts){.env = env, .stdin_data = "given\n", .stdin_bytes = 6});
    assert_string_equal(r.out, "given\nhello\n");
    assert_string_equal(r.err, "bad\n");
    assert_int_equal(r.exit_code, 3);
    assert_int_equal(r.signal_no, 0);
    assert_false(r.timed_out);
    assert_true(r.max_rss_kib > 0);
    sup_run_result_free(&r);
}

static void a_run_moves_megabytes_both_ways_at_once(void **state)
{
    (void)state;
    struct sup_run_result r;
    size_t bytes = (size_t)5 << 20;
    char *data = malloc(bytes);
    assert_non_null(data);
    memset(data, 'z', bytes);
    run_sh(&r, "cat", (struct sup_run_opts){.stdin_data = data, .stdin_bytes = bytes});
    assert_int_equal(r.out_bytes, bytes);
    assert_memory_equal(r.out, data, bytes);
    sup_run_result_free(&r);

    run_sh(&r, "exec true", (struct sup_run_opts){.stdin_data = data, .stdin_bytes = bytes});
    assert_int_equal(r.exit_code, 0); /* input that nobody wants does not harm the test */
    sup_run_result_free(&r);
    free(data);
}

static void a_run_ends_at_its_time_limit(void **state)
{
    (void)state;
    struct sup_run_result r;
    run_sh(&r, "echo so far; exec sleep 60", (struct sup_run_opts){.timeout_ms = 1000});
    assert_true(r.timed_out);
    assert_int_equal(r.exit_code, -1);
    assert_int_equal(r.signal_no, SIGKILL);
    assert_string_equal(r.out, "so far\n");
    assert_in_range(r.wall_ms, 1000, 20000);
    sup_run_result_free(&r);
}

static bool count_down(void *arg)
{
    int *left = arg;
    return --*left == 0;
}

static void a_run_is_sent_a_signal_on_its_condition(void **state)
{
    (void)state;
    struct sup_run_result r;
    const char *script =
        "trap 'echo stopped; exit 7' INT; echo ready; while :; do sleep 0.01; done";
    run_sh(&r, script, (struct sup_run_opts){.signal_no = SIGINT, .signal_on_output = "ready"});
    assert_int_equal(r.exit_code, 7);
    assert_true(r.signalled);
    assert_string_equal(r.out, "ready\nstopped\n");
    sup_run_result_free(&r);

    int left = 5;
    run_sh(&r, "exec sleep 60",
           (struct sup_run_opts){
               .signal_no = SIGTERM, .signal_when = count_down, .signal_arg = &left});
    assert_int_equal(r.signal_no, SIGTERM);
    assert_false(r.timed_out);
    sup_run_result_free(&r);
}

static void a_run_may_lose_its_reader(void **state)
{
    (void)state;
    struct sup_run_result r;
    run_sh(&r, "exec yes", (struct sup_run_opts){.stdout_close_after = 1000});
    assert_int_equal(r.signal_no, SIGPIPE);
    assert_true(r.out_bytes >= 1000);
    sup_run_result_free(&r);
}

static void a_run_may_have_a_terminal_for_standard_error(void **state)
{
    (void)state;
    struct sup_run_result r;
    run_sh(&r, "test -t 2 && ! test -t 1 && echo yes >&2",
           (struct sup_run_opts){.stderr_tty = true});
    assert_string_equal(r.err, "yes\n");
    sup_run_result_free(&r);
    run_sh(&r, "test -t 2", (struct sup_run_opts){0});
    assert_int_equal(r.exit_code, 1);
    sup_run_result_free(&r);
}

static void what_is_not_installed_is_refused(void **state)
{
    (void)state;
    struct sup_run_result r;
    const char *missing[] = {"no-such-program-here", NULL};
    const char *not_executable[] = {"/etc/passwd", NULL};
    assert_false(sup_run(&r, &(struct sup_run_opts){.argv = missing}));
    sup_run_result_free(&r);
    assert_false(sup_run(&r, &(struct sup_run_opts){.argv = not_executable}));
    sup_run_result_free(&r);
    assert_false(sup_run_ok(missing));
    assert_null(sup_proc_start(&(struct sup_proc_opts){.argv = not_executable}));
}

static void a_server_is_waited_for_and_stopped(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "echo up; exec sleep 60", NULL};
    struct sup_proc *p = sup_proc_start(&(struct sup_proc_opts){.argv = argv});
    assert_non_null(p);
    assert_true(sup_proc_wait_output(p, "up", SUP_TIMEOUT_MS));
    assert_true(sup_proc_is_running(p));
    assert_false(sup_proc_wait_output(p, "down", 30));
    int status = sup_proc_stop(p);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void a_server_that_ends_is_not_waited_for(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "echo sorry; exit 4", NULL};
    int64_t before = sup_now_ms();
    struct sup_proc *p = sup_proc_start(&(struct sup_proc_opts){.argv = argv});
    assert_non_null(p);
    assert_false(sup_proc_wait_output(p, "up", SUP_TIMEOUT_MS));
    assert_false(sup_proc_is_running(p));
    assert_true(sup_now_ms() - before < SUP_TIMEOUT_MS / 2);
    int status = sup_proc_stop(p);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 4);
}

/* The child of a process that ends without a word must end too: its pidfd becomes readable. */
static void a_server_dies_with_its_parent(void **state)
{
    (void)state;
    int report[2];
    pid_t child = -1;
    assert_int_equal(pipe(report), 0);
    pid_t parent = fork();
    if (parent == 0) {
        const char *argv[] = {"sleep", "60", NULL};
        struct sup_proc *p = sup_proc_start(&(struct sup_proc_opts){.argv = argv});
        child = p ? sup_proc_pid(p) : -1;
        _exit(write(report[1], &child, sizeof(child)) != sizeof(child));
    }
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(read(report[0], &child, sizeof(child)), sizeof(child));
    assert_true(child > 0);
    /* It is init's or a sub-reaper's to reap, which takes it a moment. */
    int64_t deadline = sup_now_ms() + SUP_TIMEOUT_MS;
    char *path = sup_format("/proc/%d/stat", child);
    bool alive = true;
    while (alive && sup_left_ms(deadline) > 0) {
        char *stat = sup_file_read(path, NULL);
        alive = stat && !strstr(stat, ") Z");
        free(stat);
    }
    assert_false(alive);
    free(path);
    close(report[0]);
    close(report[1]);
}

static void a_child_inherits_no_descriptor_that_it_was_not_given(void **state)
{
    (void)state;
    struct sup_run_result r;
    int ends[2];
    assert_int_equal(pipe(ends), 0); /* not close-on-exec on purpose */
    char *script = sup_format("test ! -e /proc/self/fd/%d", ends[1]);
    run_sh(&r, script, (struct sup_run_opts){0});
    assert_int_equal(r.exit_code, 0);
    sup_run_result_free(&r);
    free(script);
    close(ends[0]);
    close(ends[1]);
}

static int count_before;

static int note_descriptors(void **state)
{
    (void)state;
    sup_tmpdir();
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
        cmocka_unit_test(a_run_captures_streams_status_and_environment),
        cmocka_unit_test(a_run_moves_megabytes_both_ways_at_once),
        cmocka_unit_test(a_run_ends_at_its_time_limit),
        cmocka_unit_test(a_run_is_sent_a_signal_on_its_condition),
        cmocka_unit_test(a_run_may_lose_its_reader),
        cmocka_unit_test(a_run_may_have_a_terminal_for_standard_error),
        cmocka_unit_test(what_is_not_installed_is_refused),
        cmocka_unit_test(a_server_is_waited_for_and_stopped),
        cmocka_unit_test(a_server_that_ends_is_not_waited_for),
        cmocka_unit_test(a_server_dies_with_its_parent),
        cmocka_unit_test(a_child_inherits_no_descriptor_that_it_was_not_given),
    };
    return cmocka_run_group_tests_name("support.proc", tests, note_descriptors,
                                       nothing_is_left_open);
}
