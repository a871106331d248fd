/* SPDX-License-Identifier: MIT */
/* Select under deadlines, cancels, closing and foreign threads: each item that a case or call says was sent is received
 * exactly once, and a case that did not happen has touched nothing. */
#include "running.h"

#include <sched.h>
#include <thrum/select.h>

enum {
    TASKS = 8,
    EACH = BY_BUILD(4000, 800, 200),
    THREADS_EACH = 2000,
    ITEMS = TASKS * EACH + THREADS_EACH,
    CHANS = 4,
    CASES = 6
};

static const size_t capacities[CHANS] = {0, 1, 3, THRUM_UNBOUNDED};
static thrum_chan *chans[CHANS];
static atomic_uchar sent[ITEMS], received[ITEMS];
static atomic_int stop;

static void note(atomic_uchar *counts, int item)
{
    EXPECT(item >= 0 && item < ITEMS);
    if (item >= 0 && item < ITEMS)
        atomic_fetch_add(&counts[item], 1);
}

static int cancel_it(void *arg)
{
    thrum_scope_cancel(arg);
    return 0;
}

/* One select with random cases; all that receive share a place, as do all that send. */
static void select_once(uint64_t *random, int item)
{
    thrum_case cases[CASES];
    thrum_event never = THRUM_EVENT_INIT;
    int in = -1;
    const int out = item;
    size_t n = 1 + random_below(random, CASES);
    for (size_t i = 0; i < n; i++) {
        thrum_chan *ch = chans[random_below(random, CHANS)];
        unsigned kind = random_below(random, 9);
        if (kind < 4)
            cases[i] = (thrum_case)THRUM_RECV(ch, &in);
        else if (kind < 8)
            cases[i] = (thrum_case)THRUM_SEND(ch, &out);
        else
            cases[i] = (thrum_case)THRUM_EVENT(&never);
    }
    int which = thrum_select(cases, n, random_below(random, 40) * THRUM_MICROSECOND);
    if (which < 0) {
        EXPECT(which == -ETIMEDOUT || which == -ECANCELED);
        EXPECT_IS(in, -1);
        return;
    }
    EXPECT(cases[which].result == 0 || cases[which].result == THRUM_ECLOSED);
    if (cases[which].result == 0 && cases[which].kind == THRUM_CASE_RECV)
        note(received, in);
    else
        EXPECT_IS(in, -1);
    if (cases[which].result == 0 && cases[which].kind == THRUM_CASE_SEND)
        note(sent, item);
}

static int play(void *arg)
{
    int first = (int)(intptr_t)arg * EACH;
    uint64_t random = (uint64_t)first + 5;
    for (int i = 0; i < EACH; i++) {
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        if (random_below(&random, 8) == 0)
            EXPECT_IS(thrum_scope_spawn(&scope, cancel_it, &scope), 0);
        select_once(&random, first + i);
        (void)thrum_scope_close(&scope);
    }
    return 0;
}

/* A thread that sends and receives as well, whenever it finds it possible. */
static void *meddle(void *arg)
{
    uint64_t random = 77;
    int next = TASKS * EACH;
    (void)arg;
    while (!atomic_load(&stop)) {
        thrum_chan *ch = chans[random_below(&random, CHANS)];
        int in = -1;
        if (random_below(&random, 2) == 0) {
            if (thrum_chan_try_recv(ch, &in) == 0)
                note(received, in);
            else
                EXPECT_IS(in, -1);
        } else if (next < ITEMS && thrum_chan_try_send(ch, &next) == 0) {
            note(sent, next++);
        }
        sched_yield();
    }
    return NULL;
}

static void drain(thrum_chan *ch)
{
    int in, err;
    while ((err = thrum_chan_try_recv(ch, &in)) == 0)
        note(received, in);
    EXPECT(err == -EAGAIN || err == THRUM_ECLOSED);
    EXPECT_IS(thrum_chan_count(ch), 0);
}

static int close_in_between(void *arg)
{
    (void)arg;
    for (int i = 0; i < CHANS; i++) {
        (void)thrum_sleep(2 * MS);
        thrum_chan_close(chans[i]);
    }
    return 0;
}

static int chaos(void *arg)
{
    thrum_scope scope;
    pthread_t thread;
    for (int i = 0; i < ITEMS; i++) {
        atomic_store(&sent[i], 0);
        atomic_store(&received[i], 0);
    }
    atomic_store(&stop, 0);
    for (int i = 0; i < CHANS; i++)
        EXPECT_IS(thrum_chan_new(&chans[i], sizeof(int), capacities[i]), 0);
    EXPECT_IS(pthread_create(&thread, NULL, meddle, NULL), 0);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < TASKS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, play, (void *)i), 0);
    if (arg)
        EXPECT_IS(thrum_scope_spawn(&scope, close_in_between, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < CHANS; i++) {
        drain(chans[i]);
        thrum_chan_free(chans[i]);
    }
    int moved = 0;
    for (int i = 0; i < ITEMS; i++) {
        EXPECT_IS(atomic_load(&received[i]), atomic_load(&sent[i]));
        EXPECT(atomic_load(&sent[i]) <= 1);
        moved += atomic_load(&sent[i]);
    }
    EXPECT(moved > 0);
    return 0;
}

static void no_item_is_lost_or_doubled(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, chaos, NULL);
}

static void not_even_while_channels_are_closed(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, chaos, chans);
}

/* ---- Events that are set and cleared while selects come and go ---- */

enum { SIGNALS = BY_BUILD(3000, 600, 200) };

static thrum_event event;
static thrum_chan acks;

static int answer(void *arg)
{
    thrum_chan never = THRUM_CHAN_UNBUFFERED_INIT(int);
    (void)arg;
    for (int i = 0; i < SIGNALS; i++) {
        int in;
        thrum_case cases[] = {THRUM_RECV(&never, &in), THRUM_EVENT(&event)};
        EXPECT_IS(thrum_select(cases, 2, THRUM_NEVER), 1);
        EXPECT(thrum_event_is_set(&event));
        thrum_event_clear(&event);
        EXPECT_IS(thrum_chan_send(&acks, &i), 0);
    }
    return 0;
}

static void *ring_the_bell(void *arg)
{
    (void)arg;
    for (int i = 0; i < SIGNALS; i++) {
        int ack = -1;
        thrum_event_set(&event);
        while (thrum_chan_try_recv(&acks, &ack) == -EAGAIN)
            sched_yield();
        EXPECT_IS(ack, i);
    }
    return NULL;
}

static int signals(void *arg)
{
    pthread_t thread;
    (void)arg;
    event = (thrum_event)THRUM_EVENT_INIT;
    EXPECT_IS(thrum_chan_init(&acks, sizeof(int), 0, NULL), 0);
    EXPECT_IS(pthread_create(&thread, NULL, ring_the_bell, NULL), 0);
    EXPECT_IS(answer(NULL), 0);
    pthread_join(thread, NULL);
    return 0;
}

static void no_signal_of_a_thread_is_missed(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, signals, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_item_is_lost_or_doubled),
        cmocka_unit_test(not_even_while_channels_are_closed),
        cmocka_unit_test(no_signal_of_a_thread_is_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
