/* SPDX-License-Identifier: MIT */
/* tools/common/versions.h: what the program is made of. */
#ifndef TOOLS_COMMON_VERSIONS_H
#define TOOLS_COMMON_VERSIONS_H

#include <stddef.h>

/* "thrum 0.1.0 (c-ares 1.18.1, mbedTLS 3.6.6, zlib 1.2.13)\n": the libraries as they are now, not as they
 * were when it was built. Returns text. */
char *thr_versions_text(char *text, size_t text_bytes);

#endif
