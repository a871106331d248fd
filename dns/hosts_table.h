/* SPDX-License-Identifier: MIT */
/* dns/hosts_table.h: the insides of a hosts table, for the two files that share it. */
#ifndef THR_DNS_HOSTS_TABLE_H
#define THR_DNS_HOSTS_TABLE_H

#include <stdint.h>

struct thr_hosts_entry;

struct thr_hosts_table {
    unsigned refs; /* guarded by the lock of the struct thr_hosts it is in */
    char *text;    /* the entries' names lie in it */
    struct thr_hosts_entry *entries;
    uint32_t entries_n, entries_max;
    uint32_t *buckets;  /* indices of entries */
    uint32_t buckets_n; /* a power of two */
};

#endif
