/* SPDX-License-Identifier: MIT */
/* Everything at once: tasks on 16 workers do what comes at random, nested in scopes that are cancelled or run out of time,
 * while plain threads send, receive, set and release. Nothing may be lost: what is conserved is added up after each round.
 *
 * test_exec_soak [SECONDS [SEED]]: for so long, and the same choices again (not the same interleaving). docs/testing.md */
#include "running.h"

#include <thrum/blocking.h>
#include <thrum/chan.h>
#include <thrum/select.h>
#include <thrum/sync.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 16,
    ACTORS = BY_BUILD(200, 100, 60),
    THREADS = 4,
    ACCOUNTS = 8,
    PERMITS = 3,
    CHILDREN_MAX = 5,
    DEPTH_MAX = 3,
    LIMIT_MAX = 400 * THRUM_MICROSECOND,
};

#define ROUND_NS (BY_BUILD(250, 300, 400) * MS)

static double seconds = BY_BUILD(3, 3, 4);
static uint64_t first_seed = 1;
static bool talks;

static struct {
    atomic_bool stop;   /* the actors */
    atomic_bool depart; /* the threads */

    thrum_mutex lock[ACCOUNTS];
    int64_t account[ACCOUNTS]; /* guarded by lock; the sum is 0 */

    thrum_chan *chans[3]; /* bounded, unbuffered, unbounded */
    atomic_llong sent_n, sent_sum, received_n, received_sum;

    thrum_sem permits;
    atomic_int permits_used;

    thrum_rwlock rw;
    int64_t left, right; /* guarded by rw; the same */

    thrum_cond changed; /* with lock[0] */
    thrum_event bell;

    atomic_llong called, calls_ran; /* thrum_blocking() */
    atomic_llong begun, ended;      /* tasks */
    atomic_llong operations, migrations;
} all;

/* Ended by what ends any wait, or not at all. */
static bool fine(int err)
{
    return err == 0 || err == -ECANCELED || err == -ETIMEDOUT;
}

/* ---- Locks ---- */

static void transfer(uint64_t *seed)
{
    uint32_t from = random_below(seed, ACCOUNTS - 1);
    uint32_t to = from + 1 + random_below(seed, ACCOUNTS - 1 - from);
    int64_t amount = random_below(seed, 100);
    int err = thrum_mutex_lock(&all.lock[from]); /* in the order of the array */
    EXPECT(fine(err));
    if (err)
        return;
    err = thrum_mutex_lock(&all.lock[to]);
    if (!err) {
        all.account[from] -= amount;
        if (amount % 4 == 0)
            (void)thrum_yield();
        all.account[to] += amount;
        thrum_mutex_unlock(&all.lock[to]);
    }
    EXPECT(fine(err));
    thrum_mutex_unlock(&all.lock[from]);
}

static void take_permit(uint64_t *seed)
{
    int err = thrum_sem_acquire(&all.permits);
    EXPECT(fine(err));
    if (err)
        return;
    EXPECT(atomic_fetch_add(&all.permits_used, 1) < PERMITS);
    if (random_below(seed, 2))
        (void)thrum_yield();
    atomic_fetch_sub(&all.permits_used, 1);
    thrum_sem_release(&all.permits);
}

static void read_or_write(uint64_t *seed)
{
    bool write = random_below(seed, 4) == 0;
    int err = write ? thrum_rwlock_write_lock(&all.rw) : thrum_rwlock_read_lock(&all.rw);
    EXPECT(fine(err));
    if (err)
        return;
    EXPECT_IS(all.left, all.right);
    if (write)
        all.left++;
    if (random_below(seed, 2))
        (void)thrum_yield();
    if (write) {
        all.right++;
        thrum_rwlock_write_unlock(&all.rw);
    } else {
        thrum_rwlock_read_unlock(&all.rw);
    }
}

