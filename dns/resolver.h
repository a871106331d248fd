/* SPDX-License-Identifier: MIT */
/* dns/resolver.h: the insides of a resolver, for the tasks that ask and the one that answers (the actor).
 *
 * Roles       ask: any task.  actor: one task, started with the first question; nobody else touches the channel.
 *             free: one task.
 * Invariants  R1  a look-up is put into the queue only while `closed` is false. Whoever empties the queue for good has
 *                 set it before, under the same lock; so none is forgotten in there.
 *             R2  users counts the tasks inside thrum_resolve() that may touch the resolver. Free waits for them first,
 *                 then for the actor, which none of them can start any more.
 *             R3  answers are written by the actor alone.
 * Progress    The lock is held for a search in the table and a copy of one answer; waking many is done in batches. */
#ifndef THR_DNS_RESOLVER_H
#define THR_DNS_RESOLVER_H

#include "dns/channel.h"
#include "dns/hosts.h"
#include "dns/lookup.h"
#include <thrum/task.h>

struct thrum_resolver {
    struct thr_hosts hosts;
    struct thr_channel *channel; /* the actor's, once that is started */
    unsigned questions_max;
    uint64_t seed; /* of the names' hashes */
    struct thr_doorbell bell;
    thrum_mutex starting; /* held to start the actor */
    thrum_task *actor;    /* if started */

    struct thr_lock lock; /* guards what follows */
    struct thr_lookups lookups;
    struct thr_lookup *queue_first, *queue_last;
    bool started, closed;
    unsigned users;
    struct thr_waitlist freeing; /* the task that waits for users to fall to 0 */
};

/* The queue. Context: the lock is held. */
void thr_resolver_enqueue(struct thrum_resolver *r, struct thr_lookup *l);
void thr_resolver_dequeue(struct thrum_resolver *r, struct thr_lookup *l);

/* The actor's function; arg is the resolver. Returns 0 when it is closed, -ECANCELED when the runtime ends. */
int thr_actor_run(void *arg);

#endif
