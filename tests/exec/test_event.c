/* SPDX-License-Identifier: MIT */
/* The event as a message: what was written before the set is there for who waited, or asked; nobody is left waiting. */
#include "syncing.h"

enum { ROUNDS = BY_BUILD(5000, 2000, 400), READERS = 4 };

struct message {
    thrum_event written;
    thrum_latch readers;
    long long text; /* written before each set, read after it, and ordered by nothing else */
};

static int await(void *arg)
{
    return thrum_event_wait(arg);
}

static int await_at_risk(uint64_t *random, thrum_event *e)
{
    int err;
    while ((err = at_risk(random, await, e)) != 0)
        EXPECT(is_interruption(err));
    return 0;
}

static int ask_again_and_again(thrum_event *e)
{
    int err = 0;
    while (!err && !thrum_event_is_set(e))
        err = thrum_yield();
    return err;
}

struct reader {
    struct message *message;
    uint64_t random;
};

static int read_message(void *arg)
{
    struct reader *r = arg;
    struct message *m = r->message;
    if (random_below(&r->random, 2))
        EXPECT_IS(ask_again_and_again(&m->written), 0);
    else
        EXPECT_IS(await_at_risk(&r->random, &m->written), 0);
    EXPECT_IS(m->text, 42);
    thrum_latch_down(&m->readers, 1);
    return 0;
}

static int write_message(void *arg)
{
    struct message *m = arg;
    m->text = 42;
    thrum_event_set(&m->written);
    return 0;
}

static int write_and_read(void *arg)
{
    uint64_t random = 1;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_scope scope;
        struct reader readers[READERS];
        struct message *m = malloc(sizeof(*m));
        *m = (struct message){THRUM_EVENT_INIT, THRUM_LATCH_INIT(READERS), 0};
        thrum_scope_open(&scope, NULL);
        for (int k = 0; k < READERS; k++) {
            readers[k] = (struct reader){m, random_next(&random)};
            EXPECT_IS(thrum_scope_spawn(&scope, read_message, &readers[k]), 0);
        }
        if (random_below(&random, 2))
            yields(2);
        EXPECT_IS(thrum_scope_spawn(&scope, write_message, m), 0);
        EXPECT_IS(thrum_latch_wait(&m->readers), 0);
        EXPECT_IS(thrum_event_wait(&m->written), 0);
        free(m); /* readers and writer are out of it, though perhaps not returned */
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    return 0;
}

static void what_was_written_before_the_set_is_read_after_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, write_and_read, NULL);
}

/* ---- Set, cleared, set ---- */

struct turns {
    thrum_event mine, others;
};

static int answer(void *arg)
{
    struct turns *t = arg;
    uint64_t random = 7;
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_IS(await_at_risk(&random, &t->others), 0);
        thrum_event_clear(&t->others);
        thrum_event_set(&t->mine);
    }
    return 0;
}

static int take_turns(void *arg)
{
    struct turns t = {THRUM_EVENT_INIT, THRUM_EVENT_INIT};
    thrum_scope scope;
    uint64_t random = 5;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, answer, &t), 0);
    for (int i = 0; i < ROUNDS; i++) {
        thrum_event_set(&t.others);
        EXPECT_IS(await_at_risk(&random, &t.mine), 0);
        thrum_event_clear(&t.mine);
    }
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(memcmp(&t, &(struct turns){THRUM_EVENT_INIT, THRUM_EVENT_INIT}, sizeof(t)), 0);
    return 0;
}

static void two_take_turns_by_two_events(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, take_turns, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_before_the_set_is_read_after_it),
        cmocka_unit_test(two_take_turns_by_two_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
