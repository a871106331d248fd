/* SPDX-License-Identifier: MIT */
/* tools/common/progress.h: the text of a progress bar; where it is drawn is another's business. */
#ifndef TOOLS_COMMON_PROGRESS_H
#define TOOLS_COMMON_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

struct thr_progress {
    uint64_t done;
    uint64_t total; /* 0: not known (yet) */
    uint64_t failed;
    uint64_t bytes;
    uint64_t elapsed_ns;
};

/* The longest text, with its NUL. */
#define THR_PROGRESS_MAX 256

/* Writes at most `columns` - 1 characters, ASCII: the last column would make some terminals wrap. Where
 * there is room, a bar of the share done comes first. Returns text. */
char *thr_progress_text(const struct thr_progress *p, unsigned columns,
                        char text[THR_PROGRESS_MAX]);

#endif
