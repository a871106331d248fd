/* SPDX-License-Identifier: MIT */
/* Fibonacci numbers by the naive recursion, one fork each: what forking costs, and how it spreads over the cores. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum/thrum.h>

struct fib {
    unsigned n;
    uint64_t value;
};

/* NOLINTNEXTLINE(misc-no-recursion): the depth is small and known */
static int fib(void *arg)
{
    struct fib *f = arg;
    f->value = f->n;
    if (f->n < 2)
        return 0;
    struct fib a = {.n = f->n - 1}, b = {.n = f->n - 2};
    thrum_forked forked;
    thrum_fork(&forked, fib, &a); /* an idle worker may take it */
    int err = fib(&b);
    int other = thrum_join_fork(&forked); /* else it runs here */
    f->value = a.value + b.value;
    return err ? err : other;
}

static int app(void *arg)
{
    struct fib *f = arg;
    uint64_t start = thrum_now();
    int err = fib(f);
    uint64_t ns = thrum_now() - start;
    if (err)
        return err;

    /* fib(n + 1) - 1 calls have forked */
    double forks = 1.618034 * (double)f->value;
    printf("fib(%u) = %" PRIu64 " on %u workers in %.1f ms, %.1f ns a fork\n", f->n, f->value,
           thrum_workers(), (double)ns / 1e6, forks > 0 ? (double)ns / forks : 0);
    return 0;
}

int main(int argc, char **argv)
{
    struct fib f = {.n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 30};
    if (f.n > 50) {
        fprintf(stderr, "usage: fib [0 ... 50]\n");
        return 2;
    }
    int err = thrum_run(app, &f, NULL);
    if (err)
        fprintf(stderr, "fib: %s\n", thrum_strerror(err));
    return err ? 1 : 0;
}