static void wait_for_change(uint64_t *seed)
{
    if (thrum_mutex_lock(&all.lock[0]))
        return;
    if (random_below(seed, 2))
        thrum_cond_broadcast(&all.changed);
    else
        EXPECT(fine(thrum_cond_wait(&all.changed, &all.lock[0])));
    thrum_mutex_unlock(&all.lock[0]); /* it is held again, however the wait ended */
}

static void
wait_for_bell(uint64_t *seed) /* NOLINT(readability-non-const-parameter): one of a table */
{
    (void)seed;
    EXPECT(fine(thrum_event_wait(&all.bell)));
}

/* ---- Channels ---- */

static int64_t new_item(uint64_t *seed)
{
    return 1 + random_below(seed, 1000000);
}

static void was_sent(int64_t item)
{
    atomic_fetch_add(&all.sent_n, 1);
    atomic_fetch_add(&all.sent_sum, item);
}

static void was_received(int64_t item)
{
    EXPECT(item > 0);
    atomic_fetch_add(&all.received_n, 1);
    atomic_fetch_add(&all.received_sum, item);
}

static void send_one(uint64_t *seed)
{
    int64_t item = new_item(seed);
    int err = thrum_chan_send(all.chans[random_below(seed, 3)], &item);
    EXPECT(fine(err));
    if (!err)
        was_sent(item);
}

static void receive_one(uint64_t *seed)
{
    int64_t item = 0;
    int err = thrum_chan_recv(all.chans[random_below(seed, 3)], &item);
    EXPECT(fine(err));
    if (!err)
        was_received(item);
    else
        EXPECT_IS(item, 0);
}

static void select_one(uint64_t *seed)
{
    int64_t out = new_item(seed), in = 0;
    uint32_t a = random_below(seed, 3), b = random_below(seed, 3);
    thrum_case cases[] = {THRUM_SEND(all.chans[a], &out), THRUM_RECV(all.chans[b], &in),
                          THRUM_RECV(all.chans[1], &in), THRUM_EVENT(&all.bell)};
    int index = thrum_select(cases, 3 + random_below(seed, 2), random_below(seed, LIMIT_MAX));
    EXPECT(index >= 0 || fine(index));
    EXPECT(index < 0 || cases[index].result == 0);
    EXPECT_IS(in != 0, index == 1 || index == 2);
    if (index == 0)
        was_sent(out);
    else if (in)
        was_received(in);
}

/* ---- Time, threads ---- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * THRUM_SECOND + (uint64_t)t.tv_nsec;
}

static void sleep_a_little(uint64_t *seed)
{
    uint64_t start = now_ns(), time = random_below(seed, LIMIT_MAX);
    int err = thrum_sleep(time);
    EXPECT(fine(err));
    EXPECT(err || now_ns() - start >= time); /* late perhaps, never early */
}

static int block(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    atomic_fetch_add(&all.calls_ran, 1);
    if (random_below(&seed, 3) == 0)
        usleep(random_below(&seed, 200));
    return thrum_worker_index() == (unsigned)-1 ? 77 : -EINVAL;
}

static void call_blocking(uint64_t *seed)
{
    int result = thrum_blocking(block, (void *)(uintptr_t)random_next(seed));
    EXPECT(result == 77 || fine(result));
    if (result == 77)
        atomic_fetch_add(&all.called, 1);
}

/* ---- Tasks and scopes ---- */

static void act(uint64_t *seed, unsigned depth);

/* arg: a seed and a depth. */
static int some_operations(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    unsigned depth = (unsigned)(seed & 0xFF);
    atomic_fetch_add(&all.begun, 1);
    for (uint32_t n = random_below(&seed, 6); n > 0; n--)
        act(&seed, depth);
    int result = random_below(&seed, 8) == 0 ? -EIO : 0; /* takes its siblings with it */
    atomic_fetch_add(&all.ended, 1);
    return result;
}

static void *operations_arg(uint64_t *seed, unsigned depth)
{
    return (void *)(((uintptr_t)random_next(seed) << 8) | (depth + 1));
}

struct child {
    void *arg;
    atomic_int *inside;
};

