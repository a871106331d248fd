/* SPDX-License-Identifier: MIT */
/* Select: one case happens, completely, and the others not at all. */
#include "running.h"

#include <thrum/select.h>

enum { MANY = BY_BUILD(2000, 500, 200) };

/* ---- Each kind of case ---- */

static int transfers(void *arg)
{
    thrum_chan *a, *b;
    int in = 0, out = 7;
    (void)arg;
    EXPECT_IS(thrum_chan_new(&a, sizeof(int), 1), 0);
    EXPECT_IS(thrum_chan_new(&b, sizeof(int), 1), 0);
    thrum_case cases[] = {THRUM_RECV(a, &in), THRUM_SEND(b, &out)};
    EXPECT_IS(thrum_select(cases, 2, THRUM_NEVER), 1);
    EXPECT_IS(cases[1].result, 0);
    EXPECT_IS(thrum_try_select(cases, 2), -EAGAIN); /* a is empty, b is full */
    EXPECT_IS(thrum_select(cases, 2, 0), -ETIMEDOUT);
    EXPECT_IS(thrum_select(cases, 2, MS), -ETIMEDOUT);
    EXPECT_IS(thrum_chan_count(a), 0);
    EXPECT_IS(thrum_chan_count(b), 1);
    EXPECT_IS(thrum_chan_send(a, &(int){8}), 0);
    EXPECT_IS(thrum_select(cases, 2, 0), 0);
    EXPECT_IS(in, 8);
    EXPECT_IS(thrum_chan_recv(b, &in), 0);
    EXPECT_IS(in, 7);

    thrum_chan_close(a);
    EXPECT_IS(thrum_select(cases, 1, THRUM_NEVER), 0);
    EXPECT_IS(cases[0].result, THRUM_ECLOSED);
    thrum_chan_close(b);
    EXPECT_IS(thrum_try_select(&cases[1], 1), 0);
    EXPECT_IS(cases[1].result, THRUM_ECLOSED);
    thrum_chan_free(a);
    thrum_chan_free(b);
    return 0;
}

static void a_case_happens_as_the_operation_does(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, transfers, NULL);
}

struct late {
    thrum_chan *chan;
    thrum_event *event;
    int value;
    bool closes;
};

static int act_late(void *arg)
{
    const struct late *l = arg;
    int in = 0;
    for (int i = 0; i < 20; i++)
        thrum_yield();
    if (l->event)
        thrum_event_set(l->event);
    else if (l->closes)
        thrum_chan_close(l->chan);
    else if (l->value)
        EXPECT_IS(thrum_chan_send(l->chan, &l->value), 0);
    else
        EXPECT_IS(thrum_chan_recv(l->chan, &in), 0);
    return in;
}

static int wakes(void *arg)
{
    (void)arg;
    for (int round = 0; round < MANY / 20; round++) {
        thrum_chan a = THRUM_CHAN_UNBUFFERED_INIT(int), b = THRUM_CHAN_UNBUFFERED_INIT(int);
        thrum_event event = THRUM_EVENT_INIT;
        thrum_task *task;
        int in = 0, out = 5, result = 0;
        struct late acts[] = {{.chan = &a, .value = 3},
                              {.chan = &b},
                              {.event = &event},
                              {.chan = &a, .closes = true}};
        static const int expected[] = {0, 1, 2, 0};
        for (int i = 0; i < 4; i++) {
            thrum_case cases[] = {THRUM_RECV(&a, &in), THRUM_SEND(&b, &out),  THRUM_EVENT(&event),
                                  THRUM_JOIN(NULL),    THRUM_RECV(NULL, &in), {0}};
            thrum_event_clear(&event);
            EXPECT_IS(thrum_spawn(&task, act_late, &acts[i], NULL), 0);
            EXPECT_IS(thrum_select(cases, 6, THRUM_NEVER), expected[i]);
            EXPECT_IS(cases[expected[i]].result, i == 3 ? THRUM_ECLOSED : 0);
            EXPECT_IS(thrum_join(task, &result), 0);
            EXPECT_IS(result, i == 1 ? 5 : 0);
        }
        EXPECT_IS(in, 3);
    }
    return 0;
}

static void whatever_comes_first_ends_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, wakes, NULL);
}

/* ---- Tasks ---- */

