/* SPDX-License-Identifier: MIT */
/* What happens when a task has used up its stack, and that other faults go where they went before.
 *
 * Each case runs in a child process, whose stderr and end are looked at. The file that makes guards is compiled into this
 * test, so that the older ways to make them can be had. */
#include "exec/runtime.h"
#include "exec/sanitizer.h"
#include "running.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static bool no_guard_install, no_mprotect;

static int failing_madvise(void *at, size_t bytes, int advice)
{
    if (no_guard_install) {
        errno = EINVAL;
        return -1;
    }
    return madvise(at, bytes, advice);
}

static int failing_mprotect(void *at, size_t bytes, int prot)
{
    if (no_mprotect) {
        errno = ENOMEM;
        return -1;
    }
    return mprotect(at, bytes, prot);
}

#define madvise failing_madvise
#define mprotect failing_mprotect
#include "exec/guard.c"
#undef madvise
#undef mprotect

/* ---- Child processes ---- */

static char said[8192]; /* what the last child wrote to stderr */

static void read_all(int fd)
{
    size_t n = 0;
    ssize_t got;
    while (n < sizeof(said) - 1 && (got = read(fd, said + n, sizeof(said) - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    close(fd);
}

/* Returns: the signal that ended a child process which ran fn, or 1000 times its exit status. */
static int end_of(void (*fn)(void))
{
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka's */
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        alarm(BY_BUILD(60, 180, 300));
        dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    read_all(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) * 1000;
}

static void assert_said(const char *what)
{
    if (strstr(said, what))
        return;
    print_error("\"%s\" is not in:\n%s\n", what, said);
    fail();
}

static void assert_said_nothing(void)
{
    assert_string_equal(said, "");
}

/* ---- Overflows ---- */

/* What no compiler can cut short. */
static __attribute__((noinline)) int recurse(volatile int *depth)
{
    volatile char frame[512];
    frame[0] = (char)++*depth;
    int below = *depth > 0 ? recurse(depth) : 0;
    return below + frame[0];
}

static int overflow(void *arg)
{
    (void)arg;
    volatile int depth = 1;
    return recurse(&depth) & 1;
}

static size_t wanted_bytes;
static const char *wanted_name;

static int spawn_here(void *arg)
{
    thrum_task *task;
    thrum_spawn_opts opts = {.name = wanted_name, .stack_bytes = wanted_bytes};
    int err = thrum_spawn(&task, overflow, arg, &opts);
    return err ? err : thrum_join(task, NULL);
}

static void run_spawned(void)
{
    (void)thrum_run(spawn_here, NULL, &(thrum_run_opts){.workers = 2});
}

static void assert_reports_spawned(void)
{
    char function[64];
    snprintf(function, sizeof(function), "function at %p,", (void *)(uintptr_t)overflow);
    assert_int_equal(end_of(run_spawned), SIGSEGV);
    assert_said("thrum: stack overflow (fault at 0x");
    assert_said(function);
    assert_said(", spawned in spawn_here() at ");
    assert_said("test_overflow.c:");
}

static void it_names_task_site_and_the_size_to_ask_for(void **state)
{
    (void)state;
    wanted_name = "greedy";
    wanted_bytes = 0;
    assert_reports_spawned();
    assert_said("task \"greedy\"");
    assert_said(
        "it may use 64 KiB of stack; ask for more, with thrum_spawn_opts.stack_bytes = 262144\n");
    wanted_bytes = 16 << 10;
    wanted_name = NULL;
    assert_reports_spawned();
    assert_said("task without a name");
    assert_said(
        "it may use 16 KiB of stack; ask for more, with thrum_spawn_opts.stack_bytes = 65536\n");
}

static void there_is_a_largest_size(void **state)
{
    (void)state;
    wanted_bytes = 8 << 20;
    assert_reports_spawned();
    assert_said("it may use 8192 KiB of stack, and there is no larger one");
}

static void run_first(void)
{
    (void)thrum_run(overflow, NULL, &(thrum_run_opts){.workers = 1, .stack_bytes = 100 << 10});
}

static void the_first_task_is_told_of_the_runtimes_option(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_first), SIGSEGV);
    assert_said("thrum: stack overflow");
    assert_said("the first of its runtime");
    assert_said(
        "it may use 100 KiB of stack; ask for more, with thrum_run_opts.stack_bytes = 262144");
}

/* One worker: the child has not started at the close, and runs there. */
static int close_over_child(void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn_named(&scope, "child", overflow, arg);
    return err ? err : thrum_scope_close(&scope);
}

static void run_inline(void)
{
    (void)thrum_run(close_over_child, NULL, &(thrum_run_opts){.workers = 1});
}

static void a_child_on_its_parents_stack_is_named(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_inline), SIGSEGV);
    assert_said("thrum: stack overflow");
    assert_said("task \"child\"");
    assert_said("spawned in close_over_child()");
}

