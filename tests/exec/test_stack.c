/* SPDX-License-Identifier: MIT */
/* The stacks: classes, guards, colours, reuse, many of them, and what happens when the system refuses.
 *
 * The files are compiled into this test, so that their system calls can be made to fail. */
#include "exec/sanitizer.h"
#include "running.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static bool no_guard_install, no_guard_batch, no_mprotect; /* not while tasks run */
static atomic_long maps_left = -1; /* mappings until none is to be had; negative: no end */

static void *failing_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (maps_left == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (maps_left > 0)
        maps_left--;
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

static atomic_uint syscalls_n;

/* The only one made this way advises many ranges at once. */
static long failing_syscall(long number, int self, const struct iovec *ranges, size_t n, int advice,
                            unsigned flags)
{
    syscalls_n++;
    if (no_guard_batch) {
        errno = EPERM;
        return -1;
    }
    return syscall(number, self, ranges, n, advice, flags);
}

#define mmap failing_mmap
#define madvise failing_madvise
#define mprotect failing_mprotect
#define syscall failing_syscall
#include "exec/guard.c"
#include "exec/stack.c"
#undef syscall
#undef mmap
#undef madvise
#undef mprotect

enum { BYTES = 64 << 10 };

static struct thr_stacks stacks;
static struct thr_stack_pool *pool = &stacks.pools[0];
static struct thr_stack_cache caches[THR_STACK_CLASSES];

static int setup(void **state)
{
    (void)state;
    maps_left = -1;
    thr_stacks_init(&stacks, BYTES, false);
    memset(caches, 0, sizeof(caches));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    thr_stacks_fini(&stacks);
    return 0;
}

static struct thr_stack *take(void)
{
    struct thr_stack *s = thr_stack_take(&stacks, caches, 0);
    assert_non_null(s);
    return s;
}

static void a_size_is_rounded_up_to_pages(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct thr_stacks other;
    thr_stacks_init(&other, 3 * page + 1, false);
    assert_int_equal(other.pools[0].promised_bytes, 3 * page + 1);
    assert_int_equal(other.pools[0].bytes % page, 0);
    assert_true(other.pools[0].bytes >= 4 * page);
    for (int i = 0; i < THR_STACK_CLASSES; i++)
        assert_null(other.pools[i].last); /* nothing is reserved before the first take */
    thr_stacks_fini(&other);
}

static void the_stack_given_last_is_taken_first(void **state)
{
    (void)state;
    struct thr_stack *a = take(), *b = take();
    assert_ptr_not_equal(a, b);
    thr_stack_give(&stacks, caches, a);
    assert_ptr_equal(take(), a);
    thr_stack_give(&stacks, caches, a);
    thr_stack_give(&stacks, caches, b);
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
        assert_true(s->bytes > pool->bytes - 3072 && s->bytes >= BYTES);
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
    assert_true(thr_load(&pool->carved_n, THR_RELAXED) >= N);
    for (size_t i = 0; i < N; i++)
        thr_stack_give(&stacks, caches, all[i]);
    assert_true(caches[0].free_n <= 128); /* the surplus is everybody's */
    size_t before = thr_load(&pool->carved_n, THR_RELAXED);
    for (size_t i = 0; i < N; i++)
        all[i] = take();
    assert_int_equal(thr_load(&pool->carved_n, THR_RELAXED), before); /* no new ones */
    free(all);
}

/* ---- Classes ---- */

static void a_class_is_the_smallest_that_fits(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        int class;
    } wanted[] = {
        {0, 0},      {1, 1},         {16 << 10, 1},        {(16 << 10) + 1, 0}, {64 << 10, 0},
        {65537, 3},  {256 << 10, 3}, {(256 << 10) + 1, 4}, {1 << 20, 4},        {(1 << 20) + 1, 5},
        {8 << 20, 5}};
    uint8_t class;
    for (size_t i = 0; i < THR_COUNT_OF(wanted); i++) {
        assert_int_equal(thr_stacks_class(&stacks, wanted[i].bytes, &class), 0);
        assert_int_equal(class, wanted[i].class);
    }
    assert_int_equal(thr_stacks_class(&stacks, (8 << 20) + 1, &class), -EINVAL);
    assert_int_equal(thr_stacks_class(&stacks, SIZE_MAX, &class), -EINVAL);
}

