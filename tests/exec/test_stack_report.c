/* SPDX-License-Identifier: MIT */
/* How deep tasks use their stacks is told by the places that spawned them. */
#include "exec/runtime.h"
#include "exec/sanitizer.h"
#include "running.h"

#include <thrum/stack.h>

/* What the library itself, and the frames of a sanitizer, may add to what a task uses. */
enum { OVERHEAD = BY_BUILD(6 << 10, 24 << 10, 40 << 10), STACK = 256 << 10 };

/* ---- Asking ---- */

struct wanted {
    const char *function;
    unsigned line; /* 0: any */
    thrum_stack_use found;
    unsigned n;
};

static void keep_wanted(const thrum_stack_use *use, void *arg)
{
    struct wanted *w = arg;
    if (!use->function || strcmp(use->function, w->function) != 0 ||
        (w->line && use->line != w->line))
        return;
    w->found = *use;
    w->n++;
}

/* What is known of tasks that were spawned in this function; all zero if nothing is. */
static thrum_stack_use use_of(const char *function)
{
    struct wanted w = {.function = function};
    thrum_stack_census(keep_wanted, &w);
    assert_true(w.n <= 1);
    return w.found;
}

static int run_census(unsigned workers, thrum_fn *fn, void *arg)
{
    return thrum_run(
        fn, arg, &(thrum_run_opts){.workers = workers, .stack_bytes = STACK, .stack_census = true});
}

static void assert_used(const char *function, uint64_t tasks_n, size_t bytes)
{
    thrum_stack_use use = use_of(function);
    assert_int_equal(use.tasks_n, tasks_n);
    assert_in_range(use.deepest_bytes, bytes, bytes + OVERHEAD);
    assert_non_null(strstr(use.file, "test_stack_report.c"));
    assert_true(use.line > 0);
    assert_int_equal(use.stack_bytes, STACK);
}

/* ---- Using ---- */

/* Uses exactly so many bytes below its own frame. */
static int use_exactly(void *arg)
{
    char *at = (char *)__builtin_frame_address(0) - (uintptr_t)arg;
    *(volatile char *)at = 1;
    return 0;
}

static int spawn_and_join(void *arg)
{
    thrum_task *task;
    int err = thrum_spawn(&task, use_exactly, arg, NULL);
    return err ? err : thrum_join(task, NULL);
}

static void without_a_census_nothing_is_told(void **state)
{
    (void)state;
    assert_runs(1, spawn_and_join, (void *)9000);
    assert_int_equal(use_of("spawn_and_join").tasks_n, 0);
    assert_int_equal(use_of("thrum_run").tasks_n, 0);
}

static void the_deepest_use_is_told_by_site(void **state)
{
    (void)state;
    assert_int_equal(run_census(1, spawn_and_join, (void *)50000), 0);
    assert_used("spawn_and_join", 1, 50000);
    assert_int_equal(run_census(1, spawn_and_join, (void *)200000), 0);
    assert_used("spawn_and_join", 2, 200000);
    assert_int_equal(run_census(1, spawn_and_join, (void *)60000), 0);
    assert_used("spawn_and_join", 3, 200000); /* the deepest so far */
    assert_int_equal(use_of("thrum_run").tasks_n, 3);
    assert_null(use_of("thrum_run").file);
    assert_in_range(use_of("thrum_run").deepest_bytes, 256, OVERHEAD);
}

/* The same few stacks serve them one after the other, the deep ones first. */
static int spawn_deep(thrum_scope *scope)
{
    int err = 0;
    for (int i = 0; i < 20 && !err; i++)
        err = thrum_scope_spawn(scope, use_exactly, (void *)100000);
    return err;
}

static int spawn_shallow(thrum_scope *scope)
{
    int err = 0;
    for (int i = 0; i < 200 && !err; i++)
        err = thrum_scope_spawn(scope, use_exactly, (void *)3000);
    return err;
}

static int deep_then_shallow(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        EXPECT_IS(spawn_deep(&scope), 0);
        EXPECT_IS(thrum_sleep(MS), 0);
        EXPECT_IS(spawn_shallow(&scope), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    return 0;
}

static void a_shallow_task_is_not_charged_with_what_a_deep_one_left(void **state)
{
    (void)state;
    assert_int_equal(run_census(1, deep_then_shallow, NULL), 0);
    assert_int_equal(run_census(4, deep_then_shallow, NULL), 0);
    assert_int_equal(atomic_load(&wrong_n), 0);
    assert_used("spawn_deep", 2 * 3 * 20, 100000);
    assert_used("spawn_shallow", 2 * 3 * 200, 3000);
}

/* A parent that goes deep and then closes over children which go nowhere, and the other way round. */
static int spawn_leaf(thrum_scope *scope, uintptr_t bytes)
{
    return thrum_scope_spawn(scope, use_exactly, (void *)bytes);
}

static int deep_parent(void *arg)
{
    thrum_scope scope;
    use_exactly((void *)120000);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 50; i++)
        EXPECT_IS(spawn_leaf(&scope, 4000), 0);
    (void)arg;
    return thrum_scope_close(&scope);
}

