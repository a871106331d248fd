/* SPDX-License-Identifier: MIT */
/* The ring of runnable tasks: order, bound, counters that wrap around, halves for thieves, each item exactly once. */
#include "exec/ring.h"
#include "running.h"

#include <sched.h>

static void *item(size_t i)
{
    return (void *)(uintptr_t)(i + 1);
}

/* Counters that are about to wrap around must make no difference: each test starts from several values. */
static const uint32_t starts[] = {0,         1, UINT32_MAX - 300, UINT32_MAX - 100, UINT32_MAX - 1,
                                  UINT32_MAX};

static void ring_at(struct thr_ring *r, uint32_t start)
{
    thr_ring_init(r);
    thr_store(&r->head, start, THR_RELAXED);
    thr_store(&r->tail, start, THR_RELAXED);
}

#define FOR_STARTS(s)                                                                              \
    for (const uint32_t *s = starts; s < starts + sizeof(starts) / sizeof(starts[0]); s++)

static void items_come_out_in_order(void **state)
{
    (void)state;
    FOR_STARTS(start)
    {
        struct thr_ring r;
        ring_at(&r, *start);
        assert_null(thr_ring_pop(&r));
        for (size_t i = 0; i < 1000; i++) {
            assert_true(thr_ring_push(&r, item(2 * i)));
            assert_true(thr_ring_push(&r, item(2 * i + 1)));
            assert_int_equal(thr_ring_count(&r), 2);
            assert_ptr_equal(thr_ring_pop(&r), item(2 * i));
            assert_ptr_equal(thr_ring_pop(&r), item(2 * i + 1));
            assert_null(thr_ring_pop(&r));
            assert_int_equal(thr_ring_count(&r), 0);
        }
    }
}

static void a_full_ring_refuses(void **state)
{
    (void)state;
    FOR_STARTS(start)
    {
        struct thr_ring r;
        ring_at(&r, *start);
        for (size_t i = 0; i < THR_RING; i++)
            assert_true(thr_ring_push(&r, item(i)));
        assert_false(thr_ring_push(&r, item(999)));
        assert_int_equal(thr_ring_count(&r), THR_RING);
        assert_ptr_equal(thr_ring_pop(&r), item(0));
        assert_true(thr_ring_push(&r, item(THR_RING)));
        assert_false(thr_ring_push(&r, item(999)));
        for (size_t i = 1; i <= THR_RING; i++)
            assert_ptr_equal(thr_ring_pop(&r), item(i));
        assert_null(thr_ring_pop(&r));
    }
}

static void a_thief_takes_the_older_half(void **state)
{
    (void)state;
    FOR_STARTS(start)
    {
        for (uint32_t n = 0; n <= THR_RING; n++) {
            struct thr_ring r;
            void *got[THR_RING];
            ring_at(&r, *start);
            for (size_t i = 0; i < n; i++)
                assert_true(thr_ring_push(&r, item(i)));
            uint32_t half = (n + 1) / 2;
            assert_int_equal(thr_ring_steal(&r, got, THR_RING), half);
            for (size_t i = 0; i < half; i++)
                assert_ptr_equal(got[i], item(i));
            for (size_t i = half; i < n; i++)
                assert_ptr_equal(thr_ring_pop(&r), item(i));
            assert_null(thr_ring_pop(&r));
        }
    }
}

static void a_thief_takes_no_more_than_it_has_room_for(void **state)
{
    (void)state;
    struct thr_ring r;
    void *got[5];
    ring_at(&r, UINT32_MAX - 2);
    for (size_t i = 0; i < 20; i++)
        assert_true(thr_ring_push(&r, item(i)));
    assert_int_equal(thr_ring_steal(&r, got, 5), 5);
    assert_ptr_equal(got[4], item(4));
    assert_int_equal(thr_ring_count(&r), 15);
    assert_ptr_equal(thr_ring_pop(&r), item(5));
}

/* ---- Several threads ---- */

struct contest {
    struct thr_ring r;
    size_t items_n;
    atomic_uchar *taken;
    atomic_size_t taken_n;
};

static void take(struct contest *c, void *p)
{
    atomic_fetch_add(&c->taken[(size_t)(uintptr_t)p - 1], 1);
    atomic_fetch_add(&c->taken_n, 1);
}

static void own(struct contest *c)
{
    uint64_t random = 3;
    for (size_t i = 0; i < c->items_n;) {
        /* Now a few, so that owner and thieves meet at the last items, now more than fit. */
        for (uint32_t n = random_below(&random, random_below(&random, 8) ? 4 : 400); n--;)
            if (i < c->items_n && thr_ring_push(&c->r, item(i)))
                i++;
        for (uint32_t n = random_below(&random, 5); n--;) {
            void *p = thr_ring_pop(&c->r);
            if (p)
                take(c, p);
        }
    }
    for (void *p; (p = thr_ring_pop(&c->r)) != NULL;)
        take(c, p);
}

static void contest_member(void *arg, unsigned index)
{
    struct contest *c = arg;
    if (index == 0) {
        own(c);
        return;
    }
    while (atomic_load(&c->taken_n) < c->items_n) {
        void *got[THR_RING / 2];
        uint32_t n = thr_ring_steal(&c->r, got, index == 1 ? 3 : THR_RING / 2);
        for (uint32_t i = 0; i < n; i++)
            take(c, got[i]);
        if (n == 0)
            sched_yield();
    }
}

static void items_come_out_once(void **state)
{
    (void)state;
    struct contest c;
    memset(&c, 0, sizeof(c));
    c.items_n = BY_BUILD(2000000, 500000, 150000);
    ring_at(&c.r, UINT32_MAX - (uint32_t)c.items_n / 2); /* wraps around half way */
    c.taken = calloc(c.items_n, sizeof(c.taken[0]));
    assert_non_null(c.taken);
    run_team(4, contest_member, &c);
    for (size_t i = 0; i < c.items_n; i++)
        assert_int_equal(atomic_load(&c.taken[i]), 1);
    free(c.taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_order),
        cmocka_unit_test(a_full_ring_refuses),
        cmocka_unit_test(a_thief_takes_the_older_half),
        cmocka_unit_test(a_thief_takes_no_more_than_it_has_room_for),
        cmocka_unit_test(items_come_out_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
