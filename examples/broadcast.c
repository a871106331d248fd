/* SPDX-License-Identifier: MIT */
/* A ticker and its audience: all hear the same prices; who is slow misses some, and knows how many. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum/thrum.h>

enum { LISTENERS = 3, TICKS = 60 };

struct listener {
    thrum_subscriber subscription;
    int id;
    uint64_t pause_ns; /* what it takes to think about a price */
    uint64_t heard, missed;
};

static int listen_to(void *arg)
{
    struct listener *l = arg;
    int price, err;
    uint64_t lost;
    while ((err = thrum_receive(&l->subscription, &price, &lost)) == 0) {
        l->heard++;
        l->missed += lost;
        err = thrum_sleep(l->pause_ns);
        if (err)
            return err;
    }
    return err == THRUM_ECLOSED ? 0 : err;
}

static int tick(void *arg)
{
    thrum_broadcast *prices = arg;
    int err = 0;
    for (int price = 100; price < 100 + TICKS && err >= 0; price++) {
        err = thrum_broadcast_send(prices, &price); /* to how many */
        if (err >= 0)
            err = thrum_sleep(THRUM_MILLISECOND / 2);
    }
    thrum_broadcast_close(prices); /* they still hear what is kept, then the end */
    return err < 0 ? err : 0;
}

static int app(void *arg)
{
    struct listener listeners[LISTENERS] = {{.id = 0},
                                            {.id = 1, .pause_ns = THRUM_MILLISECOND},
                                            {.id = 2, .pause_ns = 10 * THRUM_MILLISECOND}};
    thrum_broadcast *prices;
    thrum_scope scope;
    (void)arg;
    int err = thrum_broadcast_new(&prices, sizeof(int), 8, NULL);
    if (err)
        return err;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < LISTENERS && !err; i++) {
        thrum_subscribe(&listeners[i].subscription, prices); /* before the first is sent */
        err = thrum_scope_spawn(&scope, listen_to, &listeners[i]);
    }
    if (!err)
        err = thrum_scope_spawn(&scope, tick, prices);
    if (err)
        thrum_broadcast_close(prices);
    int closed = thrum_scope_close(&scope);
    for (int i = 0; i < LISTENERS; i++)
        printf("listener %d heard %2" PRIu64 " of %d prices and missed %2" PRIu64 "\n",
               listeners[i].id, listeners[i].heard, TICKS, listeners[i].missed);
    thrum_broadcast_free(prices);
    return err ? err : closed;
}

int main(void)
{
    int err = thrum_run(app, NULL, NULL);
    if (err)
        fprintf(stderr, "broadcast: %s\n", thrum_strerror(err));
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
