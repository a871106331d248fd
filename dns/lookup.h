/* SPDX-License-Identifier: MIT */
/* dns/lookup.h: the look-ups of a resolver, one for each name: those under way, which all who ask for the name share,
 * and those answered, which stay as a cache until their time to live is over or a newer answer needs the room.
 *
 * A look-up is
 *   queued     in the resolver's queue; nobody has asked a server yet
 *   asked      the actor has sent the questions (IPv4 and IPv6 are two) and waits for the answers
 *   answered   err and addrs say what came of it; the actor may still wait for the slower family
 * Invariants  L1  a name has at most one look-up in the table. One that is not in the table answers those who wait for
 *                 it already and nobody else.
 *             L2  refs counts the table, the actor from the queue until both families are in, and each waiting task.
 *             L3  whatever is not the actor's is guarded by the resolver's lock. No function here takes it.
 *             L4  the list of answered look-ups, the one used last first, has those that are answered and in the table;
 *                 it is bounded, the others are bounded by the tasks that wait for them. */
#ifndef THR_DNS_LOOKUP_H
#define THR_DNS_LOOKUP_H

#include "exec/wait.h"
#include <thrum/addr.h>

enum { THR_V6 = 0, THR_V4 = 1, THR_FAMILIES = 2 };

/* What came for one family. Belongs to the actor. */
struct thr_half {
    struct thr_lookup *lookup;
    bool done;
    int err;          /* if done: 0, -ENOMEM, -ECANCELED or THRUM_EDNS_* */
    unsigned addrs_n; /* more than 0 if, and only if, err is 0 */
    thrum_addr *addrs;
    uint64_t expires_ns;
};

struct thr_lookup {
    struct thr_lookup *hash_next;
    struct thr_lookup *newer, *older; /* in the list of answered ones */
    struct thr_lookup *prev, *next;   /* in the queue; later the actor's */
    unsigned refs;
    bool in_table, queued, answered;
    unsigned waiters_n; /* tasks that wait; the list has those not woken yet */
    struct thr_waitlist waiters;

    int err; /* if answered, this and what follows */
    unsigned addrs_n;
    thrum_addr *addrs; /* in the order to be tried, without a port */
    uint64_t expires_ns;

    /* The actor's own. */
    struct thr_half half[THR_FAMILIES];
    struct thr_actor *actor;
    struct thr_lookup *ready_next;
    bool is_ready, in_grace;
    uint64_t grace_ns; /* in_grace: when to give up on the slower family */

    uint64_t hash; /* constant, as what follows */
    size_t name_len;
    char name[]; /* canonical */
};

/* Returns: a look-up with one reference, the caller's; NULL: no memory. */
struct thr_lookup *thr_lookup_new(const char *name, size_t len, uint64_t hash);

/* Gives one reference up. Returns: true if it was the last: free it, after unlocking. */
bool thr_lookup_unref(struct thr_lookup *l);
void thr_lookup_free(struct thr_lookup *l);

struct thr_lookups {
    struct thr_lookup **buckets;
    size_t buckets_n; /* a power of two */
    size_t n;
    struct thr_lookup *newest, *oldest; /* answered (L4) */
    size_t answered_n;
};

/* Returns: 0 or -ENOMEM. */
int thr_lookups_init(struct thr_lookups *t);
/* Frees the table, which must be empty. */
void thr_lookups_fini(struct thr_lookups *t);

/* The look-up of the name, or NULL. One that is answered counts as just used. */
struct thr_lookup *thr_lookups_find(struct thr_lookups *t, const char *name, size_t len,
                                    uint64_t hash);

/* Adds l, whose name must not be in the table, with a reference. */
void thr_lookups_add(struct thr_lookups *t, struct thr_lookup *l);

/* Takes l out of the table, with its reference. Returns: as thr_lookup_unref(). */
bool thr_lookups_remove(struct thr_lookups *t, struct thr_lookup *l);

/* l has been answered: from now on it, if it is in the table, takes part in what is forgotten for want of room.
 *
 * Returns: another look-up, to be freed after unlocking, or NULL. */
struct thr_lookup *thr_lookups_answered(struct thr_lookups *t, struct thr_lookup *l,
                                        size_t answered_max);

/* How many buckets there should be now, if that is more than there are; else 0. */
size_t thr_lookups_wanted(const struct thr_lookups *t);

/* Moves everything to `buckets`, which is zeroed, and returns the old ones, to be freed after unlocking. */
struct thr_lookup **thr_lookups_rehash(struct thr_lookups *t, struct thr_lookup **buckets,
                                       size_t buckets_n);

#endif
