/* SPDX-License-Identifier: MIT */
/* The connection pool: limits, order, fairness, time, with connections that are only records. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <thrum/error.h>
#include <thrum/sync.h>
#include <thrum/task.h>

#include "exec/random.h"
#include "exec/util.h"
#include "http/pool.h"

/* In a task a failed check is the task's result: its line. */
#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            return -__LINE__;                                                                      \
        }                                                                                          \
    } while (0)

#define LONG (60 * THRUM_SECOND)

struct fake {
    struct thr_pool_node node;
    bool noisy;
    struct fake *prev, *next; /* of all that live */
};

static struct thr_lock living_lock;
static struct fake *living; /* guarded by living_lock */

static thr_au64 closed_n;
static thr_au64 living_n;

static void fake_close(struct thr_pool_node *node)
{
    thr_fetch_add(&closed_n, 1, THR_RELAXED);
    thr_fetch_sub(&living_n, 1, THR_RELAXED);
    struct fake *f = (struct fake *)(void *)node;
    thr_lock(&living_lock);
    if (f->prev)
        f->prev->next = f->next;
    else
        living = f->next;
    if (f->next)
        f->next->prev = f->prev;
    thr_unlock(&living_lock);
    free(f);
}

static bool fake_is_quiet(struct thr_pool_node *node)
{
    return !((struct fake *)(void *)node)->noisy;
}

static const struct thr_pool_ops fake_ops = {.close = fake_close, .is_quiet = fake_is_quiet};

static struct thr_pool_node *fake_new(void)
{
    struct fake *f = calloc(1, sizeof(*f));
    THR_ASSERT(f);
    thr_fetch_add(&living_n, 1, THR_RELAXED);
    thr_lock(&living_lock);
    f->next = living;
    if (living)
        living->prev = f;
    living = f;
    thr_unlock(&living_lock);
    return &f->node;
}

static const struct thr_pool_key key_a = {"a", 80, false};
static const struct thr_pool_key key_b = {"b", 80, false};

static struct thr_pool pool; /* one a test */

static int acquire(struct thr_pool_lease *lease, const struct thr_pool_key *key)
{
    int err = thr_pool_acquire(&pool, key, THRUM_NEVER, lease);
    if (!err && !lease->node)
        lease->node = fake_new();
    return err;
}

static bool counts_are(unsigned idle_n, unsigned open_n)
{
    struct thr_pool_counts c = thr_pool_counts(&pool);
    return c.idle_n == idle_n && c.open_n == open_n;
}

/* Runs fn as the first task, with a pool made from opts, and expects that nothing is left over. */
static void run(thrum_fn *fn, const struct thr_pool_opts *opts, unsigned workers);

struct run_args {
    thrum_fn *fn;
    struct thr_pool_opts opts;
};

static int run_task(void *arg)
{
    struct run_args *a = arg;
    CHECK(thr_pool_init(&pool, &fake_ops, &a->opts) == 0);
    int result = a->fn(NULL);
    if (result == 0)
        thr_pool_fini(&pool);
    return result;
}

static void run(thrum_fn *fn, const struct thr_pool_opts *opts, unsigned workers)
{
    struct run_args a = {fn, *opts};
    thr_store(&living_n, 0, THR_RELAXED);
    thr_store(&closed_n, 0, THR_RELAXED);
    assert_int_equal(thrum_run(run_task, &a, &(thrum_run_opts){.workers = workers}), 0);
    assert_int_equal(thr_load(&living_n, THR_RELAXED), 0);
}

/* Tasks that acquire, say so, hold until told, and release. */
struct holder {
    const struct thr_pool_key *key;
    unsigned id;
    uint64_t timeout_ns; /* 0: none */
    uint64_t keep_ns;
    thrum_event *let_go;
    unsigned *order; /* where to write the id when served */
    thr_au32 *served_n;
    int err;
};

static int hold(void *arg)
{
    struct holder *h = arg;
    thrum_timeout limit;
    struct thr_pool_lease lease;
    thrum_timeout_begin(&limit, h->timeout_ns ? h->timeout_ns : THRUM_NEVER);
    h->err = acquire(&lease, h->key);
    thrum_timeout_end(&limit);
    if (h->err)
        return 0;
    h->order[thr_fetch_add(h->served_n, 1, THR_ACQ_REL)] = h->id;
    if (h->let_go)
        h->err = thrum_event_wait(h->let_go);
    thr_pool_release(&pool, &lease, h->keep_ns);
    return 0;
}

