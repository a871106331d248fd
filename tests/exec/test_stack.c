/* SPDX-License-Identifier: MIT */
/* The pool of stacks: guards, colours, reuse, many of them, and what happens when the system refuses.
 *
 * The file is compiled into this test, so that its system calls can be made to fail. */
#include "exec/sanitizer.h"
#include "running.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static bool no_guard_install, no_mprotect;
static long maps_left = -1; /* mappings until none is to be had; negative: no end */

static void *failing_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (maps_left == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    maps_left -= maps_left > 0;
    return mmap(at, bytes, prot, flags, fd, offset);
}

static int failing_madvise(void *at, size_t bytes, int advice)
{
    if (advice == 102 && no_guard_install) { /* MADV_GUARD_INSTALL */
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

#define mmap failing_mmap
#define madvise failing_madvise
#define mprotect failing_mprotect
#include "exec/stack.c"
#undef mmap
#undef madvise
#undef mprotect

enum { BYTES = 64 << 10 };

static struct thr_stack_pool pool;
static struct thr_stack_cache cache;

static int setup(void **state)
{
    (void)state;
    maps_left = -1;
    thr_stack_pool_init(&pool, BYTES);
    memset(&cache, 0, sizeof(cache));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    thr_stack_pool_fini(&pool);
    return 0;
}

static struct thr_stack *take(void)
{
    struct thr_stack *s = thr_stack_take(&pool, &cache);
    assert_non_null(s);
    return s;
}

static void a_size_is_rounded_up_to_pages(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct thr_stack_pool p;
    thr_stack_pool_init(&p, 3 * page + 1);
    assert_int_equal(p.bytes, 4 * page);
    assert_null(p.regions); /* nothing is reserved before the first take */
    thr_stack_pool_fini(&p);
}

static void the_stack_given_last_is_taken_first(void **state)
{
    (void)state;
    struct thr_stack *a = take(), *b = take();
    assert_ptr_not_equal(a, b);
    thr_stack_give(&pool, &cache, a);
    assert_ptr_equal(take(), a);
    thr_stack_give(&pool, &cache, a);
    thr_stack_give(&pool, &cache, b);
    assert_ptr_equal(take(), b);
    assert_ptr_equal(take(), a);
}

static void neighbours_start_at_different_colours(void **state)
{
    (void)state;
    enum { N = 64 };
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), seen[16] = {0}, seen_n = 0;
    for (int i = 0; i < N; i++) {
        struct thr_stack *s = take();
        uintptr_t top = (uintptr_t)thr_stack_top(s);
        assert_int_equal(top % 64, 0);
        assert_true(s->bytes > BYTES - 3072 && s->bytes <= BYTES);
        size_t k = 0;
        while (k < seen_n && seen[k] != top % page)
            k++;
        if (k == seen_n)
            seen[seen_n++] = top % page;
        assert_true(seen_n < 16 || k < 16);
    }
    assert_int_equal(seen_n, 16);
}

static void many_stacks_do_not_overlap(void **state)
{
    (void)state;
    enum { N = BY_BUILD(100000, 20000, 2000) };
    struct thr_stack **all = calloc(N, sizeof(struct thr_stack *));
    assert_non_null(all);
    for (size_t i = 0; i < N; i++) {
        all[i] = take();
        size_t *top = (size_t *)thr_stack_top(all[i]) - 1,
               *bottom = (size_t *)(void *)all[i]->bottom;
        *top = i;
        if (i % 64 == 0)
            *bottom = i;
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(((size_t *)thr_stack_top(all[i]))[-1], i);
        if (i % 64 == 0)
            assert_int_equal(*(size_t *)(void *)all[i]->bottom, i);
    }
    assert_true(thr_load(&pool.carved_n, THR_RELAXED) >= N);
    for (size_t i = 0; i < N; i++)
        thr_stack_give(&pool, &cache, all[i]);
    assert_true(cache.free_n <= 128); /* the surplus is everybody's */
    size_t before = thr_load(&pool.carved_n, THR_RELAXED);
    for (size_t i = 0; i < N; i++)
        all[i] = take();
    assert_int_equal(thr_load(&pool.carved_n, THR_RELAXED), before); /* no new ones */
    free(all);
}

/* ---- Guards ---- */

static volatile char *poke_at;

/* Returns: the signal that ended a child process which ran fn; 0 if it lived. */
static int death_of(void (*fn)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* of the sanitizers too */
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(9);
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) * 1000;
}

static void poke(void)
{
    *poke_at = 1;
}

static int touching(char *at)
{
    poke_at = at;
    return death_of(poke);
}

static void check_guard(const struct thr_stack *s)
{
    assert_false(s->canary);
    assert_int_equal(touching(s->bottom), 0);
    assert_int_equal(touching(s->bottom - 1), SIGSEGV);
    assert_int_equal(touching(s->bottom - THR_STACK_GUARD_BYTES), SIGSEGV);
}

