/* SPDX-License-Identifier: MIT */
/* Select: one wait with a waiter for each case.
 *
 * 1. Try each case, in random order; the first that is possible happens. Nothing is linked yet, so this is no different
 *    from the operation itself.
 * 2. Open a wait and link a waiter with each object, one after the other, never holding two locks. From the first link on
 *    another task may complete that case: it chooses the waiter (wait.h, W7), does its work and fires.
 * 3. A case may have become possible since it was tried. Then the select must not do it while another task completes a
 *    case that is linked already: it *claims* its own wait, by choosing the case itself and firing with CANCEL. If it gets
 *    both nobody else can end the wait any more, and it goes on as in step 1. If not, the wait is about to end, or has.
 * 4. Park, and unlink what is still linked.
 *
 * Two selects that face each other on unbuffered channels: one is linked when the other tries or links that channel, for
 * both do it under its lock. Whoever comes second completes the case. If it has waiters linked itself it claims first; then
 * the other's wait may turn out to have ended, or to be claimed as well, and neither has happened: both begin again from
 * step 1, with nothing linked. They can meet like that only while both run; the next time one of the two will find the
 * other linked before it has linked anything, or parked.
 *
 * A waiter of the select's own, of another case on the same channel, is no peer (has_peer()). */
#include "exec/chan.h"
#include "exec/clock.h"
#include "exec/event.h"
#include "exec/running.h"
#include "exec/runtime.h"
#include "exec/util.h"

#include <errno.h>
#include <limits.h>
#include <thrum/error.h>
#include <thrum/select.h>

/* What is in a case's opaque part. */
struct case_state {
    struct thr_waiter waiter;
    uint32_t order; /* cases[i].order: the i-th to be tried. Nothing else to do with case i */
};

_Static_assert(sizeof(struct case_state) <= sizeof(((thrum_case *)NULL)->opaque),
               "thrum_case is too small");

struct selection {
    thrum_case *cases;
    size_t n;
    thr_aptr choice;
    struct thr_waiter wait; /* linked nowhere: those of the cases are made after it */
};

static struct case_state *state_of(thrum_case *c)
{
    return (struct case_state *)(void *)c->opaque;
}

/* All kinds of objects are pointers. */
static bool can_happen(const thrum_case *c)
{
    return c->kind != THRUM_CASE_NEVER && c->chan;
}

/* ---- Step 1 ---- */

/* Under the channel's lock. */
static int transfer_now(struct thr_chan *ch, thrum_case *c, struct thr_chan_after *after)
{
    return c->kind == THRUM_CASE_RECV ? thr_chan_recv_now(ch, c->to, after)
                                      : thr_chan_send_now(ch, c->from, after);
}

static int try_transfer(thrum_case *c)
{
    struct thr_chan *ch = thr_chan_of(c->chan);
    struct thr_chan_after after = {0};
    thr_lock(&ch->lock);
    int err = transfer_now(ch, c, &after);
    thr_unlock(&ch->lock);
    thr_chan_after_run(&after);
    return err;
}

static int try_event(thrum_case *c)
{
    if (!thrum_event_is_set(c->event))
        return -EAGAIN;
    thr_event_unlink(c->event,
                     &state_of(c)->waiter); /* it is not linked, but whoever set it is out of it */
    return 0;
}

/* Returns: true if the case has happened. */
static bool try_case(thrum_case *c)
{
    int err = -EAGAIN;
    if (!can_happen(c))
        return false;
    switch (c->kind) {
    case THRUM_CASE_RECV:
    case THRUM_CASE_SEND:
        err = try_transfer(c);
        break;
    case THRUM_CASE_EVENT:
        err = try_event(c);
        break;
    case THRUM_CASE_JOIN:
        err = thrum_task_is_done(c->task) ? 0 : -EAGAIN;
        break;
    case THRUM_CASE_NEVER:
        break;
    }
    if (err == -EAGAIN)
        return false;
    c->result = err;
    return true;
}

