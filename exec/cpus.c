/* SPDX-License-Identifier: MIT */
#include "exec/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned by_affinity(void)
{
    cpu_set_t set; /* 1,024 cores; where there are more the call fails and all those online count */
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

unsigned thr_cpus_parse_quota(const char *text)
{
    unsigned long long quota, period;
    if (sscanf(text, "%llu %llu", &quota, &period) != 2 || quota == 0 || period == 0)
        return 0;
    unsigned long long cores = quota / period + (quota % period != 0);
    return cores < 1U << 16 ? (unsigned)cores : 0;
}

static unsigned read_quota(const char *path)
{
    char text[64];
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    unsigned cores = fgets(text, sizeof(text), f) ? thr_cpus_parse_quota(text) : 0;
    fclose(f);
    return cores;
}

/* The path of this process in the unified hierarchy (the line "0::/path"), or "/" as it looks inside a container. */
static void own_cgroup(char *path, size_t path_bytes)
{
    char line[512];
    snprintf(path, path_bytes, "/");
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, path_bytes, "%s", line + 3);
    }
    fclose(f);
}

/* A quota of any enclosing group bounds this one too. */
static unsigned by_quota(void)
{
    char group[512], path[600];
    unsigned least = 0;
    own_cgroup(group, sizeof(group));
    for (;;) {
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", group);
        unsigned cores = read_quota(path);
        if (cores && (!least || cores < least))
            least = cores;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

unsigned thr_cpus_allowed(void)
{
    unsigned cores = by_affinity();
    unsigned quota = by_quota();
    if (quota && quota < cores)
        cores = quota;
    return cores ? cores : 1;
}