static void with_guards_of_older_kernels_too(void **state)
{
    (void)state;
    wanted_name = "greedy";
    wanted_bytes = 0;
    no_guard_install = true;
    assert_reports_spawned();
    assert_said("task \"greedy\"");
    no_guard_install = false;
}

/* Far enough to reach the canary, not as far as to the end of the page below. */
static int overflow_a_little(void *arg)
{
    struct thr_stack *s = thr_task_self()->stack;
    memset(s->bottom - 64, 1, 128);
    return arg ? 0 : 1;
}

static void run_a_little(void)
{
    no_guard_install = no_mprotect = true;
    (void)thrum_run(overflow_a_little, NULL, &(thrum_run_opts){.workers = 1});
}

static void without_guards_it_is_found_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_a_little), SIGABRT);
    assert_said("further ones have none, only a check when the task ends. Raise the sysctl "
                "vm.max_map_count");
    assert_said("thrum: stack overflow, found when the task ended");
    assert_said("task \"main\"");
    assert_said("ask for more, with thrum_run_opts.stack_bytes = 262144");
    assert_said("a task overflowed its stack");
}

static int touch_guard_of_other(void *arg)
{
    (void)arg;
    struct thr_stack *own = thr_task_self()->stack;
    struct thr_stack *neighbour = own + (own->index == 0 ? 1 : -1);
    *(volatile char *)(neighbour->bottom - 100) = 1;
    return 0;
}

static void run_wild(void)
{
    (void)thrum_run(touch_guard_of_other, NULL, &(thrum_run_opts){.workers = 1});
}

static void a_wild_access_to_another_guard_is_said_to_be_one(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_wild), SIGSEGV);
    assert_said("thrum: access to the guard below another task's stack (fault at 0x");
    assert_said("task \"main\"");
    assert_null(strstr(said, "ask for more"));
}

/* ---- Other faults ---- */

static volatile char *volatile nowhere = (char *)64;

static int touch_nowhere(void *arg)
{
    (void)arg;
    *nowhere = 1;
    return 0;
}

static void run_null(void)
{
    (void)thrum_run(touch_nowhere, NULL, &(thrum_run_opts){.workers = 1});
}

static void other_faults_end_the_process_as_ever(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_null), SIGSEGV);
    assert_said_nothing();
}

static void set_handler(void (*fn)(int, siginfo_t *, void *), int flags, int masked)
{
    struct sigaction a = {.sa_flags = SA_SIGINFO | SA_ONSTACK | flags};
    sigemptyset(&a.sa_mask);
    if (masked)
        sigaddset(&a.sa_mask, masked);
    a.sa_sigaction = fn;
    sigaction(SIGSEGV, &a, NULL);
}

static bool is_blocked(int signal)
{
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    return sigismember(&now, signal);
}

static void own_handler(int signal, siginfo_t *info, void *context)
{
    if (signal != SIGSEGV || !context || (uintptr_t)info->si_addr != (uintptr_t)nowhere)
        _exit(1);
    _exit(is_blocked(SIGSEGV) && is_blocked(SIGABRT) ? 42 : 2);
}

static void run_null_handled(void)
{
    set_handler(own_handler, 0, SIGABRT);
    run_null();
}

static void own_handler_nodefer(int signal, siginfo_t *info, void *context)
{
    struct sigaction now;
    (void)info, (void)context;
    sigaction(SIGSEGV, NULL, &now);
    _exit(signal == SIGSEGV && !is_blocked(SIGSEGV) && now.sa_handler == SIG_DFL ? 43 : 2);
}

static void run_null_handled_once(void)
{
    set_handler(own_handler_nodefer, (int)(SA_NODEFER | SA_RESETHAND), 0);
    run_null();
}

static void plain_handler(int signal)
{
    _exit(signal == SIGSEGV ? 44 : 2);
}