/* A random permutation (Fisher-Yates, inside out): otherwise a case beside one that is never ready had its luck too. */
static void shuffle(thrum_case *cases, size_t n)
{
    struct thr_random *random = &thr_worker_self()->random;
    for (size_t i = 0; i < n; i++) {
        size_t j = i ? thr_random_below(random, (uint32_t)i + 1) : 0;
        state_of(&cases[i])->order = state_of(&cases[j])->order;
        state_of(&cases[j])->order = (uint32_t)i;
    }
}

/* Returns: the index of the case that has happened, or -EAGAIN. */
static int try_all(thrum_case *cases, size_t n)
{
    shuffle(cases, n);
    for (size_t i = 0; i < n; i++) {
        size_t at = state_of(&cases[i])->order;
        if (try_case(&cases[at]))
            return (int)at;
    }
    return -EAGAIN;
}

/* ---- Steps 2 and 3 ---- */

enum step {
    LINKED,   /* the case's waiter is linked, or the case cannot happen */
    HAPPENED, /* the case has happened: the wait was claimed for it */
    IN_VAIN,  /* the wait was claimed, but the peer had gone: all over again */
    ENDING,   /* another case, a timer or a cancel ends the wait */
    BUSY,     /* an error; the wait still has to be ended */
};

/* Returns: true if the wait is the caller's: it cannot be fired by anybody any more. */
static bool claim(const struct thr_waiter *w)
{
    bool parked;
    return thr_waiter_choose(w) && thr_wait_fire(w->task, w->seq, THR_FIRED_CANCEL, &parked);
}

/* Is there a waiter of another task? One that has given up meanwhile counts: it is found out, and popped, by trying. */
static bool has_peer(const struct thr_waitlist *l, const struct thrum_task *self)
{
    for (const struct thr_waiter *w = l->head; w; w = w->next)
        if (w->task != self)
            return true;
    return false;
}

/* Under the channel's lock. */
static bool may_transfer(const struct thr_chan *ch, const thrum_case *c,
                         const struct thrum_task *self)
{
    if (ch->closed)
        return true;
    if (c->kind == THRUM_CASE_RECV)
        return ch->count > 0 || has_peer(&ch->senders, self);
    return ch->count < ch->capacity || has_peer(&ch->receivers, self);
}

static struct thr_waitlist *side_of(struct thr_chan *ch, const thrum_case *c)
{
    return c->kind == THRUM_CASE_RECV ? &ch->receivers : &ch->senders;
}

static enum step link_transfer(thrum_case *c, struct thr_waiter *w)
{
    struct thr_chan *ch = thr_chan_of(c->chan);
    struct thr_chan_after after = {0};
    enum step step = LINKED;
    w->data = c->to;
    thr_lock(&ch->lock);
    if (!may_transfer(ch, c, w->task)) {
        thr_waitlist_push(side_of(ch, c), w);
    } else if (!claim(w)) {
        step = ENDING;
    } else {
        c->result = transfer_now(ch, c, &after);
        step = c->result == -EAGAIN ? IN_VAIN : HAPPENED;
    }
    thr_unlock(&ch->lock);
    thr_chan_after_run(&after);
    return step;
}

/* What was watched for had happened before: an event that was set, a task that was done. */
static enum step is_there(thrum_case *c, const struct thr_waiter *w)
{
    if (!claim(w))
        return ENDING;
    c->result = 0;
    return HAPPENED;
}

static enum step link_case(struct selection *s, thrum_case *c)
{
    struct thr_waiter *w = &state_of(c)->waiter;
    int err;
    thr_wait_add(w, &s->wait);
    if (!can_happen(c))
        return LINKED;
    switch (c->kind) {
    case THRUM_CASE_RECV:
    case THRUM_CASE_SEND:
        return link_transfer(c, w);
    case THRUM_CASE_EVENT:
        return thr_event_link(c->event, w) ? is_there(c, w) : LINKED;
    case THRUM_CASE_JOIN:
        err = thr_task_watch(c->task, w);
        if (err)
            return err == -EALREADY ? is_there(c, w) : BUSY;
        return LINKED;
    case THRUM_CASE_NEVER:
        break;
    }
    return LINKED;
}

/* ---- Step 4 ---- */

