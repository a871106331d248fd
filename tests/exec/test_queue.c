/* SPDX-License-Identifier: MIT */
/* The queue of work: its orders, its counting, its shutdown, and that nothing is lost whatever comes between. */
#include "running.h"

#include <thrum/queue.h>

enum { PRODUCERS = 8, CONSUMERS = 8, EACH = BY_BUILD(3000, 800, 200), ITEMS = PRODUCERS * EACH };

struct item {
    int number;
    int priority;
};

static thrum_queue *queue;
static atomic_uchar put_n[ITEMS], got_n[ITEMS], dropped_n[ITEMS]; /* as the calls reported it */
static atomic_int producers_left;

static int by_priority(const void *a, const void *b, void *arg)
{
    const struct item *x = a, *y = b;
    EXPECT(arg == &queue);
    return (x->priority > y->priority) - (x->priority < y->priority);
}

static void note_dropped(void *item, void *arg)
{
    EXPECT(arg == &queue);
    atomic_fetch_add(&dropped_n[((struct item *)item)->number], 1);
}

static void make(thrum_queue_order order, size_t max)
{
    thrum_queue_opts opts = {
        .max = max, .order = order, .compare = by_priority, .drop = note_dropped, .arg = &queue};
    EXPECT_IS(thrum_queue_new(&queue, sizeof(struct item), &opts), 0);
    for (int i = 0; i < ITEMS; i++) {
        atomic_store(&put_n[i], 0);
        atomic_store(&got_n[i], 0);
        atomic_store(&dropped_n[i], 0);
    }
    atomic_store(&producers_left, PRODUCERS);
}

/* Each item that was put was taken or dropped, and none else. */
static void expect_conserved(void)
{
    for (int i = 0; i < ITEMS; i++)
        EXPECT_IS(atomic_load(&got_n[i]) + atomic_load(&dropped_n[i]), atomic_load(&put_n[i]));
}

/* ---- Orders ---- */

enum { MODEL = 1000 };

/* The place in the model of the item that is to come out next. The model is in order of putting. */
static int next_in(const struct item *model, int n, thrum_queue_order order)
{
    int best = order == THRUM_QUEUE_LIFO ? n - 1 : 0;
    for (int i = 0; i < n && order == THRUM_QUEUE_PRIORITY; i++)
        if (model[i].priority < model[best].priority)
            best = i;
    return best;
}

static int compare_with_model(void *arg)
{
    static struct item model[MODEL];
    thrum_queue_order order = (thrum_queue_order)(uintptr_t)arg;
    uint64_t random = 5 + (uint64_t)order;
    int n = 0, number = 0;
    make(order, 0);
    for (int step = 0; step < BY_BUILD(20000, 6000, 4000); step++) {
        uint32_t puts = step / 1000 % 2 ? 30 : 80; /* of 100 */
        struct item item = {number % ITEMS, (int)random_below(&random, 10)};
        if (n < MODEL && (n == 0 || random_below(&random, 100) < puts)) {
            EXPECT_IS(thrum_queue_put(queue, &item), 0);
            model[n++] = item;
            number++;
        } else {
            int at = next_in(model, n, order);
            EXPECT_IS(thrum_queue_get(queue, &item), 0);
            EXPECT_IS(item.number, model[at].number);
            EXPECT_IS(item.priority, model[at].priority);
            memmove(model + at, model + at + 1, (size_t)(n - at - 1) * sizeof(model[0]));
            n--;
        }
        EXPECT_IS(thrum_queue_size(queue), n);
    }
    thrum_queue_free(queue);
    for (int i = 0, dropped = 0; i < ITEMS; i++) {
        dropped += atomic_load(&dropped_n[i]);
        if (i == ITEMS - 1)
            EXPECT_IS(dropped, n); /* its end drops what is left */
    }
    return 0;
}

static void items_come_out_in_the_order_asked_for(void **state)
{
    (void)state;
    for (uintptr_t order = THRUM_QUEUE_FIFO; order <= THRUM_QUEUE_PRIORITY; order++)
        assert_runs(1, compare_with_model, (void *)order);
}

/* Items of an odd size and of one that wants a large alignment. */
static int compare_bytes(const void *a, const void *b, void *arg)
{
    size_t bytes = (size_t)(uintptr_t)arg;
    EXPECT(bytes % 16 || (uintptr_t)a % 16 == 0);
    EXPECT(bytes % 16 || (uintptr_t)b % 16 == 0);
    return memcmp(a, b, bytes);
}

