/* SPDX-License-Identifier: MIT */
/* Channels of each kind and form: rendezvous, unbounded, in the caller's storage; their order, end, and memory. */
#include "exec/chan.h"
#include "running.h"

#include <sched.h>

enum { MANY = BY_BUILD(3000, 600, 200), CLOSINGS = BY_BUILD(10, 5, 3) };

/* ---- Unbuffered ---- */

struct meeting {
    thrum_chan chan;
    atomic_bool sent;
};

static int send_one(void *arg)
{
    struct meeting *m = arg;
    EXPECT_IS(thrum_chan_send(&m->chan, &(int){42}), 0);
    atomic_store(&m->sent, true);
    return 0;
}

static int receive_one(void *arg)
{
    struct meeting *m = arg;
    int item = 0;
    EXPECT_IS(thrum_chan_recv(&m->chan, &item), 0);
    return item;
}

static int rendezvous(void *arg)
{
    struct meeting m = {.chan = THRUM_CHAN_UNBUFFERED_INIT(int)};
    thrum_task *task;
    int item = 0, result;
    (void)arg;
    EXPECT_IS(thrum_chan_try_send(&m.chan, &item), -EAGAIN);
    EXPECT_IS(thrum_chan_try_recv(&m.chan, &item), -EAGAIN);
    EXPECT_IS(thrum_spawn(&task, send_one, &m, NULL), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_yield(), 0);
    EXPECT(!atomic_load(&m.sent)); /* nobody has received it */
    EXPECT_IS(thrum_chan_count(&m.chan), 0);
    while (thrum_chan_try_recv(&m.chan, &item) == -EAGAIN)
        EXPECT_IS(thrum_yield(), 0);
    EXPECT_IS(item, 42);
    EXPECT_IS(thrum_join(task, NULL), 0);
    EXPECT(atomic_load(&m.sent));

    EXPECT_IS(thrum_spawn(&task, receive_one, &m, NULL), 0);
    while (thrum_chan_try_send(&m.chan, &(int){43}) == -EAGAIN)
        EXPECT_IS(thrum_yield(), 0);
    EXPECT_IS(thrum_join(task, &result), 0);
    EXPECT_IS(result, 43);
    return 0;
}

static void unbuffered_channels_hand_over(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, rendezvous, NULL);
}

/* ---- Who waits is served first come, first served ---- */

struct in_line {
    thrum_chan *chan;
    int number;
    bool sends;
};

static int wait_in_line(void *arg)
{
    struct in_line *l = arg;
    int number = l->number;
    if (l->sends)
        return thrum_chan_send(l->chan, &number);
    int err = thrum_chan_recv(l->chan, &l->number);
    EXPECT(err || l->number == number); /* the items are numbered as the receivers are */
    return err;
}