static void touching_the_guard_faults(void **state)
{
    (void)state;
    thr_store(&mprotect_guards_n, 0, THR_RELAXED); /* where that is what guards are made with */
    for (int i = 0; i < 3; i++)
        check_guard(take());
}

static void older_kernels_have_guards_too(void **state)
{
    (void)state;
    no_guard_install = true;
    thr_store(&guard_install, GUARD_UNTRIED, THR_RELAXED);
    thr_store(&mprotect_guards_n, 0, THR_RELAXED);
    struct thr_stack *s = take();
    no_guard_install = false;
    check_guard(s);
    assert_int_equal(thr_load(&guard_install, THR_RELAXED), GUARD_MISSING); /* not asked again */
    thr_store(&guard_install, GUARD_UNTRIED, THR_RELAXED);
}

static struct thr_stack *unguarded;

static void give_unguarded(void)
{
    thr_stack_give(&pool, &cache, unguarded);
}

static void without_guards_an_overflow_is_found_at_the_end(void **state)
{
    (void)state;
    no_guard_install = no_mprotect = true;
    thr_store(&guard_install, GUARD_UNTRIED, THR_RELAXED);
    unguarded = take();
    no_guard_install = no_mprotect = false;
    thr_store(&guard_install, GUARD_UNTRIED, THR_RELAXED);
    assert_true(unguarded->canary);
    assert_int_equal(death_of(give_unguarded), 0);
    unguarded->bottom[-3] ^= 1;
    assert_int_equal(death_of(give_unguarded), SIGABRT);
    unguarded->bottom[-3] ^= 1;
    give_unguarded();
}

static void guards_by_mprotect_have_a_budget(void **state)
{
    (void)state;
    no_guard_install = true;
    thr_store(&guard_install, GUARD_MISSING, THR_RELAXED);
    thr_store(&mprotect_guards_n, MPROTECT_GUARDS_MAX - 40, THR_RELAXED);
    size_t guarded = 0, canaries = 0;
    for (int i = 0; i < 80; i++)
        *(take()->canary ? &canaries : &guarded) += 1;
    no_guard_install = false;
    thr_store(&guard_install, GUARD_UNTRIED, THR_RELAXED);
    assert_true(guarded >= 16 && guarded <= 40 && canaries >= 40);
}

/* What no sanitizer is told of and no compiler can cut short. */
static __attribute__((noinline)) int recurse(volatile int *depth)
{
    volatile char frame[512];
    frame[0] = (char)++*depth;
    int below = *depth > 0 ? recurse(depth) : 0;
    return below + frame[0];
}

static int overflow_task(void *arg)
{
    (void)arg;
    volatile int depth = 1;
    return recurse(&depth) & 1;
}

static void run_overflow(void)
{
    (void)thrum_run(overflow_task, NULL, &(thrum_run_opts){.workers = 1});
}

static void a_task_that_overflows_dies_by_the_signal(void **state)
{
    (void)state;
    assert_int_equal(death_of(run_overflow), SIGSEGV);
}

/* ---- No memory ---- */

static void without_memory_there_is_no_stack(void **state)
{
    (void)state;
    for (long allowed = 0; allowed < 2; allowed++) { /* descriptors, then the stacks themselves */
        maps_left = allowed;
        assert_null(thr_stack_take(&pool, &cache));
        assert_null(pool.regions);
    }
    maps_left = -1;
    take();
}

static int child(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

/* The first task has its stack; whoever needs the next region does not get one. */
static int spawn_without_stacks(void *arg)
{
    thrum_task *task;
    int result = 0;
    thrum_scope scope;
    maps_left = 0;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_spawn(&task, child, arg, NULL), 0);
    EXPECT_IS(thrum_join(task, &result), 0);
    EXPECT_IS(result, 0); /* of the first slab one is left */
    maps_left = -1;
    return thrum_scope_close(&scope);
}

static int refuse_at_once(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void a_task_without_a_stack_ends_with_enomem(void **state)
{
    (void)state;
    atomic_int ran = 0;
    assert_runs(1, spawn_without_stacks, &ran);
    assert_int_equal(ran, 1);
    maps_left = 0;
    assert_int_equal(thrum_run(refuse_at_once, &ran, &(thrum_run_opts){.workers = 2}), -ENOMEM);
    assert_int_equal(ran, 1);
    maps_left = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_is_rounded_up_to_pages),
        cmocka_unit_test_setup_teardown(the_stack_given_last_is_taken_first, setup, teardown),
        cmocka_unit_test_setup_teardown(neighbours_start_at_different_colours, setup, teardown),
        cmocka_unit_test_setup_teardown(many_stacks_do_not_overlap, setup, teardown),
        cmocka_unit_test_setup_teardown(touching_the_guard_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(older_kernels_have_guards_too, setup, teardown),
        cmocka_unit_test_setup_teardown(without_guards_an_overflow_is_found_at_the_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(guards_by_mprotect_have_a_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(a_task_that_overflows_dies_by_the_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_there_is_no_stack, setup, teardown),
        cmocka_unit_test_setup_teardown(a_task_without_a_stack_ends_with_enomem, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