static int return_after(void *arg)
{
    int n = (int)(intptr_t)arg;
    for (int i = 0; i < n * 10; i++)
        thrum_yield();
    return n;
}

static int joins(void *arg)
{
    enum { TASKS = 8 };
    (void)arg;
    for (int round = 0; round < MANY / 20; round++) {
        thrum_case cases[TASKS];
        int seen[TASKS] = {0}, result;
        for (intptr_t i = 0; i < TASKS; i++) {
            thrum_task *task;
            EXPECT_IS(thrum_spawn(&task, return_after, (void *)i, NULL), 0);
            cases[i] = (thrum_case)THRUM_JOIN(task);
        }
        for (int i = 0; i < TASKS; i++) {
            int which = thrum_select(cases, TASKS, THRUM_NEVER);
            EXPECT(which >= 0 && which < TASKS);
            if (which < 0 || which >= TASKS)
                return which;
            EXPECT(thrum_task_is_done(cases[which].task));
            EXPECT_IS(thrum_join(cases[which].task, &result), 0);
            EXPECT_IS(result, which);
            EXPECT_IS(seen[which]++, 0);
            cases[which].task = NULL; /* switched off */
        }
        EXPECT_IS(thrum_select(cases, TASKS, 0), -ETIMEDOUT);
    }
    return 0;
}

static void tasks_can_be_waited_for_as_they_end(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, joins, NULL);
}

static int wait_for_event(void *arg)
{
    return thrum_event_wait(arg);
}

static int join_it(void *arg)
{
    int result = 0, err;
    while ((err = thrum_join(arg, &result)) == -EBUSY) /* the select has it */
        thrum_yield();
    EXPECT_IS(err, 0);
    return result;
}

static int busy_joins(void *arg)
{
    thrum_event event = THRUM_EVENT_INIT;
    thrum_task *task, *joiner;
    int result;
    (void)arg;
    EXPECT_IS(thrum_spawn(&task, wait_for_event, &event, NULL), 0);
    thrum_case twice[] = {THRUM_JOIN(task), THRUM_JOIN(task)};
    EXPECT_IS(thrum_select(twice, 2, THRUM_NEVER), -EBUSY);
    EXPECT_IS(thrum_select(twice, 1, MS), -ETIMEDOUT); /* nothing is left behind */
    EXPECT_IS(thrum_spawn(&joiner, join_it, task, NULL), 0);
    while (thrum_select(twice, 1, MS) == -ETIMEDOUT) /* until the other one has begun to join */
        EXPECT_IS(thrum_yield(), 0);
    EXPECT_IS(thrum_select(twice, 1, MS), -EBUSY);
    thrum_event_set(&event);
    EXPECT_IS(thrum_join(joiner, &result), 0);
    EXPECT_IS(result, 0);
    return 0;
}

static void a_task_has_one_joiner(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, busy_joins, NULL);
}

/* ---- Timers ---- */

static int timers(void *arg)
{
    thrum_timer once = THRUM_TIMER_INIT, late = THRUM_TIMER_INIT, ticking = THRUM_TIMER_INIT;
    thrum_chan never = THRUM_CHAN_UNBUFFERED_INIT(int);
    int in = 0;
    (void)arg;
    thrum_case cases[] = {THRUM_RECV(&never, &in), THRUM_TIMER(&once), THRUM_TIMER(&late)};
    EXPECT_IS(thrum_select(cases, 3, MS), -ETIMEDOUT); /* none is set */
    EXPECT(!thrum_timer_set(&late, 1000 * THRUM_SECOND));
    for (int i = 0; i < 3; i++) {
        uint64_t start = thrum_now();
        (void)thrum_timer_set(&once, 2 * MS);
        EXPECT_IS(thrum_try_select(cases, 1), -EAGAIN);
        EXPECT_IS(thrum_select(cases, 3, THRUM_NEVER), 1);
        EXPECT(thrum_now() - start >= 2 * MS);
        EXPECT_IS(thrum_select(cases, 3, THRUM_NEVER), 1); /* it has fired, and that stays so */
    }
    EXPECT(thrum_timer_cancel(&late));

    thrum_case tick = THRUM_TIMER(&ticking);
    EXPECT(!thrum_timer_set_period(&ticking, MS, MS));
    for (int i = 0; i < 5; i++) {
        EXPECT_IS(thrum_select(&tick, 1, THRUM_NEVER), 0);
        EXPECT_IS(thrum_timer_wait(&ticking), 0);
    }
    EXPECT(thrum_timer_cancel(&ticking));
    return 0;
}

