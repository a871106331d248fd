/* SPDX-License-Identifier: MIT */
/* The name of the file that a body goes to. */
#include "tools/fetch/name.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the authority begins: behind "scheme:" and slashes, as the URL parser sees it. */
static const char *authority(const char *url)
{
    const char *colon = strstr(url, ":");
    const char *at = colon ? colon + 1 : url;
    bool slashes = *at == '/' || *at == '\\';
    if (!slashes && strncmp(url, "http", 4) != 0)
        at = url;
    return at + strspn(at, "/\\");
}

/* Finds user and password, [from, to), the '@' included; from == to if there is none. */
static void find_user(const char *url, const char **from, const char **to)
{
    *from = *to = authority(url);
    size_t n = strcspn(*from, "/\\?#");
    for (size_t i = n; i > 0; i--) {
        if ((*from)[i - 1] == '@') {
            *to = *from + i;
            return;
        }
    }
}

char *thr_name_redact(const char *url)
{
    const char *from, *to;
    find_user(url, &from, &to);
    size_t n = strlen(url) + 1;
    char *text = malloc(n);
    if (text) {
        size_t before = (size_t)(from - url);
        memcpy(text, url, before);
        memcpy(text + before, to, n - (size_t)(to - url));
    }
    return text;
}

static bool is_kept(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-';
}

char *thr_name_make(uint64_t index, const char *url, char name[THR_NAME_MAX])
{
    size_t n = (size_t)snprintf(name, THR_NAME_MAX, "%06" PRIu64 "-", index + 1);
    size_t start = n;
    const char *from, *p;
    find_user(url, &from, &p);
    for (; *p && *p != '#' && n < THR_NAME_MAX - 1; p++) {
        char c = is_kept(*p) ? *p : '_';
        if (c != '_' || (n > start && name[n - 1] != '_'))
            name[n++] = c;
    }
    while (n > start && name[n - 1] == '_')
        n--;
    if (n == start) /* nothing of the URL is left */
        n--;
    name[n] = '\0';
    return name;
}
