/* SPDX-License-Identifier: MIT */
/* The work-stealing deque: order, growth, and that each item comes out exactly once, whoever takes it. */
#include "exec/deque.h"
#include "running.h"

#include <sched.h>

static void *item(size_t i)
{
    return (void *)(uintptr_t)(i + 1);
}

static size_t number(void *p)
{
    return (size_t)(uintptr_t)p - 1;
}

static void owner_pops_the_newest_and_thieves_take_the_oldest(void **state)
{
    (void)state;
    struct thr_deque d;
    bool busy = true;
    assert_int_equal(thr_deque_init(&d), 0);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(thr_deque_push(&d, item(i)), 0);
    assert_int_equal(thr_deque_count(&d), 6);
    assert_ptr_equal(thr_deque_steal(&d, &busy), item(0));
    assert_false(busy);
    assert_ptr_equal(thr_deque_pop(&d), item(5));
    assert_ptr_equal(thr_deque_steal(&d, NULL), item(1));
    assert_ptr_equal(thr_deque_pop(&d), item(4));
    assert_int_equal(thr_deque_count(&d), 2);
    thr_deque_fini(&d);
}

static void an_empty_deque_gives_nothing(void **state)
{
    (void)state;
    struct thr_deque d;
    bool busy = true;
    assert_int_equal(thr_deque_init(&d), 0);
    for (int round = 0; round < 3; round++) {
        assert_null(thr_deque_pop(&d));
        assert_null(thr_deque_steal(&d, &busy));
        assert_false(busy);
        assert_int_equal(thr_deque_count(&d), 0);
        assert_int_equal(thr_deque_push(&d, item(7)), 0);
        assert_ptr_equal(round % 2 ? thr_deque_pop(&d) : thr_deque_steal(&d, NULL), item(7));
    }
    assert_null(thr_deque_pop(&d));
    thr_deque_fini(&d);
}

static void growing_keeps_items_and_order(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct thr_deque d;
    assert_int_equal(thr_deque_init(&d), 0);
    for (size_t i = 0; i < 100; i++) { /* so that the items do not begin at index 0 */
        assert_int_equal(thr_deque_push(&d, item(i)), 0);
        assert_ptr_equal(thr_deque_steal(&d, NULL), item(i));
    }
    for (size_t i = 0; i < N; i++)
        assert_int_equal(thr_deque_push(&d, item(i)), 0);
    for (size_t i = 0; i < N / 2; i++) {
        assert_ptr_equal(thr_deque_steal(&d, NULL), item(i));
        assert_ptr_equal(thr_deque_pop(&d), item(N - 1 - i));
    }
    assert_int_equal(thr_deque_count(&d), 0);
    thr_deque_fini(&d);
}

static void a_zeroed_deque_can_be_ended(void **state)
{
    (void)state;
    struct thr_deque d;
    memset(&d, 0, sizeof(d));
    thr_deque_fini(&d);
}

/* ---- Several threads ---- */

struct contest {
    struct thr_deque d;
    size_t items_n;
    atomic_uchar *taken;
    atomic_size_t taken_n;
};

static void take(struct contest *c, void *p)
{
    if (!p)
        return;
    atomic_fetch_add(&c->taken[number(p)], 1);
    atomic_fetch_add(&c->taken_n, 1);
}

static void steal_all(struct contest *c)
{
    while (atomic_load(&c->taken_n) < c->items_n) {
        void *p = thr_deque_steal(&c->d, NULL);
        take(c, p);
        if (!p)
            sched_yield();
    }
}

static void contest_init(struct contest *c, size_t items_n)
{
    memset(c, 0, sizeof(*c));
    assert_int_equal(thr_deque_init(&c->d), 0);
    c->items_n = items_n;
    c->taken = calloc(items_n, sizeof(c->taken[0]));
    assert_non_null(c->taken);
}

static void contest_check(struct contest *c)
{
    for (size_t i = 0; i < c->items_n; i++)
        assert_int_equal(atomic_load(&c->taken[i]), 1);
    thr_deque_fini(&c->d);
    free(c->taken);
}

/* The owner pushes and pops a few, so that the deque is often empty: who gets the last item? */
static void last_items_member(void *arg, unsigned index)
{
    struct contest *c = arg;
    if (index != 0) {
        steal_all(c);
        return;
    }
    uint64_t random = 1;
    for (size_t i = 0; i < c->items_n;) {
        for (uint32_t n = 1 + random_below(&random, 3); n-- && i < c->items_n; i++)
            EXPECT_IS(thr_deque_push(&c->d, item(i)), 0);
        for (uint32_t n = random_below(&random, 4); n--;)
            take(c, thr_deque_pop(&c->d));
    }
    while (atomic_load(&c->taken_n) < c->items_n)
        take(c, thr_deque_pop(&c->d));
}

static void the_last_item_goes_to_one(void **state)
{
    (void)state;
    struct contest c;
    contest_init(&c, BY_BUILD(1000000, 300000, 100000));
    run_team(4, last_items_member, &c);
    contest_check(&c);
    assert_int_equal(atomic_load(&wrong_n), 0);
}

/* Bursts of thousands: the buffer is replaced under the thieves' hands. */
static void growing_member(void *arg, unsigned index)
{
    struct contest *c = arg;
    if (index != 0) {
        steal_all(c);
        return;
    }
    uint64_t random = 2;
    for (size_t i = 0; i < c->items_n;) {
        for (uint32_t n = random_below(&random, 6000); n-- && i < c->items_n; i++)
            EXPECT_IS(thr_deque_push(&c->d, item(i)), 0);
        for (uint32_t n = random_below(&random, 3000); n--;)
            take(c, thr_deque_pop(&c->d));
    }
    while (atomic_load(&c->taken_n) < c->items_n)
        take(c, thr_deque_pop(&c->d));
}

static void items_come_out_once_while_it_grows(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct contest c;
        contest_init(&c, BY_BUILD(200000, 100000, 30000));
        run_team(4, growing_member, &c);
        contest_check(&c);
    }
    assert_int_equal(atomic_load(&wrong_n), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owner_pops_the_newest_and_thieves_take_the_oldest),
        cmocka_unit_test(an_empty_deque_gives_nothing),
        cmocka_unit_test(growing_keeps_items_and_order),
        cmocka_unit_test(a_zeroed_deque_can_be_ended),
        cmocka_unit_test(the_last_item_goes_to_one),
        cmocka_unit_test(items_come_out_once_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
