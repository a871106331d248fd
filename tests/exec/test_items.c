/* SPDX-License-Identifier: MIT */
/* The store of items: against a plain array, whatever the sizes and whichever end is used; and no more memory than told. */
#include "running.h"

#include "exec/items.h"

enum { STEPS = BY_BUILD(20000, 10000, 10000), MODEL = 1500 };

struct model {
    uint32_t at[MODEL];
    size_t n;
};

static void fill(void *item, size_t bytes, uint32_t value)
{
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)item)[i] = (unsigned char)(value >> i % 4 * 8);
}

static bool is_filled(const void *item, size_t bytes, uint32_t value)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)item)[i] != (unsigned char)(value >> i % 4 * 8))
            return false;
    return true;
}

static void push(struct thr_items *it, struct model *m, uint32_t value)
{
    struct thr_items_more more = {0};
    while (!thr_items_room(it)) {
        assert_null(more.chunk); /* once is enough */
        thr_items_want(it, &more);
        assert_int_equal(thr_items_more_get(&more), 0);
        thr_items_add(it, &more);
    }
    thr_items_more_free(&more);
    fill(thr_items_at(it, it->count), it->bytes, value);
    thr_items_push(it);
    m->at[m->n++] = value;
}

static void drop(struct thr_items *it, struct model *m, bool first)
{
    uint32_t value = first ? m->at[0] : m->at[m->n - 1];
    assert_true(is_filled(thr_items_at(it, first ? 0 : it->count - 1), it->bytes, value));
    free(first ? thr_items_drop_first(it) : thr_items_drop_last(it));
    m->n--;
    if (first)
        memmove(m->at, m->at + 1, m->n * sizeof(m->at[0]));
    assert_int_equal(it->count, m->n);
}

/* Pushes and drops at random, in waves so that it grows to many chunks and shrinks to none. */
static void use_at_random(size_t bytes, size_t reserve, unsigned first_percent)
{
    static struct model m;
    uint64_t random = bytes * 31 + first_percent;
    struct thr_items it;
    m.n = 0;
    assert_int_equal(thr_items_init(&it, bytes, reserve), 0);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t pushes = step / 2048 % 2 ? 30 : 70; /* of 100 */
        size_t max = reserve ? reserve : MODEL;
        if (m.n < max && (m.n == 0 || random_below(&random, 100) < pushes)) {
            bool room = reserve == 0 || thr_items_room(&it); /* reserved: without asking for more */
            assert_true(room);
            push(&it, &m, step);
        } else {
            if (random_below(&random, 8) == 0)
                (void)thr_items_room(&it); /* a room that is not used disturbs nothing */
            drop(&it, &m, random_below(&random, 100) < first_percent);
        }
        if (step % 2000 == 0)
            for (size_t i = 0; i < m.n; i++)
                assert_true(is_filled(thr_items_at(&it, i), bytes, m.at[i]));
    }
    thr_items_fini(&it);
}

static void it_is_a_sequence_of_items_whatever_their_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3, 8, 24, 200, 5000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (unsigned first = 0; first <= 100; first += 50)
            use_at_random(sizes[i], 0, first);
}

static void a_reserved_store_never_asks_for_memory(void **state)
{
    (void)state;
    static const size_t reserves[] = {1, 2, 7, 64, 3000};
    for (size_t i = 0; i < sizeof(reserves) / sizeof(reserves[0]); i++)
        for (unsigned first = 0; first <= 100; first += 50)
            use_at_random(i % 2 ? 8 : 100, reserves[i], first);
}

/* A directory whose places are all taken, the next index falling on the first one's. */
static void a_full_directory_loses_no_chunk(void **state)
{
    (void)state;
    static struct model m;
    struct thr_items it;
    m.n = 0;
    assert_int_equal(thr_items_init(&it, 4096, 0), 0); /* an item a chunk */
    for (uint32_t i = 0; i < 8; i++)
        push(&it, &m, i);
    assert_int_equal(it.dir_n, 8);
    drop(&it, &m, false);
    assert_true(is_filled(thr_items_at(&it, 0), 4096, 0));
    for (uint32_t i = 0; i < 100; i++) {
        push(&it, &m, i);
        drop(&it, &m, true);
    }
    assert_int_equal(it.dir_n, 8); /* it turns in place */
    while (m.n)
        drop(&it, &m, true);
    thr_items_fini(&it);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct thr_items it;
    assert_int_equal(thr_items_init(&it, 0, 1), -EINVAL);
    thr_items_fini(&it);
    assert_int_equal(thr_items_init(&it, SIZE_MAX / 2, 0), -EINVAL);
    thr_items_fini(&it);
    assert_int_equal(thr_items_init(&it, 1 << 20, SIZE_MAX >> 19), -EINVAL);
    thr_items_fini(&it);
    thr_items_fini(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_a_sequence_of_items_whatever_their_size),
        cmocka_unit_test(a_reserved_store_never_asks_for_memory),
        cmocka_unit_test(a_full_directory_loses_no_chunk),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
