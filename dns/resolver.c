/* SPDX-License-Identifier: MIT */
/* Look-ups, as the tasks that make them see them. */
#include "dns/resolver.h"
#include "dns/addrs.h"
#include "dns/name.h"
#include "exec/clock.h"
#include "exec/running.h"
#include "exec/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>

#define QUESTIONS 2000
/* c-ares finds a free one of 65,536 query identifiers by trying: it must not come near to that. */
#define QUESTIONS_MAX 32768

/* ---- New and free ---- */

static void free_half_made(struct thrum_resolver *r)
{
    thr_channel_free(r->channel);
    while (r->lookups.newest) {
        struct thr_lookup *l = r->lookups.newest;
        if (thr_lookups_remove(&r->lookups, l))
            thr_lookup_free(l);
    }
    thr_lookups_fini(&r->lookups);
    thr_hosts_fini(&r->hosts);
    free(r);
}

int thrum_resolver_new(thrum_resolver **out, const thrum_resolver_opts *opts)
{
    static const thrum_resolver_opts defaults;
    *out = NULL;
    if (!opts)
        opts = &defaults;
    if (thrum_workers() == 0)
        return THRUM_ENOTTASK;
    if (opts->queries_max > QUESTIONS_MAX)
        return THRUM_EDNS_CONFIG;
    struct thrum_resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->questions_max = opts->queries_max ? opts->queries_max : QUESTIONS;
    r->seed = thr_clock_now() ^ (uintptr_t)r;
    r->starting = (thrum_mutex)THRUM_MUTEX_INIT;
    thr_doorbell_init(&r->bell);
    thr_lock_init(&r->lock);
    int err = thr_lookups_init(&r->lookups);
    if (!err)
        err = thr_hosts_init(&r->hosts, opts->hosts_path);
    if (!err)
        err = thr_channel_new(&r->channel, opts);
    if (err) {
        free_half_made(r);
        return err;
    }
    *out = r;
    return 0;
}

static void enter(struct thrum_resolver *r)
{
    thr_lock(&r->lock);
    r->users++;
    thr_unlock(&r->lock);
}

/* The last access: from here on the resolver may be freed (R2). */
static void leave(struct thrum_resolver *r)
{
    struct thr_wakeups wakeups = {0};
    thr_lock(&r->lock);
    if (--r->users == 0)
        thr_waitlist_fire_all(&r->freeing, THR_FIRED_OK, &wakeups);
    thr_unlock(&r->lock);
    thr_wakeups_run(&wakeups);
}

static void wait_for_users(struct thrum_resolver *r)
{
    struct thr_waiter w;
    thr_lock(&r->lock);
    while (r->users > 0) {
        thr_wait_begin(&w, true);
        thr_waitlist_push(&r->freeing, &w);
        thr_unlock(&r->lock);
        (void)thr_wait_park(THRUM_NEVER);
        thr_lock(&r->lock);
        thr_waitlist_remove(&r->freeing, &w);
    }
    thr_unlock(&r->lock);
}

void thrum_resolver_free(thrum_resolver *r)
{
    if (!r)
        return;
    thr_lock(&r->lock);
    r->closed = true;
    thr_unlock(&r->lock);
    thr_doorbell_ring(&r->bell);
    wait_for_users(r);
    if (r->started) { /* nobody is left who could start it (R2) */
        thrum_scope shield;
        thrum_scope_open(&shield, &(thrum_scope_opts){.shield = true});
        int err = thrum_join(r->actor, NULL);
        THR_ASSERT(err == 0);
        (void)thrum_scope_close(&shield);
    }
    free_half_made(r);
}

/* ---- The queue ---- */

void thr_resolver_enqueue(struct thrum_resolver *r, struct thr_lookup *l)
{
    l->queued = true;
    l->next = NULL;
    l->prev = r->queue_last;
    *(l->prev ? &l->prev->next : &r->queue_first) = l;
    r->queue_last = l;
}

void thr_resolver_dequeue(struct thrum_resolver *r, struct thr_lookup *l)
{
    *(l->prev ? &l->prev->next : &r->queue_first) = l->next;
    *(l->next ? &l->next->prev : &r->queue_last) = l->prev;
    l->prev = l->next = NULL;
    l->queued = false;
}

/* ---- Asking ---- */

/* Starts the actor unless another task has. */
static int start_actor(struct thrum_resolver *r)
{
    int err = thrum_mutex_lock(&r->starting);
    if (err)
        return err;
    thr_lock(&r->lock);
    bool started = r->started;
    thr_unlock(&r->lock);
    if (!started)
        err = thrum_spawn(&r->actor, thr_actor_run, r, &(thrum_spawn_opts){.name = "dns"});
    if (!started && !err) {
        thr_lock(&r->lock);
        r->started = true;
        thr_unlock(&r->lock);
    }
    thrum_mutex_unlock(&r->starting);
    return err == THRUM_ESHUTDOWN ? -ECANCELED : err;
}

/* One task's question. */
struct request {
    struct thrum_resolver *r;
    const char *name;
    size_t len;
    uint64_t hash;
    thrum_addrs *out;
    struct thr_lookup *fresh;  /* made for this request and not in the table yet; or NULL */
    struct thr_lookup *lookup; /* what the task waits for */
    struct thr_waiter waiter;
};

