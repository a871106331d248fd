/* SPDX-License-Identifier: MIT */
/* Forks as data: the list of private ones against a simple model, and the protocols between a fork's parent, its runner
 * and the robber, step by step in every order. */
#include "running.h"

#include "exec/fork.h"
#include "exec/util.h"

/* ---- The list ---- */

enum { LIST_MAX = 6 };

/* The same list, oldest first, in an array. */
struct model {
    thrum_forked *at[LIST_MAX];
    size_t n;
};

static void check_list(const struct thr_split *s, const struct model *m)
{
    if (m->n == 0) {
        assert_null(thr_split_newest(s));
        assert_null(thr_split_oldest(s));
        return;
    }
    assert_ptr_equal(thr_split_oldest(s), m->at[0]);
    assert_ptr_equal(thr_split_newest(s), m->at[m->n - 1]);
    assert_null(m->at[0]->older);
    for (size_t i = 1; i < m->n; i++) {
        assert_ptr_equal(m->at[i]->older, m->at[i - 1]);
        assert_ptr_equal(m->at[i - 1]->with.newer, m->at[i]);
    }
}

static void model_remove(struct model *m, size_t index)
{
    m->n--;
    for (size_t i = index; i < m->n; i++)
        m->at[i] = m->at[i + 1];
}

static void list_step(struct thr_split *s, struct model *m, thrum_forked *unused, uint64_t *seed)
{
    uint32_t what = random_below(seed, 6);
    if (m->n == 0 || (what < 3 && m->n < LIST_MAX)) {
        thr_split_push(s, unused);
        m->at[m->n++] = unused;
    } else if (what == 3) {
        thr_split_drop_newest(s);
        m->n--;
    } else if (what == 4) {
        thr_split_drop_oldest(s);
        model_remove(m, 0);
    } else {
        size_t index = random_below(seed, (uint32_t)m->n);
        thr_split_remove(s, m->at[index]);
        model_remove(m, index);
    }
}

/* One that is not in the list; there is one more than the list ever holds. */
static thrum_forked *find_unused(thrum_forked *forks, const struct model *m)
{
    for (thrum_forked *f = forks;; f++) {
        size_t i = 0;
        while (i < m->n && m->at[i] != f)
            i++;
        if (i == m->n)
            return f;
    }
}

static void the_list_holds_what_was_pushed_and_not_removed(void **state)
{
    (void)state;
    thrum_forked forks[LIST_MAX + 1];
    struct thr_split s = {0};
    struct model m = {0};
    uint64_t seed = 1;
    memset(forks, 0xA5, sizeof(forks)); /* a fork needs no initialising */
    for (int i = 0; i < BY_BUILD(200000, 50000, 50000); i++) {
        list_step(&s, &m, find_unused(forks, &m), &seed);
        check_list(&s, &m);
    }
}

/* ---- Parent and runner ---- */

/* What the two do with a shared fork, a step for each access that the other can see. */
enum parent_at { P_CLAIM, P_LOOK, P_AWAIT, P_PARKED, P_LEAVE, P_GONE };
enum runner_at { R_CLAIM, R_RUN, R_FINISH, R_FIRE, R_OVER };

struct shared {
    thrum_forked fork;
    struct thrum_task record;
    enum parent_at parent;
    enum runner_at runner;
    bool parent_frees; /* F5 */
    unsigned ran, freed, fired;
};

static bool parent_can_go_on(const struct shared *s)
{
    return s->parent != P_GONE && (s->parent != P_PARKED || s->fired > 0);
}

static void parent_step(struct shared *s)
{
    switch (s->parent) {
    case P_CLAIM:
        s->parent_frees = !thr_fork_claim(&s->record, THR_CLAIM_PARENT);
        if (!s->parent_frees)
            s->ran++;
        s->parent = s->parent_frees ? P_LOOK : P_LEAVE;
        break;
    case P_LOOK:
        s->parent =
            thr_load(thr_fork_state(&s->fork), THR_ACQUIRE) == THR_FORK_DONE ? P_LEAVE : P_AWAIT;
        break;
    case P_AWAIT:
        s->parent = thr_fork_await(&s->fork) ? P_PARKED : P_LEAVE;
        break;
    case P_PARKED:
    case P_LEAVE:
        if (s->parent_frees) {
            assert_int_equal(s->fork.result, 7);
            s->freed++;
        }
        s->parent = P_GONE;
        break;
    case P_GONE:
        break;
    }
}

