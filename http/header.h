/* SPDX-License-Identifier: MIT */
/* http/header.h: header fields, borrowed (a view over a parsed head) or owned (a list).
 *
 * Both keep the order and the exact case of names.  A field is four offsets from the base of its
 * text rather than pointers, so that a head stays parsed while the buffer that holds it is moved or
 * grown, and so that a list copies a head with two memcpy.
 *
 * Nothing gets into a list that could end a field line early: names are tokens, values have no
 * control bytes but tab (RFC 9110, 5.1 and 5.5).
 *
 * Context of everything here: any thread, no locks; an object belongs to one thread at a time. */
#ifndef THR_HTTP_HEADER_H
#define THR_HTTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <thrum/common.h>

/* Borrowed text, not terminated. */
struct thr_text {
    const char *ptr;
    size_t len;
};

struct thr_field {
    uint32_t name_at; /* offsets from the base of the view or list */
    uint32_t name_len;
    uint32_t value_at; /* without the white space around it */
    uint32_t value_len;
};

/* Fields that somebody else owns; passed by value. */
struct thr_fields {
    const char *base;
    const struct thr_field *at;
    size_t n;
};

/* Limits of a head (start line, fields, blank line) or of a list.  Zero is the default. */
struct thr_head_limits {
    uint32_t bytes_max;      /* 64 KiB: the whole head; of a list: names and values */
    uint32_t line_bytes_max; /* 16 KiB: one line with its line end; of a list: name and value */
    uint32_t fields_max;     /* 128 */
};

#define THR_HEAD_BYTES_DEFAULT (64u * 1024u)
#define THR_HEAD_LINE_BYTES_DEFAULT (16u * 1024u)
#define THR_HEAD_FIELDS_DEFAULT 128u

/* limits with its zeros replaced by the defaults; NULL means all defaults. */
struct thr_head_limits thr_head_limits_or_default(const struct thr_head_limits *limits);

/* ---- text ---- */

struct thr_text thr_text_of(const char *string);

/* Equality with an ASCII string, letters in either case. */
bool thr_text_is(struct thr_text text, const char *string);

/* Equality of two texts, ASCII letters in either case. */
bool thr_text_same(struct thr_text a, struct thr_text b);

/* Without spaces and tabs at its ends. */
struct thr_text thr_text_trim(struct thr_text text);

/* Takes the next item of a comma-separated list (RFC 9110, 5.6.1) off *rest: trimmed, empty ones
 * skipped, commas in quoted strings kept.  False when there is none left. */
bool thr_text_next_item(struct thr_text *rest, struct thr_text *item);

/* Decimal digits only, no sign, no space.  False on anything else and on overflow. */
bool thr_text_to_u64(struct thr_text text, uint64_t *out);

/* A token of RFC 9110, 5.6.2: not empty. */
bool thr_header_name_ok(struct thr_text name);

/* Visible characters, spaces, tabs and bytes above 0x7F; no other control byte. */
bool thr_header_value_ok(struct thr_text value);

/* ---- views ---- */

static inline struct thr_text thr_fields_name(struct thr_fields f, size_t i)
{
    return (struct thr_text){f.base + f.at[i].name_at, f.at[i].name_len};
}

static inline struct thr_text thr_fields_value(struct thr_fields f, size_t i)
{
    return (struct thr_text){f.base + f.at[i].value_at, f.at[i].value_len};
}

/* The next field called name, in either case, at index *from or later: its value goes to *value and
 * *from moves past it.  Start with *from = 0 and call until it is false to see every instance. */
bool thr_fields_next(struct thr_fields f, const char *name, size_t *from, struct thr_text *value);

/* The first field called name. */
bool thr_fields_get(struct thr_fields f, const char *name, struct thr_text *value);

/* True if one of the fields called name has the item in its comma-separated list, in either case. */
bool thr_fields_has_item(struct thr_fields f, const char *name, const char *item);

/* ---- lists ---- */

struct thr_headers {
    char *text; /* names and values, each followed by a NUL that its length does not count */
    size_t text_n;
    size_t text_cap;
    struct thr_field *fields;
    size_t n;
    size_t cap;
    struct thr_head_limits limits;
    size_t bytes; /* names and values together, what bytes_max bounds */
};

/* Makes an empty list; allocates nothing. */
void thr_headers_init(struct thr_headers *h, const struct thr_head_limits *limits);

/* Accepts a zeroed list; leaves one that may be used again after thr_headers_init(). */
void thr_headers_fini(struct thr_headers *h);

/* Removes every field, keeps the memory and the limits. */
void thr_headers_clear(struct thr_headers *h);

/* Appends a field.  White space around the value is dropped.
 * Returns: 0, THRUM_EHTTP_REQUEST for a name or value that cannot be sent, THRUM_EHTTP_HEADER_LIMIT, -ENOMEM; the
 *          list is unchanged on failure.  name and value may not point into the list. */
THRUM_MUST_CHECK int thr_headers_add(struct thr_headers *h, struct thr_text name,
                                     struct thr_text value);

/* Removes every field called name, then appends this one; where it fails nothing was removed. */
THRUM_MUST_CHECK int thr_headers_set(struct thr_headers *h, struct thr_text name,
                                     struct thr_text value);

/* Removes every field called name and returns how many there were. */
size_t thr_headers_remove(struct thr_headers *h, const char *name);

/* Appends all of f, which may not be a view of h.  On failure the fields before the refused one stay. */
THRUM_MUST_CHECK int thr_headers_add_all(struct thr_headers *h, struct thr_fields f);

/* The list as a view, valid until it is next changed.  The values of a list are NUL-terminated. */
struct thr_fields thr_headers_view(const struct thr_headers *h);

#endif
