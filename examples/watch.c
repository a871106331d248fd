/* SPDX-License-Identifier: MIT */
/* A configuration that changes while tasks work by it: each takes over the latest one when it comes to it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum/thrum.h>

enum { SERVERS = 3, CHANGES = 5 };

struct config {
    unsigned connections_max;
    bool verbose;
};

static struct config config = {.connections_max = 10}; /* from here on only through the watch */
static thrum_watch config_watch = THRUM_WATCH_INIT(config);

static int serve(void *arg)
{
    int id = (int)(intptr_t)arg, err;
    uint64_t seen = 0; /* none yet: the first wait returns at once */
    struct config mine;
    while ((err = thrum_watch_wait(&config_watch, &seen, &mine)) == 0)
        printf("server %d: version %" PRIu64 ": %u connections%s\n", id, seen, mine.connections_max,
               mine.verbose ? ", verbose" : "");
    return err == THRUM_ECLOSED ? 0 : err; /* closed, and the last version was seen */
}

static int app(void *arg)
{
    thrum_scope scope;
    int err = 0;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < SERVERS && !err; i++)
        err = thrum_scope_spawn(&scope, serve, (void *)i);
    for (unsigned i = 1; i <= CHANGES && !err; i++) {
        struct config next;
        err = thrum_sleep(THRUM_MILLISECOND);
        thrum_watch_get(&config_watch, &next);
        next.connections_max *= 2;
        next.verbose = i % 2;
        if (!err)
            err = thrum_watch_set(&config_watch, &next);
    }
    thrum_watch_close(&config_watch);
    int closed = thrum_scope_close(&scope);
    return err ? err : closed;
}

int main(void)
{
    int err = thrum_run(app, NULL, NULL);
    if (err)
        fprintf(stderr, "watch: %s\n", thrum_strerror(err));
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
