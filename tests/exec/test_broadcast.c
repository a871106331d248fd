/* SPDX-License-Identifier: MIT */
/* Broadcasts: everyone gets every message in one order, or is told what was lost, whatever comes between. */
#include "running.h"

#include <sched.h>
#include <thrum/broadcast.h>

enum { SENDERS = 6, SUBSCRIBERS = 6, EACH = BY_BUILD(1500, 500, 150), TOTAL = SENDERS * EACH };

struct message {
    int sender, number;
};

static thrum_broadcast *channel;
static atomic_int senders_left;

static void make(size_t capacity, bool lossless)
{
    thrum_broadcast_opts opts = {.lossless = lossless};
    EXPECT_IS(thrum_broadcast_new(&channel, sizeof(struct message), capacity, &opts), 0);
    atomic_store(&senders_left, SENDERS);
}

/* ---- One task ---- */

static int send_number(int number)
{
    return thrum_broadcast_send(channel, &(struct message){0, number});
}

static int lose_some(void *arg)
{
    thrum_subscriber early, late;
    struct message m;
    uint64_t lost = 99;
    (void)arg;
    make(4, false);
    EXPECT_IS(send_number(0), 0); /* nobody ever receives it */
    thrum_subscribe(&early, channel);
    EXPECT_IS(thrum_try_receive(&early, &m, &lost), -EAGAIN);
    EXPECT_IS(lost, 0);
    EXPECT_IS(send_number(1), 1);
    thrum_subscribe(&late, channel);
    for (int i = 2; i <= 4; i++)
        EXPECT_IS(send_number(i), 2);
    EXPECT_IS(thrum_receive(&early, &m, &lost), 0); /* four are kept: none lost yet */
    EXPECT_IS(m.number, 1);
    EXPECT_IS(lost, 0);
    for (int i = 5; i <= 10; i++)
        EXPECT_IS(send_number(i), 2);
    EXPECT_IS(thrum_receive(&early, &m, &lost), 0);
    EXPECT_IS(m.number, 7);
    EXPECT_IS(lost, 5); /* 2 to 6 */
    EXPECT_IS(thrum_receive(&late, &m, NULL), 0);
    EXPECT_IS(m.number, 7);
    for (int i = 8; i <= 10; i++) {
        EXPECT_IS(thrum_receive(&early, &m, &lost), 0);
        EXPECT_IS(m.number, i);
        EXPECT_IS(lost, 0);
    }
    EXPECT_IS(send_number(11), 2);
    thrum_broadcast_close(channel);
    thrum_broadcast_close(channel);
    EXPECT_IS(send_number(12), THRUM_ECLOSED);
    EXPECT_IS(thrum_broadcast_try_send(channel, &m), THRUM_ECLOSED);
    EXPECT_IS(thrum_receive(&early, &m, NULL), 0); /* what was sent before the close */
    EXPECT_IS(m.number, 11);
    EXPECT_IS(thrum_receive(&early, &m, &lost), THRUM_ECLOSED);
    EXPECT_IS(thrum_try_receive(&early, &m, &lost), THRUM_ECLOSED);
    thrum_unsubscribe(&early);
    thrum_unsubscribe(&late); /* with messages that it has not received */
    thrum_subscribe(&late, channel);
    EXPECT_IS(thrum_receive(&late, &m, NULL), THRUM_ECLOSED);
    thrum_unsubscribe(&late);
    thrum_broadcast_free(channel);
    return 0;
}

static int wait_for_room(void *arg)
{
    thrum_subscriber fast, slow;
    thrum_timeout limit;
    struct message m;
    uint64_t lost;
    (void)arg;
    make(2, true);
    EXPECT_IS(send_number(0), 0);
    thrum_subscribe(&fast, channel);
    thrum_subscribe(&slow, channel);
    EXPECT_IS(send_number(1), 2);
    EXPECT_IS(send_number(2), 2);
    EXPECT_IS(thrum_broadcast_try_send(channel, &m), -EAGAIN);
    for (int i = 1; i <= 2; i++) {
        EXPECT_IS(thrum_receive(&fast, &m, &lost), 0);
        EXPECT_IS(m.number, i);
    }
    thrum_timeout_begin(&limit, MS);
    EXPECT_IS(send_number(99), -ETIMEDOUT); /* the slow one has not read any */
    EXPECT(thrum_timeout_end(&limit));
    EXPECT_IS(thrum_receive(&slow, &m, &lost), 0);
    EXPECT_IS(m.number, 1);
    EXPECT_IS(send_number(3), 2);
    EXPECT_IS(thrum_broadcast_try_send(channel, &m), -EAGAIN);
    thrum_unsubscribe(&slow); /* it holds nobody up any more */
    EXPECT_IS(send_number(4), 1);
    for (int i = 3; i <= 4; i++) {
        EXPECT_IS(thrum_receive(&fast, &m, &lost), 0);
        EXPECT_IS(m.number, i);
        EXPECT_IS(lost, 0);
    }
    thrum_timeout_begin(&limit, MS);
    EXPECT_IS(thrum_receive(&fast, &m, &lost), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    thrum_unsubscribe(&fast);
    thrum_broadcast_free(channel);
    return 0;
}

static void a_slow_subscriber_is_told_how_much_it_lost(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, lose_some, NULL);
}

