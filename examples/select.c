/* SPDX-License-Identifier: MIT */
/* Waiting for whatever comes first: a job, a tick of the clock, the end of a task, or the word to stop. */
#include <stdio.h>
#include <thrum/thrum.h>

struct office {
    thrum_chan jobs;
    thrum_event stop;
};

/* Brings five jobs and goes. */
static int customer(void *arg)
{
    struct office *office = arg;
    int err = 0;
    for (int job = 1; job <= 5 && !err; job++) {
        err = thrum_sleep(3 * THRUM_MILLISECOND);
        if (!err)
            err = thrum_chan_send(&office->jobs, &job);
    }
    return err;
}

/* Closes the office a while after the customer has left. */
static int janitor(void *arg)
{
    struct office *office = arg;
    int err = thrum_sleep(10 * THRUM_MILLISECOND);
    thrum_event_set(&office->stop);
    return err;
}

/* Returns: how many jobs were done, or a negative code. */
static int serve(struct office *office, thrum_task **visitor, thrum_scope *scope)
{
    thrum_timer clock = THRUM_TIMER_INIT;
    int job, jobs_n = 0, err = 0;
    bool open = true;
    thrum_timer_set_period(&clock, 0, 5 * THRUM_MILLISECOND);
    thrum_case cases[] = {THRUM_RECV(&office->jobs, &job), THRUM_TIMER(&clock),
                          THRUM_JOIN(*visitor), THRUM_EVENT(&office->stop)};
    while (open && !err) {
        int which = thrum_select(cases, 4, THRUM_NEVER);
        switch (which) {
        case 0: /* the job was received, by just this case */
            jobs_n++;
            break;
        case 1:
            err = thrum_timer_wait(&clock); /* takes the tick, without waiting */
            break;
        case 2:
            err = thrum_join(*visitor, NULL); /* without waiting */
            if (err)
                break;
            *visitor = NULL;
            cases[2] = (thrum_case){0}; /* never happens: switched off */
            err = thrum_scope_spawn(scope, janitor, office);
            break;
        case 3:
            open = false;
            break;
        default:
            err = which; /* -ECANCELED, ... */
        }
    }
    thrum_timer_cancel(&clock); /* before its storage goes */
    return err ? err : jobs_n;
}

static int app(void *arg)
{
    static struct office office = {THRUM_CHAN_UNBUFFERED_INIT(int), THRUM_EVENT_INIT};
    thrum_task *visitor;
    thrum_scope scope;
    (void)arg;
    int err = thrum_spawn(&visitor, customer, &office, NULL);
    if (err)
        return err;
    thrum_scope_open(&scope, NULL);
    int jobs_n = serve(&office, &visitor, &scope);
    err = thrum_scope_close(&scope);
    if (visitor)
        thrum_detach(visitor);
    printf("%d jobs done\n", jobs_n);
    return err || jobs_n != 5;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