static void the_runtimes_own_size_is_a_class_like_others(void **state)
{
    (void)state;
    struct thr_stacks other;
    uint8_t class;
    thr_stacks_init(&other, 100 << 10, false);
    assert_int_equal(thr_stacks_class(&other, 64 << 10, &class), 0);
    assert_int_equal(class, 2); /* smaller than the runtime's */
    assert_int_equal(thr_stacks_class(&other, 65 << 10, &class), 0);
    assert_int_equal(class, 0);
    assert_int_equal(thr_stacks_class(&other, 101 << 10, &class), 0);
    assert_int_equal(class, 3);
    thr_stacks_fini(&other);
}

static void each_class_has_what_it_promises(void **state)
{
    (void)state;
    for (unsigned i_class = 0; i_class < THR_STACK_CLASSES; i_class++) {
        uint8_t class = (uint8_t)i_class;
        struct thr_stack *all[70];
        for (size_t i = 0; i < THR_COUNT_OF(all); i++) {
            struct thr_stack *s = all[i] = thr_stack_take(&stacks, caches, class);
            assert_non_null(s);
            if (!s)
                return; /* for checkers that do not know assertions */
            assert_int_equal(s->class, class);
            assert_true(s->bytes >= stacks.pools[class].promised_bytes);
            s->bottom[0] = s->bottom[s->bytes - 1] = (char)i;
            assert_ptr_equal(thr_stack_find(&stacks, (uintptr_t)s->bottom), s);
            assert_ptr_equal(thr_stack_find(&stacks, (uintptr_t)thr_stack_top(s) - 1), s);
            assert_ptr_equal(thr_stack_find(&stacks, (uintptr_t)s->bottom - THR_GUARD_BYTES), s);
        }
        for (size_t i = 0; i < THR_COUNT_OF(all); i++) {
            assert_int_equal(all[i]->bottom[0], (char)i);
            assert_int_equal(all[i]->bottom[all[i]->bytes - 1], (char)i);
            thr_stack_give(&stacks, caches, all[i]);
        }
        assert_true(caches[class].free_n <= stacks.pools[class].cache_max);
    }
    assert_null(thr_stack_find(&stacks, (uintptr_t)&stacks));
    assert_null(thr_stack_find(&stacks, 0));
    assert_null(thr_stack_find(&stacks, UINTPTR_MAX));
}

static int use_bytes(void *arg)
{
    size_t n = *(size_t *)arg;
    char *low =
        (char *)__builtin_frame_address(0) - n + 4096; /* the frames so far have their part */
    for (char *p = (char *)__builtin_frame_address(0) - 4096; p > low; p -= 4096)
        *(volatile char *)p = 1;
    return thrum_yield();
}

/* Children of all sizes in one scope, some of them run at the close on this stack, and this on a small one. */
static int spawn_sizes(void *arg)
{
    static size_t sizes[] = {16 << 10, 64 << 10, 256 << 10, 1 << 20, 8 << 20, 12 << 10};
    thrum_scope scope;
    thrum_task *task;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < 12 * THR_COUNT_OF(sizes); i++) {
        size_t *n = &sizes[i % THR_COUNT_OF(sizes)];
        thrum_spawn_opts opts = {.stack_bytes = *n};
        EXPECT_IS(thrum_scope_spawn_opts(&scope, use_bytes, n, &opts), 0);
    }
    EXPECT_IS(thrum_scope_spawn_opts(&scope, use_bytes, sizes,
                                     &(thrum_spawn_opts){.stack_bytes = (8 << 20) + 1}),
              -EINVAL);
    EXPECT_IS(
        thrum_spawn(&task, use_bytes, sizes, &(thrum_spawn_opts){.stack_bytes = (8 << 20) + 1}),
        -EINVAL);
    EXPECT(!task);
    return thrum_scope_close(&scope);
}

static int spawn_sizes_from_sizes(void *arg)
{
    static const size_t sizes[] = {0, 16 << 10, 1 << 20};
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < THR_COUNT_OF(sizes); i++) {
        thrum_spawn_opts opts = {.stack_bytes = sizes[i]};
        EXPECT_IS(thrum_scope_spawn_opts(&scope, spawn_sizes, arg, &opts), 0);
    }
    return thrum_scope_close(&scope);
}

