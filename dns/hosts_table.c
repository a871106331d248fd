/* SPDX-License-Identifier: MIT */
/* The hosts file's text as a table: the names stay where they are in the text, a hash table finds them. */
#include "dns/hosts_table.h"
#include "dns/addrs.h"
#include "dns/hosts.h"
#include "dns/name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

/* One name of one line. */
struct thr_hosts_entry {
    const char *name; /* in the text, canonical, without a last dot */
    uint32_t len;
    uint32_t next; /* of the same bucket, in the order of the file; or NOBODY */
    thrum_addr addr;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\0';
}

/* The next word of the line at *at, which ends at `end`, made a string in place; NULL: no more. */
static char *next_word(char **at, char *end)
{
    char *word = *at;
    while (word < end && is_blank(*word))
        word++;
    if (word == end)
        return NULL;
    char *stop = word;
    while (stop < end && !is_blank(*stop))
        stop++;
    *at = stop < end ? stop + 1 : end;
    *stop = '\0'; /* end itself is the line's newline, or the byte after the text: writable */
    return word;
}

static int grow(struct thr_hosts_table *t)
{
    if (t->entries_n < t->entries_max)
        return 0;
    if (t->entries_max >= NOBODY / 2)
        return -ENOMEM;
    uint32_t max = t->entries_max ? t->entries_max * 2 : 16;
    struct thr_hosts_entry *entries = realloc(t->entries, max * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    t->entries = entries;
    t->entries_max = max;
    return 0;
}

static int add_name(struct thr_hosts_table *t, char *name, const thrum_addr *addr)
{
    int len = thr_name_canonical(name, name);
    if (len < 0)
        return 0; /* not a name anybody can ask for */
    int err = grow(t);
    if (err)
        return err;
    if (name[len - 1] == '.')
        len--;
    t->entries[t->entries_n++] =
        (struct thr_hosts_entry){.name = name, .len = (uint32_t)len, .next = NOBODY, .addr = *addr};
    return 0;
}

static int add_line(struct thr_hosts_table *t, char *line, char *end)
{
    char *comment = memchr(line, '#', (size_t)(end - line));
    if (comment)
        end = comment;
    thrum_addr addr;
    char *word = next_word(&line, end);
    if (!word || thrum_addr_parse(&addr, word, 0) != 0)
        return 0;
    int err = 0;
    while (!err && (word = next_word(&line, end)))
        err = add_name(t, word, &addr);
    return err;
}

static uint32_t bucket_index(const struct thr_hosts_table *t, const char *name, size_t len)
{
    return (uint32_t)thr_name_hash(name, len, 0) & (t->buckets_n - 1);
}

/* Links the entries from the last to the first, so that each bucket has them in the order of the file. */
static int index_entries(struct thr_hosts_table *t)
{
    t->buckets_n = 16;
    while (t->buckets_n < t->entries_n)
        t->buckets_n *= 2;
    t->buckets = malloc(t->buckets_n * sizeof(*t->buckets));
    if (!t->buckets)
        return -ENOMEM;
    memset(t->buckets, 0xff, t->buckets_n * sizeof(*t->buckets)); /* NOBODY */
    for (uint32_t i = t->entries_n; i-- > 0;) {
        uint32_t b = bucket_index(t, t->entries[i].name, t->entries[i].len);
        t->entries[i].next = t->buckets[b];
        t->buckets[b] = i;
    }
    return 0;
}

int thr_hosts_table_new(struct thr_hosts_table **out, char *text, size_t text_bytes)
{
    *out = NULL;
    struct thr_hosts_table *t = calloc(1, sizeof(*t));
    if (!t) {
        free(text);
        return -ENOMEM;
    }
    t->refs = 1;
    t->text = text;
    int err = 0;
    char *end = text + text_bytes;
    for (char *line = text; !err && line < end;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        err = add_line(t, line, stop);
        line = stop + 1;
    }
    if (!err)
        err = index_entries(t);
    if (err) {
        thr_hosts_table_free(t);
        return err;
    }
    *out = t;
    return 0;
}

void thr_hosts_table_free(struct thr_hosts_table *t)
{
    if (!t)
        return;
    free(t->buckets);
    free(t->entries);
    free(t->text);
    free(t);
}

static void push(thrum_addr list[], unsigned *n, const thrum_addr *addr)
{
    for (unsigned i = 0; i < *n; i++)
        if (thrum_addr_equal(&list[i], addr))
            return;
    if (*n < THRUM_ADDRS_MAX)
        list[(*n)++] = *addr;
}

void thr_hosts_table_find(const struct thr_hosts_table *t, const char *name, size_t len,
                          thrum_addrs *out)
{
    out->n = 0;
    if (!t)
        return;
    if (len && name[len - 1] == '.')
        len--;
    thrum_addr v4[THRUM_ADDRS_MAX], v6[THRUM_ADDRS_MAX];
    unsigned v4_n = 0, v6_n = 0;
    for (uint32_t i = t->buckets[bucket_index(t, name, len)]; i != NOBODY; i = t->entries[i].next) {
        const struct thr_hosts_entry *e = &t->entries[i];
        if (e->len != len || memcmp(e->name, name, len) != 0)
            continue;
        if (e->addr.u.sa.sa_family == AF_INET6)
            push(v6, &v6_n, &e->addr);
        else
            push(v4, &v4_n, &e->addr);
    }
    thr_addrs_interleave(out, v6, v6_n, v4, v4_n);
}