/* Lets the others run until at least, or at most, so many wait in line. */
static int rises_to(unsigned waiting_n)
{
    int err = 0;
    while (!err && thr_pool_counts(&pool).waiting_n < waiting_n)
        err = thrum_sleep(THRUM_MILLISECOND);
    return err;
}

static int falls_to(unsigned waiting_n)
{
    int err = 0;
    while (!err && thr_pool_counts(&pool).waiting_n > waiting_n)
        err = thrum_sleep(THRUM_MILLISECOND);
    return err;
}

/* ---- Reuse ------------------------------------------------------------------------------------------------------ */

static int last_first(void *arg)
{
    (void)arg;
    struct thr_pool_lease one, two, again;
    CHECK(acquire(&one, &key_a) == 0);
    CHECK(acquire(&two, &key_a) == 0);
    struct thr_pool_node *second = two.node;
    struct thr_pool_node *first = one.node;
    CHECK(counts_are(0, 2));
    thr_pool_release(&pool, &one, LONG);
    thr_pool_release(&pool, &two, LONG);
    CHECK(one.origin == NULL && one.node == NULL);
    CHECK(counts_are(2, 2));

    struct thr_pool_lease other;
    CHECK(acquire(&again, &key_a) == 0);
    CHECK(again.node == second);
    CHECK(acquire(&other, &key_a) == 0);
    CHECK(other.node == first);
    thr_pool_release(&pool, &again, 0);
    thr_pool_release(&pool, &other, 0);
    CHECK(counts_are(0, 0));
    return 0;
}

static void an_idle_connection_is_used_again_the_last_first(void **state)
{
    (void)state;
    run(last_first, &(struct thr_pool_opts){.idle_max = 10}, 1);
}

static int keys_differ(void *arg)
{
    (void)arg;
    const struct thr_pool_key keys[] = {
        {"a", 80, false}, {"a", 80, true}, {"a", 81, false}, {"b", 80, false}};
    struct thr_pool_node *nodes[4];
    for (unsigned i = 0; i < 4; i++) {
        struct thr_pool_lease lease;
        CHECK(acquire(&lease, &keys[i]) == 0);
        nodes[i] = lease.node;
        thr_pool_release(&pool, &lease, LONG);
    }
    for (unsigned i = 0; i < 4; i++) {
        struct thr_pool_lease lease;
        CHECK(acquire(&lease, &keys[i]) == 0);
        CHECK(lease.node == nodes[i]);
        thr_pool_release(&pool, &lease, LONG);
    }
    CHECK(counts_are(4, 4));
    return 0;
}

static void connections_are_kept_by_scheme_host_and_port(void **state)
{
    (void)state;
    run(keys_differ, &(struct thr_pool_opts){.idle_max = 10}, 1);
}

static int noise(void *arg)
{
    (void)arg;
    struct thr_pool_lease l[3];
    struct thr_pool_node *oldest = NULL;
    for (unsigned i = 0; i < 3; i++)
        CHECK(acquire(&l[i], &key_a) == 0);
    oldest = l[0].node;
    ((struct fake *)(void *)l[1].node)->noisy = true;
    ((struct fake *)(void *)l[2].node)->noisy = true;
    for (unsigned i = 0; i < 3; i++)
        thr_pool_release(&pool, &l[i], LONG);

    CHECK(acquire(&l[0], &key_a) == 0);
    CHECK(l[0].node == oldest);
    CHECK(thr_load(&closed_n, THR_RELAXED) == 2);
    CHECK(counts_are(0, 1));
    ((struct fake *)(void *)l[0].node)->noisy = true;
    thr_pool_release(&pool, &l[0], LONG);
    CHECK(thr_pool_acquire(&pool, &key_a, THRUM_NEVER, &l[0]) == 0);
    CHECK(l[0].origin && l[0].node == NULL); /* none left: the slot remains */
    CHECK(counts_are(0, 1));
    thr_pool_release(&pool, &l[0], LONG); /* a slot without connection just goes */
    CHECK(counts_are(0, 0));
    return 0;
}

static void a_connection_that_is_not_quiet_is_closed_and_the_next_taken(void **state)
{
    (void)state;
    run(noise, &(struct thr_pool_opts){.idle_max = 10, .per_host_max = 3}, 1);
}

