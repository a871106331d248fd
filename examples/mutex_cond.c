/* SPDX-License-Identifier: MIT */
/* A mutex and a condition variable: a pantry with room for four loaves. Bakers wait while it is full, eaters while it is
 * empty, and each change wakes one of the other kind. */
#include <stdio.h>
#include <thrum/thrum.h>

enum { ROOM = 4, BAKERS = 3, EATERS = 2, LOAVES = 600 };

struct pantry {
    thrum_mutex mutex;
    thrum_cond put, taken; /* signalled when a loaf was */
    int loaves_n;          /* guarded by mutex */
    int most_n;            /* guarded by mutex */
};

static int bake(void *arg)
{
    struct pantry *p = arg;
    int err = 0;
    for (int i = 0; i < LOAVES / BAKERS && !err; i++) {
        err = thrum_mutex_lock(&p->mutex);
        if (err)
            break;
        while (p->loaves_n == ROOM && !err)
            err = thrum_cond_wait(&p->taken, &p->mutex); /* the mutex is held on every return */
        if (!err && ++p->loaves_n > p->most_n)
            p->most_n = p->loaves_n;
        thrum_mutex_unlock(&p->mutex);
        thrum_cond_signal(&p->put);
    }
    return err;
}

static int eat(void *arg)
{
    struct pantry *p = arg;
    int err = 0;
    for (int i = 0; i < LOAVES / EATERS && !err; i++) {
        err = thrum_mutex_lock(&p->mutex);
        if (err)
            break;
        while (p->loaves_n == 0 && !err)
            err = thrum_cond_wait(&p->put, &p->mutex);
        if (!err)
            p->loaves_n--;
        thrum_mutex_unlock(&p->mutex);
        thrum_cond_signal(&p->taken);
    }
    return err;
}

static int spawn_n(thrum_scope *scope, int n, thrum_fn *fn, void *arg)
{
    int err = 0;
    for (int i = 0; i < n && !err; i++)
        err = thrum_scope_spawn(scope, fn, arg);
    return err;
}

static int app(void *arg)
{
    struct pantry p = {THRUM_MUTEX_INIT, THRUM_COND_INIT, THRUM_COND_INIT, 0, 0};
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    int err = spawn_n(&scope, BAKERS, bake, &p);
    if (!err)
        err = spawn_n(&scope, EATERS, eat, &p);
    if (err)
        thrum_scope_cancel(&scope); /* else bakers would wait for eaters that are not there */
    int first = thrum_scope_close(&scope);
    if (!err)
        err = first;
    if (!err)
        printf("%d loaves baked and eaten, %d left, never more than %d\n", LOAVES, p.loaves_n,
               ROOM);
    return err || p.loaves_n != 0 || p.most_n > ROOM;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
