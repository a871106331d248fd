/* SPDX-License-Identifier: MIT */
/* A program with a main loop of its own, a window system's say, that hands work to tasks: the runtime runs beside it, takes
 * tasks from any thread, and answers through what the main loop waits for anyway, here a pipe. */
#include <poll.h>
#include <stdio.h>
#include <thrum/thrum.h>
#include <unistd.h>

enum { REQUESTS = 5 };

struct request {
    int number, answer_fd;
};

/* In a task: may wait for whatever it likes. */
static int serve(void *arg)
{
    const struct request *r = arg;
    int err = thrum_sleep((uint64_t)r->number * THRUM_MILLISECOND);
    int answer = err ? err : r->number * r->number;
    ssize_t n = write(r->answer_fd, &answer, sizeof(answer)); /* a pipe has room for these few */
    return n == sizeof(answer) ? 0 : -1;
}

static int version(void *arg)
{
    (void)arg;
    return THRUM_VERSION_MAJOR * 100 + THRUM_VERSION_MINOR;
}

static int main_loop(thrum_runtime *rt, const int ends[2])
{
    static struct request requests[REQUESTS]; /* tasks use them until the runtime has stopped */
    int sum = 0, answer, err = 0;
    for (int i = 0; i < REQUESTS && !err; i++) {
        requests[i] = (struct request){i + 1, ends[1]};
        err = thrum_runtime_spawn(rt, serve, &requests[i]); /* does not wait */
    }
    for (int answers_n = 0; answers_n < REQUESTS && !err; answers_n++) {
        struct pollfd from_tasks = {.fd = ends[0], .events = POLLIN};
        if (poll(&from_tasks, 1, -1) != 1 || read(ends[0], &answer, sizeof(answer)) < 0)
            return -1;
        sum += answer;
    }
    if (!err)
        printf("answers: %d in all\n", sum);
    /* And the other way: this thread blocks until a task has the result. */
    int v = thrum_runtime_call(rt, version, NULL);
    return err || sum != 55 || v < 0;
}

int main(void)
{
    thrum_runtime *rt;
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    int err = thrum_runtime_start(&rt, NULL);
    if (err) {
        fprintf(stderr, "runtime_start: %s\n", thrum_strerror(err));
        return 1;
    }
    int failed = main_loop(rt, ends);
    thrum_runtime_stop(rt); /* cancels what is left, and waits for it */
    close(ends[0]);
    close(ends[1]);
    return failed ? 1 : 0;
}