static void senders_of_a_lossless_channel_wait_for_the_slowest(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, wait_for_room, NULL);
}

/* ---- Many tasks ---- */

static void end_sending(void)
{
    if (atomic_fetch_sub(&senders_left, 1) == 1)
        thrum_broadcast_close(channel);
}

static int send_each(void *arg)
{
    struct message m = {(int)(intptr_t)arg, 0};
    for (; m.number < EACH; m.number++)
        EXPECT_IS(thrum_broadcast_send(channel, &m), SUBSCRIBERS);
    end_sending();
    return 0;
}

/* What a subscriber has received, in its order. */
struct record {
    thrum_subscriber subscriber;
    int n;
    uint64_t lost;
    struct message got[TOTAL];
};
static struct record records[SUBSCRIBERS];

static int record_all(void *arg)
{
    struct record *r = arg;
    uint64_t lost;
    int err;
    while ((err = thrum_receive(&r->subscriber, &r->got[r->n], &lost)) == 0) {
        r->n++;
        r->lost += lost;
        if (r->n == TOTAL)
            break;
    }
    EXPECT(err == 0 || err == THRUM_ECLOSED);
    return 0;
}

static void subscribe_all(void)
{
    for (int i = 0; i < SUBSCRIBERS; i++) {
        records[i].n = 0;
        records[i].lost = 0;
        thrum_subscribe(&records[i].subscriber, channel);
    }
}

static void unsubscribe_all(void)
{
    for (int i = 0; i < SUBSCRIBERS; i++)
        thrum_unsubscribe(&records[i].subscriber);
}

/* Each sender's messages come in its order. */
static void expect_in_order(const struct record *r)
{
    int last[SENDERS];
    for (int i = 0; i < SENDERS; i++)
        last[i] = -1;
    for (int i = 0; i < r->n; i++) {
        EXPECT(r->got[i].number > last[r->got[i].sender]);
        last[r->got[i].sender] = r->got[i].number;
    }
}

struct kind {
    size_t capacity;
    bool lossless;
};
static const struct kind kinds[] = {{1, true}, {3, true}, {64, true}, {1, false}, {64, false}};

#define FOR_KINDS(k)                                                                               \
    for (const struct kind *k = kinds; k < kinds + sizeof(kinds) / sizeof(kinds[0]); k++)

static void run_all(thrum_fn *sender, thrum_fn *receiver)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < SUBSCRIBERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, receiver, &records[i]), 0);
    for (intptr_t i = 0; i < SENDERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, sender, (void *)i), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
}

static int many_to_all(void *arg)
{
    const struct kind *kind = arg;
    make(kind->capacity, kind->lossless);
    subscribe_all();
    run_all(send_each, record_all);
    unsubscribe_all();
    for (int i = 0; i < SUBSCRIBERS; i++) {
        EXPECT_IS((uint64_t)records[i].n + records[i].lost, TOTAL);
        expect_in_order(&records[i]);
        if (!kind->lossless)
            continue;
        EXPECT_IS(records[i].n, TOTAL);
        EXPECT_IS(memcmp(records[i].got, records[0].got, sizeof(records[0].got)),
                  0); /* one order */
    }
    thrum_broadcast_free(channel);
    return 0;
}

static void all_get_all_messages_in_one_order_or_know_how_many_not(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    FOR_KINDS(k)
    assert_runs(*n, many_to_all, (void *)(uintptr_t)k);
}

/* ---- Deadlines and cancels ---- */

static atomic_int sent_n;

