/* SPDX-License-Identifier: MIT */
/* A pool of tasks that work through a queue by urgency, as with asyncio.PriorityQueue: the producer waits while the queue is
 * full, then for all work to be done, then lets the pool go home. */
#include <stdio.h>
#include <stdlib.h>
#include <thrum/thrum.h>

enum { WORKERS = 4, JOBS = 40 };

struct job {
    int urgency; /* 0 first */
    int number;
};

static int by_urgency(const void *a, const void *b, void *arg)
{
    const struct job *x = a, *y = b;
    (void)arg;
    return (x->urgency > y->urgency) - (x->urgency < y->urgency); /* equal ones stay in order */
}

static int work(void *arg)
{
    thrum_queue *queue = arg;
    struct job job;
    int err;
    while ((err = thrum_queue_get(queue, &job)) == 0) {
        err = thrum_sleep((uint64_t)(job.number % 5) * THRUM_MILLISECOND);
        printf("job %2d, urgency %d%s\n", job.number, job.urgency, err ? ": interrupted" : "");
        thrum_queue_task_done(queue);
    }
    return err == THRUM_ECLOSED ? 0 : err; /* closed: the end of work */
}

static int produce(thrum_queue *queue)
{
    int err = 0;
    for (int i = 0; i < JOBS && !err; i++) {
        struct job job = {.urgency = i * 7 % 3, .number = i};
        err = thrum_queue_put(queue, &job); /* waits while ten are waiting */
    }
    return err ? err : thrum_queue_join(queue); /* until each job was reported done */
}

static int app(void *arg)
{
    thrum_queue *queue;
    thrum_scope scope;
    (void)arg;
    thrum_queue_opts opts = {.max = 10, .order = THRUM_QUEUE_PRIORITY, .compare = by_urgency};
    int err = thrum_queue_new(&queue, sizeof(struct job), &opts);
    if (err)
        return err;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < WORKERS && !err; i++)
        err = thrum_scope_spawn(&scope, work, queue);
    if (!err)
        err = produce(queue);
    thrum_queue_shutdown(queue, err != 0); /* at once only if something went wrong */
    int closed = thrum_scope_close(&scope);
    thrum_queue_free(queue);
    return err ? err : closed;
}

int main(void)
{
    int err = thrum_run(app, NULL, NULL);
    if (err)
        fprintf(stderr, "queue: %s\n", thrum_strerror(err));
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
