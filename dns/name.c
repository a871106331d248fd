/* SPDX-License-Identifier: MIT */
/* Host names: their form, and how they are compared. */
#include "dns/name.h"

#include <string.h>
#include <thrum/error.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The lower-case form of a character that names may have, or 0. Not <ctype.h>: that asks the locale. */
static char canonical_char(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_' ? c : 0;
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* True for "17" and "0x1f", in lower case: what a URL parser takes for the end of an IPv4 address. */
static bool is_number(const char *label, size_t len)
{
    bool hex = len >= 2 && label[0] == '0' && label[1] == 'x';
    for (size_t i = hex ? 2 : 0; i < len; i++)
        if (hex ? !is_hex(label[i]) : !is_digit(label[i]))
            return false;
    return true;
}

int thr_name_canonical(char out[], const char *host)
{
    size_t len = 0, label = 0; /* label: where the current one begins */
    for (; host[len]; len++) {
        if (len >= THR_NAME_BYTES - 1)
            return THRUM_EDNS_BADNAME;
        bool dot = host[len] == '.';
        char c = dot ? '.' : canonical_char(host[len]);
        if (!c || (dot && len == label) || (!dot && len - label >= THR_LABEL_MAX))
            return THRUM_EDNS_BADNAME;
        out[len] = c;
        if (dot && host[len + 1]) /* a last dot begins no label */
            label = len + 1;
    }
    size_t end = len && out[len - 1] == '.' ? len - 1 : len;
    if (end == 0 || end > THR_NAME_BYTES - 2 || is_number(out + label, end - label))
        return THRUM_EDNS_BADNAME;
    out[len] = '\0';
    return (int)len;
}

bool thr_name_is_localhost(const char *name, size_t len)
{
    static const char word[] = "localhost";
    size_t word_len = sizeof(word) - 1;
    if (len && name[len - 1] == '.')
        len--;
    if (len < word_len || memcmp(name + len - word_len, word, word_len) != 0)
        return false;
    return len == word_len || name[len - word_len - 1] == '.';
}

uint64_t thr_name_hash(const char *name, size_t len, uint64_t seed)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed; /* FNV-1a ... */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 32); /* ... whose low bits alone are weak */
}
