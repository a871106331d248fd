/* SPDX-License-Identifier: MIT */
/* tools/common/json.h: writes JSON (RFC 8259) into a text.
 *
 * The writer sets commas and escapes strings; balance is the caller's. Strings come from servers and
 * command lines and may hold anything: what is not UTF-8 becomes U+FFFD, one for each byte, so that
 * every line that is written parses.
 */
#ifndef TOOLS_COMMON_JSON_H
#define TOOLS_COMMON_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/common/text.h"

struct thr_json {
    struct thr_text *to;
    bool comma; /* a value stands before the next one */
};

/* key NULL: the outermost value. */
void thr_json_object(struct thr_json *j, const char *key);
void thr_json_end(struct thr_json *j);

/* value NULL: null. */
void thr_json_string(struct thr_json *j, const char *key, const char *value);
void thr_json_uint(struct thr_json *j, const char *key, uint64_t value);
void thr_json_bool(struct thr_json *j, const char *key, bool value);
void thr_json_null(struct thr_json *j, const char *key);

#endif
