/* SPDX-License-Identifier: MIT */
/* exec/cpus.h: how many cores this process may use. */
#ifndef THR_EXEC_CPUS_H
#define THR_EXEC_CPUS_H

/* The smaller of the affinity mask and the cgroup's quota (rounded up), at least 1. */
unsigned thr_cpus_allowed(void);

/* Reads a cgroup's "cpu.max": "QUOTA PERIOD" or "max PERIOD". Returns: cores, rounded up; 0 if there is no limit or the
 * text makes no sense. */
unsigned thr_cpus_parse_quota(const char *text);

#endif
