/* SPDX-License-Identifier: MIT */
#include "exec/items.h"

#include "exec/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4096, DIR_MIN = 8 };

static size_t chunk_bytes(const struct thr_items *it)
{
    size_t bytes = it->per * it->bytes;
    return bytes < sizeof(struct thr_items_chunk) ? sizeof(struct thr_items_chunk) : bytes;
}

static void **dir_slot(const struct thr_items *it, uint64_t chunk_index)
{
    return &it->dir[chunk_index & (it->dir_n - 1)];
}

/* Returns: NULL, or the chunk if there are spares enough. */
static void *keep_spare(struct thr_items *it, void *memory)
{
    struct thr_items_chunk *chunk = memory;
    if (it->spares_n >= it->spares_max)
        return chunk;
    chunk->next = it->spares;
    it->spares = chunk;
    it->spares_n++;
    return NULL;
}

/* ---- Setting up ---- */

/* The chunks that so many items need at most: one more than if the first began a chunk (M2). */
static int reserve_chunks(struct thr_items *it, size_t items)
{
    size_t chunks = ((items - 1) >> it->per_log2) + 2;
    it->dir_n = 1;
    while (it->dir_n < chunks)
        it->dir_n *= 2;
    it->spares_max = SIZE_MAX;
    it->dir = calloc(it->dir_n, sizeof(*it->dir));
    if (!it->dir)
        return -ENOMEM;
    for (size_t i = 0; i < chunks; i++) {
        void *chunk = malloc(chunk_bytes(it));
        if (!chunk)
            return -ENOMEM;
        free(keep_spare(it, chunk)); /* it is kept: there is no limit yet */
    }
    return 0;
}

int thr_items_init(struct thr_items *it, size_t item_bytes, size_t reserve)
{
    size_t bytes;
    *it = (struct thr_items){.bytes = item_bytes, .per = 1, .spares_max = 1};
    if (item_bytes == 0 || item_bytes > SIZE_MAX / 4 ||
        __builtin_mul_overflow(item_bytes, reserve, &bytes) || bytes > SIZE_MAX / 4)
        return -EINVAL;
    while (it->per * 2 * item_bytes <= CHUNK_BYTES && (reserve == 0 || it->per < reserve)) {
        it->per *= 2;
        it->per_log2++;
    }
    return reserve ? reserve_chunks(it, reserve) : 0;
}

void thr_items_fini(struct thr_items *it)
{
    for (size_t i = 0; i < it->dir_n && it->dir; i++)
        free(it->dir[i]);
    free(it->dir);
    for (struct thr_items_chunk *c = it->spares, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    memset(it, 0, sizeof(*it));
}

/* ---- Growing ---- */

/* How many places of the directory are taken if there is one more item. */
static uint64_t span(const struct thr_items *it)
{
    return ((it->first + it->count) >> it->per_log2) - (it->first >> it->per_log2) + 1;
}

bool thr_items_room(struct thr_items *it)
{
    if (span(it) > it->dir_n)
        return false;
    void **slot = dir_slot(it, (it->first + it->count) >> it->per_log2);
    if (*slot)
        return true;
    if (!it->spares)
        return false;
    *slot = it->spares;
    it->spares = it->spares->next;
    it->spares_n--;
    return true;
}

void thr_items_want(const struct thr_items *it, struct thr_items_more *more)
{
    *more = (struct thr_items_more){.chunk_bytes = chunk_bytes(it)};
    if (span(it) > it->dir_n)
        more->dir_n = it->dir_n ? it->dir_n * 2 : DIR_MIN;
}

int thr_items_more_get(struct thr_items_more *more)
{
    more->chunk = malloc(more->chunk_bytes);
    if (more->dir_n)
        more->dir = calloc(more->dir_n, sizeof(*more->dir));
    if (more->chunk && (more->dir || !more->dir_n))
        return 0;
    thr_items_more_free(more);
    return -ENOMEM;
}

/* Each chunk keeps its index; the place that an index has in the directory depends on its size. */
static void exchange_dir(struct thr_items *it, struct thr_items_more *more)
{
    void **old = it->dir;
    size_t old_n = it->dir_n;
    uint64_t lowest = it->first >> it->per_log2;
    it->dir = more->dir;
    it->dir_n = more->dir_n;
    for (uint64_t i = lowest; i < lowest + old_n; i++)
        *dir_slot(it, i) = old[i & (old_n - 1)];
    more->dir = old;
}

void thr_items_add(struct thr_items *it, struct thr_items_more *more)
{
    if (more->dir_n > it->dir_n)
        exchange_dir(it, more);
    if (!it->spares) /* else somebody else has brought one meanwhile */
        more->chunk = keep_spare(it, more->chunk);
}

void thr_items_more_free(struct thr_items_more *more)
{
    free(more->chunk);
    free(more->dir);
    *more = (struct thr_items_more){0};
}

/* ---- Taking ---- */

static void *release(struct thr_items *it, uint64_t chunk_index)
{
    void **slot = dir_slot(it, chunk_index), *chunk = *slot;
    *slot = NULL;
    return chunk ? keep_spare(it, chunk) : NULL;
}

void *thr_items_drop_first(struct thr_items *it)
{
    THR_DEBUG_ASSERT(it->count > 0);
    it->first++;
    it->count--;
    if ((it->first & (it->per - 1)) == 0)
        return release(it, (it->first - 1) >> it->per_log2);
    if (it->count == 0) /* a queue that is mostly empty stays in the same warm lines */
        it->first &= ~(uint64_t)(it->per - 1);
    return NULL;
}

void *thr_items_drop_last(struct thr_items *it)
{
    THR_DEBUG_ASSERT(it->count > 0);
    it->count--;
    /* The chunk of the place that fell free is kept, though perhaps empty: the next push may be at once. */
    uint64_t kept = (it->first + it->count) >> it->per_log2;
    uint64_t was_next = (it->first + it->count + 1) >> it->per_log2;
    if (was_next == kept || was_next - (it->first >> it->per_log2) >= it->dir_n)
        return NULL; /* the latter: it had no place of its own in a full directory */
    return release(it, was_next);
}
