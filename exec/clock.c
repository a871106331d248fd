/* SPDX-License-Identifier: MIT */
#include "exec/clock.h"

#include "exec/util.h"
#include "exec/worker.h"

#include <thrum/time.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/prctl.h>
#endif

enum {
    AGE_MAX_NS = 2000,
    LEARN_NS = 1000 * 1000, /* how far the two readings are apart that the rate is learned from */
    LEARN_PARTS = 256, /* each of which took less than this part of it: the error is below 1 % */
};

uint64_t thr_clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * THRUM_SECOND + (uint64_t)ts.tv_nsec;
}

/* ---- The counter ---- */

#if defined(__x86_64__)

static inline uint64_t cycles_now(void)
{
    return __builtin_ia32_rdtsc();
}

/* It runs at one rate whatever the core does, and we may read it. */
static bool cycles_exist(void)
{
    unsigned a, b, c, d = 0;
    int mode = PR_TSC_SIGSEGV;
    bool invariant = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1U << 8));
    return invariant && prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE;
}

#else /* aarch64 has a counter too, but its ticks of 16 to 40 ns would make deadlines early by as much */

static inline uint64_t cycles_now(void)
{
    return 0;
}

static bool cycles_exist(void)
{
    return false;
}

#endif

/* ---- Deadlines ---- */

struct reading {
    uint64_t cycles, ns,
        took; /* the counter was read first, and again after the clock: `took` cycles in all */
};

static struct reading read_both(void)
{
    struct reading r;
    r.cycles = cycles_now();
    r.ns = thr_clock_now();
    r.took = cycles_now() - r.cycles;
    return r;
}

static void begin_learning(struct thr_clock_base *b, const struct reading *r)
{
    b->first_cycles = r->cycles;
    b->first_ns = r->ns;
    b->first_took = r->took;
    b->rate = 0;
    b->age_max = 0;
}

/* The rate from two readings; from this one on again if they do not give a good one. */
static void learn(struct thr_clock_base *b, const struct reading *r)
{
    uint64_t ns = r->ns - b->first_ns;
    if (ns < LEARN_NS)
        return;
    uint64_t cycles = r->cycles - b->first_cycles;
    uint64_t took_max = cycles / LEARN_PARTS;
    if (cycles < LEARN_PARTS || ns > THRUM_SECOND || r->took > took_max ||
        b->first_took > took_max) {
        begin_learning(b, r);
        return;
    }
    uint64_t rate = (ns << 32) / cycles;
    b->age_limit = ((uint64_t)AGE_MAX_NS << 32) / (rate + 1);
    b->rate = rate + rate / 4; /* N1 */
}

/* True unless the base and this reading, both good, contradict the rate: the counter did something that it should not. */
static bool rate_holds(const struct thr_clock_base *b, const struct reading *r)
{
    uint64_t cycles = r->cycles - b->cycles;
    if (cycles >> 31 || b->age_max == 0)
        return true; /* too long ago to tell, or no good base */
    uint64_t predicted = cycles * b->rate >> 32;
    uint64_t passed = r->ns - b->ns;
    return passed <= predicted + AGE_MAX_NS && predicted / 2 <= passed + AGE_MAX_NS;
}

/* Reads the clock; the reading becomes the base if it was a quick one. */
static THR_NOINLINE uint64_t read_base(struct thr_clock_base *b)
{
    if (b->first_ns == 0)
        b->hopeless = !cycles_exist();
    if (b->hopeless)
        return thr_clock_now();
    struct reading r = read_both();
    bool quick = r.took <= b->age_limit / 5;
    if (b->first_ns == 0 || (b->rate && quick && !rate_holds(b, &r)))
        begin_learning(b, &r);
    else if (b->rate == 0)
        learn(b, &r);
    b->cycles = r.cycles;
    b->ns = r.ns;
    b->age_max = b->rate && quick ? b->age_limit : 0;
    return r.ns;
}

uint64_t thr_clock_for_deadline(struct thr_clock_base *b)
{
    uint64_t age = cycles_now() - b->cycles;
    uint64_t now = age < b->age_max ? b->ns + ((age + 1) * b->rate >> 32) : read_base(b);
    if (now < b->last)
        now = b->last; /* N3 */
    b->last = now;
    return now;
}

uint64_t thr_clock_after(uint64_t timeout_ns)
{
    struct thr_worker *w = thr_worker_self();
    uint64_t now = w ? thr_clock_for_deadline(&w->timers.clock) : thr_clock_now();
    return timeout_ns < THRUM_NEVER - now ? now + timeout_ns : THRUM_NEVER;
}

uint64_t thrum_now(void)
{
    return thr_clock_now();
}