/* Context: the lock is held. */
static int copy_answer(const struct thr_lookup *l, thrum_addrs *out)
{
    out->n = l->addrs_n;
    if (l->addrs_n)
        memcpy(out->at, l->addrs, l->addrs_n * sizeof(out->at[0]));
    return l->err;
}

/* The look-up of the name that is under way or still good; one that is too old is taken out of the table, and if that
 * was its end it is *dead. Context: the lock is held. */
static struct thr_lookup *find_good(struct request *q, struct thr_lookup **dead)
{
    struct thr_lookup *l = thr_lookups_find(&q->r->lookups, q->name, q->len, q->hash);
    if (!l || !l->answered || thr_clock_now() < l->expires_ns)
        return l;
    if (thr_lookups_remove(&q->r->lookups, l))
        *dead = l;
    return NULL;
}

/* Context: the lock is held. */
static void join_lookup(struct request *q, struct thr_lookup *l)
{
    q->lookup = l;
    l->refs++;
    l->waiters_n++;
    thr_wait_begin(&q->waiter, false);
    thr_waitlist_push(&l->waiters, &q->waiter);
}

enum found { FOUND_ANSWER, FOUND_LOOKUP, FOUND_NOTHING };

/* Looks for an answer, else for a look-up to join, else makes one of q->fresh. *err is what to return, unless there is a
 * look-up to wait for. */
static enum found find_or_begin(struct request *q, int *err, bool *need_actor)
{
    struct thrum_resolver *r = q->r;
    struct thr_lookup *dead = NULL;
    bool begun = false;
    enum found found = FOUND_NOTHING;
    thr_lock(&r->lock);
    struct thr_lookup *l = find_good(q, &dead);
    *need_actor = !r->started;
    if (l && l->answered) {
        *err = copy_answer(l, q->out);
        found = FOUND_ANSWER;
    } else if (r->closed) {
        *err = -ECANCELED;
        found = FOUND_ANSWER;
    } else if (!l && q->fresh) {
        l = q->fresh; /* its one reference is from now on the actor's */
        q->fresh = NULL;
        thr_lookups_add(&r->lookups, l);
        thr_resolver_enqueue(r, l);
        begun = true;
    }
    if (found == FOUND_NOTHING && l) {
        join_lookup(q, l);
        found = FOUND_LOOKUP;
    }
    thr_unlock(&r->lock);
    thr_lookup_free(dead);
    if (begun)
        thr_doorbell_ring(&r->bell);
    return found;
}

/* If nobody waits any more for what has not been asked yet, it need not be: takes l out of the queue and the table.
 * Context: the lock is held, and the caller has a reference. */
static void give_up_queued(struct thrum_resolver *r, struct thr_lookup *l)
{
    if (!l->queued || l->waiters_n > 0)
        return;
    thr_resolver_dequeue(r, l);
    (void)thr_lookup_unref(l); /* the actor's */
    (void)thr_lookups_remove(&r->lookups, l);
}

static int wait_for_answer(struct request *q)
{
    struct thrum_resolver *r = q->r;
    struct thr_lookup *l = q->lookup;
    int err = thr_reason_error(thr_wait_park(THRUM_NEVER));
    thr_lock(&r->lock);
    thr_waitlist_remove(&l->waiters, &q->waiter);
    l->waiters_n--;
    if (!err)
        err = copy_answer(l, q->out);
    else
        give_up_queued(r, l);
    bool last = thr_lookup_unref(l);
    thr_unlock(&r->lock);
    if (last)
        thr_lookup_free(l);
    return err;
}

static int ask_servers(struct thrum_resolver *r, const char *name, size_t len, thrum_addrs *out)
{
    struct request q = {.r = r, .name = name, .len = len, .out = out};
    q.hash = thr_name_hash(name, len, r->seed);
    int err = 0;
    bool need_actor;
    enum found found;
    while ((found = find_or_begin(&q, &err, &need_actor)) == FOUND_NOTHING) {
        if (need_actor)
            err = start_actor(r);
        if (!err && !(q.fresh = thr_lookup_new(name, len, q.hash)))
            err = -ENOMEM;
        if (err)
            return err;
    }
    thr_lookup_free(q.fresh); /* another task was faster */
    if (found == FOUND_LOOKUP)
        return wait_for_answer(&q);
    thr_task_spend();
    return err;
}

/* The hosts file, then the servers. */
static int look_up(struct thrum_resolver *r, const char *name, size_t len, thrum_addrs *out)
{
    int err = thr_hosts_find(&r->hosts, name, len, out);
    if (!err && out->n == 0)
        err = ask_servers(r, name, len, out);
    return err;
}

int thrum_resolve(thrum_resolver *r, const char *host, uint16_t port, thrum_addrs *out)
{
    out->n = 0;
    int err = thr_task_cancelled();
    if (err)
        return err;
    if (thrum_addr_parse(&out->at[0], host, port) == 0) {
        out->n = 1;
        return 0;
    }
    char name[THR_NAME_BYTES];
    int len = thr_name_canonical(name, host);
    if (len < 0)
        return len;
    if (thr_name_is_localhost(name, (size_t)len)) {
        thr_addrs_localhost(out);
    } else {
        enter(r);
        err = look_up(r, name, (size_t)len, out);
        leave(r);
    }
    if (err)
        out->n = 0;
    thr_addrs_set_port(out, port);
    return err;
}
