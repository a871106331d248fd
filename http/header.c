/* SPDX-License-Identifier: MIT */
/* Header fields: comparing, finding, and lists that own their text. */
#include "http/header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>

#include "http/scan.h"

/* No limit may be set higher: the text of a list at its limits still has 32-bit offsets. */
#define BYTES_MAX (1u << 30)
#define FIELDS_MAX (1u << 24)

/* clang-format off */
const unsigned char thr_scan_token[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, /* ! # $ % & ' * + - . */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, /* digits */
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, /* ^ _ */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* ` */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, /* | ~ */
};
/* clang-format on */

struct thr_head_limits thr_head_limits_or_default(const struct thr_head_limits *limits)
{
    struct thr_head_limits l = {0};
    if (limits)
        l = *limits;
    if (!l.bytes_max)
        l.bytes_max = THR_HEAD_BYTES_DEFAULT;
    if (!l.line_bytes_max)
        l.line_bytes_max = THR_HEAD_LINE_BYTES_DEFAULT;
    if (!l.fields_max)
        l.fields_max = THR_HEAD_FIELDS_DEFAULT;
    if (l.bytes_max > BYTES_MAX)
        l.bytes_max = BYTES_MAX;
    if (l.fields_max > FIELDS_MAX)
        l.fields_max = FIELDS_MAX;
    return l;
}

/* ---- text ---- */

struct thr_text thr_text_of(const char *string)
{
    return (struct thr_text){string, strlen(string)};
}

/* tolower() of the C locale: what a program has set with setlocale() must not matter here. */
static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool thr_text_same(struct thr_text a, struct thr_text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

bool thr_text_is(struct thr_text text, const char *string)
{
    return thr_text_same(text, thr_text_of(string));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct thr_text thr_text_trim(struct thr_text text)
{
    while (text.len && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* The length of the list item at the front: up to a comma that no quotes enclose. */
static size_t item_len(struct thr_text text)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < text.len && (quoted || text.ptr[i] != ','); i++) {
        if (text.ptr[i] == '"')
            quoted = !quoted;
        else if (quoted && text.ptr[i] == '\\' && i + 1 < text.len)
            i++; /* a quoted pair: the next byte means itself */
    }
    return i;
}

bool thr_text_next_item(struct thr_text *rest, struct thr_text *item)
{
    while (rest->len) {
        size_t n = item_len(*rest);
        size_t taken = n < rest->len ? n + 1 : n;
        *item = thr_text_trim((struct thr_text){rest->ptr, n});
        rest->ptr += taken;
        rest->len -= taken;
        if (item->len)
            return true;
    }
    return false;
}

bool thr_text_to_u64(struct thr_text text, uint64_t *out)
{
    uint64_t value = 0;
    if (!text.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)((unsigned char)text.ptr[i] - '0');
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool thr_header_name_ok(struct thr_text name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!thr_scan_token[(unsigned char)name.ptr[i]])
            return false;
    return name.len > 0;
}

bool thr_header_value_ok(struct thr_text value)
{
    if (value.len == 0)
        return true; /* and its pointer may be NULL, to which nothing may be added */
    const char *end = value.ptr + value.len;
    return thr_scan_control(value.ptr, end) == end;
}

/* ---- views ---- */

bool thr_fields_next(struct thr_fields f, const char *name, size_t *from, struct thr_text *value)
{
    struct thr_text wanted = thr_text_of(name);
    for (size_t i = *from; i < f.n; i++) {
        if (f.at[i].name_len != wanted.len || !thr_text_same(thr_fields_name(f, i), wanted))
            continue;
        *value = thr_fields_value(f, i);
        *from = i + 1;
        return true;
    }
    *from = f.n;
    return false;
}

bool thr_fields_get(struct thr_fields f, const char *name, struct thr_text *value)
{
    size_t from = 0;
    return thr_fields_next(f, name, &from, value);
}

bool thr_fields_has_item(struct thr_fields f, const char *name, const char *item)
{
    struct thr_text value, found;
    for (size_t from = 0; thr_fields_next(f, name, &from, &value);)
        while (thr_text_next_item(&value, &found))
            if (thr_text_is(found, item))
                return true;
    return false;
}

/* ---- lists ---- */

void thr_headers_init(struct thr_headers *h, const struct thr_head_limits *limits)
{
    *h = (struct thr_headers){.limits = thr_head_limits_or_default(limits)};
}

void thr_headers_fini(struct thr_headers *h)
{
    free(h->text);
    free(h->fields);
    *h = (struct thr_headers){0};
}

void thr_headers_clear(struct thr_headers *h)
{
    h->text_n = 0;
    h->n = 0;
    h->bytes = 0;
}

/* Makes room for one more field with so many bytes of name and value. */
static int reserve(struct thr_headers *h, size_t bytes)
{
    if (h->n == h->cap) {
        size_t cap = h->cap ? 2 * h->cap : 16;
        struct thr_field *grown = realloc(h->fields, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        h->fields = grown;
        h->cap = cap;
    }
    size_t need = h->text_n + bytes + 2;
    if (need > h->text_cap) {
        size_t cap = h->text_cap ? h->text_cap : 512;
        while (cap < need)
            cap *= 2;
        char *grown = realloc(h->text, cap);
        if (!grown)
            return -ENOMEM;
        h->text = grown;
        h->text_cap = cap;
    }
    return 0;
}

/* Whether a field fits beside what the list holds less the given number of fields and bytes. */
static int check(const struct thr_headers *h, struct thr_text name, struct thr_text value,
                 size_t less_n, size_t less_bytes)
{
    if (!thr_header_name_ok(name) || !thr_header_value_ok(value))
        return THRUM_EHTTP_REQUEST;
    size_t line_max = h->limits.line_bytes_max;
    if (name.len > line_max || value.len > line_max - name.len ||
        h->bytes - less_bytes + name.len + value.len > h->limits.bytes_max ||
        h->n - less_n >= h->limits.fields_max)
        return THRUM_EHTTP_HEADER_LIMIT;
    return 0;
}

/* Copies the text, with a NUL behind it, and returns where it lies. */
static uint32_t append_text(struct thr_headers *h, struct thr_text text)
{
    size_t at = h->text_n;
    if (text.len)
        memcpy(h->text + at, text.ptr, text.len);
    h->text[at + text.len] = '\0';
    h->text_n += text.len + 1;
    return (uint32_t)at; /* BYTES_MAX and FIELDS_MAX keep it below 4 GiB */
}

/* Appends a checked field for which there is room. */
static void append(struct thr_headers *h, struct thr_text name, struct thr_text value)
{
    struct thr_field *f = &h->fields[h->n++];
    f->name_len = (uint32_t)name.len;
    f->name_at = append_text(h, name);
    f->value_len = (uint32_t)value.len;
    f->value_at = append_text(h, value);
    h->bytes += name.len + value.len;
}

int thr_headers_add(struct thr_headers *h, struct thr_text name, struct thr_text value)
{
    value = thr_text_trim(value);
    int err = check(h, name, value, 0, 0);
    if (!err)
        err = reserve(h, name.len + value.len);
    if (!err)
        append(h, name, value);
    return err;
}

/* Removes the fields called name; the text of those behind moves down, so that setting a field over and
 * over does not grow the list. */
static size_t remove_same(struct thr_headers *h, struct thr_text name)
{
    size_t kept = 0, text_n = 0;
    for (size_t i = 0; i < h->n; i++) {
        struct thr_field f = h->fields[i];
        size_t bytes = (size_t)f.name_len + f.value_len + 2;
        if (thr_text_same((struct thr_text){h->text + f.name_at, f.name_len}, name)) {
            h->bytes -= bytes - 2;
            continue;
        }
        memmove(h->text + text_n, h->text + f.name_at, bytes); /* the value lies behind its name */
        f.name_at = (uint32_t)text_n;
        f.value_at = f.name_at + f.name_len + 1;
        h->fields[kept++] = f;
        text_n += bytes;
    }
    size_t removed = h->n - kept;
    h->n = kept;
    h->text_n = text_n;
    return removed;
}

int thr_headers_set(struct thr_headers *h, struct thr_text name, struct thr_text value)
{
    size_t same_n = 0, same_bytes = 0;
    for (size_t i = 0; i < h->n; i++)
        if (thr_text_same(thr_fields_name(thr_headers_view(h), i), name)) {
            same_n++;
            same_bytes += name.len + h->fields[i].value_len;
        }

    value = thr_text_trim(value);
    int err = check(h, name, value, same_n, same_bytes);
    if (!err)
        err = reserve(h, name.len + value.len);
    if (!err) {
        remove_same(h, name); /* only now that nothing can fail any more */
        append(h, name, value);
    }
    return err;
}

size_t thr_headers_remove(struct thr_headers *h, const char *name)
{
    return remove_same(h, thr_text_of(name));
}

int thr_headers_add_all(struct thr_headers *h, struct thr_fields f)
{
    int err = 0;
    for (size_t i = 0; i < f.n && !err; i++)
        err = thr_headers_add(h, thr_fields_name(f, i), thr_fields_value(f, i));
    return err;
}

struct thr_fields thr_headers_view(const struct thr_headers *h)
{
    return (struct thr_fields){h->text, h->fields, h->n};
}
