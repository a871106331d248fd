/* SPDX-License-Identifier: MIT */
/* tools/common/file.h: whole files, read before a runtime is started. */
#ifndef TOOLS_COMMON_FILE_H
#define TOOLS_COMMON_FILE_H

#include "tools/common/text.h"

/* Appends the bytes of a file ("-": standard input) to a text.
 *
 * Returns: 0 or a negative errno; -ENOMEM when t->failed is set.
 * Context: a plain thread. Blocks. */
int thr_file_read(struct thr_text *t, const char *path);

#endif
