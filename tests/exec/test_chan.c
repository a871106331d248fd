/* SPDX-License-Identifier: MIT */
/* Channels: in order, each item exactly once, and nothing lost to a deadline or a cancel. */
#include "running.h"

#include <thrum/chan.h>

enum { PRODUCERS = 8, CONSUMERS = 8, EACH = BY_BUILD(5000, 1500, 300), ITEMS = PRODUCERS * EACH };

static thrum_chan *chan;
static atomic_uchar sent[ITEMS],
    received[ITEMS]; /* how often each item was, as the calls reported it */
static atomic_int producers_left;

static int make(size_t item_bytes, size_t capacity)
{
    EXPECT_IS(thrum_chan_new(&chan, item_bytes, capacity), 0);
    for (int i = 0; i < ITEMS; i++) {
        atomic_store(&sent[i], 0);
        atomic_store(&received[i], 0);
    }
    atomic_store(&producers_left, PRODUCERS);
    return 0;
}

/* ---- Order ---- */

static int produce_in_order(void *arg)
{
    int first = (int)(intptr_t)arg * EACH;
    for (int i = first; i < first + EACH; i++)
        EXPECT_IS(thrum_chan_send(chan, &i), 0);
    if (atomic_fetch_sub(&producers_left, 1) == 1)
        thrum_chan_close(chan);
    return 0;
}

/* What one producer sent reaches any one receiver in the order in which it was sent. */
static int consume_in_order(void *arg)
{
    int last[PRODUCERS], item, err;
    (void)arg;
    for (int i = 0; i < PRODUCERS; i++)
        last[i] = -1;
    while ((err = thrum_chan_recv(chan, &item)) == 0) {
        EXPECT(item > last[item / EACH]);
        last[item / EACH] = item;
        atomic_fetch_add(&received[item], 1);
    }
    EXPECT_IS(err, THRUM_ECLOSED);
    return 0;
}

static int many_to(void *arg)
{
    size_t capacity = (size_t)(uintptr_t)arg;
    for (int consumers = 1; consumers <= CONSUMERS; consumers += CONSUMERS - 1) {
        thrum_scope scope;
        make(sizeof(int), capacity);
        thrum_scope_open(&scope, NULL);
        for (intptr_t i = 0; i < PRODUCERS; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, produce_in_order, (void *)i), 0);
        for (int i = 0; i < consumers; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, consume_in_order, NULL), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        for (int i = 0; i < ITEMS; i++)
            EXPECT_IS(atomic_load(&received[i]), 1);
        thrum_chan_free(chan);
    }
    return 0;
}

static void items_come_in_order_and_exactly_once(void **state)
{
    (void)state;
    static const uintptr_t capacities[] = {0, 1, 2, 128, 100000, THRUM_UNBOUNDED};
    FOR_WORKERS(n)
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++)
        assert_runs(*n, many_to, (void *)capacities[i]);
}

/* ---- Deadlines and cancels ---- */

static int produce_hastily(void *arg)
{
    int first = (int)(intptr_t)arg * EACH;
    uint64_t random = (uint64_t)first + 1;
    for (int i = first; i < first + EACH; i++) {
        thrum_timeout limit;
        thrum_timeout_begin(&limit, random_below(&random, 30) * THRUM_MICROSECOND);
        int err = thrum_chan_send(chan, &i);
        thrum_timeout_end(&limit);
        EXPECT(err == 0 || err == -ETIMEDOUT || err == -ECANCELED);
        if (!err)
            atomic_fetch_add(&sent[i], 1);
    }
    if (atomic_fetch_sub(&producers_left, 1) == 1)
        thrum_chan_close(chan);
    return 0;
}

static int consume_hastily(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg + 99;
    int err = 0;
    while (err != THRUM_ECLOSED) {
        int item = -1;
        thrum_timeout limit;
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        if (random_below(&random, 16) == 0)
            thrum_scope_cancel(&scope);
        thrum_timeout_begin(&limit, random_below(&random, 30) * THRUM_MICROSECOND);
        err = thrum_chan_recv(chan, &item);
        thrum_timeout_end(&limit);
        (void)thrum_scope_close(&scope);
        if (!err)
            atomic_fetch_add(&received[item], 1);
        else
            EXPECT_IS(item, -1); /* a receive that failed has not touched it */
    }
    return 0;
}

static int hasty(void *arg)
{
    size_t capacity = (size_t)(uintptr_t)arg;
    thrum_scope scope;
    make(sizeof(int), capacity);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < PRODUCERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, produce_hastily, (void *)i), 0);
    for (intptr_t i = 0; i < CONSUMERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, consume_hastily, (void *)i), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    for (int i = 0; i < ITEMS; i++)
        EXPECT_IS(atomic_load(&received[i]), atomic_load(&sent[i]));
    thrum_chan_free(chan);
    return 0;
}

