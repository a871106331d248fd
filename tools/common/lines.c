/* SPDX-License-Identifier: MIT */
/* Lines from a source of bytes. */
#include "tools/common/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_BYTES ((size_t)2 * THR_LINE_MAX)

int thr_lines_init(struct thr_lines *l, thr_lines_read *read, void *source)
{
    *l = (struct thr_lines){.read = read, .source = source};
    l->buf = malloc(BUF_BYTES);
    return l->buf ? 0 : -ENOMEM;
}

void thr_lines_fini(struct thr_lines *l)
{
    free(l->buf);
    l->buf = NULL;
}

/* Reads more behind what is there; there is room, for a line is given out before the buffer is full. */
static int fill(struct thr_lines *l)
{
    if (l->start > 0) {
        memmove(l->buf, l->buf + l->start, l->end - l->start);
        l->end -= l->start;
        l->start = 0;
    }
    ssize_t n = l->read(l->source, l->buf + l->end, BUF_BYTES - l->end);
    if (n < 0)
        return (int)n;
    l->ended = n == 0;
    l->end += (size_t)n;
    return 0;
}

/* Drops the rest of a line that was cut, its LF included. */
static int skip_rest(struct thr_lines *l)
{
    while (l->cut) {
        const char *lf = memchr(l->buf + l->start, '\n', l->end - l->start);
        if (lf || l->ended) {
            l->start = lf ? (size_t)(lf - l->buf) + 1 : l->end;
            l->cut = false;
            break;
        }
        l->start = l->end;
        int err = fill(l);
        if (err)
            return err;
    }
    return 0;
}

/* Finds the next raw line, without its LF. Returns as thr_lines_next(). */
static int next_raw(struct thr_lines *l, const char **line, size_t *n)
{
    int err = skip_rest(l);
    size_t seen = 0; /* so much of the buffer holds no LF */
    while (!err) {
        const char *at = l->buf + l->start;
        size_t have = l->end - l->start;
        const char *lf = memchr(at + seen, '\n', have - seen);
        l->cut = lf ? lf - at > THR_LINE_MAX : have > THR_LINE_MAX;
        if (lf || l->cut || (l->ended && have > 0)) {
            *line = at;
            *n = l->cut ? THR_LINE_MAX : lf ? (size_t)(lf - at) : have;
            l->start += *n + (lf && !l->cut);
            l->count++;
            return 1;
        }
        if (l->ended)
            return 0;
        seen = have;
        err = fill(l);
    }
    return err;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

int thr_lines_next(struct thr_lines *l, const char **line, size_t *n)
{
    for (;;) {
        int got = next_raw(l, line, n);
        if (got <= 0)
            return got;
        if (!l->begun && *n >= 3 && memcmp(*line, "\xEF\xBB\xBF", 3) == 0) {
            *line += 3;
            *n -= 3;
        }
        l->begun = true;
        while (*n > 0 && is_blank(**line)) {
            (*line)++;
            (*n)--;
        }
        while (*n > 0 && is_blank((*line)[*n - 1]))
            (*n)--;
        if (*n > 0 && **line != '#')
            return 1;
    }
}