static int child_main(void *arg)
{
    struct child *c = arg;
    atomic_fetch_add(c->inside, 1);
    int result = some_operations(c->arg);
    atomic_fetch_sub(c->inside, 1);
    return result;
}

static void nest(uint64_t *seed, unsigned depth)
{
    thrum_scope scope;
    struct child children[CHILDREN_MAX];
    atomic_int inside = 0;
    uint32_t n = random_below(seed, CHILDREN_MAX + 1), how = random_next(seed);
    thrum_scope_open(&scope, &(thrum_scope_opts){
                                 .timeout_ns = how % 4 ? 0 : 1 + random_below(seed, LIMIT_MAX),
                                 .keep_going = how / 4 % 2,
                                 .shield = how / 8 % 4 == 0,
                             });
    for (uint32_t i = 0; i < n; i++) {
        children[i] = (struct child){operations_arg(seed, depth), &inside};
        int err = thrum_scope_spawn(&scope, child_main, &children[i]);
        EXPECT(err == 0 || err == -ECANCELED);
    }
    if (how / 32 % 2)
        (void)thrum_yield();
    if (how / 64 % 4 == 0)
        thrum_scope_cancel(&scope);
    int err = thrum_scope_close(&scope);
    EXPECT(fine(err) || err == -EIO);
    EXPECT_IS(atomic_load(&inside), 0); /* nobody outlives it */
}

static void spawn_and_join(uint64_t *seed, unsigned depth)
{
    thrum_task *task;
    int result = 0;
    if (thrum_spawn(&task, some_operations, operations_arg(seed, depth), NULL))
        return; /* the runtime ends */
    int err = thrum_join(task, &result);
    EXPECT(fine(err));
    EXPECT(result == 0 || result == -EIO);
    if (err)
        thrum_detach(task);
}

static void breathe(uint64_t *seed) /* NOLINT(readability-non-const-parameter): one of a table */
{
    (void)seed;
    (void)thrum_yield();
}

typedef void operation(uint64_t *seed);

/* One operation, mostly within a time limit: so each wait ends. */
static void act(uint64_t *seed, unsigned depth)
{
    static operation *const operations[] = {
        transfer,       transfer,      take_permit, read_or_write, wait_for_change, wait_for_bell,
        send_one,       send_one,      receive_one, receive_one,   select_one,      select_one,
        sleep_a_little, call_blocking, breathe,     breathe,
    };
    enum { N = sizeof(operations) / sizeof(operations[0]) };
    unsigned before = thrum_worker_index();
    uint32_t which = random_below(seed, N + 2);
    thrum_timeout limit;
    thrum_timeout_begin(&limit, random_below(seed, LIMIT_MAX));
    if (which < N)
        operations[which](seed);
    else if (depth < DEPTH_MAX && which == N)
        nest(seed, depth);
    else if (depth < DEPTH_MAX)
        spawn_and_join(seed, depth);
    (void)thrum_timeout_end(&limit);
    atomic_fetch_add(&all.operations, 1);
    if (thrum_worker_index() != before)
        atomic_fetch_add(&all.migrations, 1);
}

static int actor(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    while (!atomic_load(&all.stop)) {
        act(&seed, 0);
        if (thrum_check() == -ECANCELED)
            break;
    }
    return 0;
}

/* ---- A round ---- */

/* What plain threads may do. */
static void bystander(void *arg, unsigned index)
{
    uint64_t seed = *(uint64_t *)arg + index;
    while (!atomic_load(&all.depart)) {
        int64_t item = new_item(&seed);
        thrum_chan *ch = all.chans[random_below(&seed, 3)];
        switch (random_below(&seed, 8)) {
        case 0:
        case 1:
            if (thrum_chan_try_send(ch, &item) == 0)
                was_sent(item);
            break;
        case 2:
        case 3:
            if (thrum_chan_try_recv(ch, &item) == 0)
                was_received(item);
            break;
        case 4:
            thrum_event_set(&all.bell);
            break;
        case 5:
            thrum_event_clear(&all.bell);
            break;
        case 6:
            if (thrum_sem_try_acquire(&all.permits))
                thrum_sem_release(&all.permits);
            break;
        default:
            usleep(random_below(&seed, 300));
        }
    }
}

