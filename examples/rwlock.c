/* SPDX-License-Identifier: MIT */
/* A readers-writer lock: many tasks look things up in a table, now and then one replaces all of it. Readers are in it
 * together; a writer is alone in it, and no reader ever sees half of an old table and half of a new one. */
#include <stdio.h>
#include <thrum/thrum.h>

enum { READERS = 20, LOOKUPS = 500, VERSIONS = 50, ENTRIES = 64 };

struct table {
    thrum_rwlock lock;
    int entries[ENTRIES]; /* guarded by lock: all of one version */
};

static int look_up(void *arg)
{
    struct table *t = arg;
    int mixed_n = 0;
    for (int i = 0; i < LOOKUPS; i++) {
        int err = thrum_rwlock_read_lock(&t->lock);
        if (err)
            return err;
        mixed_n += t->entries[0] != t->entries[1 + i % (ENTRIES - 1)];
        thrum_rwlock_read_unlock(&t->lock);
    }
    return mixed_n ? -1 : 0;
}

static int replace(void *arg)
{
    struct table *t = arg;
    for (int version = 1; version <= VERSIONS; version++) {
        int err = thrum_rwlock_write_lock(&t->lock);
        if (err)
            return err;
        for (int i = 0; i < ENTRIES; i++) {
            t->entries[i] = version;
            if (i == ENTRIES / 2)
                (void)thrum_yield(); /* half done: the readers have to wait */
        }
        thrum_rwlock_write_unlock(&t->lock);
    }
    return 0;
}

static int app(void *arg)
{
    struct table t = {.lock = THRUM_RWLOCK_INIT};
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, replace, &t);
    for (int i = 0; i < READERS && !err; i++)
        err = thrum_scope_spawn(&scope, look_up, &t);
    int first = thrum_scope_close(&scope);
    if (!err)
        err = first;
    if (!err)
        printf("%d look-ups, version %d of the table, none mixed\n", READERS * LOOKUPS,
               t.entries[0]);
    return err;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