static void no_item_is_lost_or_doubled_by_a_deadline_or_cancel(void **state)
{
    (void)state;
    static const uintptr_t capacities[] = {0, 1, 8, 64, THRUM_UNBOUNDED};
    FOR_WORKERS(n)
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++)
        assert_runs(*n, hasty, (void *)capacities[i]);
}

/* ---- Closing, trying, sizes ---- */

static int expect_closed(void *arg)
{
    int item = 0;
    EXPECT_IS(arg ? thrum_chan_send(chan, &item) : thrum_chan_recv(chan, &item), THRUM_ECLOSED);
    return 0;
}

static int closing(void *arg)
{
    thrum_scope scope;
    int item = 7;
    (void)arg;
    make(sizeof(int), 2);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 10; i++) /* receivers that wait */
        EXPECT_IS(thrum_scope_spawn(&scope, expect_closed, NULL), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_yield(), 0);
    thrum_chan_close(chan);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    thrum_chan_free(chan);

    make(sizeof(int), 2);
    EXPECT_IS(thrum_chan_send(chan, &item), 0);
    EXPECT_IS(thrum_chan_send(chan, &item), 0);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < 10; i++) /* senders that wait */
        EXPECT_IS(thrum_scope_spawn(&scope, expect_closed, chan), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_yield(), 0);
    thrum_chan_close(chan);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(thrum_chan_recv(chan, &item), 0); /* what was sent before is received */
    EXPECT_IS(thrum_chan_try_recv(chan, &item), 0);
    EXPECT_IS(thrum_chan_try_recv(chan, &item), THRUM_ECLOSED);
    EXPECT_IS(thrum_chan_recv(chan, &item), THRUM_ECLOSED);
    EXPECT_IS(thrum_chan_try_send(chan, &item), THRUM_ECLOSED);
    thrum_chan_close(chan); /* once more does nothing */
    thrum_chan_free(chan);
    return 0;
}

static void closing_wakes_all_and_keeps_what_was_sent(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, closing, NULL);
}

static void *talk_from_outside(void *arg)
{
    thrum_chan *out = arg;
    for (int i = 0; i < 1000;) {
        int err = thrum_chan_try_send(out, &i);
        if (!err)
            i++;
        else if (err != -EAGAIN)
            break;
    }
    return NULL;
}

static int hear_a_thread(void *arg)
{
    pthread_t thread;
    int item = 0;
    (void)arg;
    make(sizeof(int), 4);
    EXPECT_IS(thrum_chan_try_recv(chan, &item), -EAGAIN);
    EXPECT_IS(pthread_create(&thread, NULL, talk_from_outside, chan), 0);
    for (int i = 0; i < 1000; i++) {
        EXPECT_IS(thrum_chan_recv(chan, &item), 0);
        EXPECT_IS(item, i);
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < 4; i++)
        EXPECT_IS(thrum_chan_try_send(chan, &i), 0);
    EXPECT_IS(thrum_chan_try_send(chan, &item), -EAGAIN);
    thrum_chan_free(chan);
    return 0;
}

static void threads_send_without_waiting(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, hear_a_thread, NULL);
}

static int sizes(void *arg)
{
    static const size_t bytes[] = {1, 3, 8, 4096};
    static char out[4096], in[4096];
    (void)arg;
    for (size_t i = 0; i < 4; i++) {
        thrum_chan *ch;
        EXPECT_IS(thrum_chan_new(&ch, bytes[i], 3), 0);
        for (int round = 0; round < 10; round++) {
            memset(out, round + 1, sizeof(out));
            memset(in, 0, sizeof(in));
            EXPECT_IS(thrum_chan_send(ch, out), 0);
            EXPECT_IS(thrum_chan_recv(ch, in), 0);
            EXPECT_IS(memcmp(in, out, bytes[i]), 0);
            EXPECT(bytes[i] == 4096 || in[bytes[i]] == 0);
        }
        thrum_chan_free(ch);
    }
    thrum_chan_free(NULL);
    return 0;
}

static void items_have_any_size(void **state)
{
    (void)state;
    thrum_chan *ch;
    assert_runs(1, sizes, NULL);
    assert_int_equal(thrum_chan_new(&ch, 0, 1), -EINVAL);
    assert_null(ch);
    assert_int_equal(thrum_chan_new(&ch, SIZE_MAX, 1), -EINVAL);
    assert_int_equal(thrum_chan_new(&ch, SIZE_MAX / 2, 3), -EINVAL);
    if (BY_BUILD(true, false, false)) /* sanitizers end the process instead */
        assert_int_equal(thrum_chan_new(&ch, SIZE_MAX / 4, 1), -ENOMEM);
    assert_null(ch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_in_order_and_exactly_once),
        cmocka_unit_test(no_item_is_lost_or_doubled_by_a_deadline_or_cancel),
        cmocka_unit_test(closing_wakes_all_and_keeps_what_was_sent),
        cmocka_unit_test(threads_send_without_waiting),
        cmocka_unit_test(items_have_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