static void runner_step(struct shared *s)
{
    if (s->runner != R_CLAIM) /* F3, F4: the fork is still there */
        assert_int_not_equal(s->parent, P_GONE);
    switch (s->runner) {
    case R_CLAIM:
        assert_int_equal(s->freed, 0); /* F5 */
        if (thr_fork_claim(&s->record, THR_CLAIM_RUNNER)) {
            s->runner = R_RUN;
        } else {
            s->freed++;
            s->runner = R_OVER;
        }
        break;
    case R_RUN:
        s->ran++;
        s->runner = R_FINISH;
        break;
    case R_FINISH:
        s->runner = thr_fork_finish(&s->fork, 7) ? R_FIRE : R_OVER;
        break;
    case R_FIRE:
        s->fired++;
        s->runner = R_OVER;
        break;
    case R_OVER:
        break;
    }
}

static unsigned explore_shared(const struct shared *from)
{
    unsigned n = 0;
    if (parent_can_go_on(from)) {
        struct shared s = *from;
        parent_step(&s);
        n += explore_shared(&s);
    }
    if (from->runner != R_OVER) {
        struct shared s = *from;
        runner_step(&s);
        n += explore_shared(&s);
    }
    if (n > 0)
        return n;
    assert_int_equal(from->parent, P_GONE); /* nobody waits for ever */
    assert_int_equal(from->ran, 1);         /* F1 */
    assert_int_equal(from->freed, 1);       /* F5 */
    return 1;
}

static void a_shared_fork_runs_once_and_its_parent_learns_of_it_in_every_order(void **state)
{
    (void)state;
    struct shared s = {0};
    assert_true(explore_shared(&s) > 10);
}

/* ---- Robber and a parent that suspends and moves to another worker ---- */

enum { ROB_LOOK, ROB_MARK, ROB_UNLINK, ROB_RELEASE, ROB_OVER };
enum { MOVE_LOOK, MOVE_SHARE, MOVE_JOIN, MOVE_OVER };

/* As the stores of thr_fork_rob() and the loads of thr_fork_before_suspend() and thrum_join_fork() come. The lane's own
 * protocol is taken for granted: the robber's steps from LOOK to RELEASE exclude SHARE. */
struct robbery {
    bool marked;   /* f->worker is NULL */
    bool unlinked; /* the list's newest is NULL */
    bool claimed;  /* the lane is the robber's */
    bool mark_first;
    int robber, parent;
    bool wrong; /* the parent took the fork for private to the worker it is on now */
};

static void robber_step(struct robbery *r)
{
    bool mark = (r->robber == ROB_MARK) == r->mark_first;
    switch (r->robber++) {
    case ROB_LOOK:
        r->claimed = !r->unlinked;
        if (!r->claimed)
            r->robber = ROB_OVER;
        break;
    case ROB_MARK:
    case ROB_UNLINK:
        *(mark ? &r->marked : &r->unlinked) = true;
        break;
    case ROB_RELEASE:
        r->claimed = false;
        break;
    default:
        break;
    }
}

static void mover_step(struct robbery *r)
{
    switch (r->parent) {
    case MOVE_LOOK:
        r->parent = r->unlinked ? MOVE_JOIN : MOVE_SHARE;
        break;
    case MOVE_SHARE:
        r->marked = r->unlinked = true;
        r->parent = MOVE_JOIN;
        break;
    case MOVE_JOIN:
        r->wrong = !r->marked;
        r->parent = MOVE_OVER;
        break;
    default:
        break;
    }
}

static bool goes_wrong(const struct robbery *from)
{
    bool wrong = from->wrong;
    if (from->robber != ROB_OVER) {
        struct robbery r = *from;
        robber_step(&r);
        wrong |= goes_wrong(&r);
    }
    if (from->parent != MOVE_OVER && !(from->parent == MOVE_SHARE && from->claimed)) {
        struct robbery r = *from;
        mover_step(&r);
        wrong |= goes_wrong(&r);
    }
    return wrong;
}

static void a_fork_that_was_robbed_looks_private_to_nobody_in_every_order(void **state)
{
    (void)state;
    assert_false(goes_wrong(&(struct robbery){.mark_first = true}));
    assert_true(goes_wrong(&(struct robbery){.mark_first = false})); /* the model can tell */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_holds_what_was_pushed_and_not_removed),
        cmocka_unit_test(a_shared_fork_runs_once_and_its_parent_learns_of_it_in_every_order),
        cmocka_unit_test(a_fork_that_was_robbed_looks_private_to_nobody_in_every_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