/* One worker: tasks that were spawned and run one after the other have queued up in this order. */
static int lines(void *arg)
{
    enum { TASKS = 20 };
    size_t capacity = (size_t)(uintptr_t)arg;
    struct in_line line[TASKS];
    thrum_chan *ch;
    thrum_scope scope;
    int item = -1;
    EXPECT_IS(thrum_chan_new(&ch, sizeof(int), capacity), 0);
    for (size_t i = 0; i < capacity; i++)
        EXPECT_IS(thrum_chan_send(ch, &item), 0);
    for (int sends = 1; sends >= 0; sends--) {
        thrum_scope_open(&scope, NULL);
        for (int i = 0; i < TASKS; i++) {
            line[i] = (struct in_line){ch, i, sends};
            EXPECT_IS(thrum_scope_spawn(&scope, wait_in_line, &line[i]), 0);
            for (int k = 0; k < 3; k++)
                EXPECT_IS(thrum_yield(), 0);
        }
        for (size_t i = 0; sends && i < capacity; i++)
            EXPECT_IS(thrum_chan_try_recv(ch, &item), 0);
        for (int i = 0; i < TASKS; i++)
            if (sends) {
                EXPECT_IS(thrum_chan_try_recv(ch, &item), 0);
                EXPECT_IS(item, i);
            } else {
                EXPECT_IS(thrum_chan_try_send(ch, &i), 0);
            }
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    thrum_chan_free(ch);
    return 0;
}

static void those_who_wait_are_served_in_order(void **state)
{
    (void)state;
    assert_runs(1, lines, (void *)0);
    assert_runs(1, lines, (void *)3);
}

/* ---- Unbounded ---- */

static size_t chunks_of(thrum_chan *chan)
{
    const struct thr_chan *ch = thr_chan_of(chan);
    size_t n = ch->spare ? 1 : 0;
    for (const struct thr_chunk *c = ch->first; c; c = c->next)
        n++;
    return n;
}

static int unbounded(void *arg)
{
    thrum_chan *ch;
    uint64_t in = 0;
    (void)arg;
    EXPECT_IS(thrum_chan_new(&ch, sizeof(uint64_t), THRUM_UNBOUNDED), 0);
    EXPECT_IS(chunks_of(ch), 0); /* nothing before it is used */
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 10000; i++)
            EXPECT_IS(thrum_chan_send(ch, &i), 0);
        EXPECT_IS(thrum_chan_count(ch), 10000);
        EXPECT(chunks_of(ch) >= 10000 * sizeof(uint64_t) / 4096);
        for (uint64_t i = 0; i < 10000; i++) {
            EXPECT_IS(thrum_chan_recv(ch, &in), 0);
            EXPECT_IS(in, i);
        }
        EXPECT(chunks_of(ch) <= 2);
    }
    for (uint64_t i = 0; i < 10000;
         i++) { /* a few at a time need no more memory, however many there were */
        EXPECT_IS(thrum_chan_send(ch, &i), 0);
        EXPECT_IS(thrum_chan_send(ch, &i), 0);
        EXPECT_IS(thrum_chan_recv(ch, &in), 0);
        EXPECT_IS(thrum_chan_recv(ch, &in), 0);
        EXPECT(chunks_of(ch) <= 3);
    }
    for (uint64_t i = 0; i < 1000; i++)
        EXPECT_IS(thrum_chan_send(ch, &i), 0);
    thrum_chan_free(ch); /* with what is in it */

    EXPECT_IS(thrum_chan_new(&ch, SIZE_MAX / 16, THRUM_UNBOUNDED), 0);
    if (BY_BUILD(true, false, false)) /* sanitizers end the process instead */
        EXPECT_IS(thrum_chan_try_send(ch, &in), -ENOMEM);
    EXPECT_IS(thrum_chan_count(ch), 0);
    thrum_chan_free(ch);
    EXPECT_IS(thrum_chan_new(&ch, SIZE_MAX / 15, THRUM_UNBOUNDED), -EINVAL);
    return 0;
}

static void unbounded_channels_give_memory_back(void **state)
{
    (void)state;
    assert_runs(1, unbounded, NULL);
}

static thrum_chan *shared;
static atomic_int senders_left;

static int send_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++)
        EXPECT_IS(thrum_chan_send(shared, &i), 0);
    if (atomic_fetch_sub(&senders_left, 1) == 1)
        thrum_chan_close(shared);
    return 0;
}

static int growing(void *arg)
{
    thrum_scope scope;
    int item, err, n = 0;
    int64_t sum = 0;
    (void)arg;
    EXPECT_IS(thrum_chan_new(&shared, sizeof(int), THRUM_UNBOUNDED), 0);
    atomic_store(&senders_left, 8);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 8; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, send_many, NULL), 0);
    for (; (err = thrum_chan_recv(shared, &item)) == 0; n++)
        sum += item;
    EXPECT_IS(err, THRUM_ECLOSED);
    EXPECT_IS(n, 8 * MANY);
    EXPECT_IS(sum, (int64_t)8 * MANY * (MANY - 1) / 2);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT(chunks_of(shared) <= 2);
    thrum_chan_free(shared);
    return 0;
}

static void unbounded_channels_grow_for_many_senders(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, growing, NULL);
}

