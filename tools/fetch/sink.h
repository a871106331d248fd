/* SPDX-License-Identifier: MIT */
/* tools/fetch/sink.h: where one body goes: a file, its place in standard output, or nowhere.
 *
 * A file is written under a name of its own that starts with a dot and gets its final name when it is
 * complete, so whatever happens, a name that looks like a page is a whole page. Files are written on the
 * worker itself: that copies to the page cache. They are not synced to the disk.
 */
#ifndef TOOLS_FETCH_SINK_H
#define TOOLS_FETCH_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/fetch/name.h"
#include "tools/fetch/order.h"

/* The same for all bodies; one of the two, or neither. */
struct thr_sink_target {
    int dir_fd;              /* -1: no directory */
    struct thr_order *order; /* NULL: not to standard output */
};

struct thr_sink {
    const struct thr_sink_target *target;
    uint64_t index;
    int fd; /* -1: no file is open */
    char temp[48];
    char name[THR_NAME_MAX]; /* "" without a directory */
};

/* Opens the directory, which is made if only its last part is missing.
 * Returns: a descriptor or a negative errno. Context: a plain thread. */
int thr_sink_open_dir(const char *path);

/* Begins body `index`. Each init is followed by one commit or abort. Does not suspend. */
void thr_sink_init(struct thr_sink *s, const struct thr_sink_target *target, uint64_t index,
                   const char *url);

/* Starts the body, also one that will be empty. Returns: 0 or a negative errno. */
int thr_sink_start(struct thr_sink *s);

/* Returns: 0 or a negative code. Context: task. Suspends. */
int thr_sink_write(struct thr_sink *s, const void *data, size_t n);

/* Forgets what was written; false if it cannot be taken back. */
bool thr_sink_restart(struct thr_sink *s);

/* Ends a complete body. Returns: 0 or a negative code. Context: task. Suspends. */
int thr_sink_commit(struct thr_sink *s);

/* Ends a body that did not come, or not whole. Context: task. Suspends. */
void thr_sink_abort(struct thr_sink *s);

#endif