static int send_hastily(void *arg)
{
    struct message m = {(int)(intptr_t)arg, 0};
    uint64_t random = (uint64_t)(uintptr_t)arg + 1;
    int sent = 0;
    for (int i = 0; i < EACH; i++) {
        thrum_timeout limit;
        m.number = sent; /* one that was not sent leaves no gap */
        thrum_timeout_begin(&limit, random_below(&random, 30) * THRUM_MICROSECOND);
        int err = thrum_broadcast_send(channel, &m);
        thrum_timeout_end(&limit);
        EXPECT(err == SUBSCRIBERS || err == -ETIMEDOUT);
        sent += err > 0;
    }
    atomic_fetch_add(&sent_n, sent);
    end_sending();
    return 0;
}

static int cancel_it(void *arg)
{
    (void)thrum_yield();
    thrum_scope_cancel(arg);
    return 0;
}

static int receive_hastily(uint64_t *random, struct record *r, uint64_t *lost)
{
    thrum_timeout limit;
    thrum_scope scope;
    bool cancel = random_below(random, 16) == 0;
    struct message m;
    if (cancel) {
        thrum_scope_open(&scope, NULL);
        EXPECT_IS(thrum_scope_spawn(&scope, cancel_it, &scope), 0);
    }
    thrum_timeout_begin(&limit, random_below(random, 30) * THRUM_MICROSECOND);
    int err = thrum_receive(&r->subscriber, &m, lost);
    thrum_timeout_end(&limit);
    if (cancel)
        (void)thrum_scope_close(&scope);
    if (!err)
        r->got[r->n++] = m;
    return err;
}

static int record_hastily(void *arg)
{
    struct record *r = arg;
    uint64_t random = (uint64_t)(r - records) + 50;
    int err = 0;
    while (err != THRUM_ECLOSED) {
        uint64_t lost;
        err = receive_hastily(&random, r, &lost);
        EXPECT(err == 0 || err == -ETIMEDOUT || err == -ECANCELED || err == THRUM_ECLOSED);
        r->lost += lost;
    }
    return 0;
}

static int hasty(void *arg)
{
    const struct kind *kind = arg;
    make(kind->capacity, kind->lossless);
    subscribe_all();
    atomic_store(&sent_n, 0);
    run_all(send_hastily, record_hastily);
    unsubscribe_all();
    for (int i = 0; i < SUBSCRIBERS; i++) {
        EXPECT_IS((uint64_t)records[i].n + records[i].lost, atomic_load(&sent_n));
        EXPECT(records[i].lost == 0 || !kind->lossless);
        expect_in_order(&records[i]);
    }
    thrum_broadcast_free(channel);
    return 0;
}

static void no_message_is_lost_or_doubled_by_a_deadline_or_cancel(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    FOR_KINDS(k)
    assert_runs(*n, hasty, (void *)(uintptr_t)k);
}

/* ---- Coming and going ---- */

static int send_to_whoever(void *arg)
{
    struct message m = {(int)(intptr_t)arg, 0};
    for (; m.number < EACH; m.number++)
        EXPECT(thrum_broadcast_send(channel, &m) >= 0);
    end_sending();
    return 0;
}

/* Subscribes, receives some, leaves with more unread; each stay sees no gap. */
static int come_and_go(void *arg)
{
    uint64_t random = (uint64_t)((struct record *)arg - records) + 7;
    int err = 0;
    while (err != THRUM_ECLOSED) {
        int next[SENDERS];
        thrum_subscriber s;
        struct message m;
        memset(next, -1, sizeof(next));
        thrum_subscribe(&s, channel);
        err = 0;
        for (uint32_t i = random_below(&random, 20); i > 0 && !err; i--) {
            err = thrum_receive(&s, &m, NULL);
            if (err)
                continue;
            EXPECT(next[m.sender] < 0 || m.number == next[m.sender]);
            next[m.sender] = m.number + 1;
        }
        EXPECT(err == 0 || err == THRUM_ECLOSED);
        if (random_below(&random, 2))
            EXPECT_IS(thrum_yield(), 0); /* so that some is unread */
        thrum_unsubscribe(&s);
        if (!err && random_below(&random, 4) == 0)
            EXPECT_IS(thrum_yield(), 0);
    }
    return 0;
}

static int changing(void *arg)
{
    make((size_t)(uintptr_t)arg, true);
    run_all(send_to_whoever, come_and_go);
    thrum_broadcast_free(channel);
    return 0;
}

