/* SPDX-License-Identifier: MIT */
/* Time limits: they nest, the earliest counts, and each says whether it was its own time that ran out. And clean-up that
 * has to wait although the time is over: it runs behind a shield. */
#include <errno.h>
#include <stdio.h>
#include <thrum/thrum.h>

/* Gives a lock or a lease back, which takes a moment. */
static int sign_off(void *arg)
{
    int *signed_off = arg;
    int err = thrum_sleep(5 * THRUM_MILLISECOND);
    if (!err)
        *signed_off = 1;
    return err;
}

static int serve(void *arg)
{
    int err = thrum_sleep(60 * THRUM_SECOND); /* the deadline ends it: -ETIMEDOUT */
    int gone = sign_off(arg);                 /* and this one at once, as every wait from now on */
    if (gone)
        gone = thrum_shielded(sign_off, arg);
    return err ? err : gone;
}

static int app(void *arg)
{
    thrum_timeout day, request;
    int signed_off = 0;
    (void)arg;
    thrum_timeout_begin(&day, 60 * THRUM_SECOND);
    thrum_timeout_begin(&request, 20 * THRUM_MILLISECOND);
    int err = serve(&signed_off);
    bool request_over = thrum_timeout_end(&request); /* innermost first */
    bool day_over = thrum_timeout_end(&day);
    printf("%s: the request's limit %s, the day's %s; %s\n", thrum_strerror(err),
           request_over ? "was over" : "was not", day_over ? "was over" : "was not",
           signed_off ? "signed off" : "left without a word");

    /* The same in one call, where only the outcome matters. */
    signed_off = 0;
    int again = thrum_within(20 * THRUM_MILLISECOND, serve, &signed_off);
    return err == -ETIMEDOUT && request_over && !day_over && again == -ETIMEDOUT && signed_off ? 0
                                                                                               : 1;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