static int use_sizes(void *arg)
{
    static const size_t sizes[] = {1, 5, 16, 17, 48, 3000};
    static unsigned char out[3000] __attribute__((aligned(16))),
        in[3000] __attribute__((aligned(16)));
    (void)arg;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
        for (size_t max = 0; max <= 300; max += 300) {
            thrum_queue_opts opts = {.max = max,
                                     .order = THRUM_QUEUE_PRIORITY,
                                     .compare = compare_bytes,
                                     .arg = (void *)sizes[s]};
            EXPECT_IS(thrum_queue_new(&queue, sizes[s], &opts), 0);
            for (int i = 0; i < 256; i++) {
                memset(out, i * 77 % 256, sizeof(out));
                EXPECT_IS(thrum_queue_put(queue, out), 0);
            }
            for (int i = 0; i < 256; i++) {
                memset(in, 0, sizeof(in));
                memset(out, i, sizeof(out));
                EXPECT_IS(thrum_queue_get(queue, in), 0);
                EXPECT_IS(memcmp(in, out, sizes[s]), 0);
                EXPECT(sizes[s] == sizeof(in) || in[sizes[s]] == 0); /* no more than the item */
            }
            thrum_queue_free(queue);
        }
    return 0;
}

static void items_have_any_size_and_their_alignment(void **state)
{
    (void)state;
    assert_runs(1, use_sizes, NULL);
}

/* ---- Many tasks ---- */

static int produce(void *arg)
{
    int first = (int)(intptr_t)arg * EACH;
    for (int i = first; i < first + EACH; i++) {
        struct item item = {i, i % 7};
        EXPECT_IS(thrum_queue_put(queue, &item), 0);
        atomic_fetch_add(&put_n[i], 1);
    }
    if (atomic_fetch_sub(&producers_left, 1) == 1)
        thrum_queue_shutdown(queue, false);
    return 0;
}

/* arg: the items of one producer must come in its order. */
static int consume(void *arg)
{
    int last[PRODUCERS], err;
    struct item item;
    for (int i = 0; i < PRODUCERS; i++)
        last[i] = -1;
    while ((err = thrum_queue_get(queue, &item)) == 0) {
        EXPECT(!arg || item.number > last[item.number / EACH]);
        last[item.number / EACH] = item.number;
        atomic_fetch_add(&got_n[item.number], 1);
        thrum_queue_task_done(queue);
    }
    EXPECT_IS(err, THRUM_ECLOSED);
    return 0;
}

struct kind {
    thrum_queue_order order;
    size_t max;
};
static const struct kind kinds[] = {{THRUM_QUEUE_FIFO, 1},       {THRUM_QUEUE_FIFO, 100},
                                    {THRUM_QUEUE_FIFO, 0},       {THRUM_QUEUE_LIFO, 3},
                                    {THRUM_QUEUE_LIFO, 0},       {THRUM_QUEUE_PRIORITY, 3},
                                    {THRUM_QUEUE_PRIORITY, 100}, {THRUM_QUEUE_PRIORITY, 0}};

#define FOR_KINDS(k)                                                                               \
    for (const struct kind *k = kinds; k < kinds + sizeof(kinds) / sizeof(kinds[0]); k++)

static int spawn_all(thrum_scope *scope, thrum_fn *producer, thrum_fn *consumer, void *arg)
{
    int err = 0;
    for (intptr_t i = 0; i < PRODUCERS && !err; i++)
        err = thrum_scope_spawn(scope, producer, (void *)i);
    for (int i = 0; i < CONSUMERS && !err; i++)
        err = thrum_scope_spawn(scope, consumer, arg ? arg : (void *)(intptr_t)i);
    return err;
}