static void who_leaves_holds_nobody_up(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (uintptr_t capacity = 1; capacity <= 16; capacity *= 4)
        assert_runs(*n, changing, (void *)capacity);
}

/* ---- Closing ---- */

static int expect_closed(void *arg)
{
    struct message m = {0, 0};
    if (arg) {
        EXPECT_IS(thrum_receive(arg, &m, NULL), THRUM_ECLOSED);
    } else {
        EXPECT_IS(thrum_broadcast_send(channel, &m), THRUM_ECLOSED);
    }
    return 0;
}

static int close_it(void *arg)
{
    thrum_scope scope;
    thrum_subscriber behind, waiting[5];
    struct message m;
    (void)arg;
    make(2, true);
    for (int i = 0; i < 5; i++)
        thrum_subscribe(&waiting[i], channel);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 5; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, expect_closed, &waiting[i]), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_yield(), 0);
    thrum_broadcast_close(channel);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    for (int i = 0; i < 5; i++)
        thrum_unsubscribe(&waiting[i]);
    thrum_broadcast_free(channel);

    make(2, true);
    thrum_subscribe(&behind, channel);
    EXPECT_IS(send_number(1), 1);
    EXPECT_IS(send_number(2), 1);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 5; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, expect_closed, NULL), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_yield(), 0);
    thrum_broadcast_close(channel);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    for (int i = 1; i <= 2; i++) {
        EXPECT_IS(thrum_receive(&behind, &m, NULL), 0);
        EXPECT_IS(m.number, i); /* of those who waited none was sent */
    }
    EXPECT_IS(thrum_receive(&behind, &m, NULL), THRUM_ECLOSED);
    thrum_unsubscribe(&behind);
    thrum_broadcast_free(channel);
    return 0;
}

static void a_close_wakes_all_and_keeps_what_was_sent(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, close_it, NULL);
}

/* ---- Threads ---- */

static void send_from_outside(void *arg, unsigned index)
{
    struct message m = {(int)index, 0};
    (void)arg;
    while (m.number < EACH) {
        int n = thrum_broadcast_try_send(channel, &m);
        if (n == -EAGAIN) {
            sched_yield();
            continue;
        }
        EXPECT_IS(n, SUBSCRIBERS);
        m.number++;
    }
    end_sending();
}

static void *send_by_a_team(void *arg)
{
    run_team(SENDERS, send_from_outside, arg);
    return NULL;
}

static int hear_threads(void *arg)
{
    const struct kind *kind = arg;
    thrum_scope scope;
    pthread_t thread;
    make(kind->capacity, kind->lossless);
    subscribe_all();
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < SUBSCRIBERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, record_all, &records[i]), 0);
    EXPECT_IS(pthread_create(&thread, NULL, send_by_a_team, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(thread, NULL);
    unsubscribe_all();
    for (int i = 0; i < SUBSCRIBERS; i++) {
        EXPECT_IS((uint64_t)records[i].n + records[i].lost, TOTAL);
        EXPECT(records[i].lost == 0 || !kind->lossless);
        expect_in_order(&records[i]);
    }
    thrum_broadcast_free(channel);
    return 0;
}

static void threads_send_without_waiting(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    FOR_KINDS(k)
    assert_runs(*n, hear_threads, (void *)(uintptr_t)k);
}

/* ---- Arguments ---- */

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    thrum_broadcast *b = (void *)&channel;
    assert_int_equal(thrum_broadcast_new(&b, 0, 1, NULL), -EINVAL);
    assert_null(b);
    assert_int_equal(thrum_broadcast_new(&b, 1, 0, NULL), -EINVAL);
    assert_int_equal(thrum_broadcast_new(&b, SIZE_MAX / 2, 3, NULL), -EINVAL);
    assert_int_equal(
        thrum_broadcast_new(&b, 1, SIZE_MAX / 8, &(thrum_broadcast_opts){.lossless = true}),
        -EINVAL);
    assert_null(b);
    thrum_broadcast_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_subscriber_is_told_how_much_it_lost),
        cmocka_unit_test(senders_of_a_lossless_channel_wait_for_the_slowest),
        cmocka_unit_test(all_get_all_messages_in_one_order_or_know_how_many_not),
        cmocka_unit_test(no_message_is_lost_or_doubled_by_a_deadline_or_cancel),
        cmocka_unit_test(who_leaves_holds_nobody_up),
        cmocka_unit_test(a_close_wakes_all_and_keeps_what_was_sent),
        cmocka_unit_test(threads_send_without_waiting),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