static void tasks_get_the_stack_they_ask_for(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, spawn_sizes_from_sizes, NULL);
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
    assert_int_equal(touching(s->bottom - THR_GUARD_BYTES), SIGSEGV);
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
    thr_store(&guard_install, UNTRIED, THR_RELAXED);
    thr_store(&mprotect_guards_n, 0, THR_RELAXED);
    struct thr_stack *s = take();
    no_guard_install = false;
    check_guard(s);
    assert_int_equal(thr_load(&guard_install, THR_RELAXED), MISSING); /* not asked again */
    thr_store(&guard_install, UNTRIED, THR_RELAXED);
}

static struct thr_stack *unguarded;

static void give_unguarded(void)
{
    thr_stack_give(&stacks, caches, unguarded);
}

static void without_guards_an_overflow_is_found_at_the_end(void **state)
{
    (void)state;
    no_guard_install = no_mprotect = true;
    thr_store(&guard_install, UNTRIED, THR_RELAXED);
    unguarded = take();
    no_guard_install = no_mprotect = false;
    thr_store(&guard_install, UNTRIED, THR_RELAXED);
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
    thr_store(&guard_install, MISSING, THR_RELAXED);
    uint32_t max = mprotect_budget();
    assert_true(max > 100);
    thr_store(&mprotect_guards_n, max - 40, THR_RELAXED);
    size_t guarded = 0, canaries = 0;
    for (int i = 0; i < 96; i++)
        *(take()->canary ? &canaries : &guarded) += 1;
    assert_int_equal(guarded, 40);
    assert_int_equal(canaries, 56);
    assert_int_equal(thr_load(&mprotect_guards_n, THR_RELAXED), max);
    thr_stacks_fini(&stacks);
    assert_int_equal(thr_load(&mprotect_guards_n, THR_RELAXED),
                     max - 40); /* others may have them */
    no_guard_install = false;
    thr_store(&guard_install, UNTRIED, THR_RELAXED);
    thr_store(&mprotect_guards_n, 0, THR_RELAXED);
}

/* Whether the kernel takes many at once, or one at a time, or knows only the latter. */
static void guards_are_made_many_at_once(void **state)
{
    (void)state;
    thr_store(&guard_install, UNTRIED, THR_RELAXED);
    thr_store(&guard_batch, UNTRIED, THR_RELAXED);
    syscalls_n = 0;
    check_guard(take());
    if (thr_load(&guard_install, THR_RELAXED) == MISSING)
        skip();
    assert_int_equal(syscalls_n, 1);
    check_guard(thr_stack_take(&stacks, caches, 3)); /* the first of a slab of its own */
}

static void guards_are_made_one_by_one_too(void **state)
{
    (void)state;
    no_guard_batch = true;
    syscalls_n = 0;
    for (int i = 0; i < 3 * THR_GUARD_BATCH; i++)
        if (i % 16 == 0)
            check_guard(take());
        else
            take();
    no_guard_batch = false;
    assert_true(syscalls_n <= 1); /* not asked again */
    thr_store(&guard_batch, UNTRIED, THR_RELAXED);
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
        assert_null(thr_stack_take(&stacks, caches, 0));
        assert_null(pool->last);
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
        cmocka_unit_test_setup_teardown(a_class_is_the_smallest_that_fits, setup, teardown),
        cmocka_unit_test(the_runtimes_own_size_is_a_class_like_others),
        cmocka_unit_test_setup_teardown(each_class_has_what_it_promises, setup, teardown),
        cmocka_unit_test(tasks_get_the_stack_they_ask_for),
        cmocka_unit_test_setup_teardown(touching_the_guard_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(older_kernels_have_guards_too, setup, teardown),
        cmocka_unit_test_setup_teardown(without_guards_an_overflow_is_found_at_the_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(guards_by_mprotect_have_a_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(guards_are_made_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(guards_are_made_one_by_one_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_task_that_overflows_dies_by_the_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_there_is_no_stack, setup, teardown),
        cmocka_unit_test_setup_teardown(a_task_without_a_stack_ends_with_enomem, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