static int many_to_many(void *arg)
{
    const struct kind *kind = arg;
    thrum_scope scope;
    make(kind->order, kind->max);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < PRODUCERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, produce, (void *)i), 0);
    for (int i = 0; i < CONSUMERS; i++)
        EXPECT_IS(
            thrum_scope_spawn(&scope, consume, kind->order == THRUM_QUEUE_FIFO ? queue : NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(thrum_queue_join(queue), 0); /* all were reported done */
    expect_conserved();
    for (int i = 0; i < ITEMS; i++)
        EXPECT_IS(atomic_load(&got_n[i]), 1);
    thrum_queue_free(queue);
    return 0;
}

static void each_item_is_taken_exactly_once(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    FOR_KINDS(k)
    assert_runs(*n, many_to_many, (void *)(uintptr_t)k);
}

/* ---- Deadlines and cancels ---- */

static int produce_hastily(void *arg)
{
    int first = (int)(intptr_t)arg * EACH;
    uint64_t random = (uint64_t)first + 1;
    for (int i = first; i < first + EACH; i++) {
        struct item item = {i, (int)random_below(&random, 5)};
        thrum_timeout limit;
        thrum_timeout_begin(&limit, random_below(&random, 30) * THRUM_MICROSECOND);
        int err = thrum_queue_put(queue, &item);
        thrum_timeout_end(&limit);
        EXPECT(err == 0 || err == -ETIMEDOUT || err == THRUM_ECLOSED);
        if (!err)
            atomic_fetch_add(&put_n[i], 1);
    }
    if (atomic_fetch_sub(&producers_left, 1) == 1)
        thrum_queue_shutdown(queue, false);
    return 0;
}

static int cancel_it(void *arg)
{
    (void)thrum_yield();
    thrum_scope_cancel(arg);
    return 0;
}

/* Gets under a deadline, and now and then in a scope that another task cancels. */
static int get_hastily(uint64_t *random, struct item *item)
{
    thrum_timeout limit;
    thrum_scope scope;
    bool cancel = random_below(random, 16) == 0;
    if (cancel) {
        thrum_scope_open(&scope, NULL);
        EXPECT_IS(thrum_scope_spawn(&scope, cancel_it, &scope), 0);
    }
    thrum_timeout_begin(&limit, random_below(random, 30) * THRUM_MICROSECOND);
    int err = thrum_queue_get(queue, item);
    thrum_timeout_end(&limit);
    if (cancel)
        (void)thrum_scope_close(&scope);
    return err;
}

static int consume_hastily(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg + 99;
    int err = 0;
    while (err != THRUM_ECLOSED) {
        struct item item = {-1, 0};
        err = get_hastily(&random, &item);
        EXPECT(err == 0 || err == -ETIMEDOUT || err == -ECANCELED || err == THRUM_ECLOSED);
        if (err)
            continue;
        atomic_fetch_add(&got_n[item.number], 1);
        thrum_queue_task_done(queue);
    }
    return 0;
}

static int hasty(void *arg)
{
    const struct kind *kind = arg;
    thrum_scope scope;
    make(kind->order, kind->max);
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(spawn_all(&scope, produce_hastily, consume_hastily, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(thrum_queue_join(queue), 0);
    expect_conserved();
    thrum_queue_free(queue);
    return 0;
}

static void no_item_is_lost_or_doubled_by_a_deadline_or_cancel(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    FOR_KINDS(k)
    assert_runs(*n, hasty, (void *)(uintptr_t)k);
}

/* ---- Joining ---- */

static atomic_bool joined;

static int join_it(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_queue_join(queue), 0);
    atomic_store(&joined, true);
    return 0;
}

static int count_work(void *arg)
{
    thrum_scope scope;
    thrum_timeout limit;
    struct item item = {0, 0};
    (void)arg;
    make(THRUM_QUEUE_FIFO, 0);
    atomic_store(&joined, false);
    EXPECT_IS(thrum_queue_join(queue), 0); /* nothing to wait for */
    EXPECT_IS(thrum_queue_put(queue, &item), 0);
    EXPECT_IS(thrum_queue_put(queue, &item), 0);
    thrum_timeout_begin(&limit, MS);
    EXPECT_IS(thrum_queue_join(queue), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 5; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, join_it, NULL), 0);
    EXPECT_IS(thrum_queue_get(queue, &item), 0);
    thrum_queue_task_done(queue);
    EXPECT_IS(thrum_queue_get(queue, &item), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_yield(), 0);
    EXPECT(!atomic_load(&joined)); /* taken is not done */
    thrum_queue_task_done(queue);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT(atomic_load(&joined));
    thrum_queue_free(queue);
    return 0;
}

static void join_waits_until_all_work_is_reported_done(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, count_work, NULL);
}

/* ---- Shutting down ---- */

static int expect_closed(void *arg)
{
    struct item item = {1, 0};
    EXPECT_IS(arg ? thrum_queue_put(queue, &item) : thrum_queue_get(queue, &item), THRUM_ECLOSED);
    return 0;
}

static void spawn_waiting(thrum_scope *scope, thrum_fn *fn, void *arg)
{
    thrum_scope_open(scope, NULL);
    for (int i = 0; i < 10; i++)
        EXPECT_IS(thrum_scope_spawn(scope, fn, arg), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_yield(), 0);
}

