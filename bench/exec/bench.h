/* SPDX-License-Identifier: MIT */
/* What the workloads of bench_exec share: the figures of a run, clock, memory and percentiles.
 *
 * A workload is written as a user would write it: public headers only, default stacks, no tuning. */
#ifndef BENCH_EXEC_BENCH_H
#define BENCH_EXEC_BENCH_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <thrum/chan.h>
#include <thrum/error.h>
#include <thrum/fork.h>
#include <thrum/runtime.h>
#include <thrum/sync.h>
#include <thrum/task.h>
#include <thrum/tcp.h>
#include <thrum/time.h>
#include <thrum/timer.h>

/* The exit status that says: no such workload here. */
enum { BENCH_UNSUPPORTED = 77 };

/* One run. The workload reads `size` and fills in the rest, all of which starts from zero. */
struct bench {
    uint64_t size;     /* as on the command line */
    unsigned threads;  /* as on the command line */
    uint64_t ops;      /* 0: `size` */
    uint64_t ns;       /* 0: from the workload's start to its return */
    uint64_t checksum; /* what was computed: the same for every runtime */
    char extra[256];   /* further figures, each with its comma: ,"name":value */
};

typedef void bench_fn(struct bench *b);

/* spawn.c */
bench_fn bench_spawn_join, bench_spawn_batch, bench_skynet, bench_fib, bench_fib_spawn;
/* switch.c */
bench_fn bench_yield, bench_pingpong, bench_pingpong_cross;
/* wakeup.c */
bench_fn bench_wakeup, bench_wakeup_idle;
/* sync.c */
bench_fn bench_fanin, bench_mutex, bench_parked;
/* timers.c */
bench_fn bench_timers, bench_timers_warm, bench_timeout_churn;
/* tcp.c */
bench_fn bench_tcp_echo, bench_tcp_idle, bench_stall;

/* Ends the program with a message if the expression, a thrum call's result, is negative. */
#define BENCH_MUST(expression) bench_must(expression, #expression)
void bench_must(int result, const char *what);

/* malloc() of n items that cannot fail. */
void *bench_alloc(size_t n, size_t item_bytes);

/* Computes for so long. */
void bench_spin(uint64_t ns);

/* User and system time of this process, in seconds. */
double bench_cpu_seconds(void);

/* Resident memory now, in bytes. */
uint64_t bench_resident_bytes(void);

/* Adds one figure, or the 50th and 99th percentile and the maximum of v (which it sorts) divided by `unit_ns`. */
void bench_add(struct bench *b, const char *name, double value, int decimals);
void bench_add_percentiles(struct bench *b, uint64_t *v, size_t n, const char *unit,
                           double unit_ns);

/* Prints the line of JSON. */
void bench_report(const struct bench *b, const char *workload);

#endif
