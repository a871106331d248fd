/* SPDX-License-Identifier: MIT */
/* The table of look-ups: found by name, counted, forgotten in order. */
#include "dns/lookup.h"
#include "dns/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t hash_of(const char *name)
{
    return thr_name_hash(name, strlen(name), 7);
}

static struct thr_lookup *find(struct thr_lookups *t, const char *name)
{
    return thr_lookups_find(t, name, strlen(name), hash_of(name));
}

/* A look-up that only the table refers to. */
static struct thr_lookup *add(struct thr_lookups *t, const char *name)
{
    struct thr_lookup *l = thr_lookup_new(name, strlen(name), hash_of(name));
    assert_non_null(l);
    thr_lookups_add(t, l);
    assert_false(thr_lookup_unref(l));
    return l;
}

static void drop(struct thr_lookups *t, struct thr_lookup *l)
{
    assert_true(thr_lookups_remove(t, l));
    thr_lookup_free(l);
}

static void a_name_is_found_until_it_is_removed(void **state)
{
    (void)state;
    struct thr_lookups t;
    assert_int_equal(thr_lookups_init(&t), 0);
    assert_null(find(&t, "a.example"));
    struct thr_lookup *a = add(&t, "a.example"), *b = add(&t, "b.example");
    assert_ptr_equal(find(&t, "a.example"), a);
    assert_ptr_equal(find(&t, "b.example"), b);
    assert_null(find(&t, "a.exampl"));
    drop(&t, a);
    assert_null(find(&t, "a.example"));
    assert_ptr_equal(find(&t, "b.example"), b);
    drop(&t, b);
    thr_lookups_fini(&t);
}

static void who_holds_a_reference_keeps_the_look_up(void **state)
{
    (void)state;
    struct thr_lookups t;
    assert_int_equal(thr_lookups_init(&t), 0);
    struct thr_lookup *a = add(&t, "a");
    a->refs++;
    assert_false(thr_lookups_remove(&t, a));
    assert_string_equal(a->name, "a");
    assert_true(thr_lookup_unref(a));
    thr_lookup_free(a);
    thr_lookups_fini(&t);
}

static void the_one_used_longest_ago_is_forgotten(void **state)
{
    (void)state;
    struct thr_lookups t;
    assert_int_equal(thr_lookups_init(&t), 0);
    struct thr_lookup *a = add(&t, "a"), *b = add(&t, "b"), *c = add(&t, "c"),
                      *pending = add(&t, "pending");
    assert_null(thr_lookups_answered(&t, a, 2));
    assert_null(thr_lookups_answered(&t, b, 2));
    assert_ptr_equal(find(&t, "a"), a); /* used: now b is the oldest */
    struct thr_lookup *forgotten = thr_lookups_answered(&t, c, 2);
    assert_ptr_equal(forgotten, b);
    thr_lookup_free(forgotten);
    assert_null(find(&t, "b"));
    assert_ptr_equal(find(&t, "pending"),
                     pending); /* under way: does not count, is not forgotten */
    assert_int_equal(t.answered_n, 2);
    drop(&t, a);
    drop(&t, c);
    drop(&t, pending);
    assert_int_equal(t.answered_n, 0);
    assert_null(t.newest);
    assert_null(t.oldest);
    thr_lookups_fini(&t);
}

static void one_that_is_forgotten_while_in_use_is_freed_by_its_user(void **state)
{
    (void)state;
    struct thr_lookups t;
    assert_int_equal(thr_lookups_init(&t), 0);
    struct thr_lookup *a = add(&t, "a"), *b = add(&t, "b");
    a->refs++;
    assert_null(thr_lookups_answered(&t, a, 1));
    assert_null(thr_lookups_answered(&t, b, 1)); /* a left the table, but lives */
    assert_false(a->in_table);
    assert_null(find(&t, "a"));
    assert_true(thr_lookup_unref(a));
    thr_lookup_free(a);
    drop(&t, b);
    thr_lookups_fini(&t);
}

static void the_newest_answer_is_never_the_one_forgotten(void **state)
{
    (void)state;
    struct thr_lookups t;
    assert_int_equal(thr_lookups_init(&t), 0);
    struct thr_lookup *a = add(&t, "a");
    assert_null(thr_lookups_answered(&t, a, 0));
    assert_ptr_equal(find(&t, "a"), a);
    drop(&t, a);
    thr_lookups_fini(&t);
}

static void one_outside_the_table_can_be_answered(void **state)
{
    (void)state;
    struct thr_lookups t;
    assert_int_equal(thr_lookups_init(&t), 0);
    struct thr_lookup *a = add(&t, "a");
    a->refs++;
    assert_false(thr_lookups_remove(&t, a));
    assert_null(thr_lookups_answered(&t, a, 8));
    assert_true(a->answered);
    assert_int_equal(t.answered_n, 0);
    assert_true(thr_lookup_unref(a));
    thr_lookup_free(a);
    thr_lookups_fini(&t);
}

enum { MANY = 5000 };

static void a_full_table_asks_for_room_and_loses_nothing(void **state)
{
    (void)state;
    struct thr_lookups t;
    assert_int_equal(thr_lookups_init(&t), 0);
    assert_int_equal(thr_lookups_wanted(&t), 0);
    char name[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "host%d.example", i);
        struct thr_lookup *l = add(&t, name);
        if (i % 2)
            assert_null(thr_lookups_answered(&t, l, MANY));
    }
    size_t wanted = thr_lookups_wanted(&t);
    assert_true(wanted >= MANY);
    assert_int_equal(wanted & (wanted - 1), 0);
    free(thr_lookups_rehash(&t, calloc(wanted, sizeof(struct thr_lookup *)), wanted));
    assert_int_equal(thr_lookups_wanted(&t), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "host%d.example", i);
        struct thr_lookup *l = find(&t, name);
        assert_non_null(l);
        drop(&t, l);
    }
    assert_int_equal(t.n, 0);
    thr_lookups_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_found_until_it_is_removed),
        cmocka_unit_test(who_holds_a_reference_keeps_the_look_up),
        cmocka_unit_test(the_one_used_longest_ago_is_forgotten),
        cmocka_unit_test(one_that_is_forgotten_while_in_use_is_freed_by_its_user),
        cmocka_unit_test(the_newest_answer_is_never_the_one_forgotten),
        cmocka_unit_test(one_outside_the_table_can_be_answered),
        cmocka_unit_test(a_full_table_asks_for_room_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
