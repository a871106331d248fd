/* SPDX-License-Identifier: MIT */
/* Is it still alive? A peer says something now and then; each time the timer of its silence is set anew. Meanwhile another
 * one ticks. Once the peer has been silent for too long the watcher gives up. */
#include <stdio.h>
#include <thrum/thrum.h>

enum { MESSAGES = 5 };

static const uint64_t silence_max = 50 * THRUM_MILLISECOND;

/* Says something a few times, then nothing more. */
static int peer(void *arg)
{
    thrum_timer *silence = arg;
    int err = 0;
    for (int i = 0; i < MESSAGES && !err; i++) {
        err = thrum_sleep(5 * THRUM_MILLISECOND);
        if (!err)
            thrum_timer_set(
                silence, silence_max); /* any task may: it moves the time that another waits for */
    }
    return err;
}

/* Returns: how many ticks it saw before the peer was silent for too long, or a negative code. */
static int watch(thrum_timer *silence)
{
    thrum_timer tick = THRUM_TIMER_INIT;
    int ticks = 0, which;
    thrum_timer_set_period(&tick, 0, 10 * THRUM_MILLISECOND);
    thrum_case cases[] = {THRUM_TIMER(silence), THRUM_TIMER(&tick)};
    while ((which = thrum_select(cases, 2, THRUM_NEVER)) == 1) {
        which = thrum_timer_wait(&tick); /* takes the tick */
        if (which < 0)
            break;
        ticks++;
    }
    thrum_timer_cancel(&tick); /* before its storage goes */
    return which < 0 ? which : ticks;
}

static int app(void *arg)
{
    (void)arg;
    thrum_timer silence = THRUM_TIMER_INIT;
    thrum_scope scope;
    uint64_t begun = thrum_now();
    thrum_timer_set(&silence, silence_max);
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, peer, &silence);
    int ticks = err ? err : watch(&silence);
    int closed = thrum_scope_close(&scope);
    thrum_timer_cancel(&silence); /* the peer may have set it once more */
    if (ticks >= 0)
        printf("silent for %u ms, after %u ms and %d ticks\n",
               (unsigned)(silence_max / THRUM_MILLISECOND),
               (unsigned)((thrum_now() - begun) / THRUM_MILLISECOND), ticks);
    return ticks < 0 ? ticks : closed;
}

int main(void)
{
    int err = thrum_run(app, NULL, NULL);
    if (err)
        fprintf(stderr, "timer: %s\n", thrum_strerror(err));
    return err ? 1 : 0;
}
