/* SPDX-License-Identifier: MIT */
/* tools/fetch/urls.h: where the URLs come from: the command line, then the list of -i, read as needed.
 *
 * Roles       next: any task.
 * Invariants  U1  a URL is given out once, and its index is its place in the order: 0, 1, 2 ...
 */
#ifndef TOOLS_FETCH_URLS_H
#define TOOLS_FETCH_URLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <thrum/sync.h>

#include "tools/common/lines.h"

struct thr_urls {
    thrum_mutex lock;
    const char *const *given; /* borrowed; guarded by lock, as is all below */
    size_t given_n;
    uint64_t next; /* the index of the URL that is given out next */
    int fd;        /* -1: no list (any more) */
    bool owns_fd;
    int quit_fd;
    struct thr_lines lines;

    /* How many there are, 0: not known yet. Not guarded: the lock is held as long as a list is silent. */
    atomic_uint_fast64_t total;
};

/* Opens the list (path NULL: none).
 *
 * Owns:    given is borrowed. fini copes with a failed init.
 * Returns: 0 or a negative errno.
 * Context: a plain thread. */
int thr_urls_init(struct thr_urls *u, const char *const *given, size_t given_n, const char *path,
                  int quit_fd);
void thr_urls_fini(struct thr_urls *u);

/* Reads a list that is a regular file once to learn how many URLs there are, for a progress bar.
 * Context: a plain thread, before the first next. Blocks. */
void thr_urls_count(struct thr_urls *u);

/* What next gives out. */
struct thr_url_given {
    uint64_t index;
    char *text;  /* the receiver's, for free() */
    bool cut;    /* a line of the list was longer than THR_LINE_MAX; text has its beginning */
    bool broken; /* it holds a NUL; text ends there */
};

/* Gives the next URL.
 *
 * Returns: 1; 0 at the end; -ENOMEM, -ECANCELED, or what reading the list failed with: then it has ended.
 * Context: task. Suspends. */
int thr_urls_next(struct thr_urls *u, struct thr_url_given *out);

#endif
