/* SPDX-License-Identifier: MIT */
/* Results in the order in which they come, as asyncio.as_completed(): the first two are enough, so the rest is called off. */
#include <errno.h>
#include <stdio.h>
#include <thrum/thrum.h>

enum { OFFERS = 4, ENOUGH = 2 };

struct offer {
    const char *from;
    uint64_t takes_ns;
    int price;
};

static int request(void *arg)
{
    struct offer *offer = arg;
    int err = thrum_sleep(offer->takes_ns);
    return err ? err : offer->price;
}

static int app(void *arg)
{
    struct offer offers[OFFERS] = {{"Ann", 60 * THRUM_SECOND, 10},
                                   {"Bob", 20 * THRUM_MILLISECOND, 12},
                                   {"Cid", 60 * THRUM_SECOND, 9},
                                   {"Dee", THRUM_MILLISECOND, 15}};
    thrum_call calls[OFFERS];
    thrum_completion completion;
    thrum_call *done;
    int err = 0, n = 0;
    (void)arg;
    for (int i = 0; i < OFFERS; i++)
        calls[i] = (thrum_call){.fn = request, .arg = &offers[i]};

    thrum_completion_begin(&completion, calls, OFFERS);
    while (n < ENOUGH && (err = thrum_completion_next(&completion, &done)) == 0) {
        const struct offer *offer = done->arg;
        if (done->result >= 0)
            printf("%d. %s asks for %d\n", ++n, offer->from, done->result);
    }
    thrum_completion_end(
        &completion); /* cancels those that are still going on, and waits for them */
    if (err)
        return err; /* THRUM_ECLOSED: all have answered, and too few of them well */
    return calls[0].result == -ECANCELED ? 0 : 1;
}

int main(void)
{
    int err = thrum_run(app, NULL, NULL);
    if (err)
        fprintf(stderr, "as_completed: %s\n", thrum_strerror(err));
    return err ? 1 : 0;
}