/* linked: link_case() said so. fired: the channel's side ended the wait by this case. Then a sender does not look at the
 * channel again, nor does a case that was never linked: whoever received the item may have freed it (chan.h, N4). */
static void leave_channel(thrum_case *c, bool linked, bool fired)
{
    struct thr_waiter *w = &state_of(c)->waiter;
    struct thr_chan *ch = thr_chan_of(c->chan);
    if (fired && c->kind == THRUM_CASE_SEND) {
        thr_chan_settle_sender(w);
    } else if (linked) {
        thr_lock(&ch->lock);
        thr_waitlist_remove(side_of(ch, c), w);
        thr_unlock(&ch->lock);
    }
}

static void leave_case(thrum_case *c, bool linked, bool fired)
{
    struct thr_waiter *w = &state_of(c)->waiter;
    switch (c->kind) {
    case THRUM_CASE_RECV:
    case THRUM_CASE_SEND:
        leave_channel(c, linked, fired);
        break;
    case THRUM_CASE_EVENT:
        thr_event_unlink(c->event,
                         w); /* also if it was not linked: whoever set it is out of it then */
        break;
    case THRUM_CASE_JOIN:
        thr_task_unwatch(c->task, w);
        break;
    case THRUM_CASE_NEVER:
        break;
    }
}

/* Leaves the first n cases, the last of which is linked or not.
 *
 * Returns: the index of the one that was chosen, -1 if there is none. */
static int leave_all(struct selection *s, size_t n, bool last_linked, enum thr_reason reason)
{
    const struct thr_waiter *chosen = thr_load(&s->choice, THR_RELAXED);
    int which = -1;
    for (size_t i = 0; i < n; i++) {
        bool is_chosen = &state_of(&s->cases[i])->waiter == chosen;
        if (is_chosen)
            which = (int)i;
        if (can_happen(&s->cases[i]))
            leave_case(&s->cases[i], last_linked || i + 1 < n, is_chosen && reason == THR_FIRED_OK);
    }
    return which;
}

/* Returns: the index of the case that happened, -EAGAIN (try all again), or why the wait ended. */
static int wait_for_any(struct selection *s, uint64_t deadline_ns)
{
    enum step step = LINKED;
    size_t linked_n = 0;
    bool parked, busy = false;
    thr_store(&s->choice, NULL, THR_RELAXED);
    thr_wait_begin(&s->wait, false);
    s->wait.choice = &s->choice;
    while (linked_n < s->n && step == LINKED)
        step = link_case(s, &s->cases[linked_n++]);
    if (step == BUSY)
        busy = thr_wait_fire(s->wait.task, s->wait.seq, THR_FIRED_CANCEL, &parked);
    enum thr_reason reason = thr_wait_park(deadline_ns);
    int which = leave_all(s, linked_n, step == LINKED, reason);
    if (step == HAPPENED)
        return which;
    if (step == IN_VAIN || busy)
        return busy ? -EBUSY : -EAGAIN;
    if (reason == THR_FIRED_TIMEOUT || reason == THR_FIRED_CANCEL)
        return thr_reason_error(reason);
    s->cases[which].result = thr_reason_error(reason);
    return which;
}

/* ---- The calls ---- */

int thrum_try_select(thrum_case *cases, size_t cases_n)
{
    if (cases_n > INT_MAX)
        return -EINVAL;
    return try_all(cases, cases_n);
}

int thrum_select(thrum_case *cases, size_t cases_n, uint64_t timeout_ns)
{
    struct selection s = {.cases = cases, .n = cases_n};
    if (cases_n > INT_MAX)
        return -EINVAL;
    int which = thr_task_cancelled();
    if (which)
        return which;
    which = try_all(cases, cases_n);
    if (which >= 0) {
        thr_task_spend();
        return which;
    }
    if (timeout_ns == 0)
        return -ETIMEDOUT;
    uint64_t deadline_ns = timeout_ns == THRUM_NEVER ? THRUM_NEVER : thr_clock_after(timeout_ns);
    while ((which = wait_for_any(&s, deadline_ns)) == -EAGAIN) {
        which = try_all(cases, cases_n);
        if (which >= 0)
            return which;
    }
    return which;
}
