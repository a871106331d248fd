/* SPDX-License-Identifier: MIT */
/* Writes JSON into a text. */
#include "tools/common/json.h"

#include <inttypes.h>
#include <string.h>

/* The length of the UTF-8 sequence at s, or 0 if it is none (overlong, a surrogate, above U+10FFFF, cut
 * off: the string's NUL is no continuation byte). */
static size_t utf8_len(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;

    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

static void add_escaped(struct thr_text *t, unsigned char c)
{
    static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *p = names; *p; p += 2) {
        if ((unsigned char)*p == c) {
            char two[] = {'\\', p[1]};
            thr_text_add(t, two, sizeof(two));
            return;
        }
    }
    thr_text_addf(t, "\\u%04x", c);
}

static void add_string(struct thr_text *t, const char *string)
{
    thr_text_adds(t, "\"");
    const unsigned char *s = (const unsigned char *)string;
    const unsigned char *plain = s; /* [plain, s) goes out unchanged, in one piece */
    while (*s) {
        size_t n = utf8_len(s);
        if (n > 1 || (n == 1 && *s >= 0x20 && *s != 0x7F && *s != '"' && *s != '\\')) {
            s += n;
            continue;
        }
        thr_text_add(t, plain, (size_t)(s - plain));
        if (n == 0)
            thr_text_adds(t, "\\ufffd");
        else
            add_escaped(t, *s);
        plain = ++s;
    }
    thr_text_add(t, plain, (size_t)(s - plain));
    thr_text_adds(t, "\"");
}

static void add_key(struct thr_json *j, const char *key)
{
    if (j->comma)
        thr_text_adds(j->to, ",");
    j->comma = true;
    if (key) {
        add_string(j->to, key);
        thr_text_adds(j->to, ":");
    }
}

void thr_json_object(struct thr_json *j, const char *key)
{
    add_key(j, key);
    thr_text_adds(j->to, "{");
    j->comma = false;
}

void thr_json_end(struct thr_json *j)
{
    thr_text_adds(j->to, "}");
    j->comma = true;
}

void thr_json_string(struct thr_json *j, const char *key, const char *value)
{
    if (!value) {
        thr_json_null(j, key);
        return;
    }
    add_key(j, key);
    add_string(j->to, value);
}

void thr_json_uint(struct thr_json *j, const char *key, uint64_t value)
{
    add_key(j, key);
    thr_text_addf(j->to, "%" PRIu64, value);
}

void thr_json_bool(struct thr_json *j, const char *key, bool value)
{
    add_key(j, key);
    thr_text_adds(j->to, value ? "true" : "false");
}

void thr_json_null(struct thr_json *j, const char *key)
{
    add_key(j, key);
    thr_text_adds(j->to, "null");
}
