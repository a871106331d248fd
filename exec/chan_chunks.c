/* SPDX-License-Identifier: MIT */
/* The memory of unbounded channels. */
#include "exec/chan.h"

#include <errno.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 4096 - 16 /* malloc's own */, ITEMS_MIN = 4 };

static size_t bytes_for_items(const struct thr_chan *ch)
{
    size_t n = (CHUNK_BYTES - sizeof(struct thr_chunk)) / ch->item_bytes;
    return (n < ITEMS_MIN ? ITEMS_MIN : n) * ch->item_bytes;
}

static void read_from(struct thr_chan *ch, struct thr_chunk *chunk)
{
    ch->first = chunk;
    ch->read = chunk->items;
    ch->read_end = chunk->items + bytes_for_items(ch);
}

static void write_to(struct thr_chan *ch, struct thr_chunk *chunk)
{
    ch->last = chunk;
    ch->write = chunk->items;
    ch->write_end = chunk->items + bytes_for_items(ch);
}

/* Keeps an empty chunk, or leaves it to be freed (N6). */
static void put_aside(struct thr_chan *ch, struct thr_chunk *chunk, struct thr_chan_after *after)
{
    if (!ch->spare) {
        ch->spare = chunk;
        return;
    }
    chunk->next = after->empty;
    after->empty = chunk;
}

int thr_chunks_grow(struct thr_chan *ch, struct thr_chan_after *after)
{
    struct thr_chunk *chunk = ch->spare;
    ch->spare = NULL;
    if (!chunk) {
        thr_unlock(&ch->lock);
        chunk = malloc(sizeof(*chunk) + bytes_for_items(ch));
        thr_lock(&ch->lock);
        if (!chunk)
            return -ENOMEM;
    }
    if (ch->write != ch->write_end) { /* somebody else has grown it meanwhile, or emptied it */
        put_aside(ch, chunk, after);
        return 0;
    }
    chunk->next = NULL;
    if (ch->last)
        ch->last->next = chunk;
    else
        read_from(ch, chunk);
    write_to(ch, chunk);
    return 0;
}

void thr_chunks_next(struct thr_chan *ch, struct thr_chan_after *after)
{
    struct thr_chunk *done = ch->first;
    if (done == ch->last) { /* read == write: from the start again */
        read_from(ch, done);
        write_to(ch, done);
        return;
    }
    read_from(ch, done->next);
    put_aside(ch, done, after);
}

void thr_chunks_free(struct thr_chan *ch)
{
    for (struct thr_chunk *c = ch->first, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(ch->spare);
    ch->first = ch->last = ch->spare = NULL;
    ch->read = ch->read_end = ch->write = ch->write_end = NULL;
}

void thr_chan_after_slow(struct thr_chan_after *after)
{
    for (struct thr_chunk *c = after->empty, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    after->empty = NULL;
    thr_wakeups_run(&after->wakeups);
}
