/* SPDX-License-Identifier: MIT */
/* The lane (exec/lane.h): what its owner puts there comes out once, by the owner or a robber. And that the light fence it
 * stands on is paired with a heavy one wherever the other side may run elsewhere. */
#include "exec/lane.h"

#include "exec/pick.h"
#include "exec/task.h"
#include "exec/util.h"
#include "running.h"

#include <thrum/sync.h>

/* ---- One thread ---- */

static void fill(struct thr_lane *l, struct thrum_task *tasks, uint32_t batch_n)
{
    thr_store(&l->next, &tasks[0], THR_RELAXED);
    for (uint32_t i = 0; i < batch_n; i++)
        thr_store(&l->batch[i], &tasks[1 + i], THR_RELAXED);
    thr_store(&l->batch_at, 0, THR_RELAXED);
    thr_store(&l->batch_n, batch_n, THR_RELAXED);
    l->batch_go = batch_n;
    thr_store(&l->newest, &tasks[1 + batch_n], THR_RELAXED);
}

static void a_robbed_lane_is_empty_and_all_of_it_is_in_the_list(void **state)
{
    (void)state;
    struct thr_lane l = {.busy = {0}};
    struct thrum_task tasks[THR_LANE_BATCH + 2];
    struct thr_wakeups out = {0};
    fill(&l, tasks, THR_LANE_BATCH);
    assert_int_equal(thr_lane_rob(&l, &out), THR_LANE_BATCH + 2);
    struct thrum_task *t = out.head;
    for (size_t i = 0; i < THR_COUNT_OF(tasks); i++, t = t->next)
        assert_ptr_equal(t, &tasks[i]);
    assert_null(t);
    assert_null(thr_load(&l.next, THR_RELAXED));
    assert_null(thr_load(&l.newest, THR_RELAXED));
    assert_int_equal(thr_load(&l.batch_at, THR_RELAXED), thr_load(&l.batch_n, THR_RELAXED));
    /* The owner's own limit is behind it: it takes nothing of the batch that has gone. */
    assert_true(thr_load(&l.batch_at, THR_RELAXED) >= l.batch_go);
    out = (struct thr_wakeups){0};
    assert_int_equal(thr_lane_rob(&l, &out), 0);
    assert_null(out.head);
}

static void of_a_batch_only_what_is_left_is_robbed(void **state)
{
    (void)state;
    struct thr_lane l = {.busy = {0}};
    struct thrum_task tasks[6];
    struct thr_wakeups out = {0};
    fill(&l, tasks, 4);
    thr_store(&l.batch_at, 3, THR_RELAXED);
    thr_lane_swap(&l.next, NULL);
    thr_lane_swap(&l.newest, NULL);
    assert_int_equal(thr_lane_rob(&l, &out), 1);
    assert_ptr_equal(out.head, &tasks[4]);
}

static void nobody_robs_while_the_owner_is_inside(void **state)
{
    (void)state;
    struct thr_lane l = {.busy = {0}};
    struct thrum_task tasks[3];
    struct thr_wakeups out = {0};
    fill(&l, tasks, 1);
    thr_lane_enter(&l);
    assert_int_equal(thr_lane_rob(&l, &out), 0);
    assert_false(thr_lane_claim(&l));
    thr_lane_leave(&l);
    assert_true(thr_lane_try_enter(&l)); /* a robber that gave up has left no claim */
    thr_lane_leave(&l);
    assert_int_equal(thr_lane_rob(&l, &out), 3);
}

static void the_owner_stays_out_while_a_robber_is_at_it(void **state)
{
    (void)state;
    struct thr_lane l = {.busy = {0}};
    assert_true(thr_lane_claim(&l));
    assert_false(thr_lane_try_enter(&l));
    thr_lane_release(&l);
    assert_true(thr_lane_claim(&l)); /* an owner that did not get in is not taken to be inside */
    thr_lane_release(&l);
    assert_true(thr_lane_try_enter(&l));
}