static void timers_end_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, timers, NULL);
}

/* ---- The choice ---- */

static int choices(void *arg)
{
    enum { ROUNDS = 4000 };
    thrum_event set = THRUM_EVENT_INIT, unset = THRUM_EVENT_INIT;
    int counts[5] = {0};
    (void)arg;
    thrum_event_set(&set);
    /* the ready ones lie unevenly: one that looks only for the next after a random start would favour the first */
    thrum_case cases[] = {THRUM_EVENT(&set), THRUM_EVENT(&set), THRUM_EVENT(&unset),
                          THRUM_EVENT(&unset), THRUM_EVENT(&set)};
    for (int i = 0; i < ROUNDS; i++) {
        int which = thrum_select(cases, 5, THRUM_NEVER);
        EXPECT(which >= 0 && which < 5);
        counts[which >= 0 && which < 5 ? which : 2]++;
    }
    EXPECT_IS(counts[2] + counts[3], 0);
    for (int i = 0; i < 5; i++) /* a third each; 10 times the standard deviation off */
        if (i != 2 && i != 3)
            EXPECT(counts[i] > ROUNDS / 3 - 300 && counts[i] < ROUNDS / 3 + 300);
    return 0;
}

static void each_ready_case_is_as_likely(void **state)
{
    (void)state;
    assert_runs(1, choices, NULL);
}

/* ---- What does not happen ---- */

static int alone(void *arg)
{
    thrum_chan ch = THRUM_CHAN_UNBUFFERED_INIT(int);
    int in = 0, out = 1;
    thrum_case cases[] = {THRUM_SEND(&ch, &out), THRUM_RECV(&ch, &in), THRUM_SEND(&ch, &out)};
    (void)arg;
    EXPECT_IS(thrum_select(cases, 3, MS), -ETIMEDOUT); /* it does not meet itself */
    EXPECT_IS(thrum_try_select(cases, 3), -EAGAIN);
    EXPECT_IS(thrum_chan_try_send(&ch, &out), -EAGAIN); /* and has left nothing behind */
    EXPECT_IS(thrum_chan_try_recv(&ch, &in), -EAGAIN);
    EXPECT_IS(thrum_select(NULL, 0, MS), -ETIMEDOUT);
    EXPECT_IS(thrum_select(cases, (size_t)INT32_MAX + 1, MS), -EINVAL);
    EXPECT_IS(thrum_try_select(cases, (size_t)INT32_MAX + 1), -EINVAL);

    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_select(cases, 3, THRUM_NEVER), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);

    thrum_timeout limit;
    thrum_timeout_begin(&limit, MS);
    EXPECT_IS(thrum_select(cases, 3, THRUM_NEVER), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    thrum_timeout_begin(&limit, THRUM_SECOND * 100);
    EXPECT_IS(thrum_select(cases, 3, MS), -ETIMEDOUT); /* its own limit, not the enclosing one */
    EXPECT(!thrum_timeout_end(&limit));
    return 0;
}

static void a_select_does_not_meet_itself(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, alone, NULL);
}

static int unbounded_sends(void *arg)
{
    thrum_chan ch = THRUM_CHAN_UNBOUNDED_INIT(int);
    int in = 0, out = 0;
    thrum_case send = THRUM_SEND(&ch, &out), recv = THRUM_RECV(&ch, &in);
    (void)arg;
    for (; out < 5000; out++)
        EXPECT_IS(thrum_try_select(&send, 1), 0);
    for (int i = 0; i < 5000; i++) {
        EXPECT_IS(thrum_select(&recv, 1, THRUM_NEVER), 0);
        EXPECT_IS(in, i);
    }
    thrum_chan_fini(&ch);
    return 0;
}

static void unbounded_channels_take_at_once(void **state)
{
    (void)state;
    assert_runs(1, unbounded_sends, NULL);
}

/* ---- The end of a channel ---- */

