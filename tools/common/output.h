/* SPDX-License-Identifier: MIT */
/* tools/common/output.h: writes to standard output and standard error from many tasks.
 *
 * Such a descriptor may be a pipe whose reader is slow, and it must not be made non-blocking: the flag
 * belongs to the open file, which the shell and other programs share. So each piece is first written as
 * far as poll(2) says it goes (a pipe that is writable takes PIPE_BUF bytes), on the worker itself; only
 * when the reader is behind does the rest go to a thread of the blocking pool, which waits for room, or
 * for the descriptor that tells the program to stop. A regular file is always written on the worker:
 * that copies to the page cache, and a trip to another thread costs more than the copy.
 *
 * Roles       write: any task.
 * Invariants  O1  a piece goes out whole and not mixed with others: `lock` is held while it is written,
 *                 also across the suspension.
 */
#ifndef TOOLS_COMMON_OUTPUT_H
#define TOOLS_COMMON_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <thrum/sync.h>

struct thr_output {
    thrum_mutex lock;
    int fd;
    int quit_fd; /* readable: stop waiting. -1: none */
    bool is_file;
};

void thr_output_init(struct thr_output *o, int fd, int quit_fd);

/* Writes everything. Returns: 0, -ECANCELED, -ETIMEDOUT, or what write(2) reported (-EPIPE, -ENOSPC).
 * Context: task. Suspends. */
int thr_output_write(struct thr_output *o, const void *data, size_t n);

/* Writes everything from a plain thread, for a program that has no runtime (yet, or any more).
 * Returns: 0 or a negative code. */
int thr_output_put(int fd, const void *data, size_t n);

/* read(2) that first waits until there is something, or quit_fd is readable (-ECANCELED).
 * Context: task. Suspends. */
ssize_t thr_input_read(int fd, int quit_fd, void *buf, size_t n);

#endif
