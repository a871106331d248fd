/* SPDX-License-Identifier: MIT */
/* The debug check for locks of threads that a task holds when it suspends: what is reported, and what is not. Each case runs
 * in a process of its own, since a report ends it. */
#include "running.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* ---- A process of its own ---- */

struct outcome {
    int status;      /* as waitpid() gives it */
    char text[8192]; /* its standard error */
};

static void read_all(int fd, char *text, size_t bytes)
{
    size_t n = 0;
    ssize_t got;
    while (n + 1 < bytes && (got = read(fd, text + n, bytes - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
}

/* fn(arg) as the first task on so many workers; env: what THRUM_HELD_LOCKS is, or NULL. */
static void run_apart(struct outcome *out, unsigned workers, thrum_fn *fn, void *arg,
                      const char *env)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork(); /* this process has no other thread */
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        if (env)
            setenv("THRUM_HELD_LOCKS", env, 1);
        else
            unsetenv("THRUM_HELD_LOCKS");
        int result = run_on(workers, fn, arg);
        _exit(result == 0 && atomic_load(&wrong_n) == 0 ? 0 : 1);
    }
    close(fds[1]);
    read_all(fds[0], out->text, sizeof(out->text));
    close(fds[0]);
    assert_int_equal(waitpid(child, &out->status, 0), child);
}

static bool was_aborted(const struct outcome *o)
{
    return WIFSIGNALED(o->status) && WTERMSIG(o->status) == SIGABRT;
}

static int count_of(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

/* ---- Each kind of lock ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static mtx_t mtx;

static struct timespec soon(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 60;
    return t;
}

static int lock_mutex(void)
{
    return pthread_mutex_lock(&mutex);
}

static int try_mutex(void)
{
    return pthread_mutex_trylock(&mutex);
}

static int timed_mutex(void)
{
    struct timespec t = soon();
    return pthread_mutex_timedlock(&mutex, &t);
}

static int clock_mutex(void)
{
    struct timespec t = soon();
    return pthread_mutex_clocklock(&mutex, CLOCK_REALTIME, &t);
}

static int unlock_mutex(void)
{
    return pthread_mutex_unlock(&mutex);
}

static int lock_read(void)
{
    return pthread_rwlock_rdlock(&rwlock);
}

static int try_read(void)
{
    return pthread_rwlock_tryrdlock(&rwlock);
}

static int timed_read(void)
{
    struct timespec t = soon();
    return pthread_rwlock_timedrdlock(&rwlock, &t);
}

static int clock_read(void)
{
    struct timespec t = soon();
    return pthread_rwlock_clockrdlock(&rwlock, CLOCK_REALTIME, &t);
}

static int lock_write(void)
{
    return pthread_rwlock_wrlock(&rwlock);
}

static int try_write(void)
{
    return pthread_rwlock_trywrlock(&rwlock);
}

static int timed_write(void)
{
    struct timespec t = soon();
    return pthread_rwlock_timedwrlock(&rwlock, &t);
}

static int clock_write(void)
{
    struct timespec t = soon();
    return pthread_rwlock_clockwrlock(&rwlock, CLOCK_REALTIME, &t);
}

static int unlock_rwlock(void)
{
    return pthread_rwlock_unlock(&rwlock);
}

static int lock_spin(void)
{
    return pthread_spin_lock(&spin);
}

static int try_spin(void)
{
    return pthread_spin_trylock(&spin);
}

static int unlock_spin(void)
{
    return pthread_spin_unlock(&spin);
}

static int lock_mtx(void)
{
    return mtx_lock(&mtx);
}

static int try_mtx(void)
{
    return mtx_trylock(&mtx);
}

static int timed_mtx(void)
{
    struct timespec t = soon();
    return mtx_timedlock(&mtx, &t);
}

static int unlock_mtx(void)
{
    return mtx_unlock(&mtx);
}

static const struct kind {
    int (*lock)(void), (*unlock)(void);
    const volatile void *address;
} kinds[] = {
    {lock_mutex, unlock_mutex, &mutex},    {try_mutex, unlock_mutex, &mutex},
    {timed_mutex, unlock_mutex, &mutex},   {clock_mutex, unlock_mutex, &mutex},
    {lock_read, unlock_rwlock, &rwlock},   {try_read, unlock_rwlock, &rwlock},
    {timed_read, unlock_rwlock, &rwlock},  {clock_read, unlock_rwlock, &rwlock},
    {lock_write, unlock_rwlock, &rwlock},  {try_write, unlock_rwlock, &rwlock},
    {timed_write, unlock_rwlock, &rwlock}, {clock_write, unlock_rwlock, &rwlock},
    {lock_spin, unlock_spin, &spin},       {try_spin, unlock_spin, &spin},
    {lock_mtx, unlock_mtx, &mtx},          {try_mtx, unlock_mtx, &mtx},
    {timed_mtx, unlock_mtx, &mtx},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- What is reported ---- */

static int hold_and_suspend(void *arg)
{
    const struct kind *k = arg;
    EXPECT_IS(k->lock(), 0);
    EXPECT_IS(thrum_sleep(MS), 0);
    return k->unlock();
}

static int spawn_holder(void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn_named(&scope, "holder", hold_and_suspend, arg), 0);
    return thrum_scope_close(&scope);
}

static void a_lock_held_across_a_suspension_is_reported(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct outcome o;
        char line[200];
        run_apart(&o, 1 + i % 2, spawn_holder, (void *)(uintptr_t)&kinds[i], NULL);
        assert_true(was_aborted(&o));
        snprintf(line, sizeof(line), "suspends while lock %p is held",
                 (const void *)(uintptr_t)kinds[i].address);
        assert_int_equal(count_of(o.text, line), 1);
        assert_int_equal(count_of(o.text, "task \"holder\" (spawned at "), 1);
        assert_non_null(strstr(o.text, "test_heldlock.c:")); /* where it was spawned */
        assert_non_null(strstr(o.text, "It was locked, in task \"holder\", at\n"));
        assert_non_null(strstr(o.text, "the task suspends at\n"));
        assert_true(count_of(o.text, "test_exec_heldlock(") >= 2 * 3); /* the stacks' frames */
    }
}