static void a_worker_publishes_ever_more_if_the_lane_proves_wrong(void **state)
{
    (void)state;
    static struct thr_worker w;
    static const uint32_t should[] = {64, 512, 4096, 32768, 65536, 65536};
    for (size_t i = 0; i < THR_COUNT_OF(should); i++) {
        thr_worker_publish(&w);
        assert_int_equal(thr_load(&w.publish, THR_RELAXED), should[i]);
    }
    thr_store(&w.publish_next, 0, THR_RELAXED); /* one came out soon: from the beginning */
    thr_worker_publish(&w);
    assert_int_equal(thr_load(&w.publish, THR_RELAXED), should[0]);
}

/* ---- Owner against robber ---- */

enum { ITEMS = BY_BUILD(400000, 100000, 50000) };

/* `taken` is no atomic: two who both think that a task is theirs are a race that ThreadSanitizer sees. */
struct contest {
    struct thr_lane lane;
    struct thrum_task *tasks;
    unsigned char *taken;
    uint32_t put_n; /* the owner's */
    uint64_t robbed_n;
    atomic_bool over;
};

static void take(struct contest *c, struct thrum_task *t)
{
    if (t)
        c->taken[t - c->tasks]++;
}

static struct thrum_task *put(struct contest *c)
{
    return c->put_n < ITEMS ? &c->tasks[c->put_n++] : NULL;
}

static void take_of_batch(struct contest *c)
{
    struct thr_lane *l = &c->lane;
    uint32_t at = thr_load(&l->batch_at, THR_RELAXED);
    if (at == thr_load(&l->batch_n, THR_RELAXED))
        return;
    thr_store(&l->batch_at, at + 1, THR_RELAXED);
    take(c, thr_load(&l->batch[at], THR_RELAXED));
}

static void refill(struct contest *c, uint32_t most)
{
    struct thr_lane *l = &c->lane;
    if (thr_load(&l->batch_at, THR_RELAXED) != thr_load(&l->batch_n, THR_RELAXED))
        return;
    uint32_t n = 0;
    for (struct thrum_task *t; n < most && (t = put(c)) != NULL; n++)
        thr_store(&l->batch[n], t, THR_RELAXED);
    thr_store(&l->batch_n, n, THR_RELAXED);
    thr_store(&l->batch_at, 0, THR_RELAXED);
}

/* One visit of the owner's. */
static void visit(struct contest *c, uint64_t *seed)
{
    struct thr_lane *l = &c->lane;
    switch (random_below(seed, 6)) {
    case 0:
        take(c, thr_lane_swap(&l->next, put(c)));
        break;
    case 1:
        take(c, thr_lane_swap(&l->newest, put(c)));
        break;
    case 2:
        take(c, thr_lane_swap(&l->next, NULL));
        break;
    case 3:
        take(c, thr_lane_swap(&l->newest, NULL));
        break;
    case 4:
        refill(c, 1 + random_below(seed, THR_LANE_BATCH));
        break;
    default:
        take_of_batch(c);
        break;
    }
}

static void own(struct contest *c)
{
    uint64_t seed = 1;
    while (c->put_n < ITEMS) {
        if (random_below(&seed, 4) != 0)
            thr_lane_enter(&c->lane);
        else if (!thr_lane_try_enter(&c->lane))
            continue;
        visit(c, &seed);
        thr_lane_leave(&c->lane);
    }
    atomic_store(&c->over, true);
}

static void rob(struct contest *c)
{
    bool over;
    do {
        over = atomic_load(&c->over); /* before the last look: what is left then stays ours */
        struct thr_wakeups out = {0};
        c->robbed_n += thr_lane_rob(&c->lane, &out);
        for (struct thrum_task *t = out.head, *next; t; t = next) {
            next = t->next;
            take(c, t);
        }
    } while (!over);
}