static int time_runs_out(void *arg)
{
    (void)arg;
    struct thr_pool_lease l, m;
    CHECK(acquire(&l, &key_a) == 0);
    struct thr_pool_node *node = l.node;
    thr_pool_release(&pool, &l, 20 * THRUM_MILLISECOND);
    CHECK(acquire(&l, &key_a) == 0);
    CHECK(l.node == node);
    thr_pool_release(&pool, &l, 20 * THRUM_MILLISECOND);
    CHECK(thrum_sleep(30 * THRUM_MILLISECOND) == 0);
    CHECK(thr_pool_acquire(&pool, &key_a, THRUM_NEVER, &l) == 0);
    CHECK(l.node == NULL);
    thr_pool_release(&pool, &l, 0);
    CHECK(thr_load(&closed_n, THR_RELAXED) == 1);

    CHECK(acquire(&l, &key_a) == 0); /* too old for this caller, though in time */
    thr_pool_release(&pool, &l, LONG);
    CHECK(thrum_sleep(5 * THRUM_MILLISECOND) == 0);
    CHECK(thr_pool_acquire(&pool, &key_a, THRUM_MILLISECOND, &l) == 0);
    CHECK(l.node == NULL);
    thr_pool_release(&pool, &l, 0);

    CHECK(acquire(&l, &key_a) == 0); /* dead ones of other origins are cleared in passing */
    CHECK(acquire(&m, &key_b) == 0);
    thr_pool_release(&pool, &l, THRUM_MILLISECOND);
    CHECK(thrum_sleep(5 * THRUM_MILLISECOND) == 0);
    CHECK(counts_are(1, 2));
    thr_pool_release(&pool, &m, LONG);
    CHECK(counts_are(1, 1));
    return 0;
}

static void an_idle_connection_past_its_time_is_not_used(void **state)
{
    (void)state;
    run(time_runs_out, &(struct thr_pool_opts){.idle_max = 10}, 1);
}

static int idle_cap(void *arg)
{
    (void)arg;
    struct thr_pool_lease l[4];
    const struct thr_pool_key keys[4] = {
        {"a", 1, false}, {"b", 1, false}, {"c", 1, false}, {"d", 1, false}};
    for (unsigned i = 0; i < 4; i++)
        CHECK(acquire(&l[i], &keys[i]) == 0);
    for (unsigned i = 0; i < 4; i++)
        thr_pool_release(&pool, &l[i], LONG);
    CHECK(counts_are(2, 2));
    CHECK(thr_load(&closed_n, THR_RELAXED) == 2);
    CHECK(thr_pool_acquire(&pool, &keys[0], THRUM_NEVER, &l[0]) == 0);
    CHECK(l[0].node == NULL); /* the oldest two went */
    CHECK(thr_pool_acquire(&pool, &keys[2], THRUM_NEVER, &l[2]) == 0);
    CHECK(l[2].node != NULL);
    thr_pool_release(&pool, &l[0], 0);
    thr_pool_release(&pool, &l[2], 0);
    return 0;
}

static void too_many_idle_connections_lose_the_oldest(void **state)
{
    (void)state;
    run(idle_cap, &(struct thr_pool_opts){.idle_max = 2}, 1);
}

/* ---- Limits and waiting ----------------------------------------------------------------------------------------- */

#define LINE_N 20

static int line(void *arg)
{
    (void)arg;
    thrum_event let_go = THRUM_EVENT_INIT;
    unsigned order[LINE_N];
    thr_au32 served_n = {0};
    struct holder h[LINE_N];
    struct thr_pool_lease mine;
    CHECK(acquire(&mine, &key_a) == 0);

    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (unsigned i = 0; i < LINE_N; i++) {
        h[i] = (struct holder){.key = &key_a,
                               .id = i,
                               .keep_ns = i % 2 ? LONG : 0,
                               .order = order,
                               .served_n = &served_n,
                               .let_go = &let_go};
        CHECK(thrum_scope_spawn(&scope, hold, &h[i]) == 0);
        CHECK(rises_to(i + 1) == 0); /* so that they line up in this order */
    }
    CHECK(thr_load(&served_n, THR_ACQUIRE) == 0);
    CHECK(counts_are(0, 1));
    thrum_event_set(&let_go);
    thr_pool_release(&pool, &mine, LONG);
    CHECK(thrum_scope_close(&scope) == 0);
    CHECK(thr_load(&served_n, THR_ACQUIRE) == LINE_N);
    for (unsigned i = 0; i < LINE_N; i++)
        CHECK(h[i].err == 0 && order[i] == i);
    CHECK(counts_are(1, 1));
    return 0;
}

static void waiters_are_served_in_the_order_they_came(void **state)
{
    (void)state;
    run(line, &(struct thr_pool_opts){.idle_max = 10, .per_host_max = 1}, 1);
    run(line, &(struct thr_pool_opts){.idle_max = 10, .total_max = 1}, 2);
}

