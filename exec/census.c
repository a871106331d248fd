/* SPDX-License-Identifier: MIT */
#include "exec/census.h"

#include "exec/overflow.h"
#include "exec/sanitizer.h"
#include "exec/site.h"
#include "exec/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <thrum/stack.h>
#include <unistd.h>

enum {
    FIRST_TASKS = THR_SITES_MAX, /* the row of those that thrum_run() starts */
    ROWS = THR_SITES_MAX + 1,
    PAGES_A_LOOK = 256,
    NOT_CLEARED = 512, /* for the frame of who clears; sanitizers call functions there */
    NOT_CLEARED_SANITIZED = 16 << 10,
    ALLOWED_SHIFT = 32,
};

struct row {
    thr_au64 tasks_n;
    thr_au64 deepest; /* H2: deepest use << 32 | what the task was promised */
};

static struct row rows[ROWS]; /* by the site's number */

/* ---- Measuring ---- */

/* The lowest word in [from, to) that is not zero, or to. */
static uintptr_t *lowest_set(uintptr_t *from, const uintptr_t *to)
{
    while (from < to && *from == 0)
        from++;
    return from;
}

/* The lowest address between bottom, a page's, and end that was written to. */
static THR_NOINLINE char *lowest_used(char *bottom, char *end, size_t page)
{
    unsigned char resident[PAGES_A_LOOK];
    for (char *at = bottom; at < end; at += PAGES_A_LOOK * page) {
        size_t bytes = (size_t)(end - at), n = (bytes + page - 1) / page;
        if (n > PAGES_A_LOOK)
            n = PAGES_A_LOOK;
        bool known = mincore(at, n * page, resident) == 0;
        for (size_t i = 0; i < n; i++) {
            if (known && !(resident[i] & 1))
                continue;
            char *from = at + i * page, *to = from + page < end ? from + page : end;
            char *found = (char *)lowest_set((uintptr_t *)(void *)from, (uintptr_t *)(void *)to);
            if (found < to)
                return found;
        }
    }
    return end;
}

/* Not memset(): nothing may be called whose frame lies in what is cleared. */
static void clear(char *from, const char *to)
{
    for (volatile uintptr_t *p = (volatile uintptr_t *)(void *)from;
         (const char *)(uintptr_t)p < to; p++)
        *p = 0;
}

static void note(struct row *r, size_t used, size_t promised)
{
    uint64_t now = (uint64_t)used << ALLOWED_SHIFT | promised;
    uint64_t known = thr_load(&r->deepest, THR_RELAXED);
    while (now > known && !thr_cas_weak(&r->deepest, &known, now, THR_RELAXED, THR_RELAXED)) {
    }
    thr_fetch_add(&r->tasks_n, 1, THR_RELAXED);
}

static THR_NOINLINE void measure(const struct thr_stacks *s, const struct thrum_task *task)
{
    struct thr_stack *stack = task->stack;
    size_t spared = thr_sanitizer_reports_faults() ? NOT_CLEARED_SANITIZED : NOT_CLEARED;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(sizeof(uintptr_t) - 1);
    char *end = (char *)here - spared;
    if (end <= stack->bottom)
        return;
    thr_asan_reuse(stack->bottom, (size_t)(end - stack->bottom)); /* left by functions that ended */
    char *low = lowest_used(stack->bottom, end, (size_t)sysconf(_SC_PAGESIZE));
    note(&rows[task->kind == THR_TASK_MAIN ? FIRST_TASKS : task->site],
         (size_t)((char *)thr_stack_top(stack) - low), s->pools[task->stack_class].promised_bytes);
    clear(low, end);
}

void thr_stack_task_ended(const struct thr_stacks *s, const struct thrum_task *task)
{
    if (task->stack->canary && !thr_canary_is_whole(task->stack->bottom)) {
        thr_overflow_tell(s, task);
        thr_panic(__FILE__, __LINE__, "a task overflowed its stack");
    }
    if (s->census)
        measure(s, task);
}

/* ---- Reporting ---- */

static bool row_read(unsigned i, thrum_stack_use *out)
{
    uint64_t deepest = thr_load(&rows[i].deepest, THR_RELAXED);
    const thrum_site *site = i < THR_SITES_MAX ? thr_site_at(i) : NULL;
    *out = (thrum_stack_use){
        .file = site ? site->file : NULL,
        .function = site               ? site->function
                    : i == FIRST_TASKS ? "thrum_run"
                                       : NULL,
        .line = site ? site->line : 0,
        .tasks_n = thr_load(&rows[i].tasks_n, THR_RELAXED),
        .deepest_bytes = (size_t)(deepest >> ALLOWED_SHIFT),
        .stack_bytes = (size_t)(uint32_t)deepest,
    };
    return out->tasks_n > 0;
}

size_t thrum_stack_census(thrum_stack_use_fn *each, void *arg)
{
    size_t n = 0;
    for (unsigned i = 0; i < ROWS; i++) {
        thrum_stack_use use;
        if (!row_read(i, &use))
            continue;
        each(&use, arg);
        n++;
    }
    return n;
}

static void print_row(const thrum_stack_use *use, void *arg)
{
    FILE *out = arg;
    fprintf(out, "%10zu %10zu %4zu%% %12" PRIu64 "  ", use->deepest_bytes, use->stack_bytes,
            use->deepest_bytes * 100 / use->stack_bytes, use->tasks_n);
    if (use->file)
        fprintf(out, "%s() at %s:%u\n", use->function, use->file, use->line);
    else
        fprintf(out, "%s\n", use->function ? "first task of a runtime" : "unknown");
}

int thrum_stack_report(FILE *out)
{
    fprintf(out, "%10s %10s %5s %12s  %s\n", "deepest", "allowed", "used", "tasks", "spawned in");
    thrum_stack_census(print_row, out);
    return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}
