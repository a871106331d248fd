/* SPDX-License-Identifier: MIT */
/* tools/fetch/name.h: the name of the file that a body goes to. */
#ifndef TOOLS_FETCH_NAME_H
#define TOOLS_FETCH_NAME_H

#include <stddef.h>
#include <stdint.h>

/* Below the 255 bytes that file systems allow, with room for a suffix of the user's. */
#define THR_NAME_MAX 160

/* NUMBER-HOST_PATH: the URL's place in the order, from 1, in six digits or more, so that names sort in
 * that order and no two are equal; then host, path and query without scheme, user and password, in which
 * each run of other characters than A-Z a-z 0-9 . - _ is one '_', cut to fit. It never holds a slash and
 * never begins with a dot, so it names a file in the directory itself. Returns name. */
char *thr_name_make(uint64_t index, const char *url, char name[THR_NAME_MAX]);

/* The URL without user and password, which are not for lines, logs and names; a URL that cannot be parsed
 * too. The caller frees it; NULL: no memory. */
char *thr_name_redact(const char *url);

#endif
