/* SPDX-License-Identifier: MIT */
/* A pipeline of channels: one task counts, several square, one adds up. Each stage closes the channel after it when it is
 * done, and the channels are short, so that a slow stage holds the ones before it back. */
#include <stdio.h>
#include <thrum/thrum.h>

enum { NUMBERS = 1000, SQUARERS = 3 };

struct pipeline {
    thrum_chan numbers, squares;
    thrum_latch squarers; /* counted down by each that is done */
    long sum;
};

static int count(void *arg)
{
    struct pipeline *p = arg;
    int err = 0;
    for (long n = 1; n <= NUMBERS && !err; n++)
        err = thrum_chan_send(&p->numbers, &n); /* waits while it is full */
    thrum_chan_close(&p->numbers);              /* what is in it is still received */
    return err;
}

static int square(void *arg)
{
    struct pipeline *p = arg;
    long n;
    int err;
    while ((err = thrum_chan_recv(&p->numbers, &n)) == 0) {
        n *= n;
        err = thrum_chan_send(&p->squares, &n);
        if (err)
            break;
    }
    thrum_latch_down(&p->squarers, 1);
    return err == THRUM_ECLOSED ? 0 : err;
}

/* Several send there, so that none of them may close it. */
static int close_squares(void *arg)
{
    struct pipeline *p = arg;
    int err = thrum_latch_wait(&p->squarers);
    thrum_chan_close(&p->squares);
    return err;
}

static int add(void *arg)
{
    struct pipeline *p = arg;
    long n;
    int err;
    while ((err = thrum_chan_recv(&p->squares, &n)) == 0)
        p->sum += n;
    return err == THRUM_ECLOSED ? 0 : err;
}

static int app(void *arg)
{
    long numbers[8], squares[8]; /* the items lie here: nothing is allocated */
    struct pipeline p = {.numbers = THRUM_CHAN_INIT(numbers),
                         .squares = THRUM_CHAN_INIT(squares),
                         .squarers = THRUM_LATCH_INIT(SQUARERS)};
    static thrum_fn *const stages[] = {count, square, square, square, close_squares, add};
    thrum_scope scope;
    int err = 0;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]) && !err; i++)
        err = thrum_scope_spawn(&scope, stages[i], &p);
    if (err)
        thrum_scope_cancel(&scope); /* a stage is missing */
    int first = thrum_scope_close(&scope);
    printf("the sum of the first %d squares is %ld\n", NUMBERS, p.sum);
    return err || first || p.sum != NUMBERS * (NUMBERS + 1L) * (2 * NUMBERS + 1L) / 6;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