static int round_main(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.keep_going = true});
    for (uint64_t i = 0; i < ACTORS; i++) {
        uintptr_t mine = (uintptr_t)(seed * 1000 + i);
        EXPECT_IS(thrum_scope_spawn(&scope, actor, (void *)mine), 0);
    }
    EXPECT_IS(thrum_sleep(ROUND_NS), 0);
    atomic_store(&all.stop, true);
    if (seed % 2)
        thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_scope_close(&scope), seed % 2 ? -ECANCELED : 0);
    return 0; /* tasks that were detached may still be there: the end waits for them */
}

static void run_workers(void *arg, unsigned index)
{
    uint64_t seed = *(uint64_t *)arg;
    if (index != 0) {
        bystander(arg, index);
        return;
    }
    struct limited_run l = {round_main, arg};
    thrum_run_opts opts = {.workers = WORKERS, .blocking_threads = 1 + seed % 8};
    EXPECT_IS(thrum_run(run_limited, &l, &opts), 0);
    atomic_store(&all.depart, true);
}

static void begin_round(void)
{
    memset(&all, 0, sizeof(all));
    thrum_sem_init(&all.permits, PERMITS);
    static const size_t capacities[] = {8, 0, THRUM_UNBOUNDED};
    for (int i = 0; i < 3; i++)
        assert_int_equal(thrum_chan_new(&all.chans[i], sizeof(int64_t), capacities[i]), 0);
}

static void add_up(void)
{
    int64_t item, sum = 0;
    for (int i = 0; i < 3; i++) {
        while (thrum_chan_try_recv(all.chans[i], &item) == 0)
            was_received(item);
        thrum_chan_free(all.chans[i]);
    }
    for (int i = 0; i < ACCOUNTS; i++) {
        sum += all.account[i];
        assert_true(thrum_mutex_trylock(&all.lock[i])); /* nobody has kept it */
    }
    assert_int_equal(sum, 0);
    assert_int_equal(atomic_load(&all.sent_n), atomic_load(&all.received_n));
    assert_int_equal(atomic_load(&all.sent_sum), atomic_load(&all.received_sum));
    assert_int_equal(atomic_load(&all.permits_used), 0);
    assert_true(thrum_sem_try_acquire_n(&all.permits, PERMITS));
    assert_false(thrum_sem_try_acquire(&all.permits));
    assert_true(thrum_rwlock_try_write_lock(&all.rw));
    assert_int_equal(all.left, all.right);
    assert_int_equal(atomic_load(&all.called), atomic_load(&all.calls_ran));
    assert_int_equal(atomic_load(&all.begun), atomic_load(&all.ended));
    assert_int_equal(atomic_load(&wrong_n), 0);
}

static void nothing_is_lost(void **state)
{
    (void)state;
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * THRUM_SECOND);
    long long operations = 0, migrations = 0, items = 0, calls = 0;
    atomic_store(&wrong_n, 0);
    for (uint64_t seed = first_seed; seed == first_seed || now_ns() < end; seed++) {
        alarm(BY_BUILD(60, 180, 300)); /* a round that hangs ends the process */
        begin_round();
        run_team(1 + THREADS, run_workers, &seed);
        add_up();
        alarm(0);
        operations += atomic_load(&all.operations);
        migrations += atomic_load(&all.migrations);
        items += atomic_load(&all.sent_n);
        calls += atomic_load(&all.called);
        if (talks && (seed - first_seed) % 20 == 0)
            printf("%6.0f s: seed %llu, %lld operations, %lld migrations, %lld items, %lld calls\n",
                   (double)(now_ns() - start) / 1e9, (unsigned long long)seed, operations,
                   migrations, items, calls);
    }
    assert_true(migrations > 0);
    assert_true(items > 0);
    assert_true(calls > 0);
}

int main(int argc, char **argv)
{
    talks = argc > 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1)
        seconds = strtod(argv[1], NULL);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