static void own_or_rob(void *arg, unsigned index)
{
    if (index == 0)
        own(arg);
    else
        rob(arg);
}

static void assert_each_is_taken_once(void)
{
    struct contest c = {.put_n = 0};
    c.tasks = calloc(ITEMS, sizeof(*c.tasks));
    c.taken = calloc(ITEMS, 1);
    assert_true(c.tasks && c.taken);
    run_team(2, own_or_rob, &c);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(c.taken[i], 1);
    assert_true(c.robbed_n > 0);
    free(c.tasks);
    free(c.taken);
}

static void owner_and_robber_take_each_task_once(void **state)
{
    (void)state;
    assert_each_is_taken_once();
}

static void so_they_do_where_both_fences_are_full(void **state)
{
    (void)state;
    bool light = thr_fence_is_light;
    thr_fence_is_light = false;
    assert_each_is_taken_once();
    thr_fence_is_light = light;
}

/* ---- The other pair: cancel against wait ---- */

enum { ROUNDS = BY_BUILD(60000, 20000, 10000) };

/* A runtime's task waits in a scope, over and over; a task of another runtime cancels that. Round by round. */
struct duel {
    thrum_scope scope;
    atomic_long opened, cancelled; /* rounds */
};

static void await_round(atomic_long *round, long n)
{
    for (unsigned i = 0; atomic_load(round) < n; i++)
        if (i > 1000)
            thr_cpu_yield();
}

static void idle_a_little(uint32_t turns)
{
    while (turns-- > 0)
        thr_cpu_relax();
}

static int wait_to_be_cancelled(void *arg)
{
    struct duel *d = arg;
    thrum_event never = THRUM_EVENT_INIT;
    uint64_t seed = 7;
    for (long i = 1; i <= ROUNDS; i++) {
        thrum_scope_open(&d->scope, NULL);
        atomic_store(&d->opened, i);
        idle_a_little(random_below(&seed, 8));
        EXPECT_IS(thrum_event_wait(&never), -ECANCELED);
        await_round(&d->cancelled, i);
        EXPECT_IS(thrum_scope_close(&d->scope), -ECANCELED);
    }
    return 0;
}

static int cancel_each(void *arg)
{
    struct duel *d = arg;
    uint64_t seed = 3;
    for (long i = 1; i <= ROUNDS; i++) {
        await_round(&d->opened, i);
        idle_a_little(random_below(&seed, 16));
        thrum_scope_cancel(&d->scope);
        atomic_store(&d->cancelled, i);
    }
    return 0;
}

/* The one that cancels is its runtime's only worker: that says nothing about the other runtime's. Before it was so, one
 * cancel in 100,000 was missed, and the wait went on to the end of the run's time. */
static void run_one_side(void *arg, unsigned index)
{
    struct duel *d = arg;
    EXPECT_IS(run_on(1, index == 0 ? wait_to_be_cancelled : cancel_each, d), 0);
}

static void a_cancel_reaches_a_wait_of_another_runtime(void **state)
{
    (void)state;
    struct duel d = {.opened = 0};
    atomic_store(&wrong_n, 0);
    run_team(2, run_one_side, &d);
    assert_int_equal(atomic_load(&wrong_n), 0);
}

int main(void)
{
    thr_fence_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_robbed_lane_is_empty_and_all_of_it_is_in_the_list),
        cmocka_unit_test(of_a_batch_only_what_is_left_is_robbed),
        cmocka_unit_test(nobody_robs_while_the_owner_is_inside),
        cmocka_unit_test(the_owner_stays_out_while_a_robber_is_at_it),
        cmocka_unit_test(a_worker_publishes_ever_more_if_the_lane_proves_wrong),
        cmocka_unit_test(owner_and_robber_take_each_task_once),
        cmocka_unit_test(so_they_do_where_both_fences_are_full),
        cmocka_unit_test(a_cancel_reaches_a_wait_of_another_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
