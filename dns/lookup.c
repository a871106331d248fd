/* SPDX-License-Identifier: MIT */
/* Look-ups, the table to find them by name, and what is forgotten first. */
#include "dns/lookup.h"
#include "exec/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 256
#define BUCKETS_MAX                                                                                \
    65536 /* moving more than that many entries at once would keep the lock for too long */

/* ---- One look-up ---- */

struct thr_lookup *thr_lookup_new(const char *name, size_t len, uint64_t hash)
{
    struct thr_lookup *l = calloc(1, sizeof(*l) + len + 1);
    if (!l)
        return NULL;
    l->refs = 1;
    for (int i = 0; i < THR_FAMILIES; i++)
        l->half[i].lookup = l;
    l->hash = hash;
    l->name_len = len;
    memcpy(l->name, name, len);
    return l;
}

bool thr_lookup_unref(struct thr_lookup *l)
{
    THR_ASSERT(l->refs > 0);
    return --l->refs == 0;
}

void thr_lookup_free(struct thr_lookup *l)
{
    if (!l)
        return;
    for (int i = 0; i < THR_FAMILIES; i++)
        free(l->half[i].addrs);
    free(l->addrs);
    free(l);
}

/* ---- The list of answered ones ---- */

static void unlist(struct thr_lookups *t, struct thr_lookup *l)
{
    *(l->newer ? &l->newer->older : &t->newest) = l->older;
    *(l->older ? &l->older->newer : &t->oldest) = l->newer;
    l->newer = l->older = NULL;
    t->answered_n--;
}

static void list_newest(struct thr_lookups *t, struct thr_lookup *l)
{
    l->newer = NULL;
    l->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = l;
    t->newest = l;
    t->answered_n++;
}

/* ---- The table ---- */

int thr_lookups_init(struct thr_lookups *t)
{
    memset(t, 0, sizeof(*t));
    t->buckets_n = BUCKETS_MIN;
    t->buckets = calloc(t->buckets_n, sizeof(struct thr_lookup *));
    return t->buckets ? 0 : -ENOMEM;
}

void thr_lookups_fini(struct thr_lookups *t)
{
    THR_ASSERT(t->n == 0);
    free(t->buckets);
    t->buckets = NULL;
}

static struct thr_lookup **bucket_of(struct thr_lookups *t, uint64_t hash)
{
    return &t->buckets[hash & (t->buckets_n - 1)];
}

static bool has_name(const struct thr_lookup *l, const char *name, size_t len, uint64_t hash)
{
    return l->hash == hash && l->name_len == len && memcmp(l->name, name, len) == 0;
}

struct thr_lookup *thr_lookups_find(struct thr_lookups *t, const char *name, size_t len,
                                    uint64_t hash)
{
    struct thr_lookup *l = *bucket_of(t, hash);
    while (l && !has_name(l, name, len, hash))
        l = l->hash_next;
    if (l && l->answered && l != t->newest) {
        unlist(t, l);
        list_newest(t, l);
    }
    return l;
}

void thr_lookups_add(struct thr_lookups *t, struct thr_lookup *l)
{
    struct thr_lookup **bucket = bucket_of(t, l->hash);
    l->hash_next = *bucket;
    *bucket = l;
    l->in_table = true;
    l->refs++;
    t->n++;
}

bool thr_lookups_remove(struct thr_lookups *t, struct thr_lookup *l)
{
    struct thr_lookup **link = bucket_of(t, l->hash);
    while (*link != l)
        link = &(*link)->hash_next;
    *link = l->hash_next;
    if (l->answered)
        unlist(t, l);
    l->in_table = false;
    t->n--;
    return thr_lookup_unref(l);
}

struct thr_lookup *thr_lookups_answered(struct thr_lookups *t, struct thr_lookup *l,
                                        size_t answered_max)
{
    l->answered = true;
    if (!l->in_table)
        return NULL;
    list_newest(t, l);
    struct thr_lookup *oldest = t->oldest;
    if (t->answered_n <= answered_max || oldest == l)
        return NULL;
    return thr_lookups_remove(t, oldest) ? oldest : NULL;
}

size_t thr_lookups_wanted(const struct thr_lookups *t)
{
    size_t n = t->buckets_n;
    while (n < t->n && n < BUCKETS_MAX)
        n *= 4;
    return n > t->buckets_n ? n : 0;
}

struct thr_lookup **thr_lookups_rehash(struct thr_lookups *t, struct thr_lookup **buckets,
                                       size_t buckets_n)
{
    struct thr_lookup **old = t->buckets;
    size_t old_n = t->buckets_n;
    t->buckets = buckets;
    t->buckets_n = buckets_n;
    for (size_t i = 0; i < old_n; i++) {
        struct thr_lookup *next;
        for (struct thr_lookup *l = old[i]; l; l = next) {
            next = l->hash_next;
            l->hash_next = *bucket_of(t, l->hash);
            *bucket_of(t, l->hash) = l;
        }
    }
    return old;
}
