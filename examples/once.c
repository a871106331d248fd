/* SPDX-License-Identifier: MIT */
/* Once: the first task that needs a connection opens it while the others wait. The first two attempts fail; then the next
 * in line tries, and nobody opens a second one. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <thrum/thrum.h>

enum { TASKS = 10, FAILURES = 2 };

struct service {
    thrum_once connected;
    int attempts_n; /* changed within connected only, by one task at a time */
    atomic_int refused_n, served_n;
};

static int connect_to(void *arg)
{
    struct service *s = arg;
    int err = thrum_sleep(THRUM_MILLISECOND); /* it takes a while, and may wait like any task */
    if (!err && ++s->attempts_n <= FAILURES)
        err = -ECONNREFUSED;
    return err;
}

static int use(void *arg)
{
    struct service *s = arg;
    int err = thrum_once_run(&s->connected, connect_to, s);
    if (err == -ECONNREFUSED) /* this task's own attempt: those of others are not its business */
        atomic_fetch_add(&s->refused_n, 1);
    else if (!err)
        atomic_fetch_add(&s->served_n, 1);
    return err == -ECONNREFUSED ? 0 : err;
}

static int app(void *arg)
{
    struct service s = {.connected = THRUM_ONCE_INIT};
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    int err = 0;
    for (int i = 0; i < TASKS && !err; i++)
        err = thrum_scope_spawn(&scope, use, &s);
    int first = thrum_scope_close(&scope);
    if (!err)
        err = first;
    if (!err)
        printf("%d attempts, %d refused, %d tasks served by one connection\n", s.attempts_n,
               s.refused_n, s.served_n);
    return err || s.attempts_n != FAILURES + 1;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