/* The first frame of each stack is the caller's, not the check's own: that is all that a reader sees at a glance. */
static void the_stacks_begin_at_the_call(void **state)
{
    struct outcome o;
    char first[2][300];
    (void)state;
    run_apart(&o, 1, spawn_holder, (void *)(uintptr_t)&kinds[0], NULL);
    const char *locked = strstr(o.text, "holder\", at\n");
    const char *suspends = strstr(o.text, "the task suspends at\n");
    assert_true(locked && suspends);
    assert_int_equal(sscanf(locked, "%*[^\n]\n%299[^\n]", first[0]), 1);
    assert_int_equal(sscanf(suspends, "%*[^\n]\n%299[^\n]", first[1]), 1);
    assert_string_not_equal(first[0], first[1]);
    assert_null(strstr(first[0], "pthread_mutex_lock"));
    assert_null(strstr(first[1], "thr_heldlock"));
}

static int hold_twice(void *arg)
{
    EXPECT_IS(spawn_holder(arg), 0);
    EXPECT_IS(spawn_holder(arg), 0);
    return thrum_sleep(MS); /* holds nothing */
}

static void a_warning_goes_on(void **state)
{
    struct outcome o;
    (void)state;
    run_apart(&o, 1, hold_twice, (void *)(uintptr_t)&kinds[0], "warn");
    assert_int_equal(o.status, 0);
    assert_int_equal(count_of(o.text, "is held"), 2);
}

static int return_with_it(void *arg)
{
    (void)arg;
    return pthread_mutex_lock(&mutex);
}

/* Who suspends there next is not to blame: the report names who locked it. */
static int leave_it_locked(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn_named(&scope, "forgetful", return_with_it, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    return thrum_sleep(MS);
}

static void a_task_that_returns_with_a_lock_is_named(void **state)
{
    struct outcome o;
    (void)state;
    run_apart(&o, 1, leave_it_locked, NULL, NULL);
    assert_true(was_aborted(&o));
    assert_non_null(strstr(o.text, "It was locked, in task \"forgetful\", at\n"));
}

/* ---- What is not ---- */

static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool ready;

static int make_ready(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mutex);
    ready = true;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&mutex);
    return 0;
}