static int spawn_parents(void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 5; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, deep_parent, arg), 0);
    return thrum_scope_close(&scope);
}

static void parents_and_children_are_measured_apart(void **state)
{
    (void)state;
    assert_int_equal(run_census(1, spawn_parents, NULL), 0);
    assert_int_equal(run_census(2, spawn_parents, NULL), 0);
    assert_int_equal(atomic_load(&wrong_n), 0);
    assert_used("spawn_parents", 10, 120000);
    assert_used("spawn_leaf", 500, 4000);
}

static int spawn_largest(void *arg)
{
    thrum_task *task;
    thrum_spawn_opts opts = {.stack_bytes = 8 << 20};
    int err = thrum_spawn(&task, use_exactly, arg, &opts);
    return err ? err : thrum_join(task, NULL);
}

static void the_size_is_that_of_the_deepest(void **state)
{
    (void)state;
    assert_int_equal(run_census(2, spawn_largest, (void *)(3 << 20)), 0);
    thrum_stack_use deepest = use_of("spawn_largest");
    assert_int_equal(deepest.stack_bytes, 8 << 20);
    assert_in_range(deepest.deepest_bytes, 3 << 20, (3 << 20) + OVERHEAD);
}

static int spawn_unknown(void *arg)
{
    thrum_task *task;
    int err = thrum_spawn_at(NULL, &task, use_exactly, arg, NULL);
    return err ? err : thrum_join(task, NULL);
}

static void keep_unknown(const thrum_stack_use *found, void *arg)
{
    if (!found->file && !found->function)
        *(uint64_t *)arg = found->tasks_n;
}

static void tasks_without_a_site_are_counted_together(void **state)
{
    (void)state;
    uint64_t n = 0;
    assert_int_equal(run_census(1, spawn_unknown, (void *)1000), 0);
    thrum_stack_census(keep_unknown, &n);
    assert_int_equal(n, 1);
}

static int spawn_by_environment(void *arg)
{
    thrum_task *task;
    int err = thrum_spawn(&task, use_exactly, arg, NULL);
    return err ? err : thrum_join(task, NULL);
}

static void the_environment_switches_it_on_too(void **state)
{
    (void)state;
    setenv("THRUM_STACK_CENSUS", "0", 1);
    assert_int_equal(thrum_run(spawn_by_environment, (void *)1000, NULL), 0);
    assert_int_equal(use_of("spawn_by_environment").tasks_n, 0);
    setenv("THRUM_STACK_CENSUS", "1", 1);
    assert_int_equal(thrum_run(spawn_by_environment, (void *)1000, NULL), 0);
    unsetenv("THRUM_STACK_CENSUS");
    assert_int_equal(use_of("spawn_by_environment").tasks_n, 1);
    assert_int_equal(use_of("spawn_by_environment").stack_bytes, 64 << 10);
}

static void a_report_is_a_table(void **state)
{
    (void)state;
    char *text = NULL;
    size_t text_n = 0;
    FILE *out = open_memstream(&text, &text_n);
    assert_non_null(out);
    assert_int_equal(thrum_stack_report(out), 0);
    fclose(out);
    assert_non_null(strstr(text, "deepest"));
    assert_non_null(strstr(text, "spawn_deep() at "));
    assert_non_null(strstr(text, "test_stack_report.c:"));
    assert_non_null(strstr(text, "first task of a runtime\n"));
    assert_non_null(strstr(text, "unknown\n"));
    free(text);
    out = fopen("/dev/full", "w");
    assert_non_null(out);
    assert_int_equal(thrum_stack_report(out), -EIO);
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_census_nothing_is_told),
        cmocka_unit_test(the_deepest_use_is_told_by_site),
        cmocka_unit_test(a_shallow_task_is_not_charged_with_what_a_deep_one_left),
        cmocka_unit_test(parents_and_children_are_measured_apart),
        cmocka_unit_test(the_size_is_that_of_the_deepest),
        cmocka_unit_test(tasks_without_a_site_are_counted_together),
        cmocka_unit_test(the_environment_switches_it_on_too),
        cmocka_unit_test(a_report_is_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
