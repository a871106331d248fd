/* SPDX-License-Identifier: MIT */
/* dns/hosts.h: the hosts file (hosts(5)): parsed once, looked at again at most once a second.
 *
 * Roles       find: any task.
 * Invariants  H1  a table is not changed after it was made; it is counted, so a find that has it may go on with it
 *                 while another task puts a newer one in its place.
 *             H2  stamp belongs to the holder of `checking`; table and next_check_ns are guarded by lock.
 * A change is seen by the file's identity, size and times. The file is looked at and read on a thread of the blocking
 * pool: it may lie on a slow disk, and lists that block advertisers have 100,000 lines. */
#ifndef THR_DNS_HOSTS_H
#define THR_DNS_HOSTS_H

#include "exec/lock.h"
#include <sys/stat.h>
#include <thrum/dns.h>
#include <thrum/sync.h>

struct thr_hosts_table;

/* Makes a table of a file's text: "ADDRESS NAME...", # begins a comment, what cannot be read is skipped.
 *
 * text: taken, from malloc(); text[text_bytes] is writable.
 * Returns: 0 or -ENOMEM. */
int thr_hosts_table_new(struct thr_hosts_table **out, char *text, size_t text_bytes);
void thr_hosts_table_free(struct thr_hosts_table *t);

/* The addresses of the name, without a port, in the order of thr_addrs_interleave(); the name is canonical, its last dot
 * does not matter. out->n is 0 if it has none. t may be NULL: an empty table. */
void thr_hosts_table_find(const struct thr_hosts_table *t, const char *name, size_t len,
                          thrum_addrs *out);

/* How often the file is looked at. */
#define THR_HOSTS_CHECK_NS UINT64_C(1000000000)

struct thr_hosts {
    char *path;                    /* NULL: no file, every find is empty */
    thrum_mutex checking;          /* one task looks at the file, the others wait for it */
    struct stat stamp;             /* of what is in the table (H2); zero: nothing read */
    struct thr_lock lock;          /* guards what follows */
    struct thr_hosts_table *table; /* NULL: empty */
    uint64_t next_check_ns;
};

/* path: NULL is /etc/hosts, "" none. Returns: 0 or -ENOMEM. */
int thr_hosts_init(struct thr_hosts *h, const char *path);
void thr_hosts_fini(struct thr_hosts *h);

/* As thr_hosts_table_find(), in the file as it is now or was a second ago.
 *
 * A file that is missing or cannot be read is empty.
 * Returns: 0; -ECANCELED, -ETIMEDOUT (the task's own), -ENOMEM.
 * Context: task. Suspends if the file is due to be looked at. */
int thr_hosts_find(struct thr_hosts *h, const char *name, size_t len, thrum_addrs *out);

#endif