static void run_null_plain(void)
{
    signal(SIGSEGV, plain_handler);
    run_null();
}

static void other_faults_go_to_the_programs_handler(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_null_handled), 42000);
    assert_said_nothing();
    assert_int_equal(end_of(run_null_handled_once), 43000);
    assert_int_equal(end_of(run_null_plain), 44000);
}

static void own_handler_any(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    _exit(45);
}

static void run_overflow_handled(void)
{
    set_handler(own_handler_any, 0, 0);
    run_first();
}

static void after_the_report_an_overflow_goes_there_too(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_overflow_handled), 45000);
    assert_said("thrum: stack overflow");
}

static int kill_itself(void *arg)
{
    (void)arg;
    return raise(SIGSEGV);
}

static void run_killed(void)
{
    (void)thrum_run(kill_itself, NULL, &(thrum_run_opts){.workers = 1});
}

static void run_killed_ignoring(void)
{
    signal(SIGSEGV, SIG_IGN);
    run_killed();
    _exit(signal(SIGSEGV, SIG_DFL) == SIG_IGN ? 46 : 2);
}

static void run_null_ignoring(void)
{
    signal(SIGSEGV, SIG_IGN);
    run_null();
}

static void signals_from_outside_do_what_they_did(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_killed), SIGSEGV);
    assert_int_equal(end_of(run_killed_ignoring), 46000);
    assert_int_equal(end_of(run_null_ignoring), SIGSEGV); /* the kernel insists */
    assert_said_nothing();
}

/* ---- Setting and unsetting ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int see_handler(void *arg)
{
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    return (now.sa_flags & SA_ONSTACK) && now.sa_handler != SIG_DFL ? nothing(arg) : 1;
}

static void run_and_look(void)
{
    struct sigaction now;
    for (int i = 0; i < 3; i++)
        if (thrum_run(see_handler, NULL, &(thrum_run_opts){.workers = 2}) != 0)
            _exit(1);
    sigaction(SIGSEGV, NULL, &now);
    if (now.sa_handler != SIG_DFL)
        _exit(2);
    sigaction(SIGBUS, NULL, &now);
    _exit(now.sa_handler != SIG_DFL ? 3 : 47);
}

static void the_last_runtime_puts_back_what_was_there(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_and_look), 47000);
}

static struct sigaction below;

/* As crash reporters do. */
static void wrapping_handler(int signal, siginfo_t *info, void *context)
{
    static const char text[] = "wrapped\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)n;
    below.sa_sigaction(signal, info, context);
    sigaction(SIGSEGV, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

static int wrap(void *arg)
{
    struct sigaction own = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)arg;
    own.sa_sigaction = wrapping_handler;
    return sigaction(SIGSEGV, &own, &below);
}

static void run_wrapped(void)
{
    if (thrum_run(wrap, NULL, NULL) != 0 || thrum_run(nothing, NULL, NULL) != 0)
        _exit(1);
    run_first();
}

static void a_handler_set_over_ours_stays_and_may_call_it(void **state)
{
    (void)state;
    assert_int_equal(end_of(run_wrapped), SIGSEGV);
    assert_said("wrapped\nthrum: stack overflow");
    assert_null(strstr(strstr(said, "wrapped") + 1, "wrapped")); /* once, not round and round */
}

int main(void)
{
    if (thr_sanitizer_reports_faults())
        return 77; /* and nothing of ours */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_names_task_site_and_the_size_to_ask_for),
        cmocka_unit_test(there_is_a_largest_size),
        cmocka_unit_test(the_first_task_is_told_of_the_runtimes_option),
        cmocka_unit_test(a_child_on_its_parents_stack_is_named),
        cmocka_unit_test(with_guards_of_older_kernels_too),
        cmocka_unit_test(without_guards_it_is_found_at_the_end),
        cmocka_unit_test(a_wild_access_to_another_guard_is_said_to_be_one),
        cmocka_unit_test(other_faults_end_the_process_as_ever),
        cmocka_unit_test(other_faults_go_to_the_programs_handler),
        cmocka_unit_test(after_the_report_an_overflow_goes_there_too),
        cmocka_unit_test(signals_from_outside_do_what_they_did),
        cmocka_unit_test(the_last_runtime_puts_back_what_was_there),
        cmocka_unit_test(a_handler_set_over_ours_stays_and_may_call_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