static int shut_down(void *arg)
{
    thrum_scope scope;
    struct item item = {0, 0};
    (void)arg;
    make(THRUM_QUEUE_FIFO, 2);
    spawn_waiting(&scope, expect_closed, NULL);
    thrum_queue_shutdown(queue, false);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    thrum_queue_free(queue);

    make(THRUM_QUEUE_FIFO, 2);
    EXPECT(thrum_queue_is_empty(queue));
    EXPECT_IS(thrum_queue_put(queue, &item), 0);
    EXPECT(!thrum_queue_is_full(queue));
    EXPECT_IS(thrum_queue_put(queue, &item), 0);
    EXPECT(thrum_queue_is_full(queue));
    EXPECT_IS(thrum_queue_try_put(queue, &item), -EAGAIN);
    spawn_waiting(&scope, expect_closed, queue);
    thrum_queue_shutdown(queue, false);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(thrum_queue_try_put(queue, &item), THRUM_ECLOSED);
    EXPECT_IS(thrum_queue_get(queue, &item), 0); /* what was put before is taken */
    EXPECT_IS(thrum_queue_try_get(queue, &item), 0);
    EXPECT_IS(thrum_queue_try_get(queue, &item), THRUM_ECLOSED);
    EXPECT_IS(thrum_queue_get(queue, &item), THRUM_ECLOSED);
    thrum_queue_shutdown(queue, false); /* once more does nothing */
    thrum_queue_task_done(queue);
    thrum_queue_task_done(queue);
    EXPECT_IS(thrum_queue_join(queue), 0);
    EXPECT_IS(atomic_load(&dropped_n[0]), 0);
    thrum_queue_free(queue);
    return 0;
}

static int shut_down_at_once(void *arg)
{
    thrum_scope scope;
    struct item item = {0, 0};
    bool gently_first = arg;
    make(THRUM_QUEUE_PRIORITY, 3);
    atomic_store(&joined, false);
    for (int i = 0; i < 3; i++)
        EXPECT_IS(thrum_queue_put(queue, &item), 0);
    EXPECT_IS(thrum_queue_get(queue, &item), 0); /* being worked on */
    EXPECT_IS(thrum_queue_put(queue, &item), 0);
    spawn_waiting(&scope, expect_closed, queue);
    EXPECT_IS(thrum_scope_spawn(&scope, join_it, NULL), 0);
    if (gently_first)
        thrum_queue_shutdown(queue, false);
    thrum_queue_shutdown(queue, true);
    EXPECT_IS(atomic_load(&dropped_n[0]), 3);
    EXPECT(thrum_queue_is_empty(queue));
    EXPECT_IS(thrum_queue_get(queue, &item), THRUM_ECLOSED);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_yield(), 0);
    EXPECT(!atomic_load(&joined)); /* the one that was taken is not done yet */
    thrum_queue_task_done(queue);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT(atomic_load(&joined));
    thrum_queue_shutdown(queue, true);
    EXPECT_IS(thrum_queue_join(queue), 0);
    thrum_queue_free(queue);
    return 0;
}

static void a_shutdown_wakes_all_and_drops_only_if_immediate(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, shut_down, NULL);
        assert_runs(*n, shut_down_at_once, NULL);
        assert_runs(*n, shut_down_at_once, &joined);
    }
}

static int produce_until_closed(void *arg)
{
    int first = (int)(intptr_t)arg * EACH, err = 0;
    for (int i = first; i < first + EACH && !err; i++) {
        struct item item = {i, i % 3};
        err = thrum_queue_put(queue, &item);
        if (!err)
            atomic_fetch_add(&put_n[i], 1);
    }
    EXPECT(err == 0 || err == THRUM_ECLOSED);
    return 0;
}

static int consume_until_closed(void *arg)
{
    int err;
    struct item item;
    (void)arg;
    while ((err = thrum_queue_get(queue, &item)) == 0) {
        atomic_fetch_add(&got_n[item.number], 1);
        thrum_queue_task_done(queue);
    }
    EXPECT_IS(err, THRUM_ECLOSED);
    return 0;
}

static void shut_down_from_outside(void *arg, unsigned index)
{
    (void)arg;
    if (index == 1)
        sched_yield();
    thrum_queue_shutdown(queue, index == 1);
}

