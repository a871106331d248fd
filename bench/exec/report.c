/* SPDX-License-Identifier: MIT */
/* Clock, memory, percentiles, and the line that a run prints. */
#include "bench/exec/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void bench_must(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, thrum_strerror(result));
    _exit(1);
}

void *bench_alloc(size_t n, size_t item_bytes)
{
    void *p = calloc(n ? n : 1, item_bytes);
    if (!p)
        bench_must(-ENOMEM, "calloc");
    return p;
}

void bench_spin(uint64_t ns)
{
    uint64_t begun = thrum_now();
    while (thrum_now() - begun < ns) {
    }
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

double bench_cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return seconds(r.ru_utime) + seconds(r.ru_stime);
}

uint64_t bench_resident_bytes(void)
{
    unsigned long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* VmHWM: ru_maxrss would count what the process was before exec. */
static unsigned long peak_kib(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f) && sscanf(line, "VmHWM: %lu", &kib) != 1) {
    }
    fclose(f);
    return kib;
}

void bench_add(struct bench *b, const char *name, double value, int decimals)
{
    size_t used = strlen(b->extra);
    snprintf(b->extra + used, sizeof(b->extra) - used, ",\"%s\":%.*f", name, decimals, value);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void bench_add_percentiles(struct bench *b, uint64_t *v, size_t n, const char *unit, double unit_ns)
{
    static const struct {
        const char *name;
        double share;
    } marks[] = {{"p50", .5}, {"p99", .99}, {"max", 1}};
    if (!n)
        return;
    qsort(v, n, sizeof(*v), by_value);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s_%s", marks[i].name, unit);
        bench_add(b, name, (double)v[(size_t)((double)(n - 1) * marks[i].share)] / unit_ns, 1);
    }
}

void bench_report(const struct bench *b, const char *workload)
{
    printf("{\"workload\":\"%s\",\"ops\":%" PRIu64 ",\"seconds\":%.6f,\"ns_per_op\":%.2f,"
           "\"checksum\":%" PRIu64 ",\"max_rss_kb\":%lu%s}\n",
           workload, b->ops, (double)b->ns / 1e9, b->ops ? (double)b->ns / (double)b->ops : 0.0,
           b->checksum, peak_kib(), b->extra);
}
