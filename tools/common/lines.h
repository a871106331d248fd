/* SPDX-License-Identifier: MIT */
/* tools/common/lines.h: lines from a source of bytes, one at a time, in bounded memory.
 *
 * For lists of URLs: a byte order mark at the start, CR before LF, and blanks around a line are dropped;
 * empty lines and lines that start with '#' are skipped. The last line needs no LF.
 */
#ifndef TOOLS_COMMON_LINES_H
#define TOOLS_COMMON_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A longer line is given cut off there, with `cut` set. A URL of 65,535 bytes fits. */
#define THR_LINE_MAX 65536

/* As read(2), but fails with a negative code. */
typedef ssize_t thr_lines_read(void *source, void *buf, size_t n);

struct thr_lines {
    thr_lines_read *read;
    void *source;
    char *buf;         /* 2 * THR_LINE_MAX bytes */
    size_t start, end; /* buf[start .. end) is read and not given out */
    bool begun, ended;
    bool cut;       /* the line given last was longer than THR_LINE_MAX */
    uint64_t count; /* lines of the source so far, skipped ones too: for messages */
};

/* Returns: 0 or -ENOMEM. */
int thr_lines_init(struct thr_lines *l, thr_lines_read *read, void *source);
void thr_lines_fini(struct thr_lines *l);

/* Gives the next line, valid until the next call; it is not NUL-terminated and may hold NULs.
 *
 * Returns: 1, 0 at the end, or what read failed with (and may be called again). */
int thr_lines_next(struct thr_lines *l, const char **line, size_t *n);

#endif
