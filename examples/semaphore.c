/* SPDX-License-Identifier: MIT */
/* A semaphore as a limit: two hundred tasks, of which four at a time use the connection pool. A large request takes all four
 * permits at once, and those who come later do not overtake it. */
#include <stdatomic.h>
#include <stdio.h>
#include <thrum/thrum.h>

enum { PERMITS = 4, USERS = 200 };

struct pool {
    thrum_sem permits;
    atomic_int in_use, most;
};

static int use(struct pool *pool, int n)
{
    int err = thrum_sem_acquire_n(&pool->permits, (uint32_t)n);
    if (err)
        return err; /* cancelled: no permit was taken */
    int in_use = atomic_fetch_add(&pool->in_use, n) + n;
    int most = atomic_load(&pool->most);
    while (in_use > most && !atomic_compare_exchange_weak(&pool->most, &most, in_use))
        ;
    err = thrum_sleep(100 * THRUM_MICROSECOND);
    atomic_fetch_sub(&pool->in_use, n);
    thrum_sem_release_n(&pool->permits, (uint32_t)n);
    return err;
}

static int small(void *arg)
{
    return use(arg, 1);
}

static int large(void *arg)
{
    return use(arg, PERMITS);
}

static int app(void *arg)
{
    struct pool pool = {.permits = THRUM_SEM_INIT(PERMITS)};
    thrum_scope scope;
    int err = 0;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < USERS && !err; i++)
        err = thrum_scope_spawn(&scope, i % 10 == 0 ? large : small, &pool);
    int first = thrum_scope_close(&scope);
    printf("%d tasks, never more than %d permits in use\n", USERS, atomic_load(&pool.most));
    return err || first || atomic_load(&pool.most) > PERMITS;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