static int give_up(void *arg)
{
    (void)arg;
    unsigned order[4];
    thr_au32 served_n = {0};
    struct thr_pool_lease mine;
    CHECK(acquire(&mine, &key_a) == 0);
    struct holder h[3];
    for (unsigned i = 0; i < 3; i++)
        h[i] = (struct holder){.key = i == 2 ? &key_b : &key_a,
                               .id = i,
                               .keep_ns = LONG,
                               .order = order,
                               .served_n = &served_n};

    thrum_scope scope, doomed;
    thrum_scope_open(&scope, NULL);
    thrum_scope_open(&doomed, &(thrum_scope_opts){.keep_going = true});
    CHECK(thrum_scope_spawn(&doomed, hold, &h[0]) == 0);
    CHECK(thrum_scope_spawn(&doomed, hold, &h[1]) == 0);
    CHECK(rises_to(2) == 0);
    CHECK(counts_are(0, 1));
    thrum_scope_cancel(&doomed);
    (void)thrum_scope_close(&doomed);
    CHECK(h[0].err == -ECANCELED && h[1].err == -ECANCELED);

    h[0].timeout_ns = 500 * THRUM_MILLISECOND;
    CHECK(thrum_scope_spawn(&scope, hold, &h[0]) == 0); /* times out in front of the next */
    CHECK(rises_to(1) == 0);
    CHECK(thrum_scope_spawn(&scope, hold, &h[2]) == 0);
    CHECK(rises_to(2) == 0);
    CHECK(falls_to(1) == 0);
    CHECK(thr_load(&served_n, THR_ACQUIRE) == 0);
    thr_pool_release(&pool, &mine, LONG);
    CHECK(thrum_scope_close(&scope) == 0);
    CHECK(h[0].err == -ETIMEDOUT);
    CHECK(h[2].err == 0 && order[0] == 2);
    return 0;
}

static void a_waiter_that_gave_up_has_taken_nothing(void **state)
{
    (void)state;
    run(give_up, &(struct thr_pool_opts){.idle_max = 10, .total_max = 1}, 1);
    run(give_up, &(struct thr_pool_opts){.idle_max = 10, .total_max = 1}, 2);
}

static int evict_other(void *arg)
{
    (void)arg;
    struct thr_pool_lease l, m;
    CHECK(acquire(&l, &key_a) == 0);
    thr_pool_release(&pool, &l, LONG);
    CHECK(counts_are(1, 1));
    CHECK(acquire(&m, &key_b) == 0); /* the limit is 1: a's idle connection makes room */
    CHECK(thr_load(&closed_n, THR_RELAXED) == 1);
    CHECK(counts_are(0, 1));
    thr_pool_release(&pool, &m, LONG);
    return 0;
}

static void another_hosts_idle_connection_makes_room(void **state)
{
    (void)state;
    run(evict_other, &(struct thr_pool_opts){.idle_max = 10, .total_max = 1}, 1);
}

/* Takes and gives back connections to its host, with a pause in between. */
struct hog {
    const struct thr_pool_key *key;
    unsigned rounds;
    uint64_t done_at;
};

static int hog(void *arg)
{
    struct hog *h = arg;
    for (unsigned i = 0; i < h->rounds; i++) {
        struct thr_pool_lease lease;
        CHECK(acquire(&lease, h->key) == 0);
        CHECK(thrum_sleep(100 * THRUM_MICROSECOND) == 0);
        thr_pool_release(&pool, &lease, LONG);
    }
    h->done_at = thrum_now();
    return 0;
}

static int starve(void *arg)
{
    (void)arg;
    enum { HOGS = 50 };
    static struct hog hogs[HOGS];
    struct hog small = {&key_b, 10, 0};
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (unsigned i = 0; i < HOGS; i++) {
        hogs[i] = (struct hog){&key_a, 100, 0};
        CHECK(thrum_scope_spawn(&scope, hog, &hogs[i]) == 0);
    }
    CHECK(rises_to(HOGS - 2) == 0);
    CHECK(thrum_scope_spawn(&scope, hog, &small) == 0);
    CHECK(thrum_scope_close(&scope) == 0);
    for (unsigned i = 0; i < HOGS; i++)
        CHECK(small.done_at < hogs[i].done_at); /* its ten turns did not wait for 5,000 */
    return 0;
}

static void a_busy_origin_does_not_starve_another(void **state)
{
    (void)state;
    run(starve, &(struct thr_pool_opts){.idle_max = 10, .total_max = 2}, 1);
    run(starve, &(struct thr_pool_opts){.idle_max = 10, .total_max = 2}, 2);
}