/* ---- The caller's storage ---- */

struct item {
    int a;
    char text[12];
};

static struct item storage[3];
static thrum_chan in_array = THRUM_CHAN_INIT(storage);
static thrum_chan unbuffered = THRUM_CHAN_UNBUFFERED_INIT(struct item);
static thrum_chan endless = THRUM_CHAN_UNBOUNDED_INIT(struct item);

static void fill_and_drain(thrum_chan *ch, int n)
{
    struct item item = {0};
    for (int round = 0; round < 5; round++) { /* round the ring's end */
        for (int i = 0; i < n; i++) {
            item = (struct item){.a = i, .text = "text"};
            assert_int_equal(thrum_chan_try_send(ch, &item), 0);
        }
        if (round == 0 && n <= 3)
            assert_int_equal(thrum_chan_try_send(ch, &item), -EAGAIN);
        for (int i = 0; i < n; i++) {
            assert_int_equal(thrum_chan_try_recv(ch, &item), 0);
            assert_int_equal(item.a, i);
            assert_string_equal(item.text, "text");
        }
        assert_int_equal(thrum_chan_try_recv(ch, &item), -EAGAIN);
        if (n > 1)
            n--;
    }
}

static void channels_live_in_the_callers_storage(void **state)
{
    (void)state;
    thrum_chan ch;
    static char room[2 * sizeof(struct item) + 1];
    fill_and_drain(&in_array, 3);
    fill_and_drain(&unbuffered, 0);
    fill_and_drain(&endless, 1000);
    thrum_chan_fini(&endless);
    thrum_chan_fini(&in_array); /* allowed, needless */

    assert_int_equal(thrum_chan_init(&ch, sizeof(struct item), 2, room + 1), 0); /* not aligned */
    fill_and_drain(&ch, 2);
    assert_int_equal(thrum_chan_init(&ch, sizeof(struct item), 0, NULL), 0);
    fill_and_drain(&ch, 0);
    assert_int_equal(thrum_chan_init(&ch, sizeof(struct item), THRUM_UNBOUNDED, NULL), 0);
    fill_and_drain(&ch, 10);
    thrum_chan_fini(&ch);
    assert_int_equal(thrum_chan_init(&ch, sizeof(struct item), 2, NULL), -EINVAL);
    assert_int_equal(thrum_chan_init(&ch, 0, 2, room), -EINVAL);
    assert_int_equal(thrum_chan_init(&ch, SIZE_MAX / 2, 3, room), -EINVAL);
    memset(&ch, 0, sizeof(ch));
    thrum_chan_fini(&ch);
}

/* ---- The end ---- */

static int send_last(void *arg)
{
    EXPECT_IS(thrum_chan_send(arg, &(int){1}), 0);
    return 0;
}

/* Who has received the last item knows that nobody else uses the channel, though the sender may just be leaving it. */
static int one_shots(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < MANY; i++) {
        thrum_chan *ch;
        int item = 0;
        EXPECT_IS(thrum_chan_new(&ch, sizeof(int), (size_t)(i % 3)), 0);
        EXPECT_IS(thrum_scope_spawn(&scope, send_last, ch), 0);
        for (int k = 0; k < i % 4; k++) /* mostly the sender waits by then, if it must */
            (void)thrum_yield();
        EXPECT_IS(thrum_chan_recv(ch, &item), 0);
        EXPECT_IS(item, 1);
        memset(ch, 0xEE,
               sizeof(*ch)); /* a late unlock, or a copy, would be seen below or by a sanitizer */
        EXPECT_IS(*(volatile unsigned char *)ch, 0xEE);
        memset(ch, 0, sizeof(*ch));
        thrum_chan_free(ch);
    }
    EXPECT_IS(thrum_scope_close(&scope), 0);
    return 0;
}

static void the_last_receiver_may_free_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, one_shots, NULL);
}

static atomic_int taken, given;

