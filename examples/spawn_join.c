/* SPDX-License-Identifier: MIT */
/* Tasks with a handle: spawned with a name (a report of a stack overflow says it), joined for their value, joined in vain and
 * then again, or let go. Most tasks belong in a scope instead; these outlive the function that spawned them. */
#include <errno.h>
#include <stdio.h>
#include <thrum/thrum.h>

static int answer(void *arg)
{
    int err = thrum_sleep(*(uint64_t *)arg);
    return err ? err : 42;
}

static int write_log(void *arg)
{
    puts(arg);
    return 0;
}

/* Joins, but not for longer than that. If it takes longer the handle is still good. */
static int join_within(uint64_t timeout_ns, thrum_task *task, int *value)
{
    thrum_timeout limit;
    thrum_timeout_begin(&limit, timeout_ns);
    int err = thrum_join(task, value);
    thrum_timeout_end(&limit);
    return err;
}

static int app(void *arg)
{
    static uint64_t takes_ns = 30 * THRUM_MILLISECOND; /* it lives as long as the task */
    thrum_task *task, *logger;
    static char message[] = "let go";
    int value = 0;
    (void)arg;
    int err = thrum_spawn(&logger, write_log, message, &(thrum_spawn_opts){.name = "logger"});
    if (err)
        return err;
    thrum_detach(logger); /* it frees itself */

    err = thrum_spawn(&task, answer, &takes_ns,
                      &(thrum_spawn_opts){.name = "answer", .stack_bytes = 16 << 10});
    if (err)
        return err;
    err = join_within(THRUM_MILLISECOND, task, &value);
    if (err == -ETIMEDOUT) {
        printf("after 1 ms: %s, the handle is still good\n",
               thrum_task_is_done(task) ? "done just now" : "not done");
        err = thrum_join(task, &value); /* takes the handle */
    }
    if (err) {
        thrum_detach(task); /* a failed join leaves it to us */
        return err;
    }
    printf("then: %d\n", value);
    return value == 42 ? 0 : 1;
}

int main(void)
{
    int err = thrum_run(app, NULL, NULL);
    if (err)
        fprintf(stderr, "spawn_join: %s\n", thrum_strerror(err));
    return err ? 1 : 0;
}
