/* SPDX-License-Identifier: MIT */
/* Several calls at once, and all their results, as asyncio.gather(..., return_exceptions=True): they sleep together for as
 * long as the longest of them, and one that fails does not stop the others. */
#include <errno.h>
#include <stdio.h>
#include <thrum/thrum.h>

enum { RACKS = 5 };

/* How warm the rack is. */
static int measure(void *arg)
{
    int rack = *(int *)arg;
    int err = thrum_sleep((uint64_t)(RACKS - rack) * 5 * THRUM_MILLISECOND);
    if (err)
        return err;
    return rack == 3 ? -EIO : 20 + rack; /* the sensor of rack 3 is broken */
}

static int app(void *arg)
{
    int racks[RACKS];
    thrum_call calls[RACKS];
    (void)arg;
    for (int i = 0; i < RACKS; i++) {
        racks[i] = i;
        calls[i] = (thrum_call){.fn = measure, .arg = &racks[i]};
    }
    int first = thrum_gather(calls, RACKS); /* the first failure, in the order of the array */
    for (int i = 0; i < RACKS; i++) {
        if (calls[i].result < 0)
            printf("rack %d: %s\n", i, thrum_strerror(calls[i].result));
        else
            printf("rack %d: %d degrees\n", i, calls[i].result);
    }
    return first == -EIO && calls[4].result == 24 ? 0 : 1;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