static int give_until_closed(void *arg)
{
    int err, item = 0;
    (void)arg;
    while ((err = thrum_chan_send(shared, &item)) == 0)
        atomic_fetch_add(&given, 1);
    EXPECT_IS(err, THRUM_ECLOSED);
    return 0;
}

static int take_until_closed(void *arg)
{
    int err, item;
    (void)arg;
    while ((err = thrum_chan_recv(shared, &item)) == 0)
        atomic_fetch_add(&taken, 1);
    EXPECT_IS(err, THRUM_ECLOSED);
    return 0;
}

static void *close_from_outside(void *arg)
{
    int item;
    (void)arg;
    for (int i = 0; i < 5; i++) {
        if (thrum_chan_try_recv(shared, &item) == 0) /* threads receive as well */
            atomic_fetch_add(&taken, 1);
        sched_yield();
    }
    thrum_chan_close(shared);
    return NULL;
}

static int closing(void *arg)
{
    for (int round = 0; round < CLOSINGS; round++) {
        thrum_scope scope;
        pthread_t thread;
        EXPECT_IS(thrum_chan_new(&shared, sizeof(int), (size_t)(uintptr_t)arg), 0);
        atomic_store(&taken, 0);
        atomic_store(&given, 0);
        thrum_scope_open(&scope, NULL);
        for (int i = 0; i < 4; i++) {
            EXPECT_IS(thrum_scope_spawn(&scope, give_until_closed, NULL), 0);
            EXPECT_IS(thrum_scope_spawn(&scope, take_until_closed, NULL), 0);
        }
        EXPECT_IS(pthread_create(&thread, NULL, close_from_outside, NULL), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        pthread_join(thread, NULL);
        EXPECT_IS(atomic_load(&taken), atomic_load(&given)); /* what was sent was received */
        thrum_chan_free(shared);
    }
    return 0;
}

static void closing_loses_nothing_that_was_sent(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (uintptr_t capacity = 0; capacity < 8; capacity = capacity * 3 + 1)
        assert_runs(*n, closing, (void *)capacity);
}

/* ---- Cancelled while waiting ---- */

static int wait_to_be_cancelled(void *arg)
{
    int item = -1;
    int err = arg ? thrum_chan_send(shared, &item) : thrum_chan_recv(shared, &item);
    EXPECT_IS(err, -ECANCELED);
    EXPECT_IS(item, -1);
    return 0;
}

static int cancelling(void *arg)
{
    thrum_scope scope;
    int item = 5;
    (void)arg;
    for (uintptr_t sends = 0; sends < 2; sends++) {
        EXPECT_IS(thrum_chan_new(&shared, sizeof(int), 1), 0);
        if (sends)
            EXPECT_IS(thrum_chan_send(shared, &item), 0);
        thrum_scope_open(&scope, &(thrum_scope_opts){.shield = true});
        for (int i = 0; i < 10; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, wait_to_be_cancelled, (void *)sends), 0);
        for (int i = 0; i < 100; i++)
            (void)thrum_yield();
        thrum_scope_cancel(&scope);
        EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
        EXPECT_IS(thrum_chan_count(shared), sends);
        if (!sends) /* nobody waits any more: it stays in the channel */
            EXPECT_IS(thrum_chan_send(shared, &item), 0);
        EXPECT_IS(thrum_chan_try_recv(shared, &item), 0);
        EXPECT_IS(item, 5);
        EXPECT_IS(thrum_chan_try_recv(shared, &item), -EAGAIN);
        thrum_chan_free(shared);
    }
    return 0;
}

static void a_cancelled_wait_leaves_nothing_behind(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, cancelling, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unbuffered_channels_hand_over),
        cmocka_unit_test(those_who_wait_are_served_in_order),
        cmocka_unit_test(unbounded_channels_give_memory_back),
        cmocka_unit_test(unbounded_channels_grow_for_many_senders),
        cmocka_unit_test(channels_live_in_the_callers_storage),
        cmocka_unit_test(the_last_receiver_may_free_it),
        cmocka_unit_test(closing_loses_nothing_that_was_sent),
        cmocka_unit_test(a_cancelled_wait_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
