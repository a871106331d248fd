/* SPDX-License-Identifier: MIT */
/* The switch as tasks see it: what they keep in registers and on their stacks is theirs, whoever ran meanwhile, and
 * unwinding ends where the task begins. */
#include "running.h"

#include <execinfo.h>

enum { TASKS = 24, DEPTH = 12 };

/* More values than there are registers, all alive across each yield. */
static __attribute__((noinline)) uint64_t many_values(uint64_t seed, int rounds)
{
    uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13;
    uint64_t g = seed * 17, h = seed * 19, i = seed * 23, j = seed * 29, k = seed * 31;
    double x = (double)seed, y = x * 0.5, z = x * 0.25, u = x + 1, v = x + 2, w = x + 3;
    for (int n = 0; n < rounds; n++) {
        EXPECT_IS(thrum_yield(), 0);
        a += b, b ^= c, c += d, d ^= e, e += f, f ^= g, g += h, h ^= i, i += j, j ^= k, k += a;
        x += y, y += z, z += 0.125, u += v, v += w, w += x;
        x = x > 1e9 ? 1 : x, y = y > 1e9 ? 2 : y, u = u > 1e9 ? 3 : u, v = v > 1e9 ? 4 : v,
        w = w > 1e9 ? 5 : w;
    }
    return a + b + c + d + e + f + g + h + i + j + k + (uint64_t)(x + y + z + u + v + w);
}

/* The same without a switch between: outside a task thrum_yield() cannot be called. */
static __attribute__((noinline)) uint64_t many_values_alone(uint64_t seed, int rounds)
{
    uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13;
    uint64_t g = seed * 17, h = seed * 19, i = seed * 23, j = seed * 29, k = seed * 31;
    double x = (double)seed, y = x * 0.5, z = x * 0.25, u = x + 1, v = x + 2, w = x + 3;
    for (int n = 0; n < rounds; n++) {
        a += b, b ^= c, c += d, d ^= e, e += f, f ^= g, g += h, h ^= i, i += j, j ^= k, k += a;
        x += y, y += z, z += 0.125, u += v, v += w, w += x;
        x = x > 1e9 ? 1 : x, y = y > 1e9 ? 2 : y, u = u > 1e9 ? 3 : u, v = v > 1e9 ? 4 : v,
        w = w > 1e9 ? 5 : w;
    }
    return a + b + c + d + e + f + g + h + i + j + k + (uint64_t)(x + y + z + u + v + w);
}

static int keep_values(void *arg)
{
    uint64_t seed = (uintptr_t)arg + 1;
    int rounds = BY_BUILD(3000, 1000, 300);
    EXPECT(many_values(seed, rounds) == many_values_alone(seed, rounds));
    return 0;
}

/* Frames full of known bytes, a switch at each depth on the way down and up. */
static __attribute__((noinline)) void fill_frames(unsigned char mark, int depth)
{
    volatile unsigned char frame[1024];
    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (unsigned char)(mark + depth + (int)i);
    EXPECT_IS(thrum_yield(), 0);
    if (depth > 0)
        fill_frames(mark, depth - 1);
    EXPECT_IS(thrum_yield(), 0);
    for (size_t i = 0; i < sizeof(frame); i++)
        EXPECT_IS(frame[i],
                  (unsigned char)(mark + depth + (int)i)); /* the stack is as it was left */
}

static int keep_stack(void *arg)
{
    for (int i = 0; i < 20; i++)
        fill_frames((unsigned char)(uintptr_t)arg, DEPTH);
    return 0;
}

static int spawn_all(void *arg)
{
    thrum_fn *fn = (thrum_fn *)(uintptr_t)arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (uintptr_t i = 0; i < TASKS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, fn, (void *)(i * 7)), 0);
    return thrum_scope_close(&scope);
}

static void values_in_registers_survive_switches(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, spawn_all, (void *)(uintptr_t)keep_values);
}

static void stacks_survive_switches(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, spawn_all, (void *)(uintptr_t)keep_stack);
}

static int count_frames(void *arg)
{
    void *frames[64];
    int *n = arg;
    n[0] = backtrace(frames, 64);
    if (thrum_yield() == 0)
        n[1] = backtrace(frames, 64);
    return 0;
}

static int unwind_in_child(void *arg)
{
    thrum_task *task;
    int err = thrum_spawn(&task, count_frames, arg, NULL);
    return err ? err : thrum_join(task, NULL);
}

static void unwinding_ends_at_the_root(void **state)
{
    (void)state;
    int n[2] = {0, 0};
    assert_runs(2, unwind_in_child, n);
    for (int i = 0; i < 2; i++)
        assert_true(n[i] >= 2 && n[i] < 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_in_registers_survive_switches),
        cmocka_unit_test(stacks_survive_switches),
        cmocka_unit_test(unwinding_ends_at_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