static int many_origins(void *arg)
{
    (void)arg;
    enum { N = 5000 };
    struct thr_pool_lease *leases = calloc(N, sizeof(*leases));
    CHECK(leases);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < N; i++) {
            char host[16];
            snprintf(host, sizeof(host), "h%u", i);
            CHECK(acquire(&leases[i], &(struct thr_pool_key){host, 80, false}) == 0);
        }
        CHECK(pool.origins_n == N);
        for (unsigned i = 0; i < N; i++)
            thr_pool_release(&pool, &leases[i], round == 0 ? LONG : 0);
        CHECK(counts_are(round == 0 ? N : 0, round == 0 ? N : 0));
    }
    CHECK(thr_load(&closed_n, THR_RELAXED) == N);
    CHECK(pool.origins_n == 0);
    free(leases);
    return 0;
}

static void origins_come_and_go_by_the_thousand(void **state)
{
    (void)state;
    run(many_origins, &(struct thr_pool_opts){.idle_max = 5000}, 1);
}

/* ---- All at once ------------------------------------------------------------------------------------------------ */

#define HOSTS 8
#define STRESS_TASKS 64
#define STRESS_ROUNDS 200
#define STRESS_PER_HOST 3
#define STRESS_TOTAL 10

static thr_ai64 in_use[HOSTS];
static thr_ai64 in_use_total;
static thr_au64 over_limit;

static int stress_task(void *arg)
{
    static const char *const hosts[HOSTS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct thr_random random;
    thr_random_init(&random, (uint64_t)(uintptr_t)arg + 1);
    for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
        unsigned host = thr_random_below(&random, HOSTS);
        if (thr_random_below(&random, 2))
            host = 0; /* one is busier than the rest */
        struct thr_pool_lease lease;
        thrum_timeout limit;
        thrum_timeout_begin(
            &limit, thr_random_below(&random, 4) ? THRUM_NEVER : thr_random_below(&random, 300000));
        int err = acquire(&lease, &(struct thr_pool_key){hosts[host], 80, false});
        thrum_timeout_end(&limit);
        if (err == -ETIMEDOUT)
            continue;
        CHECK(err == 0 && lease.node);
        bool over = thr_fetch_add(&in_use[host], 1, THR_RELAXED) >= STRESS_PER_HOST;
        over |= thr_fetch_add(&in_use_total, 1, THR_RELAXED) >= STRESS_TOTAL;
        if (over)
            thr_fetch_add(&over_limit, 1, THR_RELAXED);
        CHECK(thr_random_below(&random, 2) ? thrum_yield() == 0
                                           : thrum_sleep(thr_random_below(&random, 50000)) == 0);
        ((struct fake *)(void *)lease.node)->noisy = thr_random_below(&random, 8) == 0;
        thr_fetch_sub(&in_use[host], 1, THR_RELAXED);
        thr_fetch_sub(&in_use_total, 1, THR_RELAXED);
        thr_pool_release(&pool, &lease, thr_random_below(&random, 4) ? LONG : 0);
    }
    return 0;
}

static int stress(void *arg)
{
    (void)arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (uintptr_t i = 0; i < STRESS_TASKS; i++)
        CHECK(thrum_scope_spawn(&scope, stress_task, (void *)i) == 0);
    CHECK(thrum_scope_close(&scope) == 0);
    CHECK(thr_load(&over_limit, THR_RELAXED) == 0);
    CHECK(pool.ready_head == NULL);
    CHECK(pool.open_n == pool.idle_n);
    return 0;
}

static void limits_hold_and_nothing_is_lost_under_stress(void **state)
{
    (void)state;
    const struct thr_pool_opts opts = {
        .idle_max = 6, .per_host_max = STRESS_PER_HOST, .total_max = STRESS_TOTAL};
    static const unsigned workers[] = {1, 2, 4, 16};
    for (size_t i = 0; i < THR_COUNT_OF(workers); i++)
        run(stress, &opts, workers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_is_used_again_the_last_first),
        cmocka_unit_test(connections_are_kept_by_scheme_host_and_port),
        cmocka_unit_test(a_connection_that_is_not_quiet_is_closed_and_the_next_taken),
        cmocka_unit_test(an_idle_connection_past_its_time_is_not_used),
        cmocka_unit_test(too_many_idle_connections_lose_the_oldest),
        cmocka_unit_test(waiters_are_served_in_the_order_they_came),
        cmocka_unit_test(a_waiter_that_gave_up_has_taken_nothing),
        cmocka_unit_test(another_hosts_idle_connection_makes_room),
        cmocka_unit_test(a_busy_origin_does_not_starve_another),
        cmocka_unit_test(origins_come_and_go_by_the_thousand),
        cmocka_unit_test(limits_hold_and_nothing_is_lost_under_stress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