static int send_last(void *arg)
{
    thrum_chan never = THRUM_CHAN_UNBUFFERED_INIT(int);
    int in, out = 9;
    thrum_case cases[] = {THRUM_RECV(&never, &in), THRUM_SEND(arg, &out), THRUM_RECV(&never, &in)};
    EXPECT_IS(thrum_select(cases, 3, THRUM_NEVER), 1);
    EXPECT_IS(cases[1].result, 0);
    return 0;
}

/* AddressSanitizer sees it: who has received the last item frees the channel, while the select that sent it is on its way out. */
static int last_items(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < MANY; i++) {
        thrum_chan *ch;
        int item = 0;
        EXPECT_IS(thrum_chan_new(&ch, sizeof(int), 0), 0);
        EXPECT_IS(thrum_scope_spawn(&scope, send_last, ch), 0);
        for (int k = 0; k < i % 4;
             k++) /* mostly the select waits by then, and wakes when the channel is gone */
            (void)thrum_yield();
        if (i % 2) {
            EXPECT_IS(thrum_chan_recv(ch, &item), 0);
        } else {
            thrum_case recv = THRUM_RECV(ch, &item);
            EXPECT_IS(thrum_select(&recv, 1, THRUM_NEVER), 0);
        }
        EXPECT_IS(item, 9);
        memset(ch, 0xEE,
               sizeof(*ch)); /* who locks it now waits for ever; sanitizers see it freed */
        if (i % 8 == 0)
            (void)thrum_yield();
        memset(ch, 0, sizeof(*ch));
        thrum_chan_free(ch);
    }
    return thrum_scope_close(&scope);
}

static void the_last_receiver_may_free_a_channel(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, last_items, NULL);
}

/* ---- Selects that face each other ---- */

enum { PAIRS = 4, EXCHANGES = BY_BUILD(20000, 3000, 500) };

struct facing {
    thrum_chan a, b;
    atomic_int moved[2];
};

struct side {
    struct facing *f;
    int first; /* which channel it sends on */
};

/* Each side sends on one channel and receives on the other, whatever comes first. */
static int face(void *arg)
{
    const struct side *side = arg;
    struct facing *f = side->f;
    thrum_chan *to = side->first ? &f->b : &f->a, *from = side->first ? &f->a : &f->b;
    for (int i = 0; i < EXCHANGES; i++) {
        int in = -1, out = i;
        thrum_case cases[] = {THRUM_SEND(to, &out), THRUM_RECV(from, &in)};
        int which = thrum_select(cases, 2, THRUM_NEVER);
        EXPECT(which == 0 || which == 1);
        if (which != 0 && which != 1)
            return which;
        EXPECT_IS(cases[which].result, 0);
        EXPECT(which == 0 ? in == -1 : in >= 0);
        atomic_fetch_add(&f->moved[which], 1);
    }
    return 0;
}

static int facing(void *arg)
{
    static struct facing f;
    struct side sides[2 * PAIRS];
    int pairs = (int)(intptr_t)arg;
    thrum_scope scope;
    f = (struct facing){.a = THRUM_CHAN_UNBUFFERED_INIT(int), .b = THRUM_CHAN_UNBUFFERED_INIT(int)};
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 2 * pairs; i++) {
        sides[i] = (struct side){&f, i % 2};
        EXPECT_IS(thrum_scope_spawn(&scope, face, &sides[i]), 0);
    }
    EXPECT_IS(thrum_scope_close(&scope), 0); /* both sides do as many: nobody is left over */
    EXPECT_IS(atomic_load(&f.moved[0]), pairs * EXCHANGES);
    EXPECT_IS(atomic_load(&f.moved[1]), pairs * EXCHANGES);
    return 0;
}

static void selects_that_face_each_other_meet(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, facing, (void *)1);
        assert_runs(*n, facing, (void *)PAIRS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_case_happens_as_the_operation_does),
        cmocka_unit_test(whatever_comes_first_ends_it),
        cmocka_unit_test(tasks_can_be_waited_for_as_they_end),
        cmocka_unit_test(a_task_has_one_joiner),
        cmocka_unit_test(timers_end_it),
        cmocka_unit_test(each_ready_case_is_as_likely),
        cmocka_unit_test(a_select_does_not_meet_itself),
        cmocka_unit_test(unbounded_channels_take_at_once),
        cmocka_unit_test(the_last_receiver_may_free_a_channel),
        cmocka_unit_test(selects_that_face_each_other_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