static void *make_ready_in_thread(void *arg)
{
    make_ready(arg);
    return NULL;
}

static void wait_for_condition(void)
{
    pthread_t thread;
    ready = false;
    EXPECT_IS(pthread_create(&thread, NULL, make_ready_in_thread, NULL), 0);
    pthread_mutex_lock(&mutex);
    while (!ready)
        pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    EXPECT_IS(thrum_yield(), 0);
    pthread_join(thread, NULL);
}

static void lock_recursively(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t recursive;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attr);
    for (int i = 0; i < 5; i++)
        EXPECT_IS(pthread_mutex_lock(&recursive), 0);
    for (int i = 0; i < 5; i++)
        EXPECT_IS(pthread_mutex_unlock(&recursive), 0);
    EXPECT_IS(thrum_yield(), 0);
    pthread_mutex_destroy(&recursive);
    pthread_mutexattr_destroy(&attr);
}

static void lock_many_in_any_order(void)
{
    enum { MANY = 40 }; /* more than are noted */
    static const int steps[] = {1, 3, 7, 11};
    pthread_mutex_t many[MANY];
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        for (int i = 0; i < MANY; i++) {
            pthread_mutex_init(&many[i], NULL);
            EXPECT_IS(pthread_mutex_lock(&many[i]), 0);
        }
        for (int i = 0; i < MANY; i++)
            EXPECT_IS(pthread_mutex_unlock(&many[i * steps[s] % MANY]), 0);
        EXPECT_IS(thrum_yield(), 0);
    }
}

static void *hold_for_others(void *arg)
{
    pthread_barrier_t *both = arg;
    pthread_mutex_lock(&mutex);
    pthread_rwlock_wrlock(&rwlock);
    pthread_barrier_wait(both);
    pthread_barrier_wait(both);
    pthread_rwlock_unlock(&rwlock);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* Another thread holds them: nothing was locked here. */
static void try_in_vain(void)
{
    pthread_t thread;
    pthread_barrier_t both;
    struct timespec past = {0};
    pthread_barrier_init(&both, NULL, 2);
    EXPECT_IS(pthread_create(&thread, NULL, hold_for_others, &both), 0);
    pthread_barrier_wait(&both);
    EXPECT_IS(pthread_mutex_trylock(&mutex), EBUSY);
    EXPECT_IS(pthread_mutex_timedlock(&mutex, &past), ETIMEDOUT);
    EXPECT_IS(pthread_rwlock_tryrdlock(&rwlock), EBUSY);
    EXPECT_IS(pthread_rwlock_trywrlock(&rwlock), EBUSY);
    EXPECT_IS(thrum_yield(), 0);
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&both);
}

static int lock_for_short(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        for (size_t k = 0; k < KINDS; k++) {
            if (kinds[k].lock() == 0) /* another worker may have it: those that try do not wait */
                kinds[k].unlock();
        }
        EXPECT_IS(thrum_yield(), 0);
        EXPECT_IS(thrum_sleep(MS / 10), 0);
    }
    return 0;
}

static int behave(void *arg)
{
    thrum_scope scope;
    (void)arg;
    wait_for_condition();
    lock_recursively();
    lock_many_in_any_order();
    try_in_vain();
    EXPECT_IS(thrum_blocking(make_ready, NULL), 0);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 20; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, lock_for_short, NULL), 0);
    return thrum_scope_close(&scope);
}

static void correct_code_is_not_reported(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        struct outcome o;
        run_apart(&o, *n, behave, NULL, NULL);
        assert_string_equal(o.text, "");
        assert_int_equal(o.status, 0);
    }
}

int main(void)
{
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    mtx_init(&mtx, mtx_timed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_held_across_a_suspension_is_reported),
        cmocka_unit_test(the_stacks_begin_at_the_call),
        cmocka_unit_test(a_warning_goes_on),
        cmocka_unit_test(a_task_that_returns_with_a_lock_is_named),
        cmocka_unit_test(correct_code_is_not_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