static int race_shutdown(void *arg)
{
    const struct kind *kind = arg;
    for (int round = 0; round < BY_BUILD(20, 8, 4); round++) {
        thrum_scope scope;
        make(kind->order, kind->max);
        thrum_scope_open(&scope, NULL);
        EXPECT_IS(spawn_all(&scope, produce_until_closed, consume_until_closed, NULL), 0);
        EXPECT_IS(thrum_scope_spawn(&scope, join_it, NULL), 0);
        for (int i = 0; i < round; i++)
            EXPECT_IS(thrum_yield(), 0);
        if (round % 4 == 0)
            run_team(2, shut_down_from_outside, NULL);
        else
            thrum_queue_shutdown(queue, true);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        EXPECT_IS(thrum_queue_join(queue), 0);
        expect_conserved();
        thrum_queue_free(queue);
    }
    return 0;
}

static void a_shutdown_in_the_midst_of_it_loses_nothing_unseen(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    FOR_KINDS(k)
    assert_runs(*n, race_shutdown, (void *)(uintptr_t)k);
}

/* ---- Threads ---- */

static void put_from_outside(void *arg, unsigned index)
{
    (void)arg;
    for (int i = (int)index * EACH; i < (int)(index + 1) * EACH;) {
        struct item item = {i, 0};
        int err = thrum_queue_try_put(queue, &item);
        if (err == -EAGAIN) {
            sched_yield();
            continue;
        }
        EXPECT_IS(err, 0);
        atomic_fetch_add(&put_n[i++], 1);
    }
    if (atomic_fetch_sub(&producers_left, 1) == PRODUCERS - 3)
        thrum_queue_shutdown(queue, false);
}

static void *put_by_a_team(void *arg)
{
    run_team(4, put_from_outside, arg);
    return NULL;
}

static int hear_threads(void *arg)
{
    const struct kind *kind = arg;
    thrum_scope scope;
    pthread_t thread;
    make(kind->order, kind->max);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < CONSUMERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, consume_until_closed, NULL), 0);
    EXPECT_IS(pthread_create(&thread, NULL, put_by_a_team, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(thread, NULL);
    expect_conserved();
    thrum_queue_free(queue);
    return 0;
}

static void threads_put_and_shut_down_without_waiting(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    FOR_KINDS(k)
    assert_runs(*n, hear_threads, (void *)(uintptr_t)k);
}

/* ---- The end of the queue, arguments ---- */

static int get_and_free(void *arg)
{
    thrum_queue *q = arg;
    struct item item;
    EXPECT_IS(thrum_queue_get(q, &item), 0);
    thrum_queue_free(q); /* whoever put may not be out of its critical section yet */
    return 0;
}

static int free_at_once(void *arg)
{
    (void)arg;
    for (int i = 0; i < BY_BUILD(3000, 1000, 500); i++) {
        thrum_scope scope;
        thrum_queue *q;
        struct item item = {0, 0};
        EXPECT_IS(thrum_queue_new(&q, sizeof(item), NULL), 0);
        thrum_scope_open(&scope, NULL);
        EXPECT_IS(thrum_scope_spawn(&scope, get_and_free, q), 0);
        for (int k = 0; k < i % 4; k++)
            EXPECT_IS(thrum_yield(), 0);
        EXPECT_IS(thrum_queue_put(q, &item), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    return 0;
}

static void who_has_got_the_last_item_may_free_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, free_at_once, NULL);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    thrum_queue *q = (void *)&queue;
    assert_int_equal(thrum_queue_new(&q, 0, NULL), -EINVAL);
    assert_null(q);
    assert_int_equal(thrum_queue_new(&q, SIZE_MAX, NULL), -EINVAL);
    assert_int_equal(thrum_queue_new(&q, 8, &(thrum_queue_opts){.order = THRUM_QUEUE_PRIORITY}),
                     -EINVAL);
    assert_int_equal(thrum_queue_new(&q, 8, &(thrum_queue_opts){.order = (thrum_queue_order)3}),
                     -EINVAL);
    assert_int_equal(thrum_queue_new(&q, 8, &(thrum_queue_opts){.max = SIZE_MAX / 8}), -EINVAL);
    assert_null(q);
    thrum_queue_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_asked_for),
        cmocka_unit_test(items_have_any_size_and_their_alignment),
        cmocka_unit_test(each_item_is_taken_exactly_once),
        cmocka_unit_test(no_item_is_lost_or_doubled_by_a_deadline_or_cancel),
        cmocka_unit_test(join_waits_until_all_work_is_reported_done),
        cmocka_unit_test(a_shutdown_wakes_all_and_drops_only_if_immediate),
        cmocka_unit_test(a_shutdown_in_the_midst_of_it_loses_nothing_unseen),
        cmocka_unit_test(threads_put_and_shut_down_without_waiting),
        cmocka_unit_test(who_has_got_the_last_item_may_free_it),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
